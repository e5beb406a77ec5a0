"""Any order and any grouping gives the same bytes; a job can neither spoil its neighbours nor slip past the checks."""

import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import json_values
from tel import answer, arrays, ends, grouping, job, mapreduce
from tel.pairs import key_text, pair_line

PING = b'{"ver":2,"info":{"appUpdateChannel":"beta"}}'

floats = st.floats(-1e18, 1e18) | st.sampled_from([0.1, 0.2, 0.3, -0.1, -0.0, 0.0])
statistics = st.just(-1) | st.integers(-3, 3) | st.integers(-(2**70), 2**70) | floats
rows = st.tuples(st.lists(st.integers(0, 2**70), min_size=2, max_size=2), st.lists(statistics, min_size=5, max_size=5))


def numbered(lines):
    return [(f"line {at}", line) for at, line in enumerate(lines, 1)]


def combined(lines, chosen, memory=1 << 30):
    return list(mapreduce.combined_lines(numbered(lines), chosen, memory))


def reduced(lines, chosen):
    said = mapreduce.reduce(mapreduce.gather(numbered(lines), chosen), chosen)
    return [piece.rstrip(b"\n") for piece in answer.pieces(said, "ndjson")]


def own_job(place, text):
    (place / "own.py").write_text(text)
    return str(place / "own.py")


def histogram_line(counts, statistics, _):
    return pair_line(["beta", "1", "A", 2], counts + statistics)


def measure_line(counts, statistics, build):
    """A line of the job dashboard, of one of a few keys."""
    key = ["beta", "1", "A", "by-build-date", None, "20130801", "r", "a", f"OS {build % 2}", "1", "x", 2]
    return pair_line(key, [counts + statistics, 1 + build, f"2013080{build}", f"revision {build % 3}"])


@pytest.mark.parametrize("name, line", [("histograms", histogram_line), ("dashboard", measure_line)])
@given(
    st.lists(st.tuples(rows, st.integers(1, 9)), max_size=12),
    st.randoms(use_true_random=False),
    st.integers(0, 3),
    st.sampled_from([0, 2000]),
)
@settings(deadline=None)
def test_any_order_and_grouping_gives_the_same_bytes(name, line, rows, chance, times, memory):
    chosen = job.load(name)
    lines = [line(*row, build) for row, build in rows]
    expected = reduced(lines, chosen)
    for _ in range(times):
        chance.shuffle(lines)
        cuts = sorted(chance.randint(0, len(lines)) for _ in range(3))
        parts = [lines[start:end] for start, end in zip([0, *cuts], [*cuts, len(lines)])]
        lines = [line for part in parts for line in combined(part, chosen, memory)]
    assert reduced(lines, chosen) == expected


def test_the_answer_of_a_job_that_adds_up_can_be_reduced_again():
    chosen = job.load("dashboard")
    lines = [measure_line([at, 1], [at, 0.1 * at, 1e16, -1, -1], at % 9) for at in range(40)]
    expected = reduced(lines, chosen)
    for cut in (0, 1, 13, 39):
        assert reduced([*reduced(lines[:cut], chosen), *reduced(lines[cut:], chosen)], chosen) == expected
    assert reduced(expected, chosen) == expected


@given(st.lists(st.lists(statistics, min_size=5, max_size=5), min_size=1, max_size=6))
def test_statistics_are_summed_exactly(rows):
    total = arrays.finish(arrays.add_all([[0, *row] for row in rows]))[1:]
    for column, found in zip(zip(*rows), total):
        present = [value for value in column if value != -1]
        exact = sum(map(Fraction, present))
        if not present:
            assert found == -1
        elif all(isinstance(value, int) for value in present):
            assert found == exact and isinstance(found, int)
        else:
            assert found == pytest.approx(float(exact), rel=1e-15, abs=0)


@given(st.lists(st.tuples(json_values, st.integers(0, 9)), max_size=20), st.integers(0, 400))
@settings(deadline=None)
def test_any_key_is_grouped_and_sorted_by_its_canonical_text(pairs, memory):
    chosen, sums = job.load("count"), {}
    for key, value in pairs:
        sums[key_text(key)] = sums.get(key_text(key), 0) + value
    expected = [b"[%s,%d]" % (key, sums[key]) for key in sorted(sums)]
    lines = [pair_line(key, value) for key, value in pairs]
    assert reduced(lines, chosen) == expected == reduced(combined(lines, chosen, memory), chosen)


def test_keys_that_differ_in_the_order_of_names_are_one():
    assert reduced([b'[{"a":1,"b":2},1]', b'[{"b":2,"a":1},1]'], job.load("count")) == [b'[{"a":1,"b":2},2]']


