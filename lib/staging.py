"""Files on their way into a store: staged, put in their places, and made visible by one rename, that of their record.

What a killed writer left is swept by the next one, which knows from the staged record which files had been put in
place.
"""

import collections
import errno
import fcntl
import hashlib
import os
import stat
import time
import zlib
from array import array

from tel import compress, jsonl
from tel.errors import IOFailed, NotWhole, naming
from tel.store import CHANGE, SUFFIX, begin_sync, commit_record, digest_of, is_there, sync_directory, sync_file

FRAME = 1 << 20
SOON = 4 << 20  # bytes of a file that are sent to the disk before the rest is there
LEVEL = 1
GRACE, PATIENCE = 3600, 5  # seconds
STAGED_COMMIT = "commit.json"
LINE_COST, PART_COST = 48, 500  # bytes of memory beside a line's own, and of a partition that holds no line


def fresh_id():
    """An id that no other run has: the time and four random bytes."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(4).hex()}"


def options_of(options, level):
    """The arguments of Files that a command line gives."""
    return options.size("--memory"), options.size("--roll-size"), level, options.count("--threads")


class Staging:
    """A locked directory for files that are not published yet; what is there when it ends is removed.

    Raises NotWhole where another process has it; of an `own` name, that can only be one that sweeps, which is waited
    for. Not `durable`: nothing waits for the disk, a power cut may cost all. What is published is called `name`, which
    may be set until then.
    """

    def __init__(self, store, name, durable=True, own=False):
        self.store, self.name, self.durable = store, name, durable
        self.directory = os.path.join(store.staging, name)
        self._lock = _claim(self.directory, own)
        try:
            _sweep(store, self.directory)
        except BaseException:
            with naming(self.directory):
                os.close(self._lock)
            raise

    def path(self, name):
        """The path of a staged file."""
        return os.path.join(self.directory, name)

    def discard(self):
        """Remove what is staged and give the name free; only the first call does, also where that fails."""
        lock, self._lock = self._lock, None
        if lock is not None:
            _release(self.store, self.directory, lock)

    def publish(self, record, files):
        """Put the Files in their places and make them visible as `record` says; returns their paths, sorted.

        Raises IOFailed if something stands in the place of a file.
        """
        self._stage(record, files)
        self._place(files)
        os.rename(self.path(STAGED_COMMIT), self.store.commit_path(self.name))
        self._sync(sync_directory, self.store.commits)
        self.discard()
        return [self.store.path(entry["path"]) for entry, _ in files.entries()]

    def replace(self, name, record):
        """Write the record of this name anew, at once. It is staged under another name: its files are to stay."""
        path = self.path("record.json")
        self._write(path, [jsonl.dumps(record), b"\n"])
        os.rename(path, self.store.commit_path(name))
        self._sync(sync_directory, self.store.commits)

    def _stage(self, record, files):
        """Write the record into the staging directory: from now on a sweep knows what to take away."""
        for entry, _ in files.entries():
            if is_there(self.store.path(entry["path"])):
                raise IOFailed(
                    "something stands where a new file must go", self.store.path(entry["path"]), "move it away"
                )
        self._write(self.path(STAGED_COMMIT), _record_text(record, files))
        self._sync(sync_directory, self.directory)

    def _write(self, path, texts):
        with naming(path), open(path, "wb") as file:
            for text in texts:
                file.write(text)
        self._sync(sync_file, path)

    def _place(self, files):
        """Move every staged file to its place, and make durable the names of all directories on the way."""
        touched = {self.store.root, os.path.dirname(self.store.root) or os.curdir}
        for entry, staged in files.entries():
            final = self.store.path(entry["path"])
            directory = os.path.dirname(final)
            self.store.make_directory(directory)
            os.rename(staged, final)
            while directory not in touched:
                touched.add(directory)
                directory = os.path.dirname(directory)
        for directory in sorted(touched):
            self._sync(sync_directory, directory)

    def _sync(self, sync, path):
        if self.durable:
            sync(path)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.discard()


class Change:
    """The right to change what is stored, which one process has at a time. Raises NotWhole if another keeps it.

    Who only tidies has it for an instant, so it is worth some seconds of `patience`. Files that are replaced stay
    readable for `grace` seconds; those whose time is over go when the next one comes.
    """

    def __init__(self, store, grace=GRACE, patience=PATIENCE):
        self.store, self.grace = store, grace
        self._lock = store.lock(patience)
        try:
            self._remove_due()
        except BaseException:
            self.close()
            raise

    def publish(self, staging, record, files, replaces):
        """Publish staged Files, and at the same instant take away the files at these relative paths."""
        until = int(time.time()) + self.grace  # comes first: see Store.due
        paths = staging.publish({"until": until, **record, "replaces": sorted(replaces)}, files)
        self._remove_due()
        return paths

    def _remove_due(self):
        names = self.store.due(time.time())
        if names:
            with Staging(self.store, f"{CHANGE}done", own=True) as staging:
                for name in names:
                    record = self.store.commit(name)
                    self._remove(record["replaces"])
                    staging.replace(name, {key: value for key, value in record.items() if key != "until"})

    def _remove(self, relatives):
        touched = set()
        for path in map(self.store.path, relatives):
            if is_there(path):
                self.store.check_file(path)
                os.unlink(path)
                touched.add(os.path.dirname(path))
        for directory in sorted(touched):
            sync_directory(directory)

    def close(self):
        """Let others change the store; once is enough."""
        lock, self._lock = self._lock, None
        if lock is not None:
            self.store.unlock(lock)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()


def tidy(store):
    """Remove what dead writers left, and the files replaced long enough ago unless somebody is changing the store."""
    for name in sorted(os.listdir(store.staging)):
        _sweep_dead(store, os.path.join(store.staging, name))
    if store.due(time.time()):
        try:
            Change(store, patience=0).close()
        except NotWhole:
            pass


def _record_text(record, files):
    """Yield the text of a commit record, `files` last, without holding all of it."""
    yield jsonl.dumps(record)[:-1] + b',"files":['
    for number, (entry, _) in enumerate(files.entries()):
        yield b"," * bool(number) + jsonl.dumps(entry)
    yield b"]}\n"


class _Part:
    """A partition that is being filled: the lines it holds, and the staged file that they go to."""

    __slots__ = ("directory", "lines", "held", "number", "staged", "records", "size", "crc", "digest", "sizes")

    def __init__(self, directory):
        self.directory, self.number = directory, 0
        self.lines, self.held = [], 0
        self.open(0)

    def open(self, staged):
        """Begin a file, or (0) have none."""
        self.staged, self.records, self.size, self.sizes = staged, 0, 0, array("I")
        self.crc, self.digest = 0, None  # very many small files do without the second while they grow


def _digest(data, crc, path):
    """The digest of all that a file has, whose CRC-32 is known. Raises IOFailed."""
    if zlib.crc32(data) != crc:
        raise _spoilt(path)
    return hashlib.sha256(data)


def _spoilt(path):
    return IOFailed("does not hold what was written into it", path)


# A staged file that is complete; its digest as bytes, there may be very many.
_Closed = collections.namedtuple("_Closed", "directory number staged records size level digest")


class Files:
    """Lines by directory as staged files: each a row of zstd frames and a seek table. `add` lines, then `close`.

    `memory` bounds what lines and partitions take (half of it is always for lines): over it the largest buffers are
    written out as frames of their own, until half of that is free. Files are closed at `roll_size` compressed bytes;
    their numbers begin after `after`.
    `threads` compress; they change no byte. `level` may be set anew when no lines wait.
    """

    def __init__(self, staging, memory, roll_size, level=LEVEL, threads=1, after=0):
        self._staging, self._memory, self._roll_size, self.level = staging, memory, roll_size, level
        self._after, self._parts, self._waiting, self._closed, self._staged = after, {}, {}, [], 0
        self._numbers = {}
        self._held, self._bound = 0, memory
        self._queue, self._threads, self._pool = collections.deque(), threads, None

    def add(self, directory, line):
        """Add one stored line (with its newline) to a directory (relative to the store)."""
        part = self._parts.get(directory) or self._new(directory)
        if not part.held:
            self._waiting[directory] = part
        part.lines.append(line)
        part.held += len(line)
        self._held += len(line) + LINE_COST
        if part.held >= FRAME:
            self._flush(part)
        elif self._held > self._bound:
            self._relieve()

    def _new(self, directory):
        part = self._parts[directory] = _Part(directory)
        self._bound = max(self._memory - PART_COST * (len(self._parts) + len(self._closed)), self._memory // 2)
        return part

    def _relieve(self):
        """Write out the largest buffers."""
        for part in sorted(self._waiting.values(), key=lambda part: part.held, reverse=True):
            if self._held <= self._bound // 2:
                break
            self._flush(part)

    def _flush(self, part):
        """Compress what a partition holds into one frame of its file."""
        del self._waiting[part.directory]
        plain, records = b"".join(part.lines), len(part.lines)
        self._held -= part.held + LINE_COST * records
        part.lines, part.held = [], 0
        self._queue.append((part, records, len(plain), self._compressed(plain)))
        while len(self._queue) > (2 * self._threads if self._threads > 1 else 0):
            self._append(*self._queue.popleft())

    def _compressed(self, plain):
        """A function that gives the frame, which a thread may be making."""
        if self._threads == 1:
            frame = compress.frame(plain, self.level)
            return lambda: frame
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self._threads)
        return self._pool.submit(compress.frame, plain, self.level).result

    def _append(self, part, records, size, frame):
        if not part.staged:
            self._staged += 1
            part.open(self._staged)
            part.number = self._next_number(part.directory)
        data = frame()
        self._write(part, data)
        part.sizes.extend((len(data), size))
        part.records += records
        if part.size >= self._roll_size:
            self._finish(part)

    def _next_number(self, directory):
        """The number of a directory's next file. Directories whose names are one to some file systems share them."""
        key = zlib.crc32(directory.lower().encode())
        self._numbers[key] = number = self._numbers.get(key, self._after) + 1
        return number

    def _path(self, staged):
        return self._staging.path(f"{staged}.part")

    def _write(self, part, data, last=False):
        """Write at the end of a partition's file; what is there then must be what was written.

        The digest of a large one is taken, and its way to the disk begins, while more lines come: little is left to do
        at the end.
        """
        path = self._path(part.staged)
        with naming(path), open(path, "r+b" if part.size else "x+b") as file:  # what was removed is not made anew
            end = file.seek(0, os.SEEK_END)
            file.write(data)
            file.seek(part.size)
            if end != part.size or file.read(len(data) + 1) != data:
                raise _spoilt(path)
            start, part.size = part.size, part.size + len(data)
            if part.digest:
                part.digest.update(data)
            else:
                part.crc = zlib.crc32(data, part.crc)
                if last or part.size >= FRAME:
                    file.seek(0)
                    part.digest = _digest(file.read(), part.crc, path)
            if self._staging.durable and start // SOON < part.size // SOON:
                begin_sync(file.fileno(), start // SOON * SOON, part.size)

    def _finish(self, part):
        """Complete a partition's file by its seek table."""
        self._write(part, compress.seek_table(list(zip(part.sizes[::2], part.sizes[1::2]))), last=True)
        self._closed.append(
            _Closed(part.directory, part.number, part.staged, part.records, part.size, self.level, part.digest.digest())
        )
        part.open(0)

    def close(self, directory=None):
        """Complete and make durable the files; or, if no more lines will come for a directory, complete that one's."""
        chosen = list(self._parts) if directory is None else [directory] * (directory in self._parts)
        for part in map(self._parts.get, chosen):
            if part.held:
                self._flush(part)
        while self._queue:
            self._append(*self._queue.popleft())
        for name in chosen:
            part = self._parts.pop(name)
            if part.staged:
                self._finish(part)
        if directory is None:
            self._end()

    def _end(self):
        self._closed.sort(key=lambda closed: f"{closed.directory}/{closed.number:03}{SUFFIX}")
        paths = [self._path(closed.staged) for closed in self._closed] if self._staging.durable else []
        for _ in self._pool.map(sync_file, paths) if self._pool else map(sync_file, paths):
            pass
        if self._pool:
            self._pool.shutdown()

    @property
    def records(self):
        """How many lines the files that are closed hold."""
        return sum(closed.records for closed in self._closed)

    def entries(self):
        """Yield (commit entry, staged path) of each file, sorted by path."""
        for closed in self._closed:
            entry = {
                "path": f"{closed.directory}/{self._staging.name}-{closed.number:03}{SUFFIX}",
                "records": closed.records,
                "bytes": closed.size,
                "level": closed.level,
                "sha256": closed.digest.hex(),
            }
            yield entry, self._path(closed.staged)


def _claim(directory, wait=False):
    """Lock a staging directory, making it if need be; returns the lock's descriptor. Raises NotWhole if it is taken."""
    while True:
        try:
            os.mkdir(directory)
        except FileExistsError:
            pass
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # its owner has just finished and removed it
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            raise IOFailed("something stands where the store stages a batch", directory, "remove it") from None
        with naming(directory):
            if _lock(fd, directory, wait):
                return fd
            os.close(fd)


def _lock(fd, directory, wait):
    """Lock a descriptor; whether the directory is still the one that it was opened as. Raises NotWhole."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(fd)
        raise NotWhole("another process is writing this batch", directory, "wait until it has ended") from None
    try:
        return os.path.samestat(os.fstat(fd), os.stat(directory))
    except FileNotFoundError:
        return False


def _release(store, directory, lock):
    """Remove a staging directory and what is left in it, and its lock."""
    try:
        _sweep(store, directory)
        os.rmdir(directory)
    finally:
        with naming(directory):
            os.close(lock)


def _sweep(store, directory):
    """Remove what a dead writer staged, and the files that it had put in place for a commit that never came."""
    path = os.path.join(directory, STAGED_COMMIT)
    names = os.listdir(directory)
    for name in names:
        if not stat.S_ISREG(os.lstat(os.path.join(directory, name)).st_mode):
            raise IOFailed("something else stands among staged files", os.path.join(directory, name), "remove it")
    if STAGED_COMMIT in names:
        _remove_placed(store, path)
    for name in names:
        if name != STAGED_COMMIT:
            os.unlink(os.path.join(directory, name))
    if is_there(path):
        os.unlink(path)


def _remove_placed(store, path):
    with naming(path), open(path, "rb") as file:
        record = commit_record(file.read())
    for entry in record["files"] if record else ():  # none: killed while writing it, nothing had been put in place
        final = store.path(entry["path"])
        if is_there(final):
            store.check_file(final)
            if digest_of(final) != entry.get("sha256"):
                raise IOFailed("not the file that a dead writer put there", final, "move it away")
            os.unlink(final)


def _sweep_dead(store, directory):
    try:
        fd = _claim(directory)
    except NotWhole:
        return
    _release(store, directory, fd)
