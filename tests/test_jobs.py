"""Jobs of both forms: those of the original framework's shapes, the short form, the built-in ones, and rehearsals."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tools
from tel import ends, percentiles, values
from tel.pairs import key_text

PING = '{"ver":2,"info":{"OS":"%s","arch":"x86"},"simpleMeasurements":{"uptime":%d},"histograms":{"FLAG":%s,"ENUM":%s}}'
SYSTEMS = ("Linux", "WINNT", "Darwin, 64")


def ping(n):
    flag = [n % 2, 1 - n % 2, 0, 1, -1, -1, 0, 0]
    enum = [n % 3, 0, n % 2, 0, 2, -1, -1, 0, 0]
    return PING % (SYSTEMS[n % 3], n * 10, json.dumps(flag).replace(" ", ""), json.dumps(enum).replace(" ", ""))


PINGS = [ping(n) for n in range(60)]
LINES = b"".join(b"id%d\t%s\n" % (n, text.encode()) for n, text in enumerate(PINGS))


@pytest.fixture
def answer(run_tool, tmp_path):
    """The answer of a job's code, or of a built-in one, to some lines, through all three tools."""

    def run(code, lines=LINES, words="", options=(), status=0):
        name = code
        if "def map" in code:
            (tmp_path / "job.py").write_text(code)
            name = f"{tmp_path}/job.py"
        stream = lines
        for tool, more in (("tel-map", ()), ("tel-combine", ()), ("tel-reduce", options)):
            done = run_tool(tool, *more, f"{name} {words}", stdin=stream)
            if done.returncode:
                break
            stream = done.stdout
        assert done.returncode == status, done.stderr
        return done.stdout if not status else done.stderr

    return run


def counted(keys):
    found = {}
    for key in keys:
        found[key] = found.get(key, 0) + 1
    return found


# The shapes in which jobs were written for the original framework.
COUNT_IDS = """
def map(k, d, v, cx):
    cx.write(k[0:3], 1)

def reduce(k, v, cx):
    cx.write(k, sum([int(i) for i in v]))
"""
DIMENSIONS_ONLY = """
def map(key, dims, value, context):
    context.write(dims[-1], 1)

def reduce(key, values, context):
    context.write(key, sum(values))
"""
BY_SYSTEM = """
import json

def map(k, d, v, cx):
    cx.write(json.loads(v)['info']['OS'], 1)

def setup_reduce(cx):
    cx.field_separator = ','

def reduce(k, v, cx):
    cx.write(k, sum(v))

combine = reduce
"""
DISTRIBUTION = """
import json

wanted = [("FLAG", 3), ("ENUM", 4), ("ABSENT", 2)]

def map(k, d, v, cx):
    histograms = json.loads(v).get("histograms", {})
    counts = ()
    for name, buckets in wanted:
        counts += tuple(histograms[name][0:buckets]) if name in histograms else (0,) * buckets
    cx.write(counts, 1)

def reduce(k, v, cx):
    cx.writecsv(list(k) + [sum(v)])
"""


def test_a_count_of_ids(answer):
    expected = counted(f"id{n}"[:3] for n in range(60))
    assert answer(COUNT_IDS) == b"".join(b'["%s",%d]\n' % (k.encode(), expected[k]) for k in sorted(expected))


def test_dimensions_alone(answer):
    assert answer(DIMENSIONS_ONLY) == b'["UNKNOWN",60]\n'


def test_systems_with_separators_of_its_own(answer):
    assert answer(BY_SYSTEM) == b"Darwin, 64,20\nLinux,20\nWINNT,20\n"
    assert answer(BY_SYSTEM, options=("--format", "csv")) == b'"Darwin, 64",20\nLinux,20\nWINNT,20\n'
    ending = BY_SYSTEM.replace("cx.field_separator = ','", "cx.record_separator = ';'")
    assert answer(ending) == b"Darwin, 64\t20;Linux\t20;WINNT\t20;"


