"""Storage neither loses nor doubles a record, whatever is done to it, by whom, and wherever it is stopped."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tools
from tel import change, persist, retrieve, schema, staging, store
from tel.errors import BadData, IOFailed, NotWhole, UsageError

tools.put_on_path()

FORM = (1 << 20, 1 << 20)  # memory, roll size
CHANNELS = ["nightly", "beta", "mine"]
TWO = {"version": 1, "dimensions": [
    {"field_name": "appUpdateChannel", "allowed_values": "*"},
    {"field_name": "submission_date", "allowed_values": "*"},
]}  # fmt: skip


def record(id, date="20130901", channel="nightly", more=""):
    """A line of input."""
    info = '{"appName":"Firefox","appUpdateChannel":"%s"}' % channel
    ping = '{"ver":1,"clientId":"c-%s",%s"info":%s}' % (id, more, info)
    return '{"id":"%s","date":"%s","info":%s,"revision":null,"ping":%s}\n' % (id, date, info, ping)


def whole(*records):
    """A whole stream."""
    return "".join(records).encode() + tools.end(len(records))


class Place:
    """A store in a folder, and the tools to work on it."""

    def __init__(self, folder, run_tool):
        self.root, self._run = folder / "s", run_tool

    def run(self, tool, *words, stdin=b"", status=0):
        """The stdout of a tool that ends with a status; `s` stands for the store."""
        done = self._run(tool, *[self.root if word == "s" else word for word in words], stdin=stdin)
        assert done.returncode == status, done
        self.said = done.stderr.decode()
        return done.stdout.decode()

    def persist(self, batch, *records, more=(), status=0):
        """Store a batch."""
        return self.run("tel-persist", "--store", "s", "--batch", batch, *more, stdin=whole(*records), status=status)

    def ids(self):
        """The document ids that a reader finds, sorted."""
        return sorted(json.loads(line)["id"] for line in self.run("tel-cat", "s").splitlines()[:-1])

    def listed(self):
        return [line[len(str(self.root)) + 1 :] for line in self.run("tel-ls", "s").splitlines()]

    def on_disk(self):
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*.zst"))

    def records(self):
        """{name: commit record} of all batches and changes."""
        return {path.stem: json.loads(path.read_bytes()) for path in (self.root / ".tel/commits").iterdir()}

    def change(self):
        """The commit record of the only change."""
        (found,) = [record for name, record in self.records().items() if name.startswith("+")]
        return found


def lines_of(root):
    """Yield (date, id) of what a reader finds, every file being what its commit record says."""
    target = store.Store(str(root))
    for path, entry in target.files():
        for line in retrieve.checked_lines(path, entry, 1 << 20):
            yield target.dims(entry["path"])["submission_date"], line.partition(b"\t")[0].decode()


@pytest.fixture
def place(tmp_path, run_tool):
    return Place(tmp_path, run_tool)


@pytest.fixture
def three(place):
    """A store of three batches with two files each."""
    for n in "123":
        place.persist(n, record(f"a{n}"), record(f"b{n}", "20130902"))
    return place


# Change records and grace.


def test_files_that_were_replaced_stay_for_their_grace(three):
    before = three.on_disk()
    new = three.run("tel-compact", "s").splitlines()
    assert len(new) == len(three.listed()) == 2 and set(before) < set(three.on_disk())
    assert abs(three.change()["until"] - time.time() - staging.GRACE) < 60
    assert sorted(three.change()["replaces"]) == before and three.ids() == ["a1", "a2", "a3", "b1", "b2", "b3"]
    three.persist("4", record("d"))
    assert set(before) < set(three.on_disk())


@pytest.mark.parametrize("tool", ["compact", "expire", "persist"])
def test_the_next_run_removes_what_was_replaced_long_enough_ago(three, tool):
    three.run("tel-compact", "--grace", "1", "s")
    time.sleep(1.1)
    words = {"compact": ["s"], "expire": ["--id", "x", "s"], "persist": ["--store", "s", "--partial"]}
    three.run(f"tel-{tool}", *words[tool])
    assert three.on_disk() == three.listed() and "until" not in three.change()
    assert three.ids() == ["a1", "a2", "a3", "b1", "b2", "b3"]


def test_without_grace_they_go_at_once(three):
    three.run("tel-compact", "--grace", "0", "s")
    assert three.on_disk() == three.listed() and "until" not in three.change()
    assert three.run("tel-verify", "s") == "" and not os.listdir(three.root / ".tel/staging")


def test_batches_that_were_merged_are_still_known(three):
    three.run("tel-compact", "--grace", "0", "s")
    three.persist("2", record("a2"), record("b2", "20130902"))
    assert "stored already" in three.said
    three.persist("2", record("other"), status=65)
    assert three.ids() == ["a1", "a2", "a3", "b1", "b2", "b3"]


def test_one_process_at_a_time_changes_a_store(three):
    lock = store.Store(str(three.root)).lock(0)
    for words in (["tel-compact", "s"], ["tel-expire", "--id", "a1", "s"]):
        three.run(*words, status=75)
        assert "another process is changing the store" in three.said
    three.persist("1", record("x"), more=["--replace"], status=75)
    three.persist("4", record("d"))
    os.close(lock)
    three.run("tel-compact", "s")


def test_a_reader_of_two_changes_that_came_meanwhile_reads_again(three, monkeypatch):
    target = store.Store(str(three.root))
    names, listings = target.names, []

    def changing():
        found = names()
        listings.append(found)
        if len(listings) == 1:
            three.run("tel-compact", "--grace", "0", "s")
        return found

    monkeypatch.setattr(target, "names", changing)
    assert [os.path.relpath(path, three.root) for path, _ in target.files()] == three.listed() and len(listings) > 2


# Compaction.


def test_a_second_compaction_does_nothing(three):
    three.run("tel-compact", "s")
    before = three.records(), three.on_disk()
    assert three.run("tel-compact", "s") == "" and (three.records(), three.on_disk()) == before


def test_compaction_keeps_every_line_in_its_order(three):
    before = three.run("tel-cat", "s")
    three.run("tel-compact", "--grace", "0", "--roll-size", "1", "s")
    assert three.run("tel-cat", "s") == before
    assert three.run("tel-verify", "s") == ""


def test_only_what_is_selected_is_compacted(three):
    (new,) = three.run("tel-compact", "--where", "date=20130902", "s").splitlines()
    assert "/20130902/" in new and len(three.listed()) == 4


def test_a_level_is_a_reason_to_write_a_file_anew(place):
    place.persist("1", record("a"))
    assert place.run("tel-compact", "s") == ""
    place.run("tel-compact", "--level", "3", "s")
    assert [entry["level"] for entry in place.change()["files"]] == [3]
    assert place.run("tel-compact", "--level", "3", "s") == "" and place.ids() == ["a"]


def test_full_files_are_left_alone(place):
    for n in range(3):
        place.persist(str(n), *[record(f"{n}-{m}") for m in range(3)], more=["--roll-size", "1"])
    assert place.run("tel-compact", "--roll-size", "1", "s") == ""


@pytest.mark.parametrize("memory", ["1K", "1M"])
def test_dedup_keeps_the_first_of_each_directory(place, memory):
    for n in range(3):
        same = record("same", more=f'"n":{n},')
        place.persist(str(n), same, record(f"a{n}"), record("same", "20130902"), record("once", f"2013090{n}"))
    place.run("tel-compact", "--dedup", "--memory", memory, "--summary=json", "s")
    assert "4 records had" in place.said and '"duplicates":4' in place.said
    assert place.change()["dropped"] == 4
    first = place.run("tel-cat", "--where", "date=20130901", "s")
    assert '"n":0' in first and '"n":1' not in first
    assert place.run("tel-compact", "--dedup", "s") == ""


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
@pytest.mark.parametrize(
    "words", [["tel-compact", "s"], ["tel-expire", "--client-id", "c-a2", "s"]], ids=lambda w: w[0]
)
def test_a_damaged_file_stops_a_change_and_costs_nothing(three, damage, words):
    victim = three.root / three.listed()[1]
    data = victim.read_bytes()
    if damage == "gone":
        victim.unlink()
    else:
        victim.write_bytes(data[:-3] if damage == "cut" else data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])
    before = three.records(), three.on_disk()
    three.run(*words, status=74 if damage == "gone" else 65)
    assert victim.name in three.said
    assert (three.records(), three.on_disk()) == before and not os.listdir(three.root / ".tel/staging")


def test_a_file_with_other_records_than_were_stored_stops_a_change(three):
    first, second = (three.root / path for path in three.listed()[:2])
    second.write_bytes(first.read_bytes())
    three.run("tel-compact", "s", status=74)
    assert "SHA-256" in three.said and len(three.listed()) == 6


# Another schema.


def new_schema(place):
    path = place.root.parent / "two.json"
    path.write_text(json.dumps(TWO))
    return path


@pytest.fixture
def mixed(place):
    """A store whose files of two dates lie under two schemas."""
    for n, channel in enumerate(CHANNELS):
        place.persist(str(n), record(f"a{n}", "20130901", channel), record(f"b{n}", "20130902", channel))
    place.run("tel-compact", "--grace", "0", "--schema", new_schema(place), "--where", "date=20130901", "s")
    return place


def test_a_mixed_store_is_read_whole(mixed):
    assert mixed.ids() == ["a0", "a1", "a2", "b0", "b1", "b2"] and mixed.run("tel-verify", "s") == ""
    assert sorted({path.split("/")[0] for path in mixed.listed()}) == ["+2", "20130902"]
    dates = [json.loads(line)["date"] for line in mixed.run("tel-cat", "s").splitlines()[:-1]]
    assert sorted(dates) == ["20130901"] * 3 + ["20130902"] * 3
    assert mixed.run("tel-ls", "--where", "channel=mine", "s").count("\n") == 1
    assert mixed.run("tel-ls", "--where", "date=20130902", "s").count("\n") == 3
    assert mixed.run("tel-ls", "--where", "app=Firefox", "s", status=2) == ""


def test_another_schema_finds_what_was_other(mixed):
    mixed.run("tel-compact", "--grace", "0", "--schema", new_schema(mixed), "s")
    expected = sorted(f"+2/{channel}/2013090{n}" for channel in CHANNELS for n in (1, 2))
    assert sorted({os.path.dirname(path) for path in mixed.listed()}) == expected
    assert mixed.ids() == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert mixed.run("tel-compact", "--schema", new_schema(mixed), "s") == ""
    assert sorted(os.listdir(mixed.root / ".tel")) == ["commits", "schema-2.json", "schema.json", "staging"]
    mixed.run("tel-ls", "--where", "app=Firefox", "s", status=2)
    assert "it has appUpdateChannel, submission_date" in mixed.said


def test_batches_are_known_and_stored_whatever_the_schema(mixed):
    mixed.persist("0", record("a0"), record("b0", "20130902"))
    assert "stored already" in mixed.said
    assert "/+2/mine/20130903/" in mixed.persist("new", record("c", "20130903", "mine"))
    mixed.persist("new", record("c", "20130903", "mine"))
    assert "stored already" in mixed.said
    mixed.persist("later", record("d"), more=["--schema", new_schema(mixed)])


def test_a_job_knows_the_dimensions_of_both_schemas(mixed):
    job = mixed.root.parent / "job.py"
    job.write_text("def map(key, dims, value, context):\n    context.write('/'.join(dims[2:6:3]), 1)\n")
    files = [str(mixed.root / path) for path in mixed.listed()]
    found = sorted(json.loads(line)[0] for line in mixed.run("tel-map", job, *files).splitlines()[:-1])
    assert found == sorted(
        [*(f"{channel}/20130901" for channel in CHANNELS), "nightly/20130902", "beta/20130902", "OTHER/20130902"]
    )


def test_a_condition_that_an_older_schema_cannot_tell(place):
    place.run("tel-persist", "--store", "s", "--schema", new_schema(place), "--batch", "1", stdin=whole(record("a")))
    three = {**TWO, "dimensions": [*TWO["dimensions"], {"field_name": "appName", "allowed_values": "*"}]}
    path = place.root.parent / "three.json"
    path.write_text(json.dumps(three))
    place.run("tel-compact", "--where", "date=2014", "--schema", path, "s")
    place.run("tel-ls", "--where", "app=Firefox", "s", status=2)
    assert "under an older schema; tel-compact --schema moves its files" in place.said
    place.run("tel-compact", "--schema", path, "s")
    assert "+2/nightly/20130901/Firefox/" in place.run("tel-ls", "--where", "app=Firefox", "s")


def test_dedup_is_not_for_another_schema(three):
    three.run("tel-compact", "--dedup", "--schema", new_schema(three), "s", status=2)
    assert "exclude each other" in three.said


# Expiry.


def test_what_is_before_a_date_goes(three):
    found = three.run("tel-expire", "--before", "2013-09-02", "--dry-run", "s")
    assert [json.loads(line)["left"] for line in found.splitlines()] == [0, 0, 0] and len(three.listed()) == 6
    assert three.run("tel-expire", "--before", "2013-09-02", "s") == found
    assert three.ids() == ["b1", "b2", "b3"] and len(three.on_disk()) == 6
    assert (three.change()["records"], three.change()["dropped"]) == (0, 3)
    assert three.run("tel-expire", "--before", "2013-09-02", "s") == ""


def test_the_records_of_ids_go(three):
    ids = three.root.parent / "ids"
    ids.write_text("b2\nnobody\n\n")
    three.run("tel-compact", "--grace", "0", "--level", "5", "s")
    (line, other) = three.run("tel-expire", "--id", "a1", "--id", "a3", "--ids", ids, "--grace", "0", "s").splitlines()
    assert (json.loads(line)["left"], json.loads(other)["left"]) == (1, 2) and three.ids() == ["a2", "b1", "b3"]
    levels = {entry["level"] for record in three.records().values() for entry in record["files"]}
    assert levels == {1, 5} and three.on_disk() == three.listed() and three.run("tel-verify", "s") == ""


def test_only_files_that_lose_records_are_written_anew(three):
    before = three.listed()
    three.run("tel-expire", "--where", "date=20130902", "--id", "a1", "--id", "b2", "--grace", "0", "s")
    assert three.ids() == ["a1", "a2", "a3", "b1", "b3"] and set(three.listed()) < set(before)


@pytest.mark.parametrize("where", [
    '"clientId":"x"', '"clientID":"x"', '"payload":{"clientId":"x"}', '"payload":{"clientID" : "x"}',
    '"client\\u0049d":"x"', '"clientId":"\\u0078"', '"a":{"clientId":"no"},"clientId":"x"',
])  # fmt: skip
def test_a_clients_records_go_however_they_are_written(place, where):
    ping = '"ping":{"ver":1,%s,"info":{}}' % where
    line = '{"id":"gone","date":"20130901","info":{},"revision":null,%s}\n' % ping
    place.persist("1", line, line.replace('"x"', '"y"').replace("0078", "0079").replace("gone", "kept"))
    place.run("tel-expire", "--client-id", "x", "s")
    assert place.ids() == ["kept"]


def test_clients_of_a_list_go(three):
    clients = three.root.parent / "clients"
    clients.write_text("c-a1\nc-b3")
    three.run("tel-expire", "--client-ids", clients, "s")
    assert three.ids() == ["a2", "a3", "b1", "b2"]
    three.run("tel-expire", "--client-ids", "-", "s", stdin=b"c-a2\n")
    assert three.ids() == ["a3", "b1", "b2"]


def test_what_has_expired_does_not_come_back(three):
    three.run("tel-expire", "--before", "20130902", "s")
    three.persist("1", record("a1"), record("b1", "20130902"))
    assert "stored already" in three.said and three.ids() == ["b1", "b2", "b3"]


@pytest.mark.parametrize(
    "words", [[], ["--before", "20130901", "--id", "a"], ["--before", "x"], ["--id", "a", "--grace", "-1"]]
)
def test_an_expiry_that_says_not_what(three, words):
    three.run("tel-expire", *words, "s", status=2)
    three.run("tel-expire", "--before", "20140101", "--where", "none=1", "s", status=2)
    assert len(three.ids()) == 6


def test_dates_that_are_none_are_before_nothing(place):
    place.persist("1", record("a", "UNKNOWN"), record("b", "20130901"))
    place.run("tel-expire", "--before", "20140101", "s")
    assert place.ids() == ["a"]


def test_a_store_without_dates_cannot_expire_by_them(place):
    path = place.root.parent / "one.json"
    path.write_text(json.dumps({**TWO, "dimensions": TWO["dimensions"][:1]}))
    place.persist("1", record("a"), more=["--schema", path])
    place.run("tel-expire", "--before", "20140101", "s", status=2)
    assert "submission_date" in place.said


# Replacing a batch.


def test_a_batch_is_replaced(place):
    place.persist("b", record("a"), record("b", "20130902"))
    place.persist("b", record("c"), status=65)
    assert "--replace" in place.said
    assert place.persist("b", record("c"), more=["--replace"]).endswith("/b-002.v2.zst\n") and place.ids() == ["c"]
    assert len(place.on_disk()) == 3 and place.persist("b", record("c"), more=["--replace"]) == ""
    assert "stored already" in place.said
    assert place.persist("b", record("d"), more=["--replace"]).endswith("/b-003.v2.zst\n") and place.ids() == ["d"]
    assert len(place.records()["b"]["replaces"]) == 3 and place.run("tel-verify", "s") == ""
    place.persist("other", record("e"), more=["--replace"])
    assert place.ids() == ["d", "e"]


@pytest.mark.parametrize("words", [["tel-compact", "s"], ["tel-expire", "--id", "a1", "s"]], ids=lambda words: words[0])
def test_a_batch_that_was_changed_is_not_replaced(three, words):
    three.run(*words)
    before = three.records()
    three.persist("1", record("new"), more=["--replace"], status=2)
    assert "has changed its files" in three.said and three.records() == before


def test_a_replacement_that_fails_leaves_the_batch(place):
    place.persist("b", record("a"))
    place.run("tel-persist", "--store", "s", "--batch", "b", "--replace", stdin=record("c").encode(), status=75)
    assert place.ids() == ["a"] and len(place.on_disk()) == 1 and not os.listdir(place.root / ".tel/staging")


# The batch's id.


def test_the_same_files_are_one_batch(place):
    files = [place.root.parent / name for name in ("one", "two")]
    files[0].write_bytes(whole(record("a")))
    files[1].write_bytes(whole(record("b")))
    persist = ["tel-persist", "--store", "s"]
    place.run(*persist, *files)
    assert place.said.startswith("tel-persist: stored batch one-")
    place.run(*persist, *files)
    assert place.said.endswith("is stored already\n") and place.ids() == ["a", "b"]
    place.run(*persist, files[0])
    files[1].write_bytes(whole(record("c")))
    place.run(*persist, *files)
    assert len(place.records()) == 3
    for _ in range(2):
        place.run(*persist, files[0], "-", stdin=whole(record("d")))
        place.run(*persist, stdin=whole(record("d")))
    assert len(place.records()) == 7


@pytest.mark.parametrize("id", ["a/b", "a_b", "../../x", "x" * 300, "+compact", "+2", ".", "a\nb", "é"])
def test_a_batchs_id_leads_nowhere_else(three, id):
    three.persist(id, record("odd"))
    three.persist(id, record("odd"))
    three.persist(id, record("other"), more=["--replace"])
    assert "other" in three.ids() and "odd" not in three.ids()
    assert os.listdir(three.root.parent) == ["s"] and set(os.listdir(three.root)) == {".tel", "20130901", "20130902"}
    assert not [name for name in three.records() if name.startswith((".", "+"))]


# Links and others' files.


@pytest.mark.parametrize("name", ["schema-2.json", "commits/+x.json", "commits/1.json", "staging/+done", "+2"])
def test_a_link_in_place_of_a_part_is_refused(three, name):
    outside = three.root.parent / "outside"
    outside.mkdir()
    target = three.root / ("+2" if name == "+2" else f".tel/{name}")
    target.unlink(missing_ok=True)
    target.symlink_to(outside)
    words = ["--schema", new_schema(three), "s"] if name == "+2" else ["--grace", "0", "s"]
    three.run("tel-compact", *words, status=74)
    assert "symbolic link" in three.said or "something stands" in three.said
    assert not list(outside.iterdir())


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "20130901/../../outside", ".tel/schema.json", "link/x"])
def test_a_record_cannot_have_others_files_removed(three, path):
    outside = three.root.parent / "outside"
    outside.write_text("kept")
    (three.root / "link").symlink_to(three.root.parent)
    (three.root.parent / "x").write_text("kept")
    text = '{"until":1,"format":1,"change":"compact","records":0,"replaces":["%s"],"files":[]}' % path
    (three.root / ".tel/commits/+bad.json").write_text(text)
    three.run("tel-compact", "s", status=74)
    assert outside.read_text() == "kept" and (three.root / ".tel/schema.json").exists()
    assert (three.root.parent / "x").exists()


# Killed.

STEPS = """
import os, signal, sys
from tel.filters import {tool}
left = {step}
def counted(function):
    def step(*words, **more):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*words, **more)
    return step
