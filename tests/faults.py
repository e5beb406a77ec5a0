"""Spoils every file-system call of a tool that writes into a store, one after another, and looks at what is left.

A tool runs in a fork of this process, where all is imported, under the preloaded library of faults.c. That counts the
calls that concern files below the store, and kills the process at one of them, lets it fail, or tears it. After each of
these points a reader must see the old state or the new one, whole, and the command run again must make the new one.

As a program, `faults.py SCENARIO FOLDER` prints a line of JSON: how many points were tried, of what calls, and what
went wrong. With `--prepare` it only makes the state before, with `--once` it only runs the command there and prints the
calls counted.
"""

import collections
import ctypes
import errno
import hashlib
import importlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections import namedtuple

SOURCE = pathlib.Path(__file__).parent / "faults.c"
COUNT, BEFORE, AFTER, TORN, SHORT, FAIL, DONE, FULL, DEAD = range(9)  # as in faults.c
CHANGING = {"create", "write", "fsync", "flock", "mkdir", "unlink", "rmdir", "rename", "link", "close", "utimensat"}
NAMES = {"mkdir", "unlink", "rmdir", "rename", "link"}  # calls of which a network's file system may lose the answer
GROWING = {"create", "write", "fsync", "mkdir", "rename", "link"}
DIED = -9
MOST = 1 << 20  # bytes of a line

# What a tool that stores is put through. `prepare(place)` makes what is there before, in an empty folder; `command` are
# the words of the tool, with {place}, which reads `stdin`; `before` and `after` are the ids that a reader finds.
Scenario = namedtuple("Scenario", "name prepare command stdin before after")
Done = namedtuple("Done", "status stdout stderr log")


class Shim:
    """The preloaded library in this process."""

    def __init__(self):
        self._library = ctypes.CDLL(None)
        self._library.fault_arm.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_int]
        self._library.fault_log.restype = ctypes.c_char_p

    def arm(self, root, how=COUNT, at=0, error=0):
        """Count the calls below `root` from now on, and spoil number `at`."""
        self._library.fault_arm(os.fsencode(root), how, at, error)

    def log(self):
        """The lines `name path` of the calls counted, which ends the counting."""
        return self._library.fault_log().decode()


def build(place):
    """The path of the library, compiled into a folder; None without a compiler that can."""
    path = pathlib.Path(place, "faults.so")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    done = subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(path), str(SOURCE), "-ldl"])
    return path if done.returncode == 0 else None


def record(n):
    """A record's line; every other one goes to another directory, one of them without a name of its own."""
    info = {"appName": ("Firefox", "Fennec", "mine")[n % 3], "OS": "Linux"}
    fields = {"id": f"id-{n}", "date": "20130901", "info": info, "revision": None, "ping": {"ver": 2, "info": info}}
    return json.dumps(fields, separators=(",", ":"))


def stream(numbers):
    """A whole stream of records."""
    end = json.dumps({"end": {"tool": "tel-test", "records": len(numbers)}}, separators=(",", ":"))
    return "".join(f"{record(n)}\n" for n in numbers).encode() + f"{end}\n".encode()


def ids(numbers):
    """The sorted ids of records."""
    return sorted(f"id-{n}" for n in numbers)


def fork(words, stdin=b"", shim=None, root=None, **spoil):
    """Run a tool in a child, spoiled or not; returns what became of it."""
    files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr", "log")]
    os.write(files[0], stdin)
    os.lseek(files[0], 0, os.SEEK_SET)
    child = os.fork()
    if child == 0:
        _work(words, files, shim, root, spoil)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said = []
    for fd in files:
        os.lseek(fd, 0, os.SEEK_SET)
        with open(fd, "rb") as file:
            said.append(file.read())
    return Done(status, said[1], said[2], said[3].decode().splitlines())


def _work(words, files, shim, root, spoil):
    """What the child does: the tool, and nothing after it."""
    status = 99
    try:
        for fd in range(3):
            os.dup2(files[fd], fd)
        sys.argv = words
        module = importlib.import_module(f"tel.filters.{words[0][4:]}")
        if shim:
            shim.arm(root, **spoil)
        status = module.main()
        sys.stderr.flush()
        if shim:
            os.write(files[3], shim.log().encode())
    finally:
        os._exit(status)


