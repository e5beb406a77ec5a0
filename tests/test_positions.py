"""Source positions: what end records say of offsets, and how the store holds each of them once."""

import json
import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tel import positions
from tel.errors import BadData, NotWhole
from tel.store import Store


def position(first, next, records=None, partition=0, topic="pings"):
    records = next - first if records is None else records
    absent = next - first - records
    counts = {"records": records, "rejected": 0, "empty": 0, "absent": absent}
    return {"topic": topic, "partition": partition, "first": first, "next": next, **counts, "gaps": []}


def stream(ids, *held):
    """Lines of a record for each id, and an end record with positions."""
    record = '{"id":"%s","date":"20130901","info":{},"revision":null,"ping":{"ver":2,"info":{}}}\n'
    end = {"end": {"tool": "tel-kafka", "records": len(ids), "positions": list(held)}}
    return ("".join(record % id for id in ids) + json.dumps(end) + "\n").encode()


@pytest.fixture
def persist(tmp_path, run_tool):
    def run(stdin, *words):
        return run_tool("tel-persist", "--store", tmp_path / "store", *words, stdin=stdin)

    return run


def ids_of(store, run_tool):
    return sorted(json.loads(line)["id"] for line in run_tool("tel-cat", store).stdout.splitlines()[:-1])


# What they are.


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["take", "skip"]), st.booleans()), max_size=20))
def test_what_is_counted_adds_up(steps):
    at = positions.Position("pings", 3, 5)
    for ahead, what, bad in steps:
        if what == "take":
            at.take(at.next + ahead, "rejected" if bad else "records")
        else:
            at.skip(at.next + ahead)
    told = at.told()
    held = sum(told[name] for name in positions.COUNTS) + sum(end - start for start, end in told["gaps"])
    assert told["next"] - told["first"] == held
    assert positions.of([{"positions": [told]}]) == [told]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.randoms())
def test_streams_that_follow_each_other_are_one_in_any_order(sizes, chance):
    bounds = [sum(sizes[:at]) for at in range(len(sizes) + 1)]
    parts = [{"positions": [position(first, next)]} for first, next in zip(bounds, bounds[1:])]
    chance.shuffle(parts)
    assert positions.of(parts) == [position(0, bounds[-1])]


def test_partitions_and_topics_are_kept_apart():
    held = [position(0, 2, topic="a"), position(7, 9, partition=1, topic="a"), position(4, 5, topic="b")]
    assert positions.of([{"positions": held[1:]}, {"positions": held[:1]}]) == held


@pytest.mark.parametrize("ends, reason", [
    ([{"positions": [position(0, 5)]}, {"positions": [position(4, 6)]}], "4 to 5 of pings/0 twice"),
    ([{"positions": [position(0, 5)]}, {"positions": [position(6, 7)]}], "5 to 6 of pings/0 not"),
    ([{"positions": [position(0, 5)]}, {}], "only some of the streams"),
    ([{"positions": 5}], "no list"),
    ([{"positions": [{**position(0, 5), "records": 6}]}], "does not add up"),
    ([{"positions": [{**position(0, 5), "gaps": [3]}]}], "does not add up"),
    ([{"positions": [{**position(0, 5), "next": "5"}]}], "does not add up"),
    ([{"positions": [5]}], "does not add up"),
])  # fmt: skip
def test_what_cannot_be_true_is_refused(ends, reason):
    with pytest.raises(BadData, match=reason) as caught:
        positions.of(ends)
    assert caught.value.error_type == "bad_positions"


def test_a_later_batch_has_a_later_name():
    names = [positions.batch_id([position(0, next)]) for next in (1, 9, 10, 10**18, 2**63)]
    assert names == sorted(names) and len(set(names)) == 5
    assert positions.batch_id([position(0, 1, topic="A")]).lower() != positions.batch_id([position(0, 1, topic="a")])
    assert len(positions.batch_id([position(0, 2**63, topic="a" * 249, partition=10**6)] * 999)) <= 100


# Into the store.


def test_batches_follow_each_other(persist, tmp_path, run_tool):
    for ids, first, next in (["a", "b"], 5, 8), (["c"], 8, 9), ([], 9, 12):
        done = persist(stream(ids, position(first, next, len(ids))))
        assert done.returncode == 0, done.stderr
    assert positions.stored(Store(tmp_path / "store")) == {("pings", 0): 12}
    assert ids_of(tmp_path / "store", run_tool) == ["a", "b", "c"]


