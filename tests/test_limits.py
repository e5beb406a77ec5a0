"""A full disk, a limit, a disk that may not be written or goes away: status 74, the file and the reason, and no harm."""

import contextlib
import ctypes
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

COMMAND = ("tel-persist", "--batch", "b", "--memory", "4K", "--store")


def stream(name, size):
    """A whole stream of records that cannot be compressed by much."""
    noise = random.Random(name)
    record = '{"id":"%s%d","date":"2013090%d","info":{},"revision":null,"ping":{"ver":2,"info":{},"x":"%x"}}\n'
    lines = [record % (name, n, n % 3, noise.getrandbits(8000)) for n in range(size)]
    return "".join(lines).encode() + b'{"end":{"tool":"tel-test","records":%d}}\n' % size


LARGE, SMALL = stream("large", 500), stream("small", 6)


@contextlib.contextmanager
def mounted(place, *words):
    """A file system at a folder, where one may be mounted; the test is skipped elsewhere."""
    place.mkdir(exist_ok=True)
    if not shutil.which("mount") or subprocess.run(["mount", *words, str(place)], capture_output=True).returncode:
        pytest.skip("mount is not allowed here: full, read-only and lost file systems are not tried")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True)


@pytest.fixture
def store(run_tool, tmp_path):
    """A store with a batch, a folder with nothing else."""
    place = tmp_path / "disk" / "store"
    words = ("tel-persist", "--batch", "a", "--store", place)
    assert run_tool(*words, stdin=stream("a", 3)).returncode == 0
    return place