def test_a_distribution_as_rows(answer):
    expected = counted((n % 2, 1 - n % 2, 0, n % 3, 0, n % 2, 0, 0, 0) for n in range(60))
    rows = {",".join(map(str, (*key, count))) for key, count in expected.items()}
    found = answer(DISTRIBUTION).decode().splitlines()
    assert set(found) == rows and len(found) == len(rows)


def test_rows_are_quoted_and_lines_stand_as_they_are(answer):
    code = (
        "def map(k, d, v, c): c.write('a', 1)\n"
        "def setup_reduce(c): c.record_separator = '\\r\\n'\n"
        "def reduce(k, v, c):\n    c.writecsv(['a,b', 'q\"', None, 1.5])\n    c.writeline('x\\ty')\n"
    )
    assert answer(code) == b'"a,b","q""",,1.5\nx\ty\r\n'


def test_a_map_writes_no_text(answer):
    said = answer("def map(k, d, v, c): c.writecsv([1])\n", status=65)
    assert b"job.py:1: TypeError: only a reduce writes text" in said


def test_a_job_of_map_alone(answer):
    assert answer("def map(k, d, v, c):\n    if k == 'id7': c.write(k, len(v))\n") == b'["id7",%d]\n' % len(PINGS[7])


# The short form.
def test_the_short_form(answer):
    code = (
        "VALUES = 'columns'\n"
        "def map(ping):\n    yield ping['info']['OS'], [1, ping['simpleMeasurements']['uptime'] / 4]\n"
        "def reduce(key, value):\n    pings, total = value\n    yield [key, pings], total / pings\n"
    )
    means = {system: sum(n * 2.5 for n in range(60) if SYSTEMS[n % 3] == system) / 20 for system in SYSTEMS}
    found = [json.loads(line) for line in answer(code).splitlines()]
    assert found == [[[system, 20], means[system]] for system in sorted(SYSTEMS)]


def test_the_short_form_without_values_hands_on_pairs(answer):
    code = "def map(ping):\n    if ping.id == 'id1':\n        yield ping.id, sorted(ping.dims)\n        yield ping.id, ping.get('no')\n"
    rows = [json.loads(line) for line in answer(code).splitlines()]
    assert [row[1] for row in rows] == [sorted(tools_names()), None]
    reducing = code + "def reduce(key, values):\n    yield key, len(values)\n"
    assert answer(reducing) == b'["id1",2]\n'


def tools_names():
    return ["reason", "appName", "appUpdateChannel", "appVersion", "appBuildID", "submission_date"]


def test_a_function_as_values_and_what_is_kept_back(answer):
    code = (
        "kept = []\nVALUES = lambda values: sorted(sum(values, []))[-2:]\n"
        "def map(ping):\n    kept.append(ping['simpleMeasurements']['uptime'])\n    return ()\n"
        "def finish_map():\n    yield 'most', kept[:30]\n    yield 'most', kept[30:]\n"
    )
    assert answer(code) == b'["most",[580,590]]\n'


@pytest.mark.parametrize(
    "code, said",
    [
        ("VALUES = 'sums'\ndef map(ping): yield 1, 1\n", b"VALUES of a job is"),
        ("READS = 'all'\ndef map(ping): yield 1, 1\n", b"READS of a job is"),
        ("DEFAULTS = {'by': ''}\ndef map(ping): yield 1, 1\n", b"the job has no parameter x; it has by"),
        ("def setup(context): int('x')\ndef map(ping): yield 1, 1\n", b"job.py:1: ValueError"),
        ("def setup(context): context.write(1, 1)\ndef map(k, d, v, c): pass\n", b"the job's setup writes"),
        ("PARAMETERS = 5\ndef map(ping): yield 1, 1\n", b"PARAMETERS of a job is a list of names"),
        ("PARAMETERS = ['a', 'b']\ndef map(ping): yield 1, 1\n", b"the job needs words behind its name"),
        ("DEFAULTS = ['x']\ndef map(ping): yield 1, 1\n", b"DEFAULTS of a job is a dict"),
        ("VALUES = ['sum']\ndef map(ping): yield 1, 1\n", b"VALUES of a job is"),
        ("VALUES = 'sum'\ndef map(k, d, v, c): pass\n", b"VALUES is for the short form"),
        ("def combine(k, v, c): pass\ndef map(ping): yield 1, 1\n", b"combine is for the full form"),
        ("def map(a, b): yield 1, 1\n", b"the job's map takes 2 arguments"),
    ],
)
def test_what_is_wrong_with_a_job_is_said_at_once(code, said, answer):
    assert said in answer(code, words="x=1", status=2)