@pytest.mark.parametrize("first", [4, 6, 9])
def test_what_is_not_next_is_refused(first, persist, tmp_path):
    assert persist(stream(["a"], position(4, 5, 1))).returncode == 0
    assert persist(stream(["b"], position(5, 8, 1))).returncode == 0
    done = persist(stream(["c"], position(first, 10, 1)))
    assert done.returncode == 75 and done.stdout == b""
    assert b"goes on at offset 8 of pings/0, and this stream begins at %d" % first in done.stderr
    assert positions.stored(Store(tmp_path / "store")) == {("pings", 0): 8}


def test_a_stored_batch_is_recognised_by_its_positions(persist):
    whole = stream(["a", "b"], position(0, 2))
    assert persist(whole).returncode == 0
    again = persist(whole)
    assert (again.returncode, again.stdout) == (0, b"") and b"is stored already" in again.stderr
    other = persist(stream(["a", "c"], position(0, 2)))
    assert other.returncode == 65 and b"with other content" in other.stderr


def test_no_offset_is_no_batch(persist, tmp_path):
    done = persist(stream([], position(7, 7)))
    assert done.returncode == 0 and b"nothing to store" in done.stderr
    assert Store(tmp_path / "store").names() == []


def test_sets_of_partitions_may_change(persist, tmp_path):
    """A partition that was stored with others goes on alone, and with more again."""
    for held in [position(0, 3), position(0, 4, partition=1)], [position(3, 5)], [position(5, 6), position(4, 4, 0, 1)]:
        done = persist(stream(["a%d" % n for n in range(sum(p["records"] for p in held))], *held))
        assert done.returncode == 0, done.stderr
    assert positions.stored(Store(tmp_path / "store")) == {("pings", 0): 6, ("pings", 1): 4}


def test_streams_in_one_file_are_one_batch(persist, tmp_path):
    joined = stream(["a"], position(0, 1)) + stream(["b"], position(1, 2))
    assert persist(joined, "--expect", "2").returncode == 0
    assert positions.stored(Store(tmp_path / "store")) == {("pings", 0): 2}
    assert persist(stream(["c"], position(2, 4)) + stream(["d"], position(3, 5))).returncode == 65


def test_the_id_is_not_for_the_user_to_choose(persist):
    held = [position(0, 1)]
    done = persist(stream(["a"], *held), "--batch", "mine")
    assert done.returncode == 2 and b"leave out --batch" in done.stderr
    assert persist(stream(["a"], *held), "--batch", positions.batch_id(held)).returncode == 0


def test_a_replacement_cannot_forget_positions(persist, tmp_path, run_tool):
    held = [position(0, 1)]
    name = positions.batch_id(held)
    assert persist(stream(["a"], *held)).returncode == 0
    without = persist(stream(["b"]).replace(b', "positions": []', b""), "--batch", name, "--replace")
    assert without.returncode == 65 and b"other source positions" in without.stderr
    assert persist(stream(["b"], *held), "--batch", name, "--replace").returncode == 0
    assert ids_of(tmp_path / "store", run_tool) == ["b"]
    assert positions.stored(Store(tmp_path / "store")) == {("pings", 0): 1}