def test_a_combine_that_makes_nothing_fewer_is_not_called_for_each_value(tmp_path):
    code = (
        "calls = []\ndef map(*all): pass\ndef combine(k, v, c):\n    calls.append(1)\n    for x in v: c.write(k, x)\n"
    )
    chosen = job.load(own_job(tmp_path, code))
    table = grouping.Table(chosen)
    for at in range(10_000):
        table.add("a", at, 10)
    assert list(table.items()) == [("a", list(range(10_000)))] and len(chosen.script.names["calls"]) < 12


def test_a_table_knows_how_much_it_holds(tmp_path):
    few = grouping.Table(job.load("count"), 30_000)
    assert not any(few.add(f"key {at % 3}", 1, 12) for at in range(10_000))
    code = "def map(*all): pass\ndef combine(k, v, c): c.write(k, [x for part in v for x in part])\n"
    growing = grouping.Table(job.load(own_job(tmp_path, code)), 30_000)
    assert any(growing.add("a", [at], 10) for at in range(10_000))


def test_a_job_without_combine_passes_lines_on_as_they_are(tmp_path):
    lines = [b'["a", 1.50]', b'[ "\\u00e9",1e3]']
    assert combined(lines, job.load(own_job(tmp_path, "def map(*all): pass\n"))) == lines


def test_a_list_as_a_key_can_be_a_dictionary_s_key(tmp_path):
    code = "def map(*all): pass\ndef reduce(k, v, c): c.write({k: 1}[k], list(k))\n"
    assert reduced([b'[["a",[1]],1]'], job.load(own_job(tmp_path, code))) == [b'[1,["a",[1]]]']


def test_nothing_of_a_ping_whose_map_failed_is_written(run_tool, tmp_path):
    path = own_job(tmp_path, "def map(k, d, v, c):\n    c.write(k, 1)\n    if k == 'id1': 1 / 0\n")
    lines = b"".join(b"id%d\t%s\n" % (at, PING) for at in range(3))
    done = run_tool("tel-map", "--rejects", tmp_path / "bad", path, stdin=lines)
    assert done.stdout == b'["id0",1]\n["id2",1]\n' + ends.line("tel-map", 2) + b"\n"
    assert json.loads((tmp_path / "bad").read_text())["line"].startswith("id1\t")


def test_a_map_that_changes_its_dimensions_changes_no_other_ping_s(tmp_path):
    chosen, dims = job.load(own_job(tmp_path, "def map(k, d, v, c): c.write(d.pop(), 1)\n")), {"A": "a", "B": "b"}
    assert [chosen.map("id", dims, b"{}") for _ in range(2)] == [[("b", 1)]] * 2


def test_a_job_may_import_its_neighbours_when_it_runs(tmp_path):
    (tmp_path / "own_neighbour.py").write_text("X = 7\n")
    code = "def map(k, d, v, c):\n    import own_neighbour\n    c.write('x', own_neighbour.X)\n"
    assert job.load(own_job(tmp_path, code)).map("id", {}, b"{}") == [("x", 7)]


def test_histograms_that_are_not_in_the_storage_format_are_refused(run_tool):
    ping = b'{"ver":1,"info":{},"histograms":{"A":{"range":[1,2],"values":{},"sum":1}}}'
    for name in ("histograms", "histogram A"):
        done = run_tool("tel-map", name, stdin=b"id\t%s\n" % ping)
        assert done.returncode == 65 and b"standard input:1: the histogram A is not" in done.stderr and not done.stdout


def test_saved_streams_are_files_of_one_manifest(run_tool, tmp_path):
    record = b'{"id":"a","date":"20130902","info":{},"ping":{"ver":2}}\n' + ends.line("tel-cat", 1) + b"\n"
    for name in "ab":
        (tmp_path / name).write_bytes(record)
    (tmp_path / "list").write_text(f"{tmp_path}/a\n{tmp_path}/b\n")
    lines = run_tool("tel-map", "count", tmp_path / "a", tmp_path / "b").stdout
    assert lines.count(b'{"end":') == 1
    assert run_tool("tel-reduce", "--inputs", tmp_path / "list", "count", stdin=lines).stdout == b'["all",2]\n'


def test_standard_input_as_an_operand(run_tool, tmp_path):
    done = run_tool("tel-map", "count", "-", stdin=b"id\t%s\n" % PING)
    assert done.stdout == b'["all",1]\n' + ends.line("tel-map", 1) + b"\n"
    (tmp_path / "list").write_text("")
    assert run_tool("tel-map", "count", "-", tmp_path / "list").returncode == 2
    assert run_tool("tel-map", "--files-from", tmp_path / "list", "count", tmp_path / "list").returncode == 2
