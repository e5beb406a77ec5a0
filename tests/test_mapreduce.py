"""Map, combine and reduce: jobs of all shapes, splits of all kinds, and what is demanded of a stream."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tel import arrays, ends, job, jsonl, manifest, mapreduce
from tel.errors import BadData, NotWhole, UsageError
from tel.pairs import pair_line

keys = st.lists(st.sampled_from(["a", "b", "é", 1, None]), max_size=2)
counts = st.integers(0, 2**70)
absent_or = st.just(-1) | st.integers(0, 2**70)
histograms = st.tuples(st.tuples(counts, counts, counts), st.tuples(*[absent_or] * 5)).map(
    lambda pair: [*pair[0], *pair[1]]
)


def placed(pairs):
    return [("test:1", pair_line(key, value)) for key, value in pairs]


def reduced(pairs, spec):
    return list(mapreduce.reduce(mapreduce.gather(placed(pairs), spec), spec))


@given(st.lists(st.tuples(keys, histograms), max_size=40), st.lists(st.integers(0, 3), max_size=40), st.integers(1, 3))
@settings(deadline=None)
def test_combining_any_split_any_number_of_times_changes_nothing(pairs, hosts, times):
    spec = job.load("histograms")
    for memory in (1, 1 << 20):
        streams = (
            [[pair for pair, host in zip(pairs, hosts * 40) if host == number] for number in range(4)]
            if hosts
            else [pairs]
        )
        for _ in range(times):
            streams = [list(mapreduce.combine(placed(stream), spec, memory)) for stream in streams]
        assert reduced([pair for stream in streams for pair in stream], spec) == reduced(pairs, spec)


@given(st.lists(histograms, min_size=1, max_size=6))
def test_arrays_add_up_exactly(rows):
    total = arrays.add_all(rows)
    assert total[:3] == [sum(row[at] for row in rows) for at in range(3)]
    for at in range(3, 8):
        present = [row[at] for row in rows if row[at] != -1]
        assert total[at] == (sum(present) if present else -1)


def test_arrays_of_different_lengths_are_never_added():
    with pytest.raises(ValueError):
        arrays.add([1, 2, -1, -1, -1, -1, -1], [1, -1, -1, -1, -1, -1])


JOB = """
import json

def map(key, dims, value, context):
    ping = json.loads(value)
    context.write((dims[2], ping["info"]["OS"]), 1)

def setup_reduce(context):
    context.field_separator = "\\t"

def reduce(key, values, context):
    context.write(key, sum(values))
    context.writecsv(list(key) + [sum(values)])
"""
LINES = b'id1\t{"ver":2,"info":{"OS":"Linux","appUpdateChannel":"beta"}}\nid2\t{"ver":2,"info":{"OS":"Linux","appUpdateChannel":"beta"}}\n'


@pytest.fixture
def place(tmp_path):
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "lines").write_bytes(LINES)
    (tmp_path / "files").write_text(f"{tmp_path}/lines\n")
    return tmp_path


def test_a_job_file_runs_from_map_to_reduce(place, run_tool):
    mapped = run_tool("tel-map", f"{place}/job.py", stdin=LINES)
    assert mapped.stdout.splitlines()[:2] == [b'[["beta","Linux"],1]'] * 2 and ends.parse(mapped.stdout.splitlines()[2])
    combined = run_tool("tel-combine", f"{place}/job.py", stdin=mapped.stdout)
    done = run_tool("tel-reduce", f"{place}/job.py", stdin=combined.stdout)
    assert done.stdout == b"beta\tLinux\t2\nbeta,Linux,2\n"
    done = run_tool("tel-reduce", "--format", "ndjson", f"{place}/job.py", stdin=combined.stdout)
    assert done.stdout == b'[["beta","Linux"],2]\nbeta,Linux,2\n'


def test_a_job_of_dimensions_only(place, run_tool):
    (place / "dims.py").write_text("def map(key, dims, value, context):\n    context.write(dims, 1)\n")
    done = run_tool("tel-map", "--tab", f"{place}/dims.py", stdin=LINES)
    assert done.stdout == b'["UNKNOWN","UNKNOWN","beta","UNKNOWN","UNKNOWN","UNKNOWN"]\t1\n' * 2


@pytest.mark.parametrize(
    "code, status, said",
    [
        ("def map(key, dims, value, context):\n    return 1 / 0\n", 65, b"job.py:2: ZeroDivisionError"),
        ("def map(key, dims, value, context):\n    context.write({1: float('nan')}, 1)\n", 65, b"JSON"),
        ("def map(:\n", 2, b"job.py:1: SyntaxError"),
        ("x = 1\n", 2, b"no map function"),
    ],
)
def test_a_job_that_is_wrong_says_where(code, status, said, place, run_tool):
    (place / "job.py").write_text(code)
    done = run_tool("tel-map", f"{place}/job.py", stdin=LINES)
    assert done.returncode == status and said in done.stderr and done.stdout == b"", done


def test_jobs_are_named_by_word_or_path(place, run_tool):
    assert run_tool("tel-map", "nothing", stdin=LINES).returncode == 2
    assert run_tool("tel-map", "../count", stdin=LINES).returncode == 66
    assert run_tool("tel-map", "histogram", stdin=LINES).returncode == 2
    with pytest.raises(UsageError):
        job.load("")


def test_a_combine_must_keep_its_key(place):
    (place / "job.py").write_text(
        "def map(k, d, v, c): pass\ndef combine(key, values, context): context.write('other', 1)\n"
    )
    with pytest.raises(BadData):
        list(mapreduce.combine(placed([("a", 1)] * 100), job.load(f"{place}/job.py"), 1 << 20))


@pytest.mark.parametrize("line", [b"{", b'"a"', b"[1]", b"[1,2,3]", b'{"a":1}'])
def test_a_line_that_is_no_pair_is_bad_data(line, run_tool):
    for tool in ("tel-combine", "tel-reduce"):
        done = run_tool(tool, "count", stdin=b'["a",1]\n' + line + b"\n")
        assert done.returncode == 65 and b"standard input:2" in done.stderr


def test_answers_come_in_three_forms_sorted_by_key(place, run_tool):
    (place / "job.py").write_text("def map(key, dims, value, context): pass\n")
    stream = b'[["a\\t,\\"",1],{"x":[1,null]}]\n["b",2.5]\n' + ends.line("t", 2) + b"\n"
    forms = {
        "ndjson": b'["b",2.5]\n[["a\\t,\\"",1],{"x":[1,null]}]\n',
        "tsv": b'b\t2.5\na\\t,"\t1\t{"x":[1,null]}\n',
        "csv": b'b,2.5\n"a\t,""",1,"{""x"":[1,null]}"\n',
    }
    for form, expected in forms.items():
        assert run_tool("tel-reduce", "--format", form, place / "job.py", stdin=stream).stdout == expected, form
    assert run_tool("tel-reduce", "--format", "xml", "count", stdin=stream).returncode == 2


