"""Writing a batch into the store: all of it or nothing, and only once.

Records are gathered by directory and appended to staged files as zstd frames. A batch becomes visible by one rename:
its commit record's, after every file is complete, durable and in its place. What a killed writer left is swept by the
next one, which knows from the staged record which files had been put in place.
"""

import errno
import fcntl
import hashlib
import os
import stat
import time

from tel import compress, jsonl, pings, tiers
from tel.errors import BadData, IOFailed, NotWhole, naming, printable
from tel.schema import SUBMISSION_DATE
from tel.store import SUFFIX, batch_name, commit_record, digest_of, is_there, sync_directory

FRAME = 1 << 20
LEVEL = 1
MOST_REMEMBERED = 1000  # infos whose directory is known
STAGED_COMMIT = "commit.json"


def fresh_id():
    """A batch id that no other run has: the time and four random bytes."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(4).hex()}"


class _Part:
    """A file being staged: what its commit entry will say, and the frames it holds."""

    __slots__ = ("directory", "number", "staged", "frames", "records", "size", "digest")

    def __init__(self, directory, number, staged):
        self.directory, self.number, self.staged = directory, number, staged
        self.frames, self.records, self.size, self.digest = [], 0, 0, hashlib.sha256()

    def append(self, data):
        """Append bytes to the staged file."""
        with naming(self.staged), open(self.staged, "ab") as file:
            file.write(data)
        self.digest.update(data)
        self.size += len(data)

    def finish(self):
        """Write the seek table and make the file durable."""
        self.append(compress.seek_table(self.frames))
        with naming(self.staged), open(self.staged, "rb") as file:
            os.fsync(file.fileno())


class Batch:
    """One batch on its way into a store: `add` lines, then `publish`; what is not published when it ends is discarded.

    Memory is bounded by `memory` bytes of lines; files are closed at `roll_size` compressed bytes. Raises NotWhole
    where another process is writing the same batch.
    """

    def __init__(self, store, id, memory, roll_size):
        self.store, self.id, self.name = store, id, batch_name(id)
        self.memory, self.roll_size = memory, roll_size
        self.records, self.digest = 0, hashlib.sha256()
        self._pending, self._pending_size, self._held = {}, {}, 0
        self._parts, self._closed, self._staged = {}, [], 0
        self.directory = os.path.join(store.staging, self.name)
        self._lock = _claim(self.directory)
        _sweep(store, self.directory)
        self.stored = store.commit(self.name)

    def add(self, directory, line):
        """Add one stored line (with its newline) to a directory (relative to the store)."""
        self.records += 1
        self.digest.update(b"%s\t" % directory.encode())
        self.digest.update(line)
        if self.stored:
            return
        lines = self._pending.get(directory)
        if lines is None:
            lines = self._pending[directory] = []
            self._pending_size[directory] = 0
        lines.append(line)
        self._held += len(line)
        size = self._pending_size[directory] = self._pending_size[directory] + len(line)
        if size >= FRAME:
            self._flush(directory)
        elif self._held > self.memory:
            for name in list(self._pending):
                self._flush(name)

    def _flush(self, directory):
        """Append what is pending for a directory to its staged file, as one frame."""
        lines, size = self._pending.pop(directory), self._pending_size.pop(directory)
        self._held -= size
        part = self._part(directory)
        frame = compress.frame(b"".join(lines), LEVEL)
        part.append(frame)
        part.frames.append((len(frame), size))
        part.records += len(lines)
        if part.size >= self.roll_size:
            self._close(part)

    def _part(self, directory):
        part = self._parts.get(directory)
        if part is None or part.staged is None:
            number = part.number + 1 if part else 1
            self._staged += 1
            part = self._parts[directory] = _Part(
                directory, number, os.path.join(self.directory, f"{self._staged}.part")
            )
        return part

    def _close(self, part):
        part.finish()
        entry = {
            "path": f"{part.directory}/{self.name}-{part.number:03}{SUFFIX}",
            "records": part.records,
            "bytes": part.size,
            "sha256": part.digest.hexdigest(),
        }
        self._closed.append((entry, part.staged))
        part.staged = part.digest = part.frames = None

    def publish(self, ends):
        """Make the batch visible; returns the paths of its files. `ends` are the end records of the stream.

        A batch that is stored already is left as it is. Raises BadData `batch_differs` if it holds something else.
        """
        if self.stored:
            return self._recognise()
        for directory in list(self._pending):
            self._flush(directory)
        for part in list(self._parts.values()):
            if part.staged:
                self._close(part)
        entries = [entry for entry, _ in sorted(self._closed, key=lambda pair: pair[0]["path"])]
        self._stage_commit(entries, ends)
        self._place()
        os.rename(os.path.join(self.directory, STAGED_COMMIT), self.store.commit_path(self.name))
        sync_directory(self.store.commits)
        self.discard()
        return [self.store.path(entry["path"]) for entry in entries]

    def _recognise(self):
        self.discard()
        if (self.stored["records"], self.stored["sha256"]) != (self.records, self.digest.hexdigest()):
            raise BadData(
                "batch_differs",
                f"batch {self.id} is stored already, with other content "
                f"({self.stored['records']} records, not {self.records})",
                cure="give this input a batch id of its own",
            )
        return []

    def _stage_commit(self, entries, ends):
        """Write the commit record into the staging directory: from now on a sweep knows what to take away.

        Raises IOFailed if something stands in the place of a file: nothing that is there is ever replaced.
        """
        for entry in entries:
            if is_there(self.store.path(entry["path"])):
                raise IOFailed(
                    "something stands where a new file must go", self.store.path(entry["path"]), "move it away"
                )
        record = {"format": 1, "batch": printable(self.id), "records": self.records, "sha256": self.digest.hexdigest()}
        path = os.path.join(self.directory, STAGED_COMMIT)
        with naming(path), open(path, "wb") as file:
            file.write(jsonl.dumps({**record, "ends": ends, "files": entries}) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync_directory(self.directory)

    def _place(self):
        """Move every staged file to its place."""
        touched = set()
        for entry, staged in self._closed:
            final = self.store.path(entry["path"])
            directory = os.path.dirname(final)
            self.store.make_directory(directory)
            os.rename(staged, final)
            touched.add(directory)
        for directory in sorted(touched):
            sync_directory(directory)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.discard()

    def discard(self):
        """Remove what is staged and give the batch's name free; only the first call does, also where that fails."""
        lock, self._lock = self._lock, None
        if lock is not None:
            _release(self.store, self.directory, lock)


