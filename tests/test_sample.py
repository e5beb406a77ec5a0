"""The sample: the same on every machine, good where it says so, and bad in every way that it promises."""

import collections
import hashlib
import itertools
import json
import subprocess
import sys

import pytest

from tel import definitions, jsonl, sample
from tel.errors import UsageError

HALF = 500_000
SHAPES = (sample.FULL, sample.SMALL, sample.HEALTH)


def ping_of(line):
    """The parsed ping of an export line."""
    return jsonl.loads(line.split(b"\t")[1])


def all_kinds(shape, rounds=3):
    """(the kind's name, the line) of a run in which every line is bad, each kind `rounds` times."""
    kinds = len({sample.bad_kind(i, 1_000_000, shape) for i in range(200)})
    for i, line in enumerate(sample.pings(rounds * kinds, 1, 1_000_000, shape)):
        yield sample.bad_kind(i, 1_000_000, shape), line


@pytest.fixture(scope="module")
def definitions_tree(tmp_path_factory):
    """A definitions cache with what `--definitions` writes."""
    directory = str(tmp_path_factory.mktemp("definitions"))
    assert len(list(sample.write_definitions(directory))) == 4
    return directory


def run_tool(name, arguments, given):
    """What a tool writes for the bytes it is given."""
    main = f"import sys; from tel.filters.{name} import main; sys.exit(main())"
    command = [sys.executable, "-c", main, *arguments]
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True).stdout


def judged(lines, definitions_tree, tmp_path):
    """For each line what tel-resolve and tel-validate reject of it: a list of (error type, whether the whole line)."""
    found, stream = [[] for _ in lines], b"".join(line + b"\n" for line in lines)
    numbers = {line.split(b"\t")[0].decode(): at for at, line in enumerate(lines)}
    for tool in ("resolve", "validate"):
        rejects = tmp_path / tool
        stream = run_tool(tool, ["--histograms", definitions_tree, "--rejects", str(rejects)], stream)
        for reject in map(json.loads, rejects.read_bytes().splitlines()):
            at = int(reject["where"].split(":")[-1]) - 1 if tool == "resolve" else numbers[reject["id"]]
            found[at].append((reject["error_type"], "value" not in reject))
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(shape):
    once, again, other = (list(sample.pings(40, seed, HALF, shape)) for seed in (7, 7, 8))
    assert once == again
    assert not set(once) & set(other)


@pytest.mark.parametrize(
    ("shape", "digest"),
    [(sample.FULL, "d2d72cd0bffd7ee7"), (sample.SMALL, "d8c5abdb3aa1bc8b"), (sample.HEALTH, "aea9b9c169463c59")],
)
def test_the_bytes_are_those_of_every_other_machine(shape, digest):
    assert hashlib.sha256(b"\n".join(sample.pings(60, 1, HALF, shape))).hexdigest()[:16] == digest


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shorter_run_is_the_beginning_of_a_longer_one(shape):
    assert list(sample.pings(15, 1, HALF, shape)) == list(sample.pings(50, 1, HALF, shape))[:15]


def test_it_is_lazy():
    assert len(list(itertools.islice(sample.pings(10**12, shape=sample.SMALL), 3))) == 3


@pytest.mark.parametrize("shape", SHAPES)
def test_lines_that_are_not_bad_do_not_depend_on_the_bad_ones(shape):
    good, mixed = sample.pings(60, 1, 0, shape), sample.pings(60, 1, 300_000, shape)
    for i, (line, same) in enumerate(zip(good, mixed)):
        assert (line == same) == (sample.bad_kind(i, 300_000, shape) is None)


def layout_of(name, histogram):
    """The layout that a histogram fits, all of it."""
    layout = definitions.find(sample.known(), name).by_buckets[histogram["bucket_count"]]
    assert histogram["histogram_type"] in layout.types
    assert histogram["range"] == layout.range
    assert histogram["values"].keys() <= layout.position.keys()
    assert all(type(count) is int and count >= 0 for count in histogram["values"].values())
    statistics = (
        ["sum", "log_sum", "log_sum_squares"] if layout.types[0] == 0 else ["sum", "sum_squares_lo", "sum_squares_hi"]
    )
    assert list(histogram) == ["range", "bucket_count", "histogram_type", "values", *statistics]
    assert all(type(histogram[name]) in (int, float) for name in statistics)
    return layout


@pytest.mark.parametrize("shape", (sample.FULL, sample.SMALL))
def test_every_histogram_of_a_good_ping_fits_its_definition(shape):
    for line in sample.pings(20, 3, 0, shape):
        for name, histogram in ping_of(line)["histograms"].items():
            layout_of(name, histogram)


def test_empty_buckets_are_sent_beside_the_outermost_only():
    for line in sample.pings(10, 3):
        for name, histogram in ping_of(line)["histograms"].items():
            layout = layout_of(name, histogram)
            sent = [(layout.position[key], count) for key, count in histogram["values"].items()]
            filled = [at for at, count in sent if count]
            beside = {min(filled) - 1, max(filled) + 1} & set(range(layout.n_buckets)) if filled else set()
            assert {at for at, count in sent if not count} == beside