def warm():
    """Import here what the tools import, so that each child finds it."""
    for path in (SOURCE.parent.parent / "filters").glob("*.py"):
        importlib.import_module(f"tel.filters.{path.stem}")
    from tel import change, cli, compress, ends, persist, query, records, rejects, retrieve, stage, store, tiers  # noqa: F401

    compress.frame(b"", 1)


def timeless(text):
    """A path or a commit record without what is another one in every run: a change's id, and when its files may go."""
    return re.sub(r'"until":\d+,', "", re.sub(r"(\+[a-z]+)-\d{8}T\d{6}Z-[0-9a-f]{8}", r"\1", text))


class View(namedtuple("View", "files ids")):
    """What a reader sees of a store: its files, records and digests, and the ids of all records; nothing of none.

    In `files` names and records are timeless.
    """

    @classmethod
    def of(cls, path):
        """Look at what tel-ls lists, check it as tel-verify does, and read it."""
        from tel import errors, retrieve, store

        try:
            files = list(store.Store(path).files())
        except errors.NoInput:
            return cls({}, [])
        damaged = [file for file, entry in files if retrieve.damage(store.Store(path), file, entry, MOST)]
        lines = [line for file, _ in files for line in retrieve.stored_lines(file, MOST)]
        assert not damaged, damaged
        seen = {file: hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest() for file, _ in files}
        seen.update(
            (str(commit), timeless(commit.read_text())) for commit in pathlib.Path(path, ".tel/commits").iterdir()
        )
        seen = {timeless(file[len(path) :]): what for file, what in sorted(seen.items())}
        return cls(seen, sorted(retrieve.split(line)[0] for line in lines))

    def listed(self):
        """The files that hold records."""
        return {path for path in self.files if not path.startswith("/.tel/")}


def stray(store, view):
    """The files and staging directories of a store that nothing accounts for; what was replaced has its time."""
    found, known = [], {"/.tel/schema.json", *view.files}
    for commit in pathlib.Path(store, ".tel/commits").iterdir():
        record = json.loads(commit.read_text())
        if "until" in record:
            known.update(f"/{path}" for path in record["replaces"])
    for folder, folders, files in os.walk(store):
        below = folder[len(store) :]
        if below == "/.tel/staging":
            found += folders
        for name in files:
            if timeless(f"{below}/{name}") not in known:
                found.append(f"{below}/{name}")
    return found


def points(log):
    """Yield the keywords of every way to spoil a run that made these calls."""
    for at, line in enumerate(log, 1):
        name = line.split(" ", 1)[0]
        if name in CHANGING:
            yield {"how": BEFORE, "at": at}
            yield {"how": AFTER, "at": at}
        if name == "write":
            yield {"how": TORN, "at": at}
            yield {"how": SHORT, "at": at}
        if name in NAMES:
            yield {"how": DONE, "at": at, "error": errno.EIO}
        if name in GROWING:
            yield {"how": FULL, "at": at, "error": errno.ENOSPC}
        yield {"how": DEAD, "at": at, "error": errno.EIO}
        for error in (errno.ENOSPC, errno.EIO):
            yield {"how": FAIL, "at": at, "error": error}


