"""A chain is its pipeline in a shell: what is stored, printed, rejected, counted and said, and how it ends."""

import gzip
import json
import os
import pathlib
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tools
from tel import compress, exits, ranges, slots, streams

tools.put_on_path()

KILLS = int(os.environ.get("TEL_KILLS", "50")) // 5 or 1
SLACK = 16 << 10  # KiB of memory that a longer input may cost
BLOCK = 5000  # bytes that a worker is given at once here
RESOLVE, PERSIST = "tel-resolve --date 20260901", "tel-persist --store s --batch b"
ALL = f"{RESOLVE} --rejects r0 | tel-validate --rejects r1 | tel-convert --rejects r2 | {PERSIST} --rejects r3"
SHARED = ("resolve", "validate", "convert", "persist")

# A chain's code in a process of its own, with blocks so small that workers share even little input.
CHAIN = f"import sys; sys.path[:0] = {[path for path in sys.path if path]!r}; from tel import ranges, slots; slots.BLOCK = {BLOCK}; ranges.LINES = 2000; "
CHAIN += "sys.argv[0] = 'tel-chain'; from tel.filters.chain import main; sys.exit(main())"


# What both are given.


def jq_like(line):
    """A record as jq may write it: a field behind the ping, or the fields in another order."""
    record = json.loads(line)
    text = json.dumps({**record, "x": {"y": [1.0]}}), json.dumps(dict(reversed(record.items())), indent=None)
    return random.Random(len(line)).choice(text).encode()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with definitions, a store, and inputs of all kinds, each a file."""
    place = tmp_path_factory.mktemp("chain")
    environment = {**os.environ, "TEL_HISTOGRAMS": str(place / "h")}

    def output(line, **more):
        shell = ["bash", "-o", "pipefail", "-c", line]
        return subprocess.run(shell, cwd=place, env=environment, stdout=subprocess.PIPE, check=True, **more).stdout

    def keep(name, data):
        (place / name).write_bytes(data)

    output("tel-sample --definitions h")
    good, bad = output("tel-sample --small -n 20"), output("tel-sample --small -n 60 --bad 20%")
    resolved = output(f"{RESOLVE} --rejects /dev/null", input=bad)
    lines, naked = good.splitlines(keepends=True), good.rpartition(b'{"end":')[0]
    keep("good", good)
    keep("bad", bad)
    keep("naked", naked)
    keep("late", naked + b"bad\n" + naked)
    keep("blank", naked + b"\n" * 15000 + naked)
    keep("empty", b"")
    keep("ended", tools.end(0))
    keep("misfit", naked + tools.end(99))
    keep("streams", b"".join(lines[:7]) + tools.end(7, host=1) + tools.end(0) + b"".join(lines[7:-1]) + tools.end(13))
    keep("half", good + b"".join(lines[:3]))
    keep("gz", gzip.compress(good))
    keep("cut", gzip.compress(bad, 1)[:-400])
    keep("long", b"".join(lines[:5]) + b"x" * 70_000 + b"\n" + bad)
    keep("large", output("tel-sample -n 3") + good)
    keep("records", resolved)
    keep("odd", b"".join(jq_like(line) + b"\n" for line in resolved.splitlines()[:-1]) + b'{"id":1}\n[]\n\n')
    keep("mixed", b"".join(lines[:5] + resolved.splitlines(keepends=True)[:5] + lines[5:9]))
    keep("health", output("tel-sample --no-histograms -n 20"))
    output("tel-resolve good | tel-validate | tel-convert | tel-persist --store filled --batch b")
    keep("list", output(f"tel-ls {place}/filled"))
    keep("pairs", output("tel-map --files-from list histograms"))
    return place


# Both ways.

Outcome = namedtuple("Outcome", "status out said files")


def ran(command, place, given):
    """The Outcome of a command in an empty folder."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=place))
    environment = {**os.environ, "TEL_HISTOGRAMS": str(place / "h")}
    with open(place / given, "rb") as stdin:
        done = subprocess.run(command, cwd=folder, stdin=stdin, capture_output=True, env=environment, timeout=60)
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shutil.rmtree(folder)
    return Outcome(done.returncode, done.stdout, sorted(map(_said, done.stderr.decode().splitlines())), files)