def test_the_sums_of_a_histogram_are_possible():
    for line in sample.pings(20, 5):
        for name, histogram in ping_of(line)["histograms"].items():
            least = sum(int(key) * count for key, count in histogram["values"].items())
            assert histogram["sum"] >= (0 if histogram["histogram_type"] == 4 else least), name


@pytest.mark.parametrize("shape", SHAPES)
def test_good_pings_pass(shape, definitions_tree, tmp_path):
    assert not any(judged(list(sample.pings(30, 1, 0, shape)), definitions_tree, tmp_path))


def test_pings_have_what_real_ones_have():
    lines = list(sample.pings(100))
    assert 60_000 < sum(map(len, lines)) / 100 < 80_000
    sent = [ping_of(line) for line in lines]
    assert list(sent[0]) == [
        *("ver", "simpleMeasurements", "histograms", "slowSQL", "chromeHangs", "lateWrites", "addonHistograms", "info")
    ]
    assert 300 < sum(len(ping["histograms"]) for ping in sent) / 100 < 360
    for field in ("reason", "OS", "version", "appVersion", "appBuildID", "appUpdateChannel", "locale", "arch"):
        assert len({ping["info"][field] for ping in sent}) > 1, field
    assert len({line.split(b"\t")[0] for line in lines}) == 100
    revision = [ping["info"]["revision"] for ping in sent]
    assert {(url.split(":")[0], len(url.split("/")[-1])) for url in revision} == {
        *itertools.product(("http", "https"), (12, 40))
    }
    assert any(ord(letter) > 0xFFFF for line in lines for letter in line.decode())


def test_small_and_health_pings_are_small():
    assert max(len(line) for line in sample.pings(200, shape=sample.SMALL)) < 4500
    for line in sample.pings(200, shape=sample.HEALTH):
        id, text = line.split(b"\t")
        assert len(text) < 700 and ping_of(line)["version"] == 4 and ping_of(line)["id"] == id.decode()


@pytest.mark.parametrize("shape", SHAPES)
def test_each_kind_is_rejected_as_it_says_and_nothing_else_is(shape, definitions_tree, tmp_path):
    named = list(all_kinds(shape, rounds=2 if shape == sample.FULL else 8))
    found = judged([line for _, line in named], definitions_tree, tmp_path)
    for (name, line), rejected in zip(named, found):
        kind = sample.BAD_KINDS[name]
        assert rejected == [(kind.error_type, kind.whole_line)], (name, line[:80], line[-80:])


@pytest.mark.parametrize("shape", SHAPES)
def test_every_kind_appears(shape):
    seen = collections.Counter(name for name, _ in all_kinds(shape))
    anywhere = {name for name, kind in sample.BAD_KINDS.items() if kind.scope == sample.LINE}
    assert seen.keys() == (anywhere if shape == sample.HEALTH else sample.BAD_KINDS.keys())
    assert set(seen.values()) == {3}
    assert not any(b"\n" in line for _, line in all_kinds(shape))


def test_a_share_is_as_many_lines_spread_evenly():
    bad = [i for i in range(1000) if sample.bad_kind(i, sample.share("2.5%"))]
    assert len(bad) == 25 and {after - before for before, after in zip(bad, bad[1:])} == {40}
    assert {sample.bad_kind(i, 1_000_000) for i in range(len(sample.BAD_KINDS))} == set(sample.BAD_KINDS)


@pytest.mark.parametrize("text", ("5", "101%", "-1%", "x%", "%", "1e1%", "100.1%", "٣%", ""))
def test_a_share_is_a_percentage(text):
    with pytest.raises(UsageError):
        sample.share(text)


def test_the_definitions_are_of_every_kind_and_hold_what_makes_them_hard():
    raw = jsonl.loads(sample.definitions_text())
    kinds = collections.Counter(fields["kind"] for fields in raw.values())
    assert kinds.keys() == {"boolean", "flag", "count", "enumerated", "linear", "exponential", "categorical"}
    assert sum(kinds.values()) > 320
    assert all(len(fields["description"].split()) > 2 for fields in raw.values())
    assert len(sample.known()["GC_REASON_2"].layouts) == 2
    assert "STARTUP_PROFILE_LOCK_RESULT" in raw and "PROFILE_LOCK_RESULT" in raw
    twins = [name for name in sample.reported_names() if name not in raw]
    assert len(twins) > 40 and all(name.startswith("STARTUP_") and name[8:] in raw for name in twins)


def test_the_tool_writes_lines_and_an_end_record():
    lines = run_tool("sample", ["-n", "3", "--seed", "4", "--small", "--bad", "50%"], b"").split(b"\n")
    assert lines[:3] == list(sample.pings(3, 4, HALF, sample.SMALL))
    assert lines[3:] == [b'{"end":{"tool":"tel-sample","records":3}}', b""]


def test_the_sampled_strings_are_json_and_utf8():
    for table in (sample.ADAPTER, sample.ADDONS):
        for text in set(table):
            assert isinstance(jsonl.loads((text if text.startswith('"') else f'"{text}"').encode()), str)