class Trial:
    """A scenario in a folder: its states before and after, and the judgement of every point."""

    def __init__(self, scenario, folder):
        self.scenario, self.shim = scenario, Shim()
        self.template, self.place = os.path.join(folder, "template"), os.path.join(folder, "place")
        self.store = os.path.join(self.place, "store")
        self.words = [word.format(place=self.place) for word in scenario.command]

    def start(self):
        """Find out what the states are, and what the command calls."""
        self.prepare()
        self.old = View.of(self.store)
        done = self.run()
        self.log, self.new = done.log, View.of(self.store)
        assert done.status == 0, done.stderr
        assert (self.old.ids, self.new.ids) == (self.scenario.before, self.scenario.after), (self.old, self.new)
        listed = fork(["tel-ls", self.store]).stdout.decode().split()
        assert {timeless(path[len(self.store) :]) for path in listed} == self.new.listed()
        assert fork(["tel-verify", self.store]) == Done(0, b"", b"", [])

    def prepare(self):
        """Make the state before, and keep it."""
        shutil.rmtree(self.place, ignore_errors=True)
        os.makedirs(self.place)
        self.scenario.prepare(self)
        shutil.copytree(self.place, self.template)

    def restore(self):
        """Bring the state before back."""
        shutil.rmtree(self.place)
        shutil.copytree(self.template, self.place)

    def run(self, **spoil):
        """Run the command."""
        return fork(self.words, self.scenario.stdin, self.shim, self.store, **spoil)

    def faults(self, **spoil):
        """Yield what is wrong after the command was spoiled."""
        self.restore()
        done = self.run(**spoil)
        view = View.of(self.store)
        if view not in (self.old, self.new):
            yield f"a reader sees neither the old state nor the new one: {view}"
        yield from self._misbehaved(done, view, **spoil)
        again = self.run()
        if again.status:
            yield f"run again it says {again.stderr.decode()}"
        view = View.of(self.store)
        if view != self.new:
            yield f"run again it makes {view}"
        if stray(self.store, view):
            yield f"run again it leaves {stray(self.store, view)}"

    def _misbehaved(self, done, view, how, at, error=0):
        expected = {DIED} if how in (BEFORE, AFTER, TORN) else {0} if how == SHORT else {0, 74}
        if done.status not in expected:
            yield f"status {done.status}: {done.stderr.decode()}"
        if done.status == 0 and view != self.new:
            yield "status 0, and what it should have made is not there"
        said = done.stderr.decode()
        if done.status == 74 and not (self.store in said and os.strerror(error) in said):
            yield f"the message does not name the file and the reason: {said}"

    def judge(self):
        """How many points were tried, of what calls, and what went wrong where."""
        self.start()
        tried, wrong = 0, []
        for spoil in points(self.log):
            tried += 1
            try:
                wrong += [f"{spoil} {self.log[spoil['at'] - 1]}: {fault}" for fault in self.faults(**spoil)]
            except Exception as error:
                wrong.append(f"{spoil} {self.log[spoil['at'] - 1]}: {error!r}")
        return {"points": tried, "calls": counted(self.log), "wrong": wrong}

    def count(self):
        """The calls of the command where all is prepared."""
        done = self.run()
        assert done.status == 0, done.stderr
        return counted(done.log)


def counted(log):
    """The Counter of the names in a log."""
    return collections.Counter(line.split(" ", 1)[0] for line in log)


# The scenarios.

PERSIST = ["tel-persist", "--store", "{place}/store", "--batch", "b", "--memory", "600", "--roll-size", "300"]


def nothing(trial):
    """Before: no store."""


def another(trial):
    """Before: a store with another batch."""
    words = ["tel-persist", "--store", trial.store, "--batch", "a"]
    assert fork(words, stream(range(10, 14))).status == 0


def several(trial):
    """Before: a store with two batches, whose files lie in the same directories."""
    another(trial)
    words = ["tel-persist", "--store", trial.store, "--batch", "b"]
    assert fork(words, stream(range(14, 20))).status == 0


def dead(trial):
    """Before: another batch, and what a writer of this one left who was killed when its files were in their places."""
    another(trial)
    shutil.copytree(trial.place, trial.template)
    log = trial.run().log
    shutil.rmtree(trial.place)
    shutil.move(trial.template, trial.place)
    (at,) = [
        number for number, line in enumerate(log, 1) if line.startswith("rename ") and line.endswith("commit.json")
    ]
    assert trial.run(how=BEFORE, at=at).status == DIED


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("tel-persist", nothing, PERSIST, stream(range(6)), [], ids(range(6))),
        Scenario("tel-persist, a store", another, PERSIST, stream(range(3)), ids(range(10, 14)), ids([*range(3), *range(10, 14)])),
        Scenario("tel-persist --replace", several, [*PERSIST, "--replace"], stream(range(3)), ids(range(10, 20)), ids([*range(3), *range(10, 14)])),
        Scenario("tel-compact", several, ["tel-compact", "--grace", "0", "{place}/store"], b"", ids(range(10, 20)), ids(range(10, 20))),
        Scenario("tel-expire", several, ["tel-expire", "--id", "id-12", "--id", "id-13", "--grace", "0", "{place}/store"], b"", ids(range(10, 20)), ids([10, 11, *range(14, 20)])),
        Scenario("tel-persist, a dead writer", dead, PERSIST, stream(range(3)), ids(range(10, 14)), ids([*range(3), *range(10, 14)])),
    )
}  # fmt: skip


def main(name, folder, *options):
    """Try a scenario, or only prepare it, or only run its command there."""
    warm()
    trial = Trial(SCENARIOS[name], folder)
    if not options:
        print(json.dumps(trial.judge()))
    elif options == ("--prepare",):
        print(json.dumps(trial.prepare()))
    else:
        print(json.dumps(trial.count()))


if __name__ == "__main__":
    main(*sys.argv[1:])