def _said(line):
    """A line of stderr without the seconds."""
    return re.sub(r'"seconds":[\d.]+|, [\d.]+ s$', "", line)


def plain(data):
    """The content of a stored file."""
    return b"".join(compress.decompress(compress.codec_of(data), [data]))


def in_shell(line, place, given):
    return ran(["bash", "-o", "pipefail", "-c", line], place, given)


def in_chain(line, place, given, *options):
    return ran([sys.executable, "-c", CHAIN, *options, line], place, given)


def counters(files):
    """The files, metrics without the seconds."""
    return {name: re.sub(rb"tel_run_seconds{.*", b"", data) for name, data in files.items()}


def after(outcome, line, since):
    """An Outcome as far as it tells of the tools from number `since` on; if that failed, without the bytes it read."""
    names = [command.split()[0] for command in line.split(" | ")]
    early = tuple(f"{mark}{name}{end}" for name in names[:since] for mark, end in (("", ":"), ('{"tool":"', '"')))
    said = [text for text in outcome.said if not text.startswith(early)]
    files = {name: data for name, data in counters(outcome.files).items() if not cut(name, since)}
    if outcome.status:
        said = [re.sub(f'("{names[since]}".*"bytes_in":)\\d+|; \\d+ bytes in', r"\1", text) for text in said]
        files = {name: re.sub(rb"(tel_bytes_read_total{.*) \d+", rb"\1", data) for name, data in files.items()}
    return Outcome(outcome.status, outcome.out, said, files)


def cut(name, since):
    """Whether a file is of a tool before number `since`."""
    return name[0] in "rm" and name[1:].isdigit() and int(name[1:]) < since


def unordered(outcome):
    """An Outcome whose lines may come in any order, and are numbered as they came."""

    def lines(data):
        return sorted(re.sub(rb'"where":"standard input:\d+"', b"", line) for line in data.splitlines())

    def content(name, data):
        return lines(plain(data) if name.endswith(".zst") else data)

    files = {name: content(name, data) for name, data in counters(outcome.files).items() if "/.tel/" not in name}
    return Outcome(outcome.status, lines(outcome.out), outcome.said, files)


def told(line):
    """A pipeline in which each tool tells its counters."""
    return " | ".join(f"{part} --metrics m{at} --summary=json" for at, part in enumerate(line.split(" | ")))


def compare(line, place, given, since=0, shared=True, counted=True):
    """Assert that a chain is its pipeline, without workers and with them; tools before `since` are cut off by it."""
    line = line.format(place=place)
    line = told(line) if counted else line
    ways = [(), ("-k", "-j3"), ("-j3",)] if shared else [()]
    with ThreadPoolExecutor() as pool:
        shell = pool.submit(in_shell, line, place, given)
        chains = [pool.submit(in_chain, line, place, given, *options) for options in ways]
    wanted = shell.result()
    since = cut_off(line, wanted) if since is None else since
    for options, chain in zip(ways, chains):
        if "-j3" not in options[:1]:
            assert after(chain.result(), line, since) == after(wanted, line, since), options
        elif not since and not wanted.status:
            assert unordered(chain.result()) == unordered(wanted)
    return wanted


def cut_off(line, outcome):
    """The number of the last tool that failed before its input's end, so that those before it were cut off."""
    names, said = [command.split()[0] for command in line.split(" | ")], " ".join(outcome.said)
    early = r"{}: [^;]*(:\d+: |--max-bad allows \d+\b(?!%))"
    return max((at for at, name in enumerate(names) if re.search(early.format(name), said)), default=0)


INPUTS = "good bad naked empty ended misfit streams half gz cut long records odd mixed health".split()


@pytest.mark.parametrize("given", INPUTS)
def test_whatever_comes_in(given, place):
    compare(f"{ALL} --max-line 60000", place, given)


@pytest.mark.parametrize("given", ["bad", "naked", "ended", "streams", "half", "long"])
def test_whatever_goes_out(given, place):
    compare(ALL.rpartition(" | ")[0], place, given)


