"""A spool: files of records that are known to be on disk, closed by rename when they are full or old.

A file that is being written is called `current-NAME`, and locked by its writer. It becomes NAME when its end record is
on disk; `<time>-<host>-<pid>-<n>.ndjson`, or `.ndjson.zst` with a zstd frame for each group of records. What was
rejected lies beside it as `<time>-<host>-<pid>-<n>.rejects.ndjson`. What a writer that died left behind is recovered:
a torn tail, which nobody was told to be safe, goes to `NAME.torn`.
"""

import contextlib
import errno
import fcntl
import itertools
import mmap
import os
import re
import time

from tel import compress, ends, jsonl, records, streams, tiers
from tel.errors import BadData, IOFailed, NoInput

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
        """Close the current files, and what dead writers left; returns the names of the files that were closed.

        What cannot be closed now, the disk being full, is said and left to be recovered.
        """
        closed = []
        if self._records is not None:
            path = self._records.path
            try:
                self._records.append(_end(path, self._count))
                closed.append(finished(path))
            except OSError as error:
                self.say(f"{path}: cannot be closed now: {error.strerror}; it is closed later")
            finally:
                self._abandon()
        return closed + recover(self.directory, self.say)


def _end(path, count):
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


def sync_directory(path):
    """Have what was created and renamed in a folder on disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def finished(path):
    """Give a current file, whole on disk, its own name, its rejects first; returns the name. Raises OSError."""
    directory, name = os.path.split(path)
    own = name.removeprefix(CURRENT)
    rejects = stem(own) + REJECTS
    with contextlib.suppress(FileNotFoundError):
        _renamed(directory, CURRENT + rejects, rejects)
    _renamed(directory, name, own)
    sync_directory(directory)
    return own


def _renamed(directory, name, own):
    """Rename within a folder, over nothing."""
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
    names = _listed(directory)
    return sorted(n for n in names if n.endswith((RECORDS, ZSTD)) and not n.endswith(REJECTS) and not _is_current(n))


def _is_current(name):
    return name.startswith((CURRENT, "."))


def _listed(directory):
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoInput(f"is no spool: {error.strerror}", directory) from None
    except OSError as error:
        raise IOFailed(f"cannot be listed: {error.strerror}", directory) from None


def recover(directory, say):
    """Close the files of writers that are gone; returns their names. What cannot be closed now is said.

    A file of a writer that lives is locked, and left alone.
    """
    names = sorted(name for name in _listed(directory) if name.startswith(CURRENT))
    found = [name for name in names if name.endswith((RECORDS, ZSTD)) and not name.endswith(REJECTS)]
    alone = [name for name in names if name.endswith(REJECTS) and not any(stem(f) == stem(name) for f in found)]
    return [name for name in found + alone for name in _recovered(directory, name, say)]


def in_use(directory):
    """The sorted names of the files that a living writer holds. Raises IOFailed."""
    return sorted(name for name in _listed(directory) if name.startswith(CURRENT))


def _recovered(directory, name, say):
    """Yield the name of a file that was closed, if it is there, not in use, and there is room."""
    path = os.path.join(directory, name)
    try:
        with locked(directory), open(path, "r+b") as file:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            own = _closed(directory, name, file, say)
    except FileNotFoundError:  # somebody else has closed it
        return
    except OSError as error:
        say(f"{path}: cannot be closed now: {error.strerror}; it is closed later")
        return
    yield own


def _closed(directory, name, file, say):
    path = os.path.join(directory, name)
    if name.endswith(REJECTS):
        _cut(path, file, _sound_lines(path, lambda line: jsonl.loads(line))[0], say)
        own = name.removeprefix(CURRENT)
        _renamed(directory, name, own)
        sync_directory(directory)
        return own
    rejects = CURRENT + stem(name.removeprefix(CURRENT)) + REJECTS
    with contextlib.suppress(FileNotFoundError), open(os.path.join(directory, rejects), "r+b") as beside:
        _cut(beside.name, beside, _sound_lines(beside.name, lambda line: jsonl.loads(line))[0], say)
    size, count, ended = _sound_lines(path, _prove) if name.endswith(RECORDS) else _sound_frames(file)
    _cut(path, file, size, say)
    if not ended:
        file.seek(size)
        file.write(_end(path, count))
        file.flush()
        os.fsync(file.fileno())
    return finished(path)


def _cut(path, file, size, say):
    """Move what lies behind `size` bytes of a file to a file of its own, beside it."""
    length = os.fstat(file.fileno()).st_size
    if length == size:
        return
    directory, name = os.path.split(path)
    torn = os.path.join(directory, name.removeprefix(CURRENT) + TORN)
    file.seek(size)
    with open(torn, "wb", opener=lambda path, flags: os.open(path, flags, MODE)) as rest:
        for block in iter(lambda: file.read(streams.BLOCK), b""):
            rest.write(block)
        rest.flush()
        os.fsync(rest.fileno())
    os.ftruncate(file.fileno(), size)
    os.fsync(file.fileno())
    say(f"{path}: a torn tail of {length - size} bytes, which no client was told to be safe, is now {torn}")


def _sound_lines(path, prove):
    """(bytes, lines without the end record, whether there is one) of the whole lines that a file begins with."""
    size = count = 0
    with open(path, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            if ends.parse(line[:-1]):
                return size + len(line), count, True
            try:
                prove(line[:-1])
            except BadData:
                break
            size, count = size + len(line), count + 1
    return size, count, False


def _prove(line):
    record = records.parse(line)
    if not tiers.proves(record.ping):
        jsonl.loads(record.ping)


def _sound_frames(file):
    """The same of a file of zstd frames, whose checksums tell that they are whole."""
    if os.fstat(file.fileno()).st_size == 0:
        return 0, 0, False
    size = count = 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        while found := compress.frame_at(data, size):
            size, plain = found
            if ends.parse(plain.rstrip(b"\n")):
                return size, count, True
            count += plain.count(b"\n")
    return size, count, False


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
