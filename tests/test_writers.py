"""Many writers and readers at once: a reader sees a batch whole or not at all, and a batch is stored once.

All the while the store is compacted. TEL_SECONDS is how long they go on (5 if it is not set).
"""

import collections
import json
import os
import subprocess
import threading
import time

import pytest

SECONDS = float(os.environ.get("TEL_SECONDS", "5"))
WRITERS, K, PLACES = 8, 12, 4


def batch_of(name, size=K):
    """A whole stream of records with the batch's name in their ids, which go to several directories."""
    lines = [
        '{"id":"%s.%d","date":"2013090%d","info":{},"revision":null,"ping":{"ver":2,"info":{"OS":"%s"}}}\n'
        % (name, n, n % PLACES, name)
        for n in range(size)
    ]
    return "".join(lines).encode() + b'{"end":{"tool":"tel-test","records":%d}}\n' % size


class Crowd:
    """Writers and readers of one store, each a thread that runs one tool after another until the time is over."""

    def __init__(self, store, run_tool):
        self.store, self.run_tool, self.until = store, run_tool, time.monotonic() + SECONDS
        self.committed, self.wrong, self.seen, self.merged = set(), [], collections.Counter(), 0

    def persist(self, name, **more):
        """The finished process that stores a batch."""
        return self.run_tool("tel-persist", "--store", self.store, "--batch", name, stdin=batch_of(name), **more)

    def write(self, number):
        """Store batches; each of them twice, which must change nothing."""
        for turn in range(10**6):
            if time.monotonic() > self.until:
                return
            name = f"w{number}t{turn}"
            first, again = self.persist(name), self.persist(name)
            if first.returncode or again.returncode or b"stored already" not in again.stderr:
                self.wrong.append((name, first.stderr, again.stderr))
            self.committed.add(name)

    def read(self, look):
        """Look, and find each batch that was committed before in full, and no part of another."""
        while time.monotonic() < self.until:
            before = set(self.committed)
            ids = look()
            found = collections.Counter(id.split(".")[0] for id in ids)
            parts = {name: count for name, count in found.items() if count != K}
            if parts or before - found.keys() or len(set(ids)) != len(ids):
                self.wrong.append((look.__name__, parts, before - found.keys(), len(ids) - len(set(ids))))
            self.seen[look.__name__] += 1

    def compact(self):
        """Merge the files of the store again and again; what was replaced is gone once those who listed it are done."""
        while time.monotonic() < self.until:
            self.merged += bool(self.done("tel-compact", "--grace", "20", self.store))

    def done(self, *command, **more):
        """The stdout of a tool that ended well."""
        done = self.run_tool(*command, **more)
        if done.returncode:
            self.wrong.append((command, done.returncode, done.stderr))
        return done.stdout

    def listing(self):
        """The ids in the files of tel-ls, read without the suite."""
        paths = self.done("tel-ls", self.store).decode().split()
        text = subprocess.run(["zstd", "-dcq", *paths], capture_output=True, check=True).stdout if paths else b""
        return [line.split(b"\t")[0].decode() for line in text.splitlines()]

    def cat(self):
        """The ids that tel-cat prints."""
        lines = self.done("tel-cat", self.store).splitlines()[:-1]
        return [json.loads(line)["id"] for line in lines]

    def mapping(self):
        """The ids that a map over a list sees."""
        job = self.store.parent / "ids.py"
        files = self.done("tel-ls", self.store)
        if not files:
            return []
        lines = self.done("tel-map", "--files-from", "-", job, stdin=files).splitlines()
        return [json.loads(line)[0] for line in lines[:-1]]


@pytest.mark.slow
def test_readers_among_writers_see_whole_batches(run_tool, tmp_path, capsys):
    if run_tool("sh", "-c", "command -v zstd").returncode:
        pytest.skip("zstd is missing: readers among writers are not tried")
    (tmp_path / "ids.py").write_text("def map(key, dims, value, context):\n    context.write(key, 1)\n")
    crowd = Crowd(tmp_path / "store", run_tool)
    assert crowd.persist("first").returncode == 0
    crowd.committed.add("first")
    looks = [crowd.listing, crowd.cat, crowd.mapping, crowd.cat]
    threads = [threading.Thread(target=crowd.write, args=(number,)) for number in range(WRITERS)]
    threads += [threading.Thread(target=crowd.read, args=(look,)) for look in looks]
    threads.append(threading.Thread(target=crowd.compact))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with capsys.disabled():
        looks_taken = sum(crowd.seen.values())
        print(f"\n{len(crowd.committed)} batches of {WRITERS} writers, {crowd.merged} compactions, {looks_taken} looks")
    assert not crowd.wrong, crowd.wrong[:5]
    assert len(crowd.committed) > WRITERS and len(crowd.seen) == len(set(looks)) and crowd.merged
    found = collections.Counter(id.split(".")[0] for id in crowd.cat())
    assert found == dict.fromkeys(crowd.committed, K)
    assert run_tool("tel-verify", crowd.store).returncode == 0
    assert not list((crowd.store / ".tel/staging").iterdir())


@pytest.mark.parametrize("turn", range(3))
def test_of_two_writers_of_a_batch_one_wins(turn, run_tool, tmp_path):
    crowd, data = Crowd(tmp_path / "store", run_tool), batch_of("b")
    command = ["tel-persist", "--store", str(crowd.store), "--batch", "b"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    writers = [subprocess.Popen(command, **pipes) for _ in range(2)]
    threads = [threading.Thread(target=writer.communicate, args=(data,)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = sorted(writer.returncode for writer in writers)
    assert statuses in ([0, 0], [0, 75])
    assert sorted(crowd.cat()) == sorted(f"b.{n}" for n in range(K))
    again = crowd.persist("b")
    assert again.returncode == 0 and b"stored already" in again.stderr


def test_a_batch_that_is_being_written_is_busy(run_tool, tmp_path):
    crowd = Crowd(tmp_path / "store", run_tool)
    command = ["tel-persist", "--store", str(crowd.store), "--batch", "b"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    first = subprocess.Popen(command, **pipes)
    until = time.monotonic() + 20
    while not (crowd.store / ".tel/staging/b").is_dir() and time.monotonic() < until:
        time.sleep(0.01)
    second, other = crowd.persist("b"), crowd.persist("c")
    assert second.returncode == 75 and b"another process is writing this batch" in second.stderr
    assert other.returncode == 0
    first.communicate(batch_of("b"))
    assert first.returncode == 0 and sorted(crowd.cat()) == sorted(f"{name}.{n}" for name in "bc" for n in range(K))