@pytest.mark.parametrize("given", "good bad naked streams half late long records odd mixed large gz cut blank".split())
def test_whatever_is_in_a_file_that_is_named(given, place):
    compare(f"{RESOLVE} --rejects r0 --max-line 60000 {{place}}/{given} {{place}}/bad | {PERSIST}", place, "empty")


@pytest.mark.parametrize("line, given", [
    (RESOLVE, "streams"),
    (f"{RESOLVE} {{place}}/late | {PERSIST}", "empty"),
    (f"{RESOLVE} --rejects r0 --max-bad 0 {{place}}/naked {{place}}/late | {PERSIST}", "empty"),
    (f"{RESOLVE} --rejects /dev/full {{place}}/naked {{place}}/late | {PERSIST}", "empty"),
    (RESOLVE, "naked"),
    (f"{RESOLVE} {{place}}/naked {{place}}/streams", "empty"),
    (f"{RESOLVE} {{place}}/naked -", "misfit"),
    (f"{RESOLVE} | tel-validate - | tel-convert", "good"),
    (f"{RESOLVE} --max-line 100K", "large"),
    (f"{RESOLVE} --rejects r0 --max-line 900000G | tel-validate --rejects r1 | {PERSIST}", "bad"),
    (f"{RESOLVE} --rejects r0 --max-line 900000G {{place}}/bad - | {PERSIST} --rejects r1", "blank"),
    (f"{RESOLVE} | {RESOLVE}", "naked"),
    (f"{RESOLVE} | tel-convert | tel-convert --expand | tel-validate", "good"),
    (f"{RESOLVE} --rejects r0 | tel-validate --rejects r1 | tel-validate --rejects r2", "bad"),
    (f"{RESOLVE} --rejects r0 | tel-validate --check", "bad"),
    (f"{RESOLVE} --rejects r0 | tel-validate --check --report=json | tel-convert", "bad"),
    (f"{RESOLVE} --rejects r0 | tel-validate --check", "good"),
    (f"{RESOLVE} | tel-validate --rejects r1 --max-line 20", "empty"),  # an end record that is too long is none
    (f"{RESOLVE} | tel-validate --rejects r1 --max-line 20 --max-bad 0 | {PERSIST}", "empty"),
    (f"{RESOLVE} | tel-validate --max-line 20", "empty"),
    (f"{RESOLVE} | tel-validate | {PERSIST} --max-line 20 --rejects r1", "empty"),
    (f"{RESOLVE} --rejects r0 | tel-validate --rejects r1 --whole --report=json", "bad"),
    (f"{RESOLVE} --rejects r0 | tel-validate --rejects r1 --unknown drop --report", "bad"),
    (f"{RESOLVE} --rejects r0 --max-bad 50% | tel-validate --rejects r1 --max-bad 50%", "bad"),
    (f"{RESOLVE} --rejects r0 --max-bad 1% | tel-validate --rejects r1 | {PERSIST}", "bad"),
    (f"{RESOLVE} --rejects r0 --max-bad 5 | tel-validate --rejects r1 | {PERSIST}", "bad"),
    (f"{RESOLVE} --rejects r0 | tel-validate --rejects r1 | {PERSIST} --expect 2", "good"),
    (f"{RESOLVE} --rejects r0 | tel-validate --rejects r1 | {PERSIST} --expect 3", "streams"),
    (f"{RESOLVE} --rejects r0 | tel-validate --rejects r1 | {PERSIST} --partial", "half"),
    ("tel-validate --rejects r0 | tel-convert", "odd"),
    (f"tel-convert --rejects r0 | {PERSIST} --rejects r1", "odd"),
    (f"{PERSIST} --rejects r0", "records"),
    (f"{PERSIST} --rejects r0 {{place}}/records", "empty"),
    (f"{PERSIST} --rejects r0 {{place}}/odd", "empty"),
    ("tel-resolve missing | tel-validate", "good"),
    (f"tel-resolve --date x | tel-validate | {PERSIST}", "empty"),
    (f"tel-resolve --frob | tel-validate | {PERSIST}", "empty"),
    (f"tel-resolve --rejects no/where | tel-validate | {PERSIST}", "empty"),
    (f"{RESOLVE} --histograms none | {PERSIST}", "good"),
])  # fmt: skip
def test_a_shared_pipeline(line, given, place):
    compare(line, place, given)