def tree(store):
    """Every file of a store and what is in it."""
    return {path.relative_to(store): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def ids(store, run_tool):
    """The ids in a store."""
    done = run_tool("tel-cat", store)
    assert done.returncode == 0, done.stderr
    return sorted(json.loads(line)["id"] for line in done.stdout.splitlines()[:-1])


def expected(name, size):
    return sorted([f"a{n}" for n in range(3)] + [f"{name}{n}" for n in range(size)])


def failed(done, place, reason):
    """Whether a run failed as it should: 74, and one line that names the place and the reason."""
    text = done.stderr.decode()
    return done.returncode == 74 and done.stdout == b"" and str(place) in text and os.strerror(reason) in text


def test_a_full_disk(run_tool, store, tmp_path):
    with mounted(tmp_path / "full", "-t", "tmpfs", "-o", "size=256k", "tmpfs") as disk:
        shutil.copytree(store, disk / "store")
        before = tree(disk / "store")
        done = run_tool(*COMMAND, disk / "store", stdin=LARGE)
        assert failed(done, disk / "store/.tel/staging/b", 28), done
        assert tree(disk / "store") == before and not list((disk / "store/.tel/staging").iterdir())
        assert run_tool(*COMMAND, disk / "store", stdin=SMALL).returncode == 0
        assert ids(disk / "store", run_tool) == expected("small", 6)


def test_a_disk_without_inodes(run_tool, store, tmp_path):
    with mounted(tmp_path / "full", "-t", "tmpfs", "-o", "size=4m,nr_inodes=60", "tmpfs") as disk:
        shutil.copytree(store, disk / "store")
        before, number = tree(disk / "store"), 0
        with contextlib.suppress(OSError):
            while True:
                (disk / f"file{number}").touch()
                number += 1
        for free in range(12):
            done = run_tool(*COMMAND, disk / "store", stdin=SMALL)
            if done.returncode == 0:
                break
            assert failed(done, disk / "store", 28) and tree(disk / "store") == before, done
            (disk / f"file{free}").unlink()
        assert 0 < free < 11 and ids(disk / "store", run_tool) == expected("small", 6)


@pytest.mark.parametrize("caught", [True, False])
def test_a_limit_on_the_size_of_files(caught, run_tool, store):
    """With SIGXFSZ ignored, as Python does, a write fails; a limit that kills leaves no more than a kill does."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    before = tree(store)
    if caught:
        done = run_tool(*COMMAND, store, stdin=LARGE, preexec_fn=limit)
        assert failed(done, store / ".tel/staging/b", 27) and tree(store) == before, done
    else:
        code = "import signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); from tel.filters.persist import main; main()"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        words = [sys.executable, "-c", code, *COMMAND[1:], store]
        done = run_tool(*words, stdin=LARGE, preexec_fn=limit, env=environment)
        assert done.returncode == -signal.SIGXFSZ
    assert ids(store, run_tool) == [f"a{n}" for n in range(3)]
    assert run_tool(*COMMAND, store, stdin=LARGE).returncode == 0 and ids(store, run_tool) == expected("large", 500)
    assert not list((store / ".tel/staging").iterdir())


def test_a_disk_that_may_not_be_written(run_tool, store):
    before = tree(store)
    with mounted(store.parent, "--bind", str(store.parent)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(store.parent)], check=True)
        done = run_tool(*COMMAND, store, stdin=SMALL)
        assert failed(done, store, 30) and tree(store) == before, done
        assert ids(store, run_tool) == [f"a{n}" for n in range(3)]
    assert run_tool(*COMMAND, store, stdin=SMALL).returncode == 0


def bound():
    """Let permissions bind root too: without this capability (PR_CAPBSET_DROP of CAP_DAC_OVERRIDE) it is anybody."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)


@pytest.mark.parametrize("folder", [".", ".tel/staging", ".tel/commits"])
def test_a_directory_that_may_not_be_written(folder, run_tool, store):
    before = tree(store)
    (store / folder).chmod(0o555)
    try:
        if run_tool("touch", store / folder / "x", preexec_fn=bound).returncode == 0:
            pytest.skip("permissions do not bind here: a read-only directory is not tried")
        done = run_tool(*COMMAND, store, stdin=stream("small", 6).replace(b"2013090", b"2013080"), preexec_fn=bound)
        assert failed(done, store, 13) and tree(store) == before, done
    finally:
        (store / folder).chmod(0o755)
    assert run_tool(*COMMAND, store, stdin=SMALL).returncode == 0 and ids(store, run_tool) == expected("small", 6)


def midway(store, change):
    """What a writer ends with under whose hands `change()` is done when half of its input is staged."""
    writer = subprocess.Popen([*COMMAND, store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    half = LARGE.index(b'{"id":"large250"')
    writer.stdin.write(LARGE[:half])
    writer.stdin.flush()
    until = time.monotonic() + 20
    while not list((store / ".tel/staging/b").glob("*.part")) and time.monotonic() < until:
        time.sleep(0.01)
    change()
    out, said = writer.communicate(LARGE[half:])
    return subprocess.CompletedProcess(COMMAND, writer.returncode, out, said)


def removed(path):
    """Remove a folder in which somebody is still making files."""
    while path.exists():
        shutil.rmtree(path, ignore_errors=True)


def test_a_store_that_is_removed_under_its_writer(run_tool, store):
    done = midway(store, lambda: removed(store))
    assert failed(done, store, 2), done
    assert run_tool(*COMMAND, store, stdin=LARGE).returncode == 0 and len(ids(store, run_tool)) == 500


def test_a_store_that_is_moved_away_and_back(run_tool, store):
    away = store.with_name("away")
    done = midway(store, lambda: store.rename(away))
    assert failed(done, store, 2), done
    away.rename(store)
    assert ids(store, run_tool) == [f"a{n}" for n in range(3)]
    assert run_tool(*COMMAND, store, stdin=LARGE).returncode == 0 and ids(store, run_tool) == expected("large", 500)
    assert not list((store / ".tel/staging").iterdir())


def test_a_disk_that_is_unmounted_under_its_writer(run_tool, store, tmp_path):
    with mounted(tmp_path / "gone", "--bind", str(store.parent)) as disk:
        done = midway(disk / "store", lambda: subprocess.run(["umount", "-l", str(disk)], check=True))
    assert failed(done, disk / "store", 2), done
    assert ids(store, run_tool) == [f"a{n}" for n in range(3)]
    assert run_tool(*COMMAND, store, stdin=LARGE).returncode == 0 and ids(store, run_tool) == expected("large", 500)
