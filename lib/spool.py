"""A spool: files of records that are known to be on disk, closed by rename when they are full or old.

A file that is being written is called `current-NAME`, and locked by its writer. It becomes NAME when its end record is
on disk; `<time>-<host>-<pid>-<n>.ndjson`, or `.ndjson.zst` with a zstd frame for each group of records. What was
rejected lies beside it as `<time>-<host>-<pid>-<n>.rejects.ndjson`.
"""

import contextlib
import errno
import fcntl
import itertools
import os
import re
import time

from tel import compress, ends
from tel.errors import IOFailed, NoInput
from tel.store import sync_directory

CURRENT, RECORDS, ZSTD, REJECTS, TORN = "current-", ".ndjson", ".ndjson.zst", ".rejects.ndjson", ".torn"
MODE = 0o640  # what clients sent is nobody's business


class Appended:
    """A new file, locked, that is only ever as long as what is known to be on disk. Raises OSError."""

    def __init__(self, path):
        self.path, self.size, self.sound = path, 0, True
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, MODE)
        fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def append(self, data):
        """Add bytes; they are on disk when this returns. Raises OSError, and then the file is as before.

        Of a file that could not be synced nobody knows what is on disk, and one that was removed is lost: not `sound`.
        """
        view, size = memoryview(data), self.size
        try:
            while view:
                view = view[os.write(self.fd, view) :]
        except OSError:
            self.cut(size)
            raise
        try:
            os.fdatasync(self.fd)
            if os.fstat(self.fd).st_nlink == 0:
                raise FileNotFoundError(errno.ENOENT, "the file was removed", self.path)
        except OSError:
            self.cut(size)
            self.sound = False
            raise
        self.size = size + len(data)

    def cut(self, size):
        """Make the file as long as it was, on disk too; where that fails it is not `sound` any more."""
        try:
            os.ftruncate(self.fd, size)
            os.fdatasync(self.fd)
            self.size = size
        except OSError:
            self.sound = False

    def close(self):
        """Give up the lock."""
        os.close(self.fd)


class Spool:
    """One writer's files in a folder: the current one, and those that were closed.

    `level` is the level of zstd, or None for plain lines. `size` (bytes on disk) and `age` (seconds) are when a file is
    closed. `say(message)` is told of what is out of the ordinary.
    """

    def __init__(self, directory, level, size, age, say):
        self.directory, self.level, self.most_size, self.most_age, self.say = directory, level, size, age, say
        self._records = self._rejects = None
        self._numbers = itertools.count(1)
        self._count, self._opened = 0, 0.0

    def add(self, lines, rejects):
        """Add lines (bytes) of records and rejects; they are on disk when this returns. Raises OSError: none counts."""
        if self._records is None:
            self._open()
        try:
            before = self._records.size
            if lines:
                self._records.append(self._packed(lines))
            if rejects:
                try:
                    self._add_rejects(rejects)
                except OSError:
                    self._records.cut(before)
                    raise
        except OSError:
            if not (self._records.sound and (self._rejects is None or self._rejects.sound)):
                self._abandon()
            raise
        self._count += len(lines)

    def _packed(self, lines):
        data = b"".join(line + b"\n" for line in lines)
        return data if self.level is None else compress.frame(data, self.level)

    def _add_rejects(self, lines):
        if self._rejects is None:
            self._rejects = self._create(self._path(REJECTS))
        self._rejects.append(b"".join(line + b"\n" for line in lines))

    def _open(self):
        now = time.time()
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}.{int(now * 1e6) % 10**6:06d}Z"
        self._stem = f"{name}-{_host()}-{os.getpid()}-{next(self._numbers)}"
        self._records = self._create(self._path(RECORDS if self.level is None else ZSTD))
        self._count, self._opened = 0, time.monotonic()

    def _path(self, suffix):
        return os.path.join(self.directory, CURRENT + self._stem + suffix)

    def _create(self, path):
        with locked(self.directory):  # recovery must not find it before it is locked
            file = Appended(path)
        try:
            sync_directory(self.directory)
        except OSError:
            file.close()
            raise
        return file

    def _abandon(self):
        """Leave the current files as they are, to be recovered."""
        for file in (self._records, self._rejects):
            if file is not None:
                file.close()
        self._records = self._rejects = None

    def seconds_left(self):
        """Seconds until the current file is too old, or None if there is none."""
        return None if self._records is None else max(0.0, self._opened + self.most_age - time.monotonic())

    def due(self):
        """Whether the current file is full or old."""
        return self._records is not None and (self._records.size >= self.most_size or self.seconds_left() == 0)

    def roll(self):
        """Close the current files, if there are any; returns how many files of records were closed.

        What cannot be closed now, the disk being full, is said and left to be recovered.
        """
        if self._records is None:
            return 0
        path = self._records.path
        try:
            self._records.append(end_of(path, self._count))
            finished(path)
        except OSError as error:
            self.say(f"{path}: cannot be closed now: {error.strerror}; it is closed later")
            return 0
        finally:
            self._abandon()
        return 1


