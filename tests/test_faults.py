"""A store neither loses nor doubles a record, wherever its writer is killed and whatever call of the system fails."""

import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import faults
import pytest

# A call as strace names it, and what the library counts it as.
CALLS = {
    "newfstatat": "stat", "stat": "stat", "lstat": "stat", "read": "read", "write": "write", "fsync": "fsync",
    "fdatasync": "fsync", "flock": "flock", "mkdir": "mkdir", "rmdir": "rmdir", "unlink": "unlink", "rename": "rename",
    "link": "link", "close": "close", "utimensat": "utimensat", "ftruncate": "ftruncate",
}  # fmt: skip
HARMLESS = {"fstat", "lseek", "ioctl", "getdents64", "fcntl", "readlink"}  # they change nothing and cannot be full


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """The library that spoils calls."""
    if not sys.platform.startswith("linux"):
        pytest.skip("not Linux: no call of the system is spoilt, and no writer killed at each of them")
    path = faults.build(tmp_path_factory.mktemp("library"))
    if path is None:
        pytest.skip("no C compiler: no call of the system is spoilt, and no writer killed at each of them")
    return path


@pytest.fixture
def place():
    """An empty folder, in memory where possible: there fsync costs nothing."""
    top = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    found = tempfile.mkdtemp(prefix="tel-faults-", dir=top)
    yield found
    shutil.rmtree(found)


def harness(library, *words, before=()):
    """What the harness says."""
    environment = {**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [*before, sys.executable, faults.__file__, *words]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", faults.SCENARIOS)
def test_every_call_may_fail_or_be_the_last(name, library, place, capsys):
    found = harness(library, name, place)
    with capsys.disabled():
        print(f"\n{name}: {found['points']} points of {sum(found['calls'].values())} calls")
    assert found["points"] > 500 and not found["wrong"], "\n".join(found["wrong"][:50])


def traced(path, store):
    """The Counter of calls below a store in what strace wrote; names as the library has them."""
    counted = collections.Counter()
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            call = re.match(r"(?:\d+ +)?(\w+)\((.*)", line)
            if not call or not re.search(rf'[<"]{re.escape(store)}[/>"]', line):
                continue
            name, words = call.groups()
            fstat = name == "newfstatat" and re.match(r'\d+<[^>]*>, ""', words)
            elsewhere = name in ("read", "write") and not re.match(rf"\d+<{re.escape(store)}", words)  # its data only
            if name in HARMLESS or fstat or elsewhere:
                continue
            if name in ("open", "openat"):
                counted["create" if re.search("O_WRONLY|O_RDWR", words) else "open"] += 1
            else:
                counted[CALLS.get(name, name)] += 1
    return counted


@pytest.mark.parametrize("name", faults.SCENARIOS)
def test_no_call_passes_unseen(name, library, place):
    """The kernel is asked for nothing below the store that the library did not count."""
    if not shutil.which("strace"):
        pytest.skip("strace is missing: nobody proves that every call is spoilt")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here: nobody proves that every call is spoilt")
    harness(library, name, place, "--prepare")
    log = os.path.join(place, "trace")
    said = harness(
        library,
        name,
        place,
        "--once",
        before=("strace", "-f", "-y", "-s", "4096", "-e", "trace=%file,%desc", "-o", log),
    )
    assert traced(log, os.path.join(place, "place", "store")) == said and sum(said.values()) > 100