@pytest.mark.parametrize(
    "code, said",
    [
        ("def map(ping): yield 1\n", b"a pair (key, value) is to be yielded, not 1"),
        ("def map(ping): yield 'de'\n", b"is to be yielded, not 'de'"),
        ("def map(ping): return 'Linux', 1\n", b"is to be yielded, not 'Linux'"),
        ("VALUES='sum'\ndef map(ping): yield 'a', [1.5, 2]\n", b"VALUES sum wants a number, not [1.5, 2]"),
        ("VALUES='union'\ndef map(ping): yield 'a', 'b'\n", b"VALUES union wants a list, not 'b'"),
        ("VALUES='columns'\ndef map(ping): yield 'a', [[1.5], 2]\n", b"VALUES columns wants a list of numbers"),
        ("class Own(BaseException): pass\ndef map(k, d, v, c): raise Own\n", b"job.py:2: Own"),
        ("def map(k, d, v, c):\n    for _ in range(2000): k = [k]\n    c.write(k, 1)\n", b"nested too deeply"),
        ("def map(k, d, v, c): c.write(k, 1)\ndef reduce(k, v, c): c.writeline('\\ud800')\n", b"UnicodeEncodeError"),
        ("def map(k, d, v, c): c.write(k, 1)\ndef setup_reduce(c): c.field_separator = 5\n", b"no strings: (5,"),
    ],
)
def test_what_a_job_may_not_write(code, said, answer):
    assert said in answer(code, status=65)


def test_what_one_ping_s_map_does_to_its_dimensions_is_seen_by_no_other(answer):
    code = "VALUES = 'sum'\ndef map(ping):\n    ping.dims['reason'] += 'x'\n    yield ping.dims['reason'], 1\n"
    assert answer(code) == b'["UNKNOWNx",60]\n'


def test_what_setup_makes_of_parameters_is_seen_by_reduce(answer):
    code = (
        "def setup(c): c.params['n'] = int(c.params['n'])\ndef map(k, d, v, c): c.write('a', c.params['n'])\n"
        "def reduce(k, v, c): c.write(k, [c.params['n'], sum(v)])\n"
    )
    assert answer(code, words="n=3") == b'["a",[3,180]]\n'


def test_sums_of_large_integers_and_floats_are_rounded_once(answer):
    code = "VALUES = 'sum'\ndef map(ping):\n    yield 'a', 9007199254740993\n    yield 'a', 0.5\n"
    assert answer(code, LINES[: LINES.index(b"\n") + 1]) == b'["a",9007199254740994.0]\n'


def test_percentiles_do_not_slip_into_the_next_bucket(run_tool):
    lines = b'[["X",[[0,1,2,1000],true]],[7,0,0,93,-1,-1,-1,-1,-1]]\n'
    done = run_tool("tel-reduce", "--partial", "percentiles X p=7,7.1 by=", stdin=lines)
    assert json.loads(done.stdout)[1] == {"count": 100, "7": 1.0, "7.1": 1000.0}


def test_a_name_that_is_written_with_escapes_is_found(answer):
    line = b'a\t{"ver":2,"info":{},"histograms":{"\\u0041":[1,0,1,-1,-1,-1,-1]}}\n'
    assert answer("histogram", line, "A by=") == b'[["A",2],[1,0,1,-1,-1,-1,-1]]\n'