def _claim(directory):
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
            if _lock(fd, directory):
                return fd
            os.close(fd)


def _lock(fd, directory):
    """Lock a descriptor; whether the directory is still the one that it was opened as. Raises NotWhole."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
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


def sweep_dead(store):
    """Sweep the staging of every writer that is no longer alive."""
    for name in sorted(os.listdir(store.staging)):
        directory = os.path.join(store.staging, name)
        try:
            fd = _claim(directory)
        except NotWhole:
            continue
        _release(store, directory, fd)


def placed(records, schema, rejects):
    """Yield (directory relative to the store, stored line with its newline) of each Record, by its dimensions."""
    named, known = set(schema.names) - {SUBMISSION_DATE}, {}
    for record in records:
        info, date = record.info, record.small["date"]
        seen = known.get(id(info))  # pings that say the same may share one dict
        again = seen is not None and seen[0] is info and seen[1] == date
        try:
            complete = again or info.keys() >= named
            if not complete or not (record.sound or tiers.proves(record.ping)):
                record.document()
            pings.check_id(record.id)
        except BadData as error:
            rejects.line(error, record.where, record.original, record.id)
            continue
        if again:
            directory = seen[2]
        else:
            directory = schema.directory(schema.values(record, None if complete else record.document().value))
            if len(known) >= MOST_REMEMBERED:
                known.clear()
            if complete:
                known[id(info)] = info, date, directory
        yield directory, b"%s\t%s\n" % (record.id.encode(), record.ping)