@pytest.mark.parametrize("line, given, since", [
    (f"{RESOLVE} --rejects r0 | tel-validate --unknown keep | tel-convert --max-line 4000", "bad", 2),
    (f"{RESOLVE} | tel-validate --histograms none | tel-convert", "good", 1),
    (f"{RESOLVE} | tel-validate --keyed maybe | {PERSIST}", "good", 1),
    (f"{RESOLVE} | tel-validate --rejects no/where | {PERSIST}", "good", 1),
    (f"{RESOLVE} | tel-validate --metrics no/where | {PERSIST}", "good", 1),
    (f"{RESOLVE} | tel-validate --frob | {PERSIST}", "good", 1),
    (f"{RESOLVE} | {PERSIST} --schema missing", "good", 1),
    (f"{RESOLVE} | {RESOLVE} --histograms none --rejects r1", "naked", 1),
    (f"{RESOLVE} --metrics no/where | tel-validate --max-line x | {PERSIST}", "empty", 1),
    (f"{RESOLVE} | {PERSIST} --store /dev/null/s", "good", 1),
])  # fmt: skip
def test_a_tool_that_fails_in_the_middle(line, given, since, place):
    assert compare(line, place, given, since).status


@pytest.mark.parametrize("line, given", [
    (f"tel-sample --small -n 9 | {RESOLVE} | tel-validate | tel-convert | {PERSIST}", "empty"),
    (f"tel-sample -n 0 | {RESOLVE}", "empty"),
    (f"tel-sample --small -n 9 --bad 50% | {RESOLVE} --rejects r1 --max-line 3000", "empty"),
    ("tel-map os-count | tel-combine os-count | tel-reduce os-count", "good"),
    ("tel-map os-count {place}/good {place}/gz {place}/streams | tel-combine os-count", "empty"),
    ("tel-map count {place}/good | tel-combine count | tel-reduce --inputs {place}/list count", "empty"),
    ("tel-map --files-from {place}/list os-count | tel-combine os-count | tel-reduce os-count", "empty"),
    ("tel-map --files-from {place}/list count | tel-reduce --inputs {place}/list count", "empty"),
    ("tel-map count | tel-reduce --partial count", "half"),
    ("tel-map nosuch | tel-combine count", "empty"),
    ("tel-combine --memory 1K histograms | tel-reduce --format csv histograms", "pairs"),
    ("tel-cat {place}/filled | tel-resolve | tel-convert --expand", "empty"),
    ("tel-cat --where channel=nightly {place}/filled | tel-map os-count | tel-reduce os-count", "empty"),
    ("tel-cat nosuch | tel-persist --store s --batch b", "empty"),
    ("tel-ls {place}/filled | tel-map --files-from - os-count | tel-reduce os-count", "empty"),
    ("tel-ls {place}/nosuch | tel-map --files-from - os-count | tel-reduce os-count", "empty"),
    (f"{RESOLVE} | {PERSIST} | tel-map --files-from - os-count", "good"),
    ("tel-verify --all {place}/filled", "empty"),
    (f"{RESOLVE} | tel-convert | tel-map histograms | tel-combine histograms - | tel-reduce histograms", "good"),
])  # fmt: skip
def test_a_pipeline_of_other_tools(line, given, place):
    compare(line, place, given, shared=False)


@pytest.mark.parametrize("line, given, since", [
    ("tel-map --tab count | tel-combine count", "good", 1),
    ("tel-map --rejects r0 count | tel-combine --max-line 9 count", "bad", 1),
    (f"{RESOLVE} | {PERSIST} --roll-size 2K | tel-reduce --inputs - os-count", "good", 2),
    ("tel-ls {place}/filled | tel-map --files-from - nosuch", "empty", 1),
])  # fmt: skip
def test_another_tool_that_fails(line, given, since, place):
    assert compare(line, place, given, since, shared=False).status


