"""The store on disk: its directories, its commit records, and what a reader may believe of them.

    <store>/.tel/schema.json            the dimensions
    <store>/.tel/schema-2.json          those of the files below <store>/+2, and so on; new files lie below the last
    <store>/.tel/commits/<batch>.json   one record for each batch that is stored: its files, counts and checksums
    <store>/.tel/commits/+<change>.json one for each change: its files, and those that they replace
    <store>/.tel/staging/<batch>/       what a writer has not published yet
    <store>/<dimension>/.../<batch>-001.v2.zst

A file belongs to the store if a commit record lists it and none replaces it. A symbolic link in place of anything of
ours is refused.
"""

import contextlib
import fcntl
import hashlib
import itertools
import os
import re
import stat
import time

from tel import jsonl, query, schema, streams
from tel.errors import BadData, IOFailed, NoInput, NotWhole, UsageError, naming

CONTROL = ".tel"
SUFFIX = ".v2.zst"
LOOK_AGAIN = 0.05  # seconds between looks whether a lock is free
CHANGE = "+"  # begins the names of changes and of later schemas' directories, and no batch's or dimension's
_RELATIVE = re.compile(r"(?:[A-Za-z0-9_+-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_+-][A-Za-z0-9_.-]*")
_NOTHING = {"files": ()}  # in place of a record that is gone
_DUE = re.compile(rb'\{"until":([0-9]{1,15}),')  # how a record begins while files that it replaces are there


def batch_name(id):
    """A batch id as part of file names: itself, or, if it could not be one, cleaned and with a hash of the original.

    An id that looks as if it had such a hash gets one too, so that different ids never have one name.

    >>> batch_name("2013-09-01"), batch_name("a/b")
    ('2013-09-01', 'a_b-c14cddc033f64b9d')
    """
    if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", id) and not re.search(r"-[0-9a-f]{16}$", id):
        return id
    cleaned = re.sub(r"[^A-Za-z0-9._-]", "_", id).lstrip(".")[:80]
    return f"{cleaned}-{hashlib.sha256(id.encode(errors='surrogateescape')).hexdigest()[:16]}"


def is_there(path):
    """Whether anything has this name; an error of the system is not taken for a no.

    >>> is_there("/"), is_there("/none/such")
    (True, False)
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def sync_directory(path):
    """Make the names in a directory durable."""
    _sync(path, os.O_DIRECTORY)


def sync_file(path):
    """Make a file's bytes durable."""
    _sync(path, os.O_NOFOLLOW)