@pytest.mark.parametrize("change", [["tel-compact"], ["tel-expire", "--before", "20130902"]], ids=["compact", "expire"])
def test_changes_of_the_store_keep_them(change, persist, tmp_path, run_tool):
    for at in range(3):
        assert persist(stream([f"a{at}"], position(at, at + 1))).returncode == 0
    done = run_tool(*change, "--grace", "0", tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert positions.stored(Store(tmp_path / "store")) == {("pings", 0): 3}
    assert b"is stored already" in persist(stream(["a1"], position(1, 2))).stderr
    assert persist(stream(["a3"], position(4, 5))).returncode == 75


def test_another_schema_keeps_them(persist, tmp_path, run_tool):
    whole = stream(["a"], position(0, 1))
    assert persist(whole).returncode == 0
    (tmp_path / "schema").write_text('{"version":1,"dimensions":[{"field_name":"reason","allowed_values":"*"}]}')
    assert run_tool("tel-compact", "--schema", tmp_path / "schema", tmp_path / "store").returncode == 0
    assert b"is stored already" in persist(whole).stderr
    assert persist(stream(["b"], position(1, 2))).returncode == 0


@pytest.mark.parametrize("chained", [[], ["-j", "2"]], ids=["one process", "workers"])
def test_a_chain_passes_them_on(chained, tmp_path, run_tool):
    whole = stream([f"a{n}" for n in range(50)], position(0, 50))
    pipeline = f"tel-resolve | tel-validate | tel-convert | tel-persist --store {tmp_path}/store"
    done = run_tool("tel-chain", *chained, pipeline, stdin=whole)
    assert done.returncode == 0, done.stderr
    assert positions.stored(Store(tmp_path / "store")) == {("pings", 0): 50}


def test_of_writers_of_the_same_offsets_one_wins(tmp_path, run_tool):
    """All have read and staged before any may publish."""
    store, writers = tmp_path / "store", []
    for number in range(4):
        command = ["tel-persist", "--store", store]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        writers.append(subprocess.Popen(command, **pipes))
        lines = stream([f"{number}-{n}" for n in range(5 + number)], position(0, 5 + number)).splitlines(True)
        writers[-1].stdin.write(b"".join(lines[:-1]))
        writers[-1].stdin.flush()
        writers[-1].last = lines[-1]
    for writer in writers:
        writer.stdin.write(writer.last)
        writer.stdin.close()
    statuses = [writer.wait(60) for writer in writers]
    for writer in writers:
        writer.stdout.close()
        writer.stderr.close()
    assert sorted(statuses) == [0, 75, 75, 75]
    winner = statuses.index(0)
    assert ids_of(store, run_tool) == [f"{winner}-{n}" for n in range(5 + winner)]
    assert not list((store / ".tel/staging").iterdir())


def test_what_a_dead_writer_put_in_place_is_no_obstacle(persist, tmp_path):
    """One that was killed between placing its files and committing, seen by another when it publishes."""
    assert persist(stream(["z"], position(0, 1))).returncode == 0
    store, whole = tmp_path / "store", stream(["a"], position(1, 2))
    assert persist(whole).returncode == 0
    (record,) = [path for path in (store / ".tel/commits").iterdir() if re.search(r"0002\.json$", path.name)]
    staging = store / ".tel/staging/20260901T000000Z-01234567"
    staging.mkdir()
    record.rename(staging / "commit.json")
    assert persist(whole).returncode == 0
    assert positions.stored(Store(store)) == {("pings", 0): 2}


def test_a_partition_that_the_store_does_not_know_begins_anywhere():
    with pytest.raises(NotWhole, match="goes on at offset 3"):
        positions.demand_next([position(0, 1)], {("pings", 0): 3}, "store")
    positions.demand_next([position(7, 8)], {("pings", 1): 3}, "store")


def test_tel_verify_finds_what_is_in_no_batch_or_in_two(persist, run_tool, tmp_path):
    for first in (0, 5, 10):
        held = position(first, first + 5), position(7, 7, partition=1)
        assert persist(stream([str(first + n) for n in range(5)], *held)).returncode == 0
    whole = run_tool("tel-verify", tmp_path / "store")
    assert (whole.returncode, whole.stdout) == (0, b"")
    _, second, third = sorted((tmp_path / "store/.tel/commits").iterdir())
    text = second.read_text()
    assert text.count('"first":5') == text.count('"records":5,"rejected"') == 1
    second.write_text(
        text.replace('"first":5', '"first":3').replace('"records":5,"rejected"', '"records":7,"rejected"')
    )
    twice = run_tool("tel-verify", tmp_path / "store")
    second.unlink()
    lacking = run_tool("tel-verify", tmp_path / "store")
    reasons = [(second, "3 to 4 are in more than one"), (third, "5 to 9 are in no batch")]
    for done, (path, reason) in zip((twice, lacking), reasons):
        expected = {"path": str(path), "reason": f"of pings/0 the offsets {reason}"}
        assert (done.returncode, json.loads(done.stdout)) == (1, expected), done
    assert run_tool("tel-verify", "--where", "date=20130901", tmp_path / "store").returncode == 0