@pytest.mark.parametrize("given", ["good", "bad"])
def test_what_is_stored_already_is_recognised(given, place, tmp_path):
    """The second of two same runs, and one of other input."""
    line = f"{RESOLVE} --rejects /dev/null | tel-persist --rejects /dev/null --batch b --store "
    found = []
    for name, run in (("shell", in_shell), ("chain", in_chain), ("crew", lambda *all: in_chain(*all, "-kj3"))):
        words = f"{line}{tmp_path}/{name}"
        outcomes = [run(words, place, each) for each in ("good", given)]
        found.append([repr(outcome).replace(f"{tmp_path}/{name}", "") for outcome in outcomes])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("redirected", ["> /dev/full", ">&-", "2>&-", "<&-", "2> /dev/full"])
@pytest.mark.parametrize("options", ["", "-k -j3"])
def test_streams_that_do_not_work(redirected, options, place):
    line = f"{RESOLVE} | tel-convert"
    chain = in_shell(f"tel-chain {options} '{line}' {redirected}", place, "good")
    shell = in_shell(f"{{ {line}; }} {redirected}", place, "good")
    assert chain == shell


def test_a_full_disk_below_the_rejects(place):
    compare(f"{RESOLVE} --rejects /dev/full | tel-validate --rejects /dev/full | {PERSIST}", place, "bad")


FLAGS = {
    "resolve": ["--rejects r0", "--max-bad 3", "--max-bad 20%", "--max-line 3K", "--only revision", "--utf8 replace",
                "--make-ids"],
    "validate": ["--rejects r1", "--max-bad 3", "--max-bad 9%", "--max-line 3K", "--whole", "--unknown keep",
                 "--keyed no"],
    "convert": ["--rejects r2", "--max-bad 1", "--max-bad 0%", "--max-line 2K", "--expand", "--unknown drop"],
    "persist": ["--rejects r3", "--max-bad 5%", "--max-line 1K", "--expect 2", "--partial", "--roll-size 4K"],
}  # fmt: skip


@st.composite
def pipelines(draw):
    """A pipeline of some of the shared tools, in their order, with some options, and the name of its input."""
    names = draw(
        st.lists(st.sampled_from(SHARED), min_size=1, unique=True).map(lambda some: sorted(some, key=SHARED.index))
    )
    parts = []
    for name in names:
        flags = draw(st.lists(st.sampled_from(FLAGS[name][1:]), unique_by=lambda flag: flag.split()[0], max_size=2))
        start = {"resolve": RESOLVE, "persist": PERSIST}.get(name, f"tel-{name}")
        parts.append(" ".join([start, FLAGS[name][0], *flags]))
    return " | ".join(parts), draw(st.sampled_from(INPUTS)), draw(st.booleans())


@pytest.mark.slow
@settings(max_examples=int(os.environ.get("TEL_EXAMPLES", "20")))
@given(pipeline=pipelines())
def test_any_options(place, pipeline):
    line, given, counted = pipeline
    compare(line, place, given, since=None, counted=counted)


# What only a chain can be asked for.


def chained(line, place, *options):
    return in_chain(line.format(place=place), place, "good", *options)


@pytest.mark.parametrize("line", [
    "tel-resolve | tel-sample", "tel-resolve | tel-validate {place}/records", "tel-resolve | tel-ls {place}/filled",
    "tel-resolve | tel-map --files-from {place}/list count", "tel-resolve --help", "tel-resolve | tel-validate --version",
])  # fmt: skip
def test_a_tool_that_would_not_read_is_refused(line, place):
    outcome = chained(line, place)
    assert (outcome.status, outcome.out, outcome.files) == (exits.USAGE, b"", {})
    assert outcome.said[-1].startswith("tel-chain: tel-")


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_words_are_quoted_as_in_a_shell(words):
    import shlex

    from tel import chain

    assert chain._split(f"{shlex.join(words)} | {shlex.join(words)}|x") == [words, words, ["x"]]


