"""What every tool promises, whatever it does: one table of the tools (tools.py), the same tests for all of them."""

import bz2
import gzip
import json
import lzma
import os
import re
import select
import signal
import subprocess
import sys

import pytest

import tools
from tel import compress, exits
from tools import AGGREGATE, FILTER, PASSERS, READERS, SINK, SOURCE, VIEW

tools.put_on_path()

CODECS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zst": lambda data: compress.frame(data, 1),
}
ENOUGH = 20_000  # lines that are more than a pipe holds
DISTINCT = "10"  # different lines in the input that memory is measured with
SLACK = 24 << 10  # KiB of memory that a longer input may cost
METRIC = re.compile(r'tel_[a-z_]+\{tool="tel-[a-z]+"(,[a-z]+="[a-z0-9_-]+")*\} \d+(\.\d+)?')


def every(some):
    """Parametrize a test over tools."""
    return pytest.mark.parametrize("tool", some, ids=lambda tool: f"tel-{tool.name}")


ALL = every(tools.TABLE)
COUNTING = every([tool for tool in tools.TABLE if tool.role != tools.RUNNER])  # a runner leaves that to those it runs


class Bench:
    """Runs tools, each run in a new folder of its own below `place`."""

    def __init__(self, place, run_tool):
        self.place, self.run_tool, self.runs = place, run_tool, 0

    def command(self, tool, *more, n=3):
        """The words of a good run and more; what a query wants to find is made."""
        self.runs += 1
        folder = self.place / f"run-{self.runs}"
        folder.mkdir()
        if any("{place}/filled" in word for word in tool.arguments):
            persist = ["tel-persist", "--store", folder / "filled", "--batch", "b"]
            ok(self.run_tool(*persist, stdin=tools.whole(tools.BY_NAME["persist"], range(2))))
        return [f"tel-{tool.name}", *tools.arguments(tool, folder, n), *map(str, more)]

    def run(self, tool, *more, stdin=b"", n=3, **options):
        """The finished process of a good run and more."""
        return self.run_tool(*self.command(tool, *more, n=n), stdin=stdin, **options)

    def start(self, tool, *more, n=3, **options):
        """A process with pipes."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(self.command(tool, *more, n=n), **pipes)

    def shell(self, tool, redirection, stdin=b"", environment=""):
        """The finished process of a good run under bash, with redirections."""
        return self.run_tool("bash", "-c", f'{environment} "$@" {redirection}', "-", *self.command(tool), stdin=stdin)

    def file(self, name, data):
        """A file in the folder."""
        path = self.place / name
        path.write_bytes(data)
        return path

    def stored(self):
        """The files that runs of tel-persist have stored."""
        return list(self.place.glob("run-*/store/**/*.zst"))


@pytest.fixture
def bench(tmp_path, run_tool):
    return Bench(tmp_path, run_tool)


def good(tool, numbers=range(3)):
    """A whole stream for the tools that read one."""
    return tools.whole(tool, numbers) if tool in READERS or tool.role == tools.RUNNER else b""


def parted(output):
    """(lines, end records) of an output."""
    found = output.splitlines()
    ends = [json.loads(line)["end"] for line in found if line.startswith(b'{"end":')]
    return [line for line in found if not line.startswith(b'{"end":')], ends


def vouched(output):
    """Whether the end records of an output fit its lines."""
    body, ends = parted(output)
    last = output.splitlines()[-1:]
    return bool(ends) and sum(end["records"] for end in ends) == len(body) and last[0].startswith(b'{"end":')


def ok(done):
    """The stdout of a process that ended well and said nothing; the folders of all runs, and changes, get one name."""
    assert (done.returncode, done.stderr) == (exits.OK, b"")
    return re.sub(rb"/\+compact-\w+-\w+-", b"/+compact-", re.sub(rb"/run-\d+/", b"/run/", done.stdout))


def test_the_table_has_every_tool():
    modules = {path.stem for path in (tools.ROOT / "filters").glob("*.py")} - {"__init__"}
    assert modules == set(tools.BY_NAME)


# The command line.


@ALL
def test_help_is_the_docstring_with_the_exit_statuses(tool, run_tool):
    text = ok(run_tool(f"tel-{tool.name}", "--help")).decode()
    assert text.startswith(f"tel-{tool.name} - ")
    for part in ("Usage:\n", "Options:\n", "Examples:\n", "\nExit status:\n", *map(str, exits.MEANINGS.values())):
        assert part in text


@ALL
def test_version(tool, run_tool):
    assert re.fullmatch(
        rf"tel-{tool.name} \d+\.\d+\.\d+ \((compiled|fast|plain|reference) tier\)\n",
        ok(run_tool(f"tel-{tool.name}", "--version")).decode(),
    )


@ALL
@pytest.mark.parametrize("words, named", [
    (["--frobnicate"], b"--frobnicate"),
    (["-Z"], b"-Z"),
    (["--metrics"], b"--metrics"),
    (["--progress=fast"], b"--progress"),
    (["--max-line", "many"], b"--max-line"),
    (["--summary=xml"], b"--summary"),
])  # fmt: skip
def test_a_wrong_option_is_named(tool, words, named, bench):
    done = bench.run(tool, *words, stdin=good(tool))
    assert (done.returncode, done.stdout) == (exits.USAGE, b"")
    assert done.stderr.startswith(b"tel-%s: " % tool.name.encode()) and named in done.stderr


# What it is run on and under.


@ALL
def test_good_input_is_whole_output(tool, bench):
    done = bench.run(tool, stdin=good(tool))
    output = ok(done)
    assert parted(output)[0]
    assert vouched(output) == (tool.role in (FILTER, AGGREGATE, SOURCE, tools.RUNNER))


@ALL
def test_two_runs_give_the_same_bytes(tool, bench):
    assert ok(bench.run(tool, stdin=good(tool))) == ok(bench.run(tool, stdin=good(tool)))


@every(PASSERS)
def test_order_is_kept(tool, bench):
    singly = [line for n in range(3) for line in parted(ok(bench.run(tool, stdin=tools.whole(tool, [n]))))[0]]
    assert parted(ok(bench.run(tool, stdin=good(tool))))[0] == singly


@ALL
@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "no_SUCH"])
def test_the_locale_does_not_matter(tool, locale, bench):
    changed = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert ok(bench.run(tool, stdin=good(tool), env=changed)) == ok(bench.run(tool, stdin=good(tool)))


@ALL
def test_an_empty_environment_will_do(tool, bench):
    assert parted(ok(bench.run(tool, stdin=good(tool), env={"PATH": os.environ["PATH"]})))[0]


@ALL
@pytest.mark.parametrize("environment", ["", "PYTHONUNBUFFERED=1"])
def test_a_full_disk_is_an_error(tool, environment, bench):
    done = bench.shell(tool, "> /dev/full", good(tool), environment)
    assert done.returncode == exits.IO
    assert b"standard output: cannot write: No space left" in done.stderr


@ALL
@pytest.mark.parametrize("words", ["--help", "--version"])
def test_a_full_disk_is_an_error_for_help_too(tool, words, bench):
    assert bench.run_tool("bash", "-c", f"tel-{tool.name} {words} > /dev/full").returncode == exits.IO


@ALL
def test_a_closed_output_is_an_error(tool, bench):
    done = bench.shell(tool, ">&-", good(tool))
    assert done.returncode == exits.IO and b"standard output" in done.stderr


@every(READERS)
def test_a_closed_input_is_an_error(tool, bench):
    done = bench.shell(tool, "<&-")
    assert (done.returncode, done.stdout) == (exits.IO, b"")
    assert b"standard input" in done.stderr and not bench.stored()


@ALL
def test_a_closed_stderr_is_not(tool, bench):
    assert parted(ok(bench.shell(tool, "2>&-", good(tool))))[0]


@every(tools.of(FILTER, AGGREGATE, SOURCE))
def test_head_ends_it_silently(tool, bench):
    process = bench.start(tool, n=10**7, stdin=subprocess.PIPE if tool in READERS else subprocess.DEVNULL)
    process.stdout.close()
    try:
        if process.stdin:
            process.stdin.write(good(tool, range(ENOUGH)))
            process.stdin.close()
    except BrokenPipeError:
        process.stdin = None
    assert (process.wait(60), process.stderr.read()) == (-signal.SIGPIPE, b"")
    process.stderr.close()


@every(tools.of(FILTER, AGGREGATE, SINK, VIEW, SOURCE))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_silently(tool, number, bench):
    process = bench.start(tool, n=10**7)
    if tool in READERS:  # more than the pipe holds: once it is written, the tool has begun to read
        lines = tools.lines(tool, range(5000))
        process.stdin.write(lines[: 200_000 - 200_000 % 4096])
        drain(process)
    else:
        process.stdout.read(1)
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    assert (process.returncode, errors) == (-number, b"") and not bench.stored()


def drain(process):
    """Read what comes until nothing has come for a while."""
    os.set_blocking(process.stdout.fileno(), False)
    while select.select([process.stdout], [], [], 0.3)[0] and process.stdout.read(1 << 16):
        pass
    os.set_blocking(process.stdout.fileno(), True)


# What it reads.


@every(READERS)
def test_nothing_is_no_whole_stream(tool, bench):
    done = bench.run(tool, stdin=b"")
    assert done.stdout == b""
    assert done.returncode == (exits.TEMPORARY if tool.role == SINK else exits.OK)
    assert bool(done.stderr) == (tool.role == SINK)


@every(READERS)
def test_an_empty_stream_with_its_end_record_is_whole(tool, bench):
    assert parted(ok(bench.run(tool, stdin=tools.end(0))))[0] == []


@every(tools.of(FILTER))
@pytest.mark.parametrize("number", [0, 3])
def test_a_file_of_records_needs_no_end_record(tool, number, bench):
    output = ok(bench.run(tool, bench.file("lines", tools.lines(tool, range(number)))))
    assert bool(parted(output)[0]) == bool(number) and vouched(output)


@every(tools.of(AGGREGATE, SINK))
@pytest.mark.parametrize("number", [0, 3])
def test_a_file_that_an_answer_depends_on_needs_one(tool, number, bench):
    done = bench.run(tool, bench.file("lines", tools.lines(tool, range(number))))
    assert parted(done.stdout)[1] == [] and not bench.stored()
    assert done.returncode == (exits.TEMPORARY if tool.role == SINK else exits.OK)
    assert parted(ok(bench.run(tool, bench.file("whole", good(tool)))))[0]


@every(READERS)
def test_a_last_line_without_its_newline_counts(tool, bench):
    assert ok(bench.run(tool, stdin=good(tool)[:-1])) == ok(bench.run(tool, stdin=good(tool)))
    done = bench.run(tool, "--summary=json", bench.file("lines", tools.lines(tool, range(3))[:-1]))
    assert b'"read":3,' in done.stderr


@every(READERS)
def test_without_an_end_record_nothing_is_vouched_for(tool, bench):
    done = bench.run(tool, stdin=tools.lines(tool, range(3)))
    if tool.role == SINK:
        assert (done.returncode, done.stdout, bench.stored()) == (exits.TEMPORARY, b"", [])
        assert b"--partial" in done.stderr
    else:
        assert len(parted(ok(done))[0]) > 0 and parted(done.stdout)[1] == []


@every(READERS)
@pytest.mark.parametrize("promised", [2, 4, 10**30])
def test_an_end_record_that_does_not_fit_is_not_passed_on(tool, promised, bench):
    done = bench.run(tool, stdin=tools.lines(tool, range(3)) + tools.end(promised))
    assert b"3 lines came" in done.stderr and str(promised).encode() in done.stderr
    if tool.role == SINK:
        assert (done.returncode, done.stdout, bench.stored()) == (exits.TEMPORARY, b"", [])
    else:
        assert done.returncode == (exits.TEMPORARY if tool.role == VIEW else exits.OK)
        assert parted(done.stdout)[1] == []


@every(tools.of(SINK, VIEW))
def test_partial_takes_what_there_is(tool, bench):
    assert ok(bench.run(tool, "--partial", stdin=tools.lines(tool, range(3))))


@every(READERS)
def test_streams_may_follow_each_other(tool, bench):
    output = ok(bench.run(tool, stdin=good(tool, range(2)) + tools.end(0) + good(tool, range(2, 5))))
    assert parted(output)[0] == parted(ok(bench.run(tool, stdin=good(tool, range(5)))))[0]
    assert vouched(output) == (tool in PASSERS)


@every(READERS)
def test_one_of_the_streams_that_is_not_whole_is_seen(tool, bench):
    done = bench.run(tool, stdin=good(tool, range(2)) + tools.lines(tool, range(2, 4)) + good(tool, range(4, 6)))
    assert done.returncode == (exits.TEMPORARY if tool.role in (SINK, VIEW) else exits.OK)
    assert not vouched(done.stdout) and done.stderr and not bench.stored()


@every(tools.of(SINK))
@pytest.mark.parametrize("expected, status", [(1, exits.TEMPORARY), (2, exits.OK), (3, exits.TEMPORARY)])
def test_a_sink_counts_the_streams_it_expects(tool, expected, status, bench):
    done = bench.run(tool, "--expect", str(expected), stdin=good(tool, range(2)) + good(tool, range(2, 4)))
    assert done.returncode == status and bool(done.stdout) == (status == exits.OK)


@every(tools.of(FILTER))
def test_unknown_fields_of_an_end_record_go_on(tool, bench):
    output = ok(bench.run(tool, stdin=tools.lines(tool, range(3)) + tools.end(3, offset=2**70)))
    assert parted(output)[1][-1]["offset"] == 2**70 and parted(output)[1][-1]["tool"] == f"tel-{tool.name}"


@every(READERS)
def test_bad_data_is_placed_after_the_good(tool, bench):
    path = bench.file("bad", tools.lines(tool, range(2)) + tool.bad.encode() + b"\n" + tools.lines(tool, [3]))
    done = bench.run(tool, path)
    assert done.returncode == exits.BAD_DATA
    assert re.fullmatch(rf"tel-{tool.name}: {path}:3: [^\n]+\n", done.stderr.decode())
    before = parted(ok(bench.run(tool, stdin=tools.whole(tool, range(2)))))[0]
    assert done.stdout.splitlines() == (before if tool.role in (FILTER, VIEW) else [])


@every(tools.of(FILTER))
def test_rejects_can_be_replayed(tool, bench):
    given = tools.lines(tool, range(2)) + tool.bad.encode() + b"\n" + tools.lines(tool, [3])
    rejects = bench.place / "rejects"
    done = bench.run(tool, "--rejects", rejects, "--summary=json", stdin=given + tools.end(4))
    assert done.returncode == exits.OK and vouched(done.stdout)
    (reject,) = map(json.loads, rejects.read_bytes().splitlines())
    assert (reject["tool"], reject["where"], reject["line"]) == (f"tel-{tool.name}", "standard input:3", tool.bad)
    counted = json.loads(done.stderr)
    assert (counted["read"], counted["written"], counted["rejected"]) == (4, 3, 1)


@every(READERS)
@pytest.mark.parametrize("codec", CODECS)
def test_members_of_a_compressed_file_are_all_read(tool, codec, bench):
    parts = [tools.lines(tool, range(2)), tools.lines(tool, range(2, 5)) + tools.end(5)]
    done = bench.run(tool, "--summary=json", bench.file("packed", b"".join(map(CODECS[codec], parts))))
    assert done.returncode == exits.OK and json.loads(done.stderr)["read"] == 5


@every(READERS)
@pytest.mark.parametrize("by_name", [True, False], ids=["file", "stdin"])
@pytest.mark.parametrize("codec", CODECS)
def test_a_truncated_compressed_file_is_an_error(tool, codec, by_name, bench):
    packed = CODECS[codec](tools.whole(tool, range(300)))[:-3]
    done = bench.run(tool, bench.file("cut", packed)) if by_name else bench.run(tool, stdin=packed)
    assert done.returncode == exits.BAD_DATA and b"truncated" in done.stderr
    assert parted(done.stdout)[1] == [] and not bench.stored()


@every(READERS)
@pytest.mark.parametrize("codec", CODECS)
def test_garbage_behind_compressed_data_is_an_error(tool, codec, bench):
    done = bench.run(tool, bench.file("odd", CODECS[codec](tools.lines(tool, range(3))) + b"garbage, and more of it"))
    assert done.returncode == exits.BAD_DATA and b"corrupt" in done.stderr
    assert parted(done.stdout)[1] == [] and not bench.stored()


@every(READERS)
@pytest.mark.parametrize("name, words", [("missing", b"No such file"), (".", b"is a directory"), ("a\nb", b"a\\nb")])
def test_an_input_that_cannot_be_read(tool, name, words, bench):
    done = bench.run(tool, bench.file("good", tools.lines(tool, range(3))), bench.place / name)
    assert done.returncode == exits.NO_INPUT and words in done.stderr and done.stderr.count(b"\n") == 1
    assert parted(done.stdout)[1] == [] and not bench.stored()


@every(READERS)
def test_a_line_too_long_is_bad_data(tool, bench):
    done = bench.run(tool, "--max-line", "10", stdin=good(tool))
    assert done.returncode == exits.BAD_DATA and b"standard input:1: a line of more than 10 bytes" in done.stderr


# What it says of itself.


@every(tools.of(FILTER))
def test_unbuffered_hands_on_each_line_at_once(tool, bench):
    process = bench.start(tool, "-u")
    for n in range(2):
        process.stdin.write(tools.lines(tool, [n]))
        process.stdin.flush()
        assert select.select([process.stdout], [], [], 20)[0]
        assert os.read(process.stdout.fileno(), 1 << 16).endswith(b"\n")
    process.communicate()
    assert process.returncode == exits.OK


@every(READERS)
def test_progress_is_on_stderr(tool, bench):
    plain = ok(bench.run(tool, stdin=good(tool)))
    done = bench.run(tool, "--progress", stdin=good(tool))
    assert done.returncode == exits.OK and b"tel-%s: 3 records, " % tool.name.encode() in done.stderr
    assert len(done.stdout.splitlines()) == len(plain.splitlines())


@COUNTING
def test_metrics_are_well_formed(tool, bench):
    path = bench.place / "tool.prom"
    ok(bench.run(tool, "--metrics", path, stdin=good(tool)))
    lines = path.read_text(encoding="ascii").splitlines()
    assert all(METRIC.fullmatch(line) for line in lines if not line.startswith("#"))
    assert f'tel_records_read_total{{tool="tel-{tool.name}"}} {3 if tool in READERS else tool.reads}' in lines
    assert [p.name for p in bench.place.iterdir() if p.name.startswith("tool.prom")] == ["tool.prom"]


@COUNTING
def test_metrics_that_cannot_be_written_are_an_error(tool, bench):
    done = bench.run(tool, "--metrics", "/nowhere/tool.prom", stdin=good(tool))
    assert done.returncode == exits.IO and b"/nowhere/tool.prom" in done.stderr


@COUNTING
def test_the_summary_counts_every_line(tool, bench):
    done = bench.run(tool, "--summary=json", stdin=good(tool))
    assert done.returncode == exits.OK
    counted = json.loads(done.stderr)
    assert counted["tool"] == f"tel-{tool.name}" and counted["rejected"] == 0
    assert counted["read"] == (3 if tool in READERS else tool.reads)
    assert counted["bytes_out"] == len(done.stdout)


# Lists of files.


def answer(bench, files, listed):
    """The finished tel-reduce of the files mapped, against a list."""
    list = bench.file("list", b"".join(b"%s\n" % os.fsencode(path) for path in listed))
    mapped = bench.run_tool("tel-map", "count", *files)
    return bench.run_tool("tel-reduce", "--inputs", list, "count", stdin=mapped.stdout)


def test_an_answer_needs_each_file_of_the_list_once(bench):
    record = tools.BY_NAME["map"]
    a, b, c = [bench.file(name, tools.lines(record, range(3))) for name in "abc"]
    assert ok(answer(bench, [a, b], [b, a])) == b'["all",6]\n'
    for files in ([a], [a, a], [a, b, b], [a, c], [a, b, c], [a, a, b, b], []):
        done = answer(bench, files, [a, b])
        assert (done.returncode, done.stdout) == (exits.TEMPORARY, b""), files


def test_a_file_of_the_list_that_is_missing(bench):
    list = bench.file("list", b"missing\n")
    done = bench.run_tool("tel-map", "--files-from", list, "count")
    assert (done.returncode, done.stdout) == (exits.NO_INPUT, b"")


def test_an_empty_list_is_an_empty_answer(bench):
    list = bench.file("list", b"")
    assert ok(bench.run_tool("tel-reduce", "--inputs", list, "count")) == b""


# Memory.


def peak(bench, tool, number):
    """The most memory (KiB) a tool had while it read a number of lines."""
    script, file = tools.ROOT / "tests" / "peak.py", bench.place / f"peak-{number}"
    maker = [sys.executable, tools.ROOT / "tests" / "tools.py", tool.name, str(number), DISTINCT]
    command = [sys.executable, script, file, *bench.command(tool, *tool.bounded, n=number)]
    feed = subprocess.Popen(maker, stdout=subprocess.PIPE) if tool in READERS else None
    stdin = feed.stdout if feed else subprocess.DEVNULL
    subprocess.run(command, stdin=stdin, stdout=subprocess.DEVNULL, check=True)
    if feed:
        feed.stdout.close()
        assert feed.wait(60) == 0
    return int(file.read_text())


@pytest.mark.slow
@every(tools.of(FILTER, AGGREGATE, SINK, SOURCE))
def test_memory_does_not_grow_with_the_input(tool, tmp_path_factory, run_tool):
    few, more, most = (peak(Bench(tmp_path_factory.mktemp("peak"), run_tool), tool, 10**power) for power in (4, 5, 6))
    assert max(more, most) <= few + SLACK