def end_of(path, count):
    """The bytes of the end record of a file of `count` records."""
    line = ends.line("tel-receive", count) + b"\n"
    return line if path.endswith(RECORDS) else compress.frame(line, 1)


def _host():
    return re.sub("[^A-Za-z0-9.]", "_", os.uname().nodename)[:60] or "localhost"


@contextlib.contextmanager
def locked(directory):
    """Hold the lock under which the files of a spool appear and are recovered."""
    fd = os.open(os.path.join(directory, ".spool-lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def finished(path):
    """Give a current file, whole on disk, its own name, its rejects first; returns the name. Raises OSError."""
    directory, name = os.path.split(path)
    own = name.removeprefix(CURRENT)
    rejects = stem(own) + REJECTS
    with contextlib.suppress(FileNotFoundError):
        renamed(directory, CURRENT + rejects, rejects)
    renamed(directory, name, own)
    sync_directory(directory)
    return own


def renamed(directory, name, own):
    """Rename within a folder, over nothing. Raises OSError."""
    source, target = os.path.join(directory, name), os.path.join(directory, own)
    if os.path.lexists(source) and os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "a file of that name is there already", target)
    os.rename(source, target)


def stem(name):
    """A file's name without its ending.

    >>> stem("a-1.rejects.ndjson"), stem("a-1.ndjson.zst")
    ('a-1', 'a-1')
    """
    for suffix in (REJECTS, ZSTD, RECORDS):
        if name.endswith(suffix):
            return name[: -len(suffix)]
    return name


def create(directory):
    """Make a spool's folder where there is none. Raises IOFailed."""
    try:
        os.makedirs(directory, 0o750, exist_ok=True)
    except OSError as error:
        raise IOFailed(f"cannot be made: {error.strerror}", directory) from None


def closed(directory):
    """The sorted names of the files of records that are closed. Raises IOFailed."""
    names = listed(directory)
    return sorted(n for n in names if n.endswith((RECORDS, ZSTD)) and not n.endswith(REJECTS) and not _is_current(n))


def _is_current(name):
    return name.startswith((CURRENT, "."))


def listed(directory):
    """The names of all that lies in a spool. Raises NoInput, IOFailed."""
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoInput(f"is no spool: {error.strerror}", directory) from None
    except OSError as error:
        raise IOFailed(f"cannot be listed: {error.strerror}", directory) from None


def in_use(directory):
    """The sorted names of the files that a living writer holds. Raises IOFailed."""
    return sorted(name for name in listed(directory) if name.startswith(CURRENT))


def probe(directory):
    """Raise OSError if nothing can be written to a spool now."""
    path = os.path.join(directory, f".probe-{os.getpid()}")
    try:
        with open(path, "wb") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