# Lines on their way to the workers.

WORDS = st.sampled_from([b"a", b"bcd", b"\n", b"\n", b'{"end":', b'{"end":1}\n', b"long" * 9])
OWN = 1 << 50  # bytes of a line for which no memory can be shared


def delivered(blocks, limit, longest):
    """The lines that come to workers; an Overlong as its chunks."""
    memory, found = slots.Slots(2, longest), []

    def give(block):
        found.extend(line for _, line in block.pairs(memory))
        memory.free.append(block.slot)

    intake = slots.Intake(memory, memory.free.pop, give)
    for number, line in enumerate(intake.lines(blocks, limit), 1):
        if line.__class__ is streams.Overlong:
            intake.give()
            found.append(list(line.chunks()))
        elif line.__class__ is bytes and line.endswith(b"}"):
            intake.give()
            found.append((number, line))
        else:
            intake.take("name", number, line)
    intake.give()
    return found


@pytest.mark.parametrize("longest", [40, OWN])
@given(blocks=st.lists(st.lists(WORDS).map(b"".join)), room=st.integers(1, 50), limit=st.integers(1, 40))
def test_lines_come_to_the_workers_as_they_are(longest, blocks, room, limit):
    """Those too long and end records, which the parent keeps, in their places."""

    def whole(line):
        return b"".join(line if line.__class__ is list else line.chunks()) if line.__class__ is not bytes else line

    wanted = [whole(line) for line in streams.lines(blocks, limit)]
    with mock.patch.object(slots, "BLOCK", room):
        found = delivered(blocks, limit, longest)
    assert [line[1] if line.__class__ is tuple else whole(line) for line in found] == wanted
    ends = [(number, line) for number, line in enumerate(wanted, 1) if re.fullmatch(rb'{"end":.*}', line)]
    assert [line for line in found if line.__class__ is tuple] == [end for end in ends if len(end[1]) <= limit]


def test_a_worker_reads_no_other_file_and_no_smaller_one(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"a\nbc\n")
    part = ranges.Range(0, streams.Input(str(path)), 2, 5, 10)
    assert list(part.pairs(None)) == [(f"{path}:1", b"bc")]
    path.write_bytes(b"a\nbc")
    with pytest.raises(ranges.NotSimple):
        list(part.pairs(None))
    other = tmp_path / "other"
    other.write_bytes(b"a\nbc\n")
    other.replace(path)
    with pytest.raises(ranges.NotSimple):
        list(part.pairs(None))


# Signals, and memory.

STORED = b"tel-persist: batch b is stored already\n"


@pytest.fixture(scope="module")
def truth(place):
    """(what a whole run stores, the seconds it takes), the input being enough for some blocks."""
    shell = f"tel-sample --small -n 800 > {place}/much"
    subprocess.run(["bash", "-c", shell], check=True)
    started = time.monotonic()
    files = finished(begun(place, place / "truth"))[1]
    return files, time.monotonic() - started


def begun(place, folder, options=("-j2",)):
    """A started chain that stores."""
    folder.mkdir(exist_ok=True)
    line = f"tel-resolve --date 20260901 {place}/much | tel-validate | tel-convert | {PERSIST}"
    environment = {**os.environ, "TEL_HISTOGRAMS": str(place / "h")}
    command = ["tel-chain", *options, line]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ), folder


def finished(begun):
    """(status, {path: sorted lines} of the store's files, what was said)."""
    process, folder = begun
    said = process.communicate(timeout=60)[1]
    paths = subprocess.run(["tel-ls", "s"], cwd=folder, capture_output=True, text=True).stdout.split()
    files = {path: sorted(plain((folder / path).read_bytes()).splitlines()) for path in paths}
    return process.returncode, files, said


def workers(process):
    """The process ids of the children."""
    try:
        return [
            int(word) for word in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        ]
    except OSError:
        return []