def _sync(path, flags):
    with naming(path):
        fd = os.open(path, os.O_RDONLY | flags)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def begin_sync(fd, start, stop):
    """Let a part of a file be on its way to the disk, where the system can be asked for that: to sync it is quick then.

    Linux begins to write what it is told nobody will ask for, and keeps what is not written yet.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, start, stop - start, os.POSIX_FADV_DONTNEED)


def digest_of(path):
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with naming(path), open(path, "rb") as file:
        for block in iter(lambda: file.read(streams.BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


class Store:
    """A store that is there. Raises NoInput if it is not, IOFailed if its own parts are not what they should be."""

    def __init__(self, root):
        self.root = root = os.path.normpath(root)
        self.control = os.path.join(root, CONTROL)
        self.commits = os.path.join(self.control, "commits")
        self.staging = os.path.join(self.control, "staging")
        self._checked = set()
        if not is_there(os.path.join(self.control, "schema.json")):
            raise NoInput("is not a store: it has no .tel/schema.json", root)
        self.check_directory(self.commits)
        self.check_directory(self.staging)
        self.schemas = self._schemas()

    @classmethod
    def create(cls, root, description=None):
        """The store at `root`, made with this schema (or the default one) if there is none.

        Raises UsageError if it is there with another schema than the one given.
        """
        control = os.path.join(root, CONTROL)
        if not is_there(root):
            os.makedirs(root, exist_ok=True)
        for directory in (control, os.path.join(control, "commits"), os.path.join(control, "staging")):
            if not is_there(directory):
                os.makedirs(directory, exist_ok=True)
            _demand(directory, stat.S_ISDIR, "a directory")
        if not is_there(os.path.join(control, "schema.json")):
            _write_schema(control, description or schema.DEFAULT)
        store = cls(root)
        if description and store.schema.description != description:
            raise UsageError(
                "the store is there with another schema", root, "leave out --schema, or make another store"
            )
        return store

    def _schemas(self):
        """The Schema of each top directory, `""` being that of the first one; the last is the one for new files."""
        found = {}
        for number in itertools.count(1):
            path = schema_path(self.control, number)
            if number > 1 and not is_there(path):
                return found
            self.check_file(path)
            top = f"{CHANGE}{number}" if number > 1 else ""
            found[top] = schema.read(path, top)

    @property
    def schema(self):
        """The Schema for new files."""
        return list(self.schemas.values())[-1]

    def selection(self, conditions):
        """What selects the directories that meet all conditions."""
        return query.Selections(self.schema, self.schema_of, conditions)

    def schema_of(self, relative):
        """The Schema that a file or directory, relative to the root, lies under. Raises IOFailed if there is none."""
        top = relative.partition("/")[0] if relative.startswith(CHANGE) else ""
        if top not in self.schemas:
            raise IOFailed("files lie there and their schema is missing", os.path.join(self.root, top))
        return self.schemas[top]

    def dims(self, relative):
        """{dimension: its directory's name} of a file, by its path relative to the root."""
        of = self.schema_of(relative)
        return dict(zip(of.names, relative[len(of.top) :].lstrip("/").split("/")))

    def add_schema(self, description):
        """Give new files another schema; for one who has the lock."""
        path = schema_path(self.control, len(self.schemas) + 1)
        for name in os.listdir(self.control):
            if re.fullmatch(r"schema-\d+\.json\.\d+\.new", name):  # of a killed one
                os.unlink(os.path.join(self.control, name))
        streams.replace(path, jsonl.dumps(description) + b"\n")
        sync_directory(self.control)
        self.schemas = self._schemas()

    def path(self, relative):
        """The path of a file of the store, from its path relative to the root. Raises IOFailed if it leads outside."""
        if not isinstance(relative, str) or not _RELATIVE.fullmatch(relative):
            raise IOFailed(
                f"damaged commit record: it lists {relative!r:.100}", self.root, "tell who writes into the store"
            )
        return os.path.join(self.root, relative)

    def check_directory(self, path):
        """Raise IOFailed unless `path` and its parents up to the root are directories and no links."""
        if path in self._checked:
            return
        if path != self.root:
            self.check_directory(os.path.dirname(path))
            _demand(path, stat.S_ISDIR, "a directory")
        self._checked.add(path)

    def make_directory(self, path):
        """Make a directory of the store and its parents. Raises IOFailed for links."""
        if path in self._checked:
            return
        if path != self.root:
            self.make_directory(os.path.dirname(path))
            try:
                os.mkdir(path)
            except FileExistsError:
                pass
            _demand(path, stat.S_ISDIR, "a directory")
        self._checked.add(path)

    def check_file(self, path):
        """Raise IOFailed unless `path` is a regular file of the store, reached through no link."""
        self.check_directory(os.path.dirname(path))
        _demand(path, stat.S_ISREG, "a file")

    def commit_path(self, batch):
        """Where the commit record of a batch (by its file name) is."""
        return os.path.join(self.commits, f"{batch}.json")

    def commit(self, batch):
        """The commit record of a batch as a dict, or None if it is not stored."""
        path = self.commit_path(batch)
        if not is_there(path):
            return None
        self.check_file(path)
        with naming(path), open(path, "rb") as file:
            record = commit_record(file.read())
        if record is None:
            raise IOFailed("damaged commit record", path, "tel-store(5) tells what it should be")
        return record

    def names(self):
        """The file names of all batches and changes, sorted."""
        return sorted(name[:-5] for name in os.listdir(self.commits) if name.endswith(".json"))

    def files(self, selects=lambda directory: True, demanding=True):
        """Yield (path, entry) of every stored file whose directory is selected, sorted by path.

        `selects` is asked once for each directory (relative to the root); `entry` is the commit record's. Raises
        IOFailed for a file that is recorded and not there (but not if not `demanding`): a listing is never smaller
        than the truth.
        """
        for relative, entry in sorted(self._listed(selects), key=lambda pair: pair[0]):
            if demanding:
                self.check_file(self.path(relative))
            yield self.path(relative), entry

    def _listed(self, selects):
        """(relative path, entry) of what the records list and none replaces; a batch's replaces only its own of before.

        They are read again if a change came meanwhile: it may replace what an older one made that was not seen.
        """
        changes = None
        while changes != (changes := [name for name in self.names() if name.startswith(CHANGE)]):
            chosen, verdicts, replaced = [], {}, set()
            made = [self.commit(name) or _NOTHING for name in changes]
            for record in made:
                replaced.update(record.get("replaces", ()))
            batches = (self.commit(name) or _NOTHING for name in self.names() if not name.startswith(CHANGE))
            for record in itertools.chain(made, batches):
                for entry in record["files"]:
                    if entry["path"] not in replaced:
                        directory = os.path.dirname(self.path(entry["path"]))[len(self.root) + 1 :]
                        if directory not in verdicts:
                            verdicts[directory] = selects(directory)
                        if verdicts[directory]:
                            chosen.append((entry["path"], entry))
        return chosen

    def replaced(self):
        """The paths, relative to the root, of all files that a record replaces."""
        return {path for name in self.names() for path in (self.commit(name) or {}).get("replaces", ())}

    def lock(self, patience):
        """Let nobody else change what is stored until the descriptor that this returns is given to `unlock`.

        Raises NotWhole if somebody still does after `patience` seconds; new batches may come at any time.
        """
        return self._lock(self.commits, patience)

    @contextlib.contextmanager
    def turn(self, patience):
        """Be the only one that publishes a batch with positions. Raises NotWhole after `patience` seconds."""
        fd = self._lock(self.staging, patience)
        try:
            yield
        finally:
            self.unlock(fd)

    def _lock(self, directory, patience):
        fd, until = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW), time.monotonic() + patience
        while not self._locked(fd, directory):
            if time.monotonic() > until:
                self.unlock(fd)
                raise NotWhole("another process is changing the store", self.root, "wait until it has ended")
            time.sleep(LOOK_AGAIN)
        return fd

    def _locked(self, fd, directory):
        with naming(directory):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def unlock(self, fd):
        """Let others change what is stored."""
        with naming(self.commits):
            os.close(fd)

    def due(self, now):
        """The names of the records that replace files which are still there and need not be any more.

        Only how a record begins is read: there may be thousands.
        """
        return [name for name in self.names() if _is_due(self.commit_path(name), now)]