def test_a_stream_without_its_end_is_no_answer(run_tool):
    for stream in (b"", b'["all",1]\n', b'["all",1]\n' + ends.line("t", 2) + b"\n"):
        done = run_tool("tel-reduce", "count", stdin=stream)
        assert done.returncode == 75 and done.stdout == b"" and b"not whole" in done.stderr
        assert run_tool("tel-reduce", "--partial", "count", stdin=stream).returncode == 0
        assert b'"end"' not in run_tool("tel-combine", "count", stdin=stream).stdout


def test_the_number_of_streams_can_be_demanded(run_tool):
    stream = (b'["all",1]\n' + ends.line("t", 1) + b"\n") * 2
    assert run_tool("tel-reduce", "--expect", "2", "count", stdin=stream).stdout == b'["all",2]\n'
    done = run_tool("tel-reduce", "--expect", "3", "count", stdin=stream)
    assert done.returncode == 75 and done.stdout == b"" and b"--expect 3" in done.stderr


def test_exactly_the_files_of_a_list_are_demanded(place, run_tool):
    (place / "more").write_bytes(LINES)
    mapped = {name: run_tool("tel-map", "count", place / name).stdout for name in ("lines", "more")}
    both = run_tool("tel-combine", "count", stdin=mapped["lines"] + mapped["more"]).stdout
    (place / "both").write_text(f"{place}/more\n{place}/lines\n")
    assert run_tool("tel-reduce", "--inputs", place / "both", "count", stdin=both).stdout == b'["all",4]\n'
    for stream in (mapped["lines"], mapped["lines"] * 2, mapped["lines"] * 3, both + mapped["more"]):
        for tool in ("tel-reduce", "tel-combine"):
            done = run_tool(tool, "--inputs", place / "both", "count", stdin=stream)
            assert done.returncode == 75 and b'"end"' not in done.stdout
        assert run_tool("tel-reduce", "--inputs", place / "both", "count", stdin=stream).stdout == b""


def test_an_empty_list_is_an_empty_answer(place, run_tool):
    (place / "none").write_text("")
    assert run_tool("tel-reduce", "--inputs", place / "none", "count").returncode == 0
    mapped = run_tool("tel-map", "--files-from", place / "none", "count")
    assert mapped.returncode == 0 and ends.parse(mapped.stdout.strip())["files"] == 0
    done = run_tool("tel-reduce", "--inputs", place / "none", "count", stdin=mapped.stdout)
    assert done.returncode == 0 and done.stdout == b""


def test_a_file_that_cannot_be_mapped_ends_the_stream_without_its_end(place, run_tool):
    done = run_tool("tel-map", "count", place / "lines", place / "missing")
    assert done.returncode == 66 and b'"end"' not in done.stdout and b"missing" in done.stderr


def test_manifests_do_not_depend_on_order():
    names = [f"file{number}" for number in range(50)]
    whole = manifest.Manifest.of(names)
    fields = []
    for part in (names[30:], names[:30]):
        fields.append({"tool": "t", "records": 0, **manifest.Manifest.of(part).fields()})
    manifest.Manifest.heard(fields).demand(whole)
    with pytest.raises(NotWhole):
        manifest.Manifest.of(names[1:] + names[1:2]).demand(whole)


def test_records_and_their_dimensions_are_mapped(run_tool):
    record = {
        "id": "a",
        "date": "20130901",
        "info": {"appUpdateChannel": "beta"},
        "ping": {"ver": 2, "info": {"OS": "Linux"}},
    }
    stream = jsonl.dumps(record) + b"\n"
    done = run_tool("tel-map", "count appUpdateChannel submission_date", stdin=stream + ends.line("t", 1) + b"\n")
    assert json.loads(done.stdout.splitlines()[0]) == [["beta", "20130901"], 1] and ends.parse(
        done.stdout.splitlines()[1]
    )
    assert b'"end"' not in run_tool("tel-map", "count", stdin=stream).stdout


def test_bad_lines_are_rejected(place, run_tool):
    done = run_tool("tel-map", "--rejects", place / "bad", "count", stdin=LINES + b"no tab\nid\tnot json\n")
    kinds = [json.loads(line)["error_type"] for line in (place / "bad").read_text().splitlines()]
    assert done.returncode == 0 and kinds == ["not_stored", "not_json"]
    assert len(done.stdout.splitlines()) == 3