@pytest.mark.parametrize(
    "words",
    ["histogram A os", "os-count channel", "duplicates x", "histogram A keyed=true", "distribution os step=0"],
)
def test_words_that_a_built_in_job_does_not_take_are_refused(words, run_tool):
    assert run_tool("tel-map", words, stdin=LINES).returncode == 2


@pytest.mark.parametrize("words", ["histograms", "histogram A"])
def test_a_payload_that_is_no_object_is_refused(words, run_tool):
    done = run_tool("tel-map", words, stdin=b'a\t{"version":5,"x":"\\\\","payload":[{"A":1}]}\n')
    assert done.returncode == 65 and b"payload" in done.stderr and b"failed" not in done.stderr, done.stderr


numbers = st.lists(st.integers(-(2**60), 2**60) | st.floats(-1e300, 1e300), min_size=1, max_size=12)


@given(numbers, st.randoms())
def test_values_become_one_in_any_grouping(numbers, chance):
    for name, made in (
        ("sum", lambda x: x),
        ("columns", lambda x: [x, 1]),
        ("max", lambda x: x),
        ("union", lambda x: [x]),
    ):
        plus, finish, *_ = values.MONOIDS[name]
        parts = list(map(made, numbers))
        expected = key_text(finish(plus(parts)))
        while len(parts) > 1:
            chance.shuffle(parts)
            cut = chance.randint(1, len(parts))
            parts = [json.loads(key_text(plus(parts[:cut]))), *parts[cut:]]
        assert key_text(finish(plus(parts))) == expected


# What built-in jobs say.
def test_count_by_any_field(answer):
    assert b"the job has no parameter by; it has none" in answer("count", words="by=os", status=2)
    assert answer("count") == b'["all",60]\n'
    found = [json.loads(line) for line in answer("count", words="os arch .simpleMeasurements.uptime").splitlines()]
    assert [[row[0][0], row[0][2]] for row in found] == sorted(
        ([SYSTEMS[n % 3], n * 10] for n in range(60)), key=lambda row: key_text([row[0], "x86", row[1]])
    )
    assert b"no field 'nope'" in answer("count", words="nope", status=2)