def _is_due(path, now):
    try:
        with open(path, "rb") as file:
            match = _DUE.match(file.read(40))
    except OSError:  # whoever reads all of it says so
        return False
    return bool(match) and int(match[1]) <= now


def schema_path(control, number):
    """Where the schema of a number is."""
    return os.path.join(control, "schema.json" if number == 1 else f"schema-{number}.json")


def _write_schema(control, description):
    """Make the file that makes a directory a store, one writer at a time; what a killed one left of it goes."""
    path = os.path.join(control, "schema.json")
    with naming(control):
        lock = os.open(control, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_there(path):
                for name in os.listdir(control):
                    if name.startswith("schema.json."):
                        os.unlink(os.path.join(control, name))
                streams.replace(path, jsonl.dumps(description) + b"\n")
                sync_directory(control)
        finally:
            os.close(lock)


def commit_record(data):
    """The commit record in some bytes, or None if it is none."""
    try:
        record = jsonl.loads(data)
        whole = {"records", "change" if "change" in record else "sha256"} <= record.keys()
        whole = whole and all({"path", "records"} <= entry.keys() for entry in record["files"])
        return record if whole and all(isinstance(path, str) for path in record.get("replaces", ())) else None
    except (BadData, TypeError, KeyError, AttributeError):
        return None


def _demand(path, is_kind, kind):
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        raise IOFailed(f"{kind} of the store is missing: {error.strerror}", path) from None
    if not is_kind(mode):
        what = "a symbolic link" if stat.S_ISLNK(mode) else "something else"
        raise IOFailed(f"{what} stands where the store expects {kind} of its own", path, "remove it")


def above(path):
    """(the directory that the dimensions begin in, the Schema) of a path in a store, or None; remembered."""
    directory = os.path.dirname(os.path.abspath(path))
    if directory not in _ABOVE:
        _ABOVE[directory] = _look_above(directory)
    return _ABOVE[directory]


_ABOVE = {}


def _look_above(directory):
    below = ""
    while True:
        control = os.path.join(directory, CONTROL)
        if is_there(os.path.join(control, "schema.json")):
            number = int(below[1:]) if re.fullmatch(r"\+[1-9][0-9]{0,8}", below) else 1
            top = os.path.join(directory, below) if number > 1 else directory
            return top, schema.read(schema_path(control, number))
        if os.path.dirname(directory) == directory:
            return None
        directory, below = os.path.split(directory)