for name in ("rename", "unlink", "mkdir", "rmdir", "fsync", "replace"):
    setattr(os, name, counted(getattr(os, name)))
sys.argv[1:] = {words}
sys.exit({tool}.main())
"""
CHANGES = [
    ("compact", ["--grace", "0"]),
    ("compact", ["--grace", "0", "--schema", "two.json"]),
    ("expire", ["--grace", "0", "--id", "a1", "--id", "b2"]),
    ("persist", ["--batch", "1", "--replace", "new", "--store"]),
]


@pytest.mark.parametrize("tool, words", CHANGES, ids=["compact", "schema", "expire", "replace"])
def test_a_change_killed_at_any_step_is_made_or_not(tool, words, place):
    for n in "12":
        place.persist(n, record(f"a{n}"), record(f"b{n}", "20130902"))
    before = sorted(lines_of(place.root))
    after = {"expire": before[1:3], "persist": sorted([*before[1::2], ("20130903", "new")])}.get(tool, before)
    new = place.root.parent / "new"
    new.write_bytes(whole(record("new", "20130903")))
    files = {"two.json": str(new_schema(place)), "new": str(new)}
    words = [files.get(word, word) for word in words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    for step in range(1, 100):
        root = shutil.copytree(place.root, place.root.parent / str(step))
        code = STEPS.format(tool=tool, step=step, words=[*words, str(root)])
        status = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True).returncode
        assert sorted(lines_of(root)) in (before, after)
        place.run(f"tel-{tool}", *words, root)
        assert sorted(lines_of(root)) == after and not os.listdir(root / ".tel/staging")
        target = store.Store(str(root))
        listed, replaced = {path for path, _ in target.files()}, set(map(target.path, target.replaced()))
        assert {str(path) for path in root.rglob("*.zst")} == (listed | replaced if tool == "persist" else listed)
        if status == 0:
            assert step > 10
            return
    raise AssertionError("it never ends")


# How files are made.


def test_threads_and_memory_change_no_record_and_threads_no_byte(place):
    records = [record(f"{n:04}", f"201309{n % 30 + 1:02}", more='"x":"%s",' % ("y" * n)) for n in range(900)]
    contents = []
    for threads in ("1", "3"):
        place.root = place.root.parent / threads
        more = ["--threads", threads, "--memory", "64K", "--roll-size", "1K", "--level", "3", "--no-sync"]
        place.persist("b", *records, more=more)
        contents.append({path: (place.root / path).read_bytes() for path in place.listed()})
        assert place.ids() == [f"{n:04}" for n in range(900)] and place.run("tel-verify", "s") == ""
    assert contents[0] == contents[1] and len(contents[0]) > 30


class Spoiling:
    """A file that writes another last byte than it is given."""

    def __init__(self, path, mode):
        self._file = open(path, mode)

    def write(self, data):
        """Write almost what is given."""
        self._file.write(data[:-1] + bytes([data[-1] ^ 1]))

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self._file.close()


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def begun(request, tmp_path):
    """Files of a batch that is being written, and its Staging."""
    target = store.Store.create(str(tmp_path / "s"))
    with staging.Staging(target, "b") as staged:
        yield staging.Files(staged, 1 << 20, 64 << 20, threads=request.param), staged


def write(files):
    """Write so many frames that some of them are in a file."""
    for _ in range(8):
        files.add("a", os.urandom(staging.FRAME))


def test_what_is_not_there_as_it_was_written_ends_the_batch(begun, monkeypatch):
    files, staged = begun
    monkeypatch.setattr(staging, "open", Spoiling, raising=False)
    with pytest.raises(IOFailed, match="does not hold what was written into it") as caught:
        write(files)
    assert caught.value.where == staged.path("1.part")


@pytest.mark.parametrize("spoil", [lambda file: file.truncate(7), lambda file: file.write(b"more")])
def test_what_others_do_to_a_staged_file_ends_the_batch(begun, spoil):
    files, staged = begun
    write(files)
    with open(staged.path("1.part"), "ab") as file:
        spoil(file)
    with pytest.raises(IOFailed, match="does not hold what was written into it"):
        write(files)


def test_a_staged_file_that_is_taken_away_is_not_begun_anew(begun):
    files, staged = begun
    write(files)
    os.unlink(staged.path("1.part"))
    with pytest.raises(FileNotFoundError) as caught:
        write(files)
    assert caught.value.filename == staged.path("1.part")


def test_a_small_file_is_read_once_more_at_its_end(begun):
    files, staged = begun
    for number in range(60):
        files.add(f"d{number % 20}", os.urandom(100_000))
    with open(staged.path("1.part"), "r+b") as file:
        assert 0 < file.seek(0, os.SEEK_END) < staging.FRAME
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(IOFailed, match="does not hold what was written into it"):
        files.close()


@pytest.mark.parametrize("durable", [True, False])
def test_a_large_file_is_on_its_way_to_the_disk_before_its_end(tmp_path, monkeypatch, durable):
    begun, synced = [], []
    monkeypatch.setattr(staging, "begin_sync", lambda fd, *part: (begun.append(part), store.begin_sync(fd, *part)))
    monkeypatch.setattr(staging, "sync_file", synced.append)
    target = store.Store.create(str(tmp_path / "s"))
    with staging.Staging(target, "b", durable=durable) as staged:
        files = staging.Files(staged, 1 << 20, 64 << 20)
        for _ in range(20):
            files.add("a", os.urandom(staging.FRAME))
        assert not synced and len(begun) == (5 if durable else 0)
        if durable:
            starts, stops = zip(*begun)
            assert starts[0] == 0 and all(start <= stop for start, stop in zip(starts[1:], stops))
        files.close()
        ((entry, path),) = files.entries()
        assert synced == ([path] if durable else []) and store.digest_of(path) == entry["sha256"]
        assert os.path.getsize(path) == entry["bytes"]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("fails", [False, True])
def test_files_are_synced_by_any_number_of_threads(tmp_path, monkeypatch, threads, fails):
    synced, target = [], store.Store.create(str(tmp_path / "s"))

    def sync(path):
        synced.append(path)
        if fails and len(synced) == 3:
            raise IOFailed("cannot be synced", path)

    monkeypatch.setattr(staging, "sync_file", sync)
    with staging.Staging(target, "b") as staged:
        files = staging.Files(staged, *FORM, threads=threads)
        for n in range(7):
            files.add(f"{n}", b"a\n")
        if fails:
            with pytest.raises(IOFailed, match="cannot be synced"):
                files.close()
            return
        files.close()
        assert sorted(synced) == sorted(path for _, path in files.entries()) and len(synced) == 7


PARTITIONS, EACH = 50_000, 4


@pytest.mark.slow
def test_memory_is_bounded_whatever_the_number_of_partitions(place):
    file, command = place.root.parent / "peak", shutil.which("tel-persist")
    words = [command, "--store", place.root, "--batch", "b", "--memory", "32M", "--no-sync"]
    with subprocess.Popen([sys.executable, tools.ROOT / "tests/peak.py", file, *words],
                          stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:  # fmt: skip
        for n in range(PARTITIONS * EACH):
            line = record(n, more='"x":"%s",' % ("y" * 300))
            process.stdin.write(line.replace('"appName":"Firefox"', '"appBuildID":"%d"' % (n % PARTITIONS)).encode())
        process.stdin.write(tools.end(PARTITIONS * EACH))
    assert process.returncode == 0 and int(file.read_text()) < (32 + 64) << 10
    assert sum(entry["records"] for entry in place.records()["b"]["files"]) == PARTITIONS * EACH
    assert len(place.records()["b"]["files"]) == PARTITIONS


# Whatever happens, in any order.

IDS = st.sampled_from("abcdefgh")
BATCH = st.tuples(st.sampled_from("123"), st.lists(st.tuples(IDS, st.sampled_from("12")), max_size=4), st.booleans())
ACTIONS = st.one_of(
    st.tuples(st.just("persist"), BATCH),
    st.tuples(st.just("compact"), st.sampled_from([None, 3, 9])),
    st.tuples(st.just("dedup"), st.none()),
    st.tuples(st.just("expire"), st.lists(IDS, max_size=2)),
    st.tuples(st.just("before"), st.sampled_from(["20130901", "20130902"])),
)


class Model:
    """What a store holds: a list of (batch or None, date, id), and the content of each batch that is known."""

    def __init__(self, target, grace):
        self.target, self.grace, self.held, self.known = target, grace, [], {}

    def persist(self, batch, rows, replace):
        lines = [(f"2013090{date}", id) for id, date in rows]
        try:
            with persist.Batch(self.target, batch, *FORM, replace=replace, durable=False) as writer:
                for date, id in lines:
                    writer.add(f"{date}/x/x/x/x/x", b'%s\t{"n":1}\n' % id.encode())
                writer.publish([])
        except (BadData, UsageError):
            assert batch in self.known
            return
        if self.known.get(batch) != lines:
            self.held = [row for row in self.held if row[0] != batch] + [(batch, *line) for line in lines]
            self.known[batch] = lines

    def compact(self, level, dedup=False):
        with change.Rewriting(self.target, "compact", self.grace, FORM) as rewriting:
            change.merge(rewriting, self.target.files(), 1 << 20, 1 << 20, level, 1 if dedup else None)
            rewriting.publish()

    def dedup(self, _):
        self.compact(None, True)
        self.held = list({row[1:]: row for row in self.held}.values())  # a batch that lost some is never replaced

    def expire(self, ids):
        self._expire(change.Rule(None, [id.encode() for id in ids], None), lambda date, id: id not in ids)

    def before(self, limit):
        self._expire(change.Rule(limit, None, None), lambda date, id: date >= limit)

    def _expire(self, rule, stays):
        with change.Rewriting(self.target, "expire", self.grace, FORM) as rewriting:
            found = list(change.expired(self.target, self.target.files(), rule, 1 << 20))
            change.expire(rewriting, found, rule, 1 << 20)
            rewriting.publish()
        self.held = [row for row in self.held if stays(*row[1:])]


@given(st.lists(ACTIONS, max_size=10), st.sampled_from([0, 3600]))
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_a_store_holds_exactly_the_truth(tmp_path_factory, actions, grace):
    model = Model(store.Store.create(str(tmp_path_factory.mktemp("store") / "s"), schema.DEFAULT), grace)
    for name, words in actions:
        getattr(model, name)(*(words if name == "persist" else [words]))
        staging.tidy(model.target)
        assert sorted(lines_of(model.target.root)) == sorted(row[1:] for row in model.held), name
    on_disk = {str(path) for path in pathlib.Path(model.target.root).rglob("*.zst")}
    replaced = {model.target.path(path) for path in model.target.replaced()} & on_disk
    assert on_disk == {path for path, _ in model.target.files()} | replaced and (
        grace or all("/+" not in path for path in replaced)
    )


def test_a_lock_is_given_back(three):
    target = store.Store(str(three.root))
    with staging.Change(target), pytest.raises(NotWhole):
        staging.Change(target, patience=0)
    staging.Change(target).close()