def test_distribution(answer):
    found = [
        json.loads(line)
        for line in answer("distribution", words=".simpleMeasurements.uptime step=100 by=os").splitlines()
    ]
    expected = counted((SYSTEMS[n % 3], n * 10 // 100 * 100) for n in range(60))
    assert {tuple(key): count for key, count in found} == expected
    assert b"job.py" not in answer("distribution", words=".a step=x", status=2)


def test_histogram_by_chosen_fields(answer):
    found = dict((tuple(k), v) for k, v in map(json.loads, answer("histogram", words="ENUM by=os").splitlines()))
    for system in SYSTEMS:
        ours = [json.loads(text)["histograms"]["ENUM"] for text in PINGS if f'"{system}"' in text]
        expected = [sum(column) for column in zip(*ours)]
        expected[5:7] = -1, -1
        assert found[(system, "ENUM", 4)] == expected
    assert set(found) == {(system, "ENUM", 4) for system in SYSTEMS}


def test_all_histograms_by_chosen_fields(answer):
    rows = [json.loads(line)[0] for line in answer("histograms", words="by=os,arch").splitlines()]
    assert rows == [[os, "x86", name, n] for os in sorted(SYSTEMS) for name, n in (("ENUM", 4), ("FLAG", 3))]


def test_histograms_of_processes_and_keys(answer):
    array = "[1,0,2,-1,-1,-1,-1]"
    unified = (
        '{"version":5,"payload":{"histograms":{},"keyedHistograms":{"K":{"a":%s,"b":%s}},"processes":{"content":'
        '{"histograms":{"A":%s},"keyedHistograms":{"K":{"a":%s}}}}}}' % ((array,) * 4)
    )
    lines = b"".join(b"u%d\t%s\n" % (n, unified.encode()) for n in range(3))
    summed = [3, 0, 6, -1, -1, -1, -1]

    def said(words):
        return list(map(json.loads, answer("histogram", lines, words).splitlines()))

    assert said("A by=") == []
    assert said("A by= process=content") == [[["A", 2], summed]]
    assert said("K by= keyed=yes") == [[["K", "a", 2], summed], [["K", "b", 2], summed]]
    assert said("K by= keyed=yes process=content") == [[["K", "a", 2], summed]]


def test_rejects_are_counted_by_reason(answer):
    lines = b"".join(
        b'{"tool":"tel-validate","error_type":"%s","name":"%s"}\n' % pair
        for pair in [(b"bad_sum", b"A"), (b"bad_sum", b"A"), (b"bad_range", b"B")]
    )
    assert answer("rejects", lines) == (b'[["tel-validate","bad_range","B"],1]\n[["tel-validate","bad_sum","A"],2]\n')
    assert answer("rejects", lines, "error_type") == b'[["bad_range"],1]\n[["bad_sum"],2]\n'


def test_duplicates(answer):
    assert answer("duplicates", LINES + LINES[: LINES.index(b"\n") + 1]) == b'["id0",2]\n'


def test_percentiles_of_stored_histograms(run_tool, tmp_path, monkeypatch):
    monkeypatch.setenv("TEL_HISTOGRAMS", str(tmp_path / "h"))
    assert run_tool("tel-sample", "--definitions", tmp_path / "h").returncode == 0
    tools.store_sampled(run_tool, tmp_path, tmp_path / "store", 40)
    files = run_tool("tel-ls", tmp_path / "store").stdout
    job = "percentiles HTTP_PAGE_CONNECT_TIME_MS by=channel p=50,95"
    mapped = run_tool("tel-map", "--files-from", "-", job, stdin=files)
    lines = run_tool("tel-reduce", job, stdin=mapped.stdout).stdout.splitlines()
    assert len(lines) > 1, mapped.stderr
    bounds = {}
    for line in mapped.stdout.splitlines()[:-1]:
        key, array = json.loads(line)
        counts = bounds.setdefault(tuple(key[2][0]), {}).setdefault(key[0], [0] * len(key[2][0]))
        counts[:] = [a + b for a, b in zip(counts, array)]
    for line in lines:
        (channel, name, n), found = json.loads(line)
        (lower,) = [lower for lower in bounds if len(lower) == n]
        assert found["count"] == sum(bounds[lower][channel])
        for percent in ("50", "95"):
            assert found[percent] == pytest.approx(slowly(lower, bounds[lower][channel], int(percent)))
    stray = run_tool(
        "tel-map", job, stdin=b'a\t{"ver":2,"info":{},"histograms":{"HTTP_PAGE_CONNECT_TIME_MS":[1,-1,-1,-1,-1,-1]}}\n'
    )
    assert stray.returncode == 65 and b"no definition of HTTP_PAGE_CONNECT_TIME_MS with 1 buckets" in stray.stderr


def slowly(bounds, counts, percent):
    """A percentile by walking through every value, each at its place within its bucket."""
    total, at, below = sum(counts) * percent / 100, 0, 0
    while below + counts[at] < total or not counts[at]:
        below += counts[at]
        at += 1
    width = bounds[at + 1] - bounds[at] if at + 1 < len(bounds) else 0
    return bounds[at] + width * (total - below) / counts[at]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.floats(0, 1))
def test_percentiles_rise_and_stay_within_the_bounds(counts, share):
    bounds = tuple(range(len(counts)))
    low, high = percentiles.of(bounds, counts, (share / 2, share))
    assert (low is None) == (sum(counts) == 0)
    assert low is None or bounds[0] <= low[0] <= high[0] <= bounds[-1]


# Parameters, failures that are left out, rehearsals, and lines with tabs.
def test_parameters_have_names(run_tool, tmp_path):
    job = tmp_path / "job.py"
    job.write_text(
        "DEFAULTS = {'by': 'x', 'of': 'y'}\n"
        "def map(k, d, v, c): c.write([c.parameters, c.params['by'], c.params['of']], 1)\n"
        "def combine(k, v, c): c.write(k, sum(v))\ndef reduce(k, v, c): c.write([c.params['of'], *k], sum(v))\n"
    )
    words = ("--param", "by=a b=c")
    mapped = run_tool("tel-map", *words, f"{job} word of=z", stdin=LINES)
    combined = run_tool("tel-combine", *words, f"{job} word of=z", stdin=mapped.stdout)
    done = run_tool("tel-reduce", *words, "--param=of=q", f"{job} word of=z", stdin=combined.stdout)
    assert done.stdout == b'[["q",["word"],"a b=c","z"],60]\n', done.stderr
    for wrong in ("by", "=x", "1=x"):
        done = run_tool("tel-map", "--param", wrong, job, stdin=LINES)
        assert done.returncode == 2 and b"--param takes NAME=VALUE" in done.stderr


FAILING = "def map(k, d, v, c):\n    if int(k[2:]) % 10 == 3: raise KeyError('OS')\n    c.write('a', 1)\n"


@pytest.mark.parametrize("allowed, status", [("6", 0), ("5", 65), ("10%", 0), ("9.9%", 65), ("0", 65), ("100%", 0)])
def test_some_failures_of_a_job_are_left_out(allowed, status, run_tool, tmp_path):
    (tmp_path / "job.py").write_text(FAILING + "def reduce(k, v, c): c.write(k, sum(v))\n")
    (tmp_path / "lines").write_bytes(LINES)
    for source in ([tmp_path / "lines"], []):
        done = run_tool("tel-map", "--skip-errors", allowed, tmp_path / "job.py", *source, stdin=LINES)
        assert done.returncode == status and b"job.py:2: KeyError: 'OS'" in done.stderr, done.stderr
        if status:
            assert b'"end"' not in done.stdout and f"--skip-errors allows {allowed}".encode() in done.stderr
            continue
        assert ends.parse(done.stdout.splitlines()[-1])["skipped"] == 6 and done.stderr.count(b"KeyError") == 1
        combined = run_tool("tel-combine", "count", stdin=done.stdout * 2)
        said = run_tool("tel-reduce", tmp_path / "job.py", stdin=combined.stdout)
        assert said.stdout == b'["a",108]\n' and b"the job failed on 12 pings, which are left out" in said.stderr


def test_what_is_no_failure_of_the_job_is_not_left_out(run_tool, tmp_path):
    (tmp_path / "job.py").write_text(FAILING)
    done = run_tool("tel-map", "--skip-errors", "100%", tmp_path / "job.py", stdin=LINES + b"no tab\n")
    assert done.returncode == 65 and b"neither a stored line" in done.stderr
    words = ("--skip-errors", "100%", "--rejects", tmp_path / "bad", tmp_path / "job.py")
    done = run_tool("tel-map", *words, stdin=LINES + b"no tab\n")
    kinds = [json.loads(line)["error_type"] for line in (tmp_path / "bad").read_text().splitlines()]
    assert done.returncode == 0 and kinds == ["job_failed"] * 6 + ["not_stored"]
    assert run_tool("tel-map", "--skip-errors", "x", "count", stdin=LINES).returncode == 2


GOOD = "import json\ndef map(k, d, v, c): c.write(json.loads(v)['info']['OS'], 1)\ndef combine(k, v, c): c.write(k, sum(v))\nreduce = combine\n"
MEAN = "VALUES = lambda values: sum(values) / len(values)\ndef map(ping): yield 'a', ping['simpleMeasurements']['uptime']\n"
FAULTS = {
    "is another one if some values are combined first": MEAN,
    "the answer depends on the order": GOOD.replace(
        "reduce = combine", "def reduce(k, v, c): c.write(k, v[0])"
    ).replace("], 1)", "], k)"),
    "if some values are combined first": GOOD.replace("c.write(k, sum(v))", "c.write(k, len(v))"),
    "the map writes another thing": "n = []\n" + GOOD.replace(", 1)", ", n.append(1) or len(n))"),
    "the map writes nothing for any of 60 pings": "def map(ping): return ()\n",
    "what JSON cannot say": GOOD.replace(", 1)", ", {1, 2})"),
    "KeyError: 'no'": GOOD.replace("'OS'", "'no'"),
    "the combine writes another key": GOOD.replace("c.write(k, sum(v))", "c.write('x', sum(v))"),
    "job.py:5: NameError": GOOD.replace("reduce = combine", "def setup_reduce(c):\n    no_such"),
}


@pytest.mark.parametrize("said", FAULTS)
def test_a_rehearsal_finds_what_would_spoil_an_answer(said, run_tool, tmp_path):
    (tmp_path / "job.py").write_text(FAULTS[said])
    done = run_tool("tel-map", "--check", tmp_path / "job.py", stdin=LINES)
    assert done.returncode == 1 and said in done.stdout.decode() and b"faults found" in done.stdout, done
    assert len(done.stdout.splitlines()) <= 4
    done = run_tool("tel-map", "--check", tmp_path / "job.py", stdin=b"" + ends.line("t", 0) + b"\n")
    assert done.returncode == 1


@pytest.mark.parametrize(
    "job", [GOOD, "count os", "histogram FLAG", "histograms", "duplicates", "distribution .info.OS"]
)
def test_a_rehearsal_finds_no_fault_with_a_good_job(job, run_tool, tmp_path):
    (tmp_path / "job.py").write_text(job)
    name = tmp_path / "job.py" if "def" in job else job
    (tmp_path / "lines").write_bytes(LINES * 40)
    done = run_tool("tel-map", "--check", name, tmp_path / "lines")
    assert done.returncode == 0 and done.stdout.startswith(b"1000 pings") and done.stdout.endswith(b"no faults found\n")


def test_lines_with_tabs_go_through_all_three_tools(run_tool, tmp_path):
    job = tmp_path / "job.py"
    keys = ["a", "1", "true", "", "é", "a\tb", '"q"', 1, True, None, ["a", 1], {"b": 1}, "null", "-", "["]
    job.write_text(f"def map(k, d, v, c): c.write({keys!r}[int(k[2:]) % {len(keys)}], 1)\n" + GOOD.split("\n", 2)[2])
    mapped = run_tool("tel-map", "--tab", job, stdin=LINES).stdout
    lines = mapped.splitlines(keepends=True)
    random.Random(1).shuffle(lines)
    combined = run_tool("tel-combine", "--tab", job, stdin=b"".join(lines)).stdout
    assert len(combined.splitlines()) == len(keys) and b'"end"' not in combined
    found = run_tool("tel-reduce", "--tab", job, stdin=combined)
    assert [json.loads(line)[1] for line in found.stdout.splitlines()] == [4] * len(keys), found.stderr
    assert sorted(key_text(json.loads(line)[0]) for line in found.stdout.splitlines()) == sorted(map(key_text, keys))
    for tool in ("tel-combine", "tel-reduce"):
        assert run_tool(tool, "--tab", job, stdin=b'["a",1]\n').returncode == 65
        assert run_tool(tool, "--tab", "--inputs", job, job).returncode == 2


def test_an_answer_without_a_host_names_it_in_every_form(run_tool):
    stream = b'["a",1]\n' + ends.line("t", 1) + b"\n" + ends.line("t", 0, {"missing": ["old7", 'a "b"']}) + b"\n"
    combined = run_tool("tel-combine", "count", stdin=stream).stdout
    forms = {
        "ndjson": b'["a",1]\n{"missing":["old7","a \\"b\\""]}\n',
        "tsv": b'a\t1\n#missing\told7\ta "b"\n',
        "csv": b'a,1\n#missing,old7,"a ""b"""\n',
    }
    for form, expected in forms.items():
        done = run_tool("tel-reduce", "--format", form, "count", stdin=combined)
        assert done.stdout == expected and b"old7 is missing from the answer" in done.stderr
    again = run_tool("tel-reduce", "--partial", "count", stdin=forms["ndjson"])
    assert again.returncode == 65  # it cannot be taken for a whole one