def wait_for_workers(process):
    while not workers(process) and process.poll() is None:
        time.sleep(0.001)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids, seconds=10):
    """Whether all processes end soon."""
    until = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.01)
    return not any(map(alive, pids))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_chain_stores_all_or_nothing(number, truth, place, tmp_path):
    whole, seconds = truth
    moments, hits = random.Random(number), 0
    for attempt in range(KILLS):
        run = process, folder = begun(place, tmp_path / str(attempt))
        if number != signal.SIGKILL:  # Python itself is not silent while it starts
            wait_for_workers(process)
        time.sleep(moments.uniform(0, seconds / 2))
        children = workers(process)
        process.send_signal(number)
        status, files, said = finished(run)
        hits += status == -number
        assert (status, said) in ((0, b""), (-number, b"")) and files in ({}, whole)
        started = time.monotonic()
        status, files, said = finished(begun(place, folder))
        seconds = time.monotonic() - started  # a machine's speed changes
        assert (status, files) == (0, whole) and said in (b"", STORED) and gone(children)
    assert hits > KILLS // 5


@pytest.mark.slow
def test_a_killed_worker_is_no_smaller_store(truth, place, tmp_path):
    whole, seconds = truth
    moments, hits = random.Random(1), 0
    for attempt in range(KILLS):
        run = process, folder = begun(place, tmp_path / str(attempt))
        wait_for_workers(process)
        time.sleep(moments.uniform(0, seconds / 2))
        children = workers(process)
        if children:
            os.kill(moments.choice(children), signal.SIGKILL)
        status, files, said = finished(run)
        hits += status == exits.TEMPORARY
        lost = b"tel-persist: a worker ended before its time; run the chain again\n"
        assert (status, said, files) in ((exits.TEMPORARY, lost, {}), (0, b"", whole)) and gone(children)
        started = time.monotonic()
        assert finished(begun(place, folder))[:2] == (0, whole)
        seconds = time.monotonic() - started
    assert hits > KILLS // 5


def test_workers_are_nicer():
    process = subprocess.Popen(["tel-chain", "-j2", "tel-resolve | tel-validate"], stdin=subprocess.PIPE)
    wait_for_workers(process)
    until, wanted = time.monotonic() + 10, min(os.getpriority(os.PRIO_PROCESS, process.pid) + 3, 19)
    nicer = []
    while nicer != [wanted] * 2 and time.monotonic() < until:
        nicer = [os.getpriority(os.PRIO_PROCESS, child) for child in workers(process)]
    process.stdin.close()
    assert nicer == [wanted] * 2 and process.wait(60) == 0


@pytest.mark.parametrize("options", [[], ["-j2"]])
def test_head_ends_it_silently(options, truth, place):
    line = f"tel-resolve {place}/much | tel-validate"
    environment = {**os.environ, "TEL_HISTOGRAMS": str(place / "h")}
    command = ["tel-chain", *options, line]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    children = workers(process)
    process.stdout.close()
    assert (process.wait(60), process.stderr.read()) == (-signal.SIGPIPE, b"") and gone(children)
    process.stderr.close()


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["-j2"]])
def test_memory_does_not_grow_with_the_input(options, tmp_path):
    def peak(number):
        maker = [sys.executable, tools.ROOT / "tests" / "tools.py", "resolve", str(number), str(number)]
        line = f"tel-resolve | tel-validate | tel-convert | {PERSIST}{number} --memory 1M"
        command = [sys.executable, tools.ROOT / "tests" / "peak.py", "peak", "tel-chain", *options, line]
        made = subprocess.run(maker, stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(command, cwd=tmp_path, input=made, stdout=subprocess.DEVNULL, check=True)
        return int((tmp_path / "peak").read_text())

    assert peak(200_000) <= peak(20_000) + SLACK


FAULTS = """
import resource, sys
sys.path[:0] = {path!r}
from tel import heap
if {held}:
    heap.hold()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
for _ in range(30):
    blocks = [bytes(100_000) for _ in range(100)]
    del blocks
print(faults() - before)
"""


def test_memory_that_is_freed_is_not_fetched_anew():
    def faults(held):
        code = FAULTS.format(path=[path for path in sys.path if path], held=held)
        return int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout)

    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the C library is not glibc")
    assert faults(True) * 2 < faults(False)
