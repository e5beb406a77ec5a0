"""tel-dashboard's trees show what the raw pings say, to the published clients of both generations."""

import contextlib
import fcntl
import functools
import gzip
import hashlib
import http.server
import importlib.util
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

import pytest
from dashboards import V7, Expected, June, bounds_of, load
from test_generations import MAIN_PINGS, NEAREST

from repositories import plant

V1 = pathlib.Path(__file__).with_name("v1_client.js")
PEAK = pathlib.Path(__file__).with_name("peak.py")
DAYS = {"20130901": (1, 160), "20131025": (2, 120)}  # submission date: seed and number of pings


class Place:
    """A folder with definitions `h`, a store, and runs of the tools over it."""

    def __init__(self, path, run_tool):
        self.path, self.run_tool = path, run_tool

    def run(self, *command, stdin=b"", status=0):
        """The output of a tool, which ends with a status."""
        done = self.run_tool(*command, stdin=stdin, env={**os.environ, "TEL_HISTOGRAMS": "h"}, cwd=self.path)
        assert done.returncode == status, done.stderr.decode()
        return done

    def store(self, raw, date, store="store"):
        """Store raw lines under a submission date; returns the files."""
        convert = (
            f"tel-resolve --make-ids --date {date} | tel-convert | tel-persist --no-sync --store {store} --batch {date}"
        )
        return self.run("tel-chain", convert, stdin=raw).stdout.decode().split()

    def reduced(self, files, *more):
        """The reduced lines of some files and of earlier lines (files too)."""
        self.path.joinpath("list").write_text("".join(f"{name}\n" for name in files))
        mapped = self.run("tel-map", "--files-from", "list", "dashboard").stdout
        combined = self.run("tel-combine", "dashboard", stdin=mapped).stdout
        return self.run("tel-reduce", "dashboard", *more, *(["-"] if more else []), stdin=combined).stdout

    def publish(self, lines, site="site", *options, status=0):
        """What tel-dashboard says of some lines."""
        return self.run("tel-dashboard", "--to", site, *options, stdin=lines, status=status)


@pytest.fixture(scope="module")
def raw(run_tool):
    """{submission date: raw lines} of generated pings."""
    samples = {date: run_tool("tel-sample", "--small", "--seed", seed, "-n", n) for date, (seed, n) in DAYS.items()}
    return {date: done.stdout for date, done in samples.items()}


@pytest.fixture(scope="module")
def place(raw, run_tool, tmp_path_factory):
    """A published tree `site` of the generated pings, its lines in `reduced`."""
    place = Place(tmp_path_factory.mktemp("dashboard"), run_tool)
    place.run("tel-sample", "--definitions", "h")
    place.files = {date: place.store(lines, date) for date, lines in raw.items()}
    place.lines = place.reduced(sum(place.files.values(), []))
    place.folders = place.publish(place.lines).stdout.decode().split()
    return place


@pytest.fixture(scope="module")
def expected(raw):
    return Expected(
        (json.loads(line.split(b"\t")[1]), date)
        for date, lines in raw.items()
        for line in lines.splitlines()
        if b"\t" in line
    )


def assert_cell(row, cell, bounds):
    """A row holds what is expected: exact numbers, floats of sums rounded once."""
    assert row[: len(bounds)] == [cell.values.get(bound, 0) for bound in bounds] and sum(cell.values.values()) == sum(
        row[: len(bounds)]
    )
    assert row[len(bounds) : -2] == cell.statistics and row[-2] == cell.pings


def assert_shows(v7, expected):
    """A V7 shows all that is expected, and nothing else."""
    assert v7.versions.keys() == expected.versions.keys()
    for version, measures in expected.versions.items():
        assert v7.versions[version].keys() == measures.keys()
        for name, series in measures.items():
            bounds = bounds_of(v7.definitions[version][name[0]])
            for by, days in series.items():
                shown = v7.versions[version][name].get(by, {})
                assert {date: set(day) for date, day in shown.items()} == {date: set(day) for date, day in days.items()}
                for date, day in days.items():
                    for path, cell in day.items():
                        assert_cell(shown[date][path], cell, bounds)


def test_a_reader_of_our_own_sees_what_the_raw_pings_say(place, expected):
    v7 = V7(place.path / "site")
    assert_shows(v7, expected)
    assert len(v7.versions) == 4 and any(
        "submission" in s and s["submission"] for m in v7.versions.values() for s in m.values()
    )
    late = v7.versions["nightly/26"]["UPDATE_END", None]["submission"]["20131025"]
    assert sum(row[-2] for row in late.values()) < sum(
        row[-2] for day in v7.versions["nightly/26"]["UPDATE_END", None]["build"].values() for row in day.values()
    )
    assert sorted(place.folders) == sorted(f"site/v7/{name}" for name in v7.folders.values())


def test_the_frontend_of_june_2013_sees_the_same(place):
    June(place.path / "site", V7(place.path / "site"))


@contextlib.contextmanager
def served(folder):
    """The address of a server of the files of a folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def v1_client():
    """A function of a site: all that the published v1 client sees of it."""
    client = os.environ.get("TEL_V1_CLIENT")
    if not client:
        pytest.skip("TEL_V1_CLIENT is unset: the published client telemetry.js (v1) does not read the trees")
    if not shutil.which("node"):
        pytest.skip("node is missing: the published client telemetry.js (v1) does not read the trees")

    def seen(site):
        with served(site) as address:
            done = subprocess.run(["node", str(V1), os.path.abspath(client), address], capture_output=True, timeout=100)
        assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
        return json.loads(done.stdout)

    return seen


def percentile(counts, bounds, kind, total, percent):
    """A percentile as telemetry.js documents it: interpolated within its bucket, the last one's end being estimated."""
    wanted, at = sum(counts) * percent / 100, 0
    while wanted > counts[at]:
        wanted -= counts[at]
        at += 1
    start = bounds[at]
    if at + 1 < len(bounds):
        end = bounds[at + 1]
    else:
        before = sum(count * (low + high) / 2 for count, low, high in zip(counts, bounds, bounds[1:]))
        end = start + 2 * ((total - before) / counts[at] - start)
    fraction = wanted / (counts[at] + 1)
    if kind != "exponential":
        return start + (end - start) * fraction
    return start + math.exp(math.log(end - start) * fraction) if end > start else None


def assert_said(told, cells, definition, path=()):
    """What the v1 client says of the cells below a path of filters, and of each filter of these."""
    bounds, cells = bounds_of(definition), {leaf: cell for leaf, cell in cells.items() if leaf[: len(path)] == path}
    counts = [sum(cell.values.get(bound, 0) for cell in cells.values()) for bound in bounds]
    total = sum(cell.statistics[0] for cell in cells.values())
    assert (told["count"], told["submissions"]) == (sum(counts), sum(cell.pings for cell in cells.values()))
    assert told["buckets"] == [list(pair) for pair in zip(bounds, counts)]
    if sum(counts):
        assert math.isclose(told["mean"], total / sum(counts), rel_tol=1e-12)
        for percent, value in zip((5, 25, 50, 75, 95), told["percentiles"]):
            wanted = percentile(counts, bounds, definition["kind"], total, percent)
            assert wanted is None or math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-9)
    below = {leaf[len(path)] for leaf in cells} if len(path) < 5 else set()
    assert told["filter"] == (("reason", "appName", "OS", "osVersion", "arch", None)[len(path)])
    assert below <= set(told["filtered"])
    for option, inner in told["filtered"].items():
        assert_said(inner, cells, definition, (*path, option))


def test_the_published_v1_client_sees_it_too(place, expected, v1_client):
    seen, definitions = v1_client(place.path / "site"), V7(place.path / "site").definitions
    assert seen.keys() == expected.versions.keys()
    compared = 0
    for version, measures in seen.items():
        assert set(measures) == {name for name, _ in expected.versions[version]}
        for name, told in measures.items():
            definition, series = definitions[version][name], expected.versions[version][name, None]
            assert (told["kind"], told["description"]) == (definition["kind"], definition["description"])
            for by, dates in (("build", told["builds"]), ("submission", told["submissions"])):
                assert dates.keys() == series[by].keys()
                for date, histogram in dates.items():
                    assert_said(histogram, series[by][date], definition)
                    compared += 1
    assert compared > 500


def files_of(site):
    """{path: content} of the files of a tree, links followed as servers do."""
    found = {}
    for folder, _, names in os.walk(site, followlinks=True):
        found.update(
            {os.path.relpath(os.path.join(folder, n), site): pathlib.Path(folder, n).read_bytes() for n in names}
        )
    return found


def test_fed_in_two_halves_it_is_the_same_tree_byte_for_byte(place):
    first, second = place.files.values()
    place.path.joinpath("yesterday").write_bytes(place.reduced(first))
    place.publish(place.path.joinpath("yesterday").read_bytes(), "halves", "--grace", "0")
    assert files_of(place.path / "halves") != files_of(place.path / "site")
    tomorrow = place.reduced(second, "yesterday")
    assert tomorrow == place.lines
    place.publish(tomorrow, "halves", "--grace", "0")
    assert files_of(place.path / "halves") == files_of(place.path / "site")


def test_combined_lines_in_any_order_are_the_same_tree(place):
    streams = [place.run("tel-map", "dashboard", *files) for files in place.files.values()]
    output = place.publish(
        b"".join(done.stdout for done in reversed(streams)), "any", "--expect", "2", "--memory", "300K"
    )
    assert len(output.stdout.split()) == 4 and files_of(place.path / "any") == files_of(place.path / "site")


def test_what_is_left_out_is_counted(place):
    done = place.publish(place.lines, "counted", "--summary=json", "--no-page")
    told, summary = done.stderr.decode().splitlines()
    dropped = json.loads(summary)["dropped_by_type"]
    assert set(dropped) == {"other_buckets"} and f"left out: {dropped['other_buckets']} other_buckets" in told


def test_a_page_is_made_where_it_can_be(place):
    place.publish(place.lines, "bare", "--no-page")
    said = place.publish(place.lines, "shown").stderr
    there = importlib.util.find_spec("bokeh") is not None
    assert (place.path / "shown/index.html").exists() == there != (b"no page is made" in said)
    assert not (place.path / "bare/index.html").exists()


# What nobody would call a measure, a system or a key, and what definitions of other kinds become.

NODES = {"20130801030201": "a" * 40, "20130802030201": "b" * 40}  # build id: its revision
KINDS = {
    "EXP": {"kind": "exponential", "high": "100 * 10", "n_buckets": 8, "description": "Größe <b>"},
    "exp": {"kind": "linear", "low": 2, "high": 50, "n_buckets": 6, "description": "other case"},
    "COUNTED": {"kind": "count", "description": 7},
    "LABELLED": {"kind": "categorical", "labels": ["one", "two", "three"], "description": "labels"},
    "odd/name": {"kind": "flag", "description": "slash"},
    "../../up": {"kind": "boolean", "description": "dots"},
    "filter": {"kind": "boolean", "description": "a file of ours"},
    "__proto__": {"kind": "enumerated", "n_values": 4, "description": "a script's"},
    "X-keyed": {"kind": "boolean", "description": "plain"},
    "X": {"kind": "count", "keyed": True, "description": "keyed"},
    "TIMES": {"kind": "exponential", "high": 500, "n_buckets": 9, "keyed": True, "description": "keyed"},
    "CHANGES": {"kind": "linear", "high": 10, "n_buckets": 5, "description": "before"},
}
CHANGED = {"kind": "linear", "high": 10, "n_buckets": 7, "description": "after"}
KEYS = ("plain", "", "__proto__", "a/b", 'ключ "x"')
SYSTEMS = [
    ("Linux", "3.10.4-generic", "x86"),
    ("Linux", "3.1", "x86"),
    ("name", "_id", "__proto__"),
    ("a/b", "name~", ""),
    ("WINNT", 6.1, "x86-64"),
]


def odd_name(name):
    """The name of a measure that cannot keep its own."""
    return f"{re.sub('[^A-Za-z0-9_]', '_', name)[:100]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def odd_level(value):
    """The text of a value in a tree of filters."""
    return {"name": "name~", "name~": "name~~", "_id": "_id~", "__proto__": "__proto__~", "": "UNKNOWN"}.get(
        value, value
    )


def raw_histogram(definition, counts):
    """A histogram as clients send it, with some counts by the number of the bucket."""
    kind = {"count": "linear", "categorical": "enumerated"}.get(definition["kind"], definition["kind"])
    sizes = {
        "low": definition.get("low", 1),
        "high": 1000 if definition.get("high") == "100 * 10" else definition.get("high", 2),
    }
    given = {
        "kind": kind,
        **sizes,
        "n_buckets": definition.get("n_buckets", 3),
        "n_values": definition.get("n_values", 3),
    }
    bounds = bounds_of(given)
    number = {"exponential": 0, "boolean": 2, "flag": 3, "count": 4, "categorical": 5}.get(definition["kind"], 1)
    low, high = (1, len(bounds) - 1) if kind == "enumerated" else (given["low"], given["high"])
    values = {str(bounds[at]): count for at, count in counts.items()}
    return {
        "range": [low, high],
        "bucket_count": len(bounds),
        "histogram_type": number,
        "values": values,
        "sum": sum(counts.values()) * 3 - 1,
    }


def odd_ping(at):
    """A ping of one of SYSTEMS, classic or unified."""
    build = list(NODES)[at % 2]
    kinds = {**KINDS, "CHANGES": CHANGED} if at % 2 else KINDS
    plain = {name: raw_histogram(kind, {0: 1, 1: at, 2: 2}) for name, kind in kinds.items() if not kind.get("keyed")}
    keyed = {
        name: {key: raw_histogram(kind, {n % 3: at + 1}) for n, key in enumerate(KEYS[: at + 2])}
        for name, kind in kinds.items()
        if kind.get("keyed")
    }
    system, version, arch = SYSTEMS[at % len(SYSTEMS)]
    revision = f"https://hg.mozilla.org/mozilla-central/rev/{NODES[build]}"
    simple = {
        "uptime": -1,
        "negative": -5,
        "zero": 0,
        "big": 10**12,
        "real": 2.5,
        "js": {"set/Proto": at, "odd": None},
        "no": "text",
        "yes": True,
        "ß": 1,
    }
    histograms = {"histograms": plain, "keyedHistograms": keyed, "simpleMeasurements": simple}
    if at < len(SYSTEMS):
        info = {
            "reason": "idle-daily",
            "appName": "Firefox",
            "appUpdateChannel": "nightly",
            "appVersion": "24.0a1",
            "appBuildID": build,
        }
        return {
            "ver": 1,
            "info": {**info, "OS": system, "version": version, "arch": arch, "revision": revision},
            **histograms,
        }
    application = {"name": "Firefox", "channel": "nightly", "version": "45.0", "buildId": build, "architecture": arch}
    environment = {"system": {"os": {"name": system, "version": version}}}
    payload = {"info": {"revision": revision}, **histograms}
    return {
        "type": "main",
        "id": "x",
        "version": 4,
        "application": application,
        "environment": environment,
        "payload": payload,
    }


@pytest.fixture(scope="module")
def odd(run_tool, tmp_path_factory):
    """A published tree of pings with everything that is odd."""
    place = Place(tmp_path_factory.mktemp("odd"), run_tool)
    for node, more in zip(NODES.values(), ({}, {"CHANGES": CHANGED})):
        folder = place.path / "h" / "mozilla-central" / node
        folder.mkdir(parents=True)
        folder.joinpath("Histograms.json").write_text(json.dumps({**KINDS, **more}))
    place.pings = [odd_ping(at) for at in range(2 * len(SYSTEMS))]
    lines = "".join(f"{at}\t{json.dumps(ping)}\n" for at, ping in enumerate(place.pings)).encode()
    place.files = place.store(lines, "20130803")
    place.lines = place.reduced(place.files)
    place.said = place.publish(place.lines).stderr.decode()
    return place


def odd_expected(pings):
    """What must be shown of the odd pings, under the names that they have in a tree."""
    expected = Expected((ping, "20130803") for ping in pings)
    renamed = {
        name: name if re.fullmatch("[A-Z]+|SIMPLE_MEASURES_[A-Z_]+", name) else odd_name(name)
        for version in expected.versions.values()
        for name, _ in version
    }
    for version, measures in expected.versions.items():
        shown = {}
        for (name, key), series in measures.items():
            days = {
                by: {d: {tuple(map(odd_level, path)): cell for path, cell in day.items()} for d, day in dates.items()}
                for by, dates in series.items()
            }
            shown[renamed[name], key] = days
        expected.versions[version] = shown
    return expected, renamed


def test_odd_names_values_and_kinds_are_shown_whole(odd):
    expected, renamed = odd_expected(odd.pings)
    v7 = V7(odd.path / "site")
    assert_shows(v7, expected)
    assert set(renamed) >= set(KINDS) and "left out: 5 other_buckets" in odd.said
    definitions = v7.definitions["nightly/24"]
    assert definitions["EXP"] == {**KINDS["EXP"], "low": 1, "high": 1000}
    assert definitions["COUNTED"] == {"kind": "linear", "description": "", "low": 1, "high": 2, "n_buckets": 3}
    assert definitions["LABELLED"] == {
        "kind": "enumerated",
        "description": "labels",
        "n_values": 3,
        "labels": KINDS["LABELLED"]["labels"],
    }
    assert definitions["CHANGES"] == {**CHANGED, "low": 1}
    June(odd.path / "site", v7)


def test_no_file_is_outside_of_its_folder(odd):
    for _, folders, files in os.walk(odd.path / "site"):
        names = [*folders, *files]
        assert all(re.fullmatch(r"[A-Za-z0-9_~][A-Za-z0-9_.~-]*|\.lock", name) for name in names)
        assert len({name.lower() for name in names}) == len(names)
    assert sorted(path.name for path in odd.path.iterdir()) == ["h", "list", "site", "store"]


def test_the_v1_client_sees_odd_names_and_kinds(odd, v1_client):
    expected, _ = odd_expected(odd.pings)
    seen, definitions = v1_client(odd.path / "site"), V7(odd.path / "site").definitions
    for version, measures in seen.items():
        assert set(measures) == {name for name, key in expected.versions[version] if key is None}
        for name, told in measures.items():
            for date, histogram in told["builds"].items():
                assert_said(
                    histogram, expected.versions[version][name, None]["build"][date], definitions[version][name]
                )


@pytest.mark.parametrize(
    "build", ["", "UNKNOWN", "20131301000000", "2013080", "00000000", "29990101000000", "２０１３０８０１"]
)
def test_a_ping_with_an_impossible_build_date_is_counted_and_left_out(odd, build):
    ping = odd_ping(0)
    ping["info"]["appBuildID"] = build
    lines = "".join(f"{at}\t{json.dumps(each)}\n" for at, each in enumerate([*odd.pings, ping])).encode()
    records = odd.run("tel-chain", "tel-resolve --date 20130803 | tel-convert", stdin=lines).stdout
    mapped = odd.run("tel-map", "dashboard", stdin=records).stdout
    reduced = odd.run("tel-reduce", "dashboard", stdin=mapped).stdout
    assert b'[["left out","bad_build_date"],1]\n' in reduced
    done = odd.publish(reduced, "counted")
    assert "left out: 1 bad_build_date, 5 other_buckets" in done.stderr.decode()
    shown = V7(odd.path / "counted")
    assert shown.definitions == V7(odd.path / "site").definitions
    assert_shows(shown, odd_expected(odd.pings)[0])


def mapped_alone(place, ping):
    """The pairs that the job makes of one stored ping."""
    lines = place.run("tel-map", "dashboard", stdin=f"a\t{json.dumps(ping)}\n".encode()).stdout.splitlines()
    return [json.loads(line) for line in lines[:-1]]


STORED = {
    "ver": 2,
    "info": {"reason": "r", "appName": "a", "appUpdateChannel": "c", "appVersion": "1", "appBuildID": "20130801"},
}


@pytest.mark.parametrize(
    "histogram, simple, reason",
    [
        ([1, 0, 1, 1e300, -1, -1, -1], 1, "bad_number"),
        ([2**64, 0, 1, -1, -1, -1, -1], 1, "bad_number"),
        ([1, 0, 1, -1, -1, -1, -1], 1e300, "bad_number"),
        ([1, 0, 1, -1, -1, -1, -1], -(10**400), "bad_number"),
    ],
)
def test_numbers_that_nobody_measured_are_counted_and_left_out(odd, histogram, simple, reason):
    ping = {**STORED, "histograms": {"A": histogram}, "simpleMeasurements": {"s": simple, "t": 4}}
    pairs = mapped_alone(odd, ping)
    assert [["left out", reason], 1] in pairs and len(pairs) == 3  # no submission date: by build alone


def test_a_histogram_that_calls_itself_a_simple_measurement_is_left_out(odd):
    ping = {**STORED, "histograms": {"SIMPLE_MEASURES_UPTIME": [0] * 50 + [-1] * 5}}
    assert mapped_alone(odd, ping) == [[["left out", "bad_name"], 1]]


@pytest.mark.parametrize(
    "member",
    [
        {"histograms": {"A": None}},
        {"histograms": {"A": {"values": {}}}},
        {"keyedHistograms": {"A": [1]}},
        {"keyedHistograms": 1},
    ],
)
def test_a_ping_that_is_not_in_the_storage_format_is_rejected_whole(odd, member):
    ping = {**STORED, "simpleMeasurements": {"s": 1}, **member}
    done = odd.run("tel-map", "--rejects", "bad", "dashboard", stdin=f"a\t{json.dumps(ping)}\n".encode())
    assert done.stdout == b""
    assert load(odd.path / "bad")["error_type"] == "not_stored"
    odd.path.joinpath("bad").unlink()


GOOD = [
    ["c", "1", "SIMPLE_MEASURES_S", "by-build-date", None, "20130801", "r", "a", "o", "v", "x", 50],
    [[0] * 55, 1, "20130801", ""],
]
OTHER = [*GOOD[0][:2], "SIMPLE_MEASURES_T", *GOOD[0][3:]]


@pytest.mark.parametrize(
    "pair",
    [
        ["a", 1],
        [["left out", "a b"], 1],
        [GOOD[0][:-1], GOOD[1]],
        [[*GOOD[0][:-1], 49], GOOD[1]],
        [[*GOOD[0][:5], "20130230", *GOOD[0][6:]], GOOD[1]],
        [[*GOOD[0][:3], "by-moon", *GOOD[0][4:]], GOOD[1]],
        [OTHER, [[0] * 54 + [None], 1, "20130801", ""]],
        [OTHER, [[-1] + [0] * 54, 1, "20130801", ""]],
        [OTHER, [[0] * 50 + [[1e308, 1e308]] + [0] * 4, 1, "20130801", ""]],
        [OTHER, [[0] * 55, 0, "20130801", ""]],
        [OTHER, [[0] * 55, 1, 20130801, ""]],
        [OTHER, 5],
    ],
)
def test_a_line_that_is_none_of_the_job_publishes_nothing(odd, pair, tmp_path):
    done = odd.publish(json.dumps(GOOD).encode() + b"\n" + json.dumps(pair).encode(), tmp_path, "--partial", status=65)
    assert b"no line of the job dashboard" in done.stderr or b"the job failed" in done.stderr
    assert [path.name for path in (tmp_path / "v7").iterdir()] == []


def test_without_the_definitions_it_is_said(odd, tmp_path):
    done = odd.publish(odd.lines, "none", "--histograms", str(tmp_path))
    assert "no_definition" in done.stderr.decode()
    assert all(name.startswith("SIMPLE_") for shown in V7(odd.path / "none").versions.values() for name, _ in shown)
    assert b"nowhere: cannot be listed" in odd.publish(odd.lines, "none", "--histograms", "nowhere", status=66).stderr
    shutil.rmtree(odd.path / "none")


# Real pings.


@pytest.mark.slow
def test_real_pings_are_shown_as_they_are(corpus, run_tool, tmp_path):
    """Of Firefox 23, 45, 60 and 153; what their definitions do not know is not shown."""
    place = Place(tmp_path, run_tool)
    plant(corpus, NEAREST, tmp_path / "h")
    texts = [(corpus / "pings" / name).read_bytes() for name in ("telemetry1.ndjson", *MAIN_PINGS)]
    bodies = gzip.decompress((corpus / "pings" / "firefox-153.ndjson.gz").read_bytes()).splitlines()
    pings = [json.loads(text) for text in texts] + [json.loads(line)["body"] for line in bodies]
    pings = [ping for ping in pings if "ver" in ping or ping["type"] in ("main", "first-shutdown")]
    lines = "".join(f"{at}\t{json.dumps(ping)}\n" for at, ping in enumerate(pings)).encode()
    convert = "tel-resolve --date 20261201 | tel-validate --rejects bad | tel-convert"
    place.run("tel-chain", f"{convert} | tel-persist --no-sync --store store --batch b", stdin=lines)
    files = place.run("tel-ls", "store").stdout.decode().split()
    place.publish(place.reduced(files))
    v7, expected = V7(tmp_path / "site"), Expected((ping, "20261201") for ping in pings)
    for version, measures in list(expected.versions.items()):
        for name in list(measures):
            if name not in v7.versions[version]:
                del measures[name]
    assert_shows(v7, expected)
    June(tmp_path / "site", v7)
    assert {"release/23", "beta/45", "nightly/60", "esr/153"} <= v7.versions.keys()
    assert sum(key is not None for measures in v7.versions.values() for _, key in measures) > 40
    assert sum(key is None for measures in v7.versions.values() for _, key in measures) > 1000


# What was shown is replaced at once, or not at all.


def line_of(version, measure="SIMPLE_MEASURES_S", count=1):
    """A line that needs no definitions."""
    key = ["nightly", version, measure, "by-build-date", None, "20130801", "r", "a", "o", "v", "x", 50]
    return json.dumps([key, [[count] + [0] * 54, 1, "20130801", ""]]).encode() + b"\n"


@pytest.fixture
def alone(run_tool, tmp_path):
    """A folder to publish in, without definitions."""
    tmp_path.joinpath("h").mkdir()
    return Place(tmp_path, run_tool)


def folders_of(site):
    return {path.name for path in pathlib.Path(site, "v7").iterdir() if path.is_dir()}


def test_what_is_replaced_stays_for_the_grace_time(alone):
    site = alone.path / "site"
    (first,) = alone.publish(line_of("1"), site, "--partial").stdout.split()
    (second,) = alone.publish(line_of("1", count=2), site, "--partial").stdout.split()
    assert {os.path.basename(name.decode()) for name in (first, second)} == folders_of(site)
    assert V7(site).folders == {"nightly/1": os.path.basename(second.decode())}
    os.utime(first, (time.time() - 3000, time.time() - 3000))
    alone.publish(line_of("1", count=2), site, "--partial")
    assert len(folders_of(site)) == 2
    alone.publish(line_of("1", count=2), site, "--partial", "--grace", "2900")
    assert folders_of(site) == {os.path.basename(second.decode())}
    assert alone.publish(line_of("1"), site, "--partial").stdout.split() == [first]


def test_a_version_that_is_gone_leaves_no_pointer(alone):
    site = alone.path / "site"
    alone.publish(line_of("1") + line_of("2"), site, "--partial")
    June(site, V7(site))
    alone.publish(line_of("2"), site, "--partial", "--grace", "0")
    assert sorted(os.listdir(site / "data" / "nightly")) == ["2"] and len(folders_of(site)) == 1
    alone.publish(b'{"end":{"tool":"t","records":0}}\n', site, "--grace", "0")
    assert V7(site).folders == {} and folders_of(site) == set()
    assert sorted(os.listdir(site / "data")) == ["Histograms.json", "versions.json"]


def test_versions_of_like_names_are_apart(alone):
    names = (b'"a-b", "c"', b'"a", "b-c"', b'"X", "1"', b'"x", "1"', b'"a/b", "."')
    lines = [line_of("1", count=at).replace(b'"nightly", "1"', name) for at, name in enumerate(names)]
    assert len(alone.publish(b"".join(lines), "site", "--partial").stdout.split()) == 5
    shown = V7(alone.path / "site")
    assert {"a-b/c", "a/b-c", "X/1"} < shown.versions.keys()
    assert len({name.lower().split("/")[0] for name in shown.versions}) == 5
    assert sorted(row[0] for measures in shown.versions.values() for row in rows_of(measures)) == [0, 1, 2, 3, 4]
    June(alone.path / "site", shown)


def test_a_version_of_which_nothing_can_be_shown_is_not(alone):
    done = alone.publish(line_of("1") + line_of("2", "UNDEFINED"), "site", "--partial")
    assert list(V7(alone.path / "site").versions) == ["nightly/1"] and b"1 no_definition" in done.stderr


def test_it_ends_a_chain(odd):
    odd.run("tel-chain", f"tel-map dashboard {' '.join(odd.files)} | tel-reduce dashboard | tel-dashboard --to chained")
    assert files_of(odd.path / "chained") == files_of(odd.path / "site")
    shutil.rmtree(odd.path / "chained")


def test_two_do_not_write_at_once(alone):
    site = alone.path / "site"
    alone.publish(line_of("1"), site, "--partial")
    with open(site / ".lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = alone.publish(line_of("2"), site, "--partial", status=75)
    assert b"another process is writing there" in done.stderr and list(V7(site).folders) == ["nightly/1"]


@pytest.mark.parametrize("path", ["v7/versions.json", "data/nightly/1"])
def test_what_is_not_ours_is_not_replaced(alone, path):
    other = alone.path / "site" / path
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    assert str(path).encode() in alone.publish(line_of("1"), "site", "--partial", status=74).stderr
    assert other.read_text() == "mine"


def test_what_a_killed_one_left_is_removed(alone):
    site = alone.path / "site"
    alone.publish(line_of("1"), site, "--partial")
    before = files_of(site)
    for path in (
        "v7/.new-nightly-1/x.json",
        "v7/versions.json.77.new",
        "data/Histograms.json.78.new",
        "bokeh.min.js.79.new",
    ):
        (site / path).parent.mkdir(exist_ok=True)
        (site / path).write_text("half")
    alone.publish(line_of("1"), site, "--partial")
    assert files_of(site) == before


def test_a_part_is_not_published(alone):
    alone.publish(line_of("1"), "site", "--partial")
    before = files_of(alone.path / "site")
    assert b"--partial" in alone.publish(line_of("2"), "site", status=75).stderr
    assert files_of(alone.path / "site") == before


def test_killed_at_any_time_readers_see_the_old_tree_or_the_new_one(alone):
    site, old = alone.path / "site", b"".join(line_of(str(n)) for n in range(1, 6))
    new = b"".join(line_of(str(n), f"SIMPLE_MEASURES_{m}", 2) for n in range(1, 6) for m in range(40))
    alone.publish(new, "new", "--partial")
    alone.publish(old, site, "--partial")
    lines = alone.path / "lines"
    lines.write_bytes(new)
    seen, wait = set(), 0.0
    while "new" not in seen and wait < 5:
        process = subprocess.Popen(["tel-dashboard", "--partial", "--to", site, lines], stdout=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait)
        process.kill()
        process.wait()
        shown = V7(site)
        counts = {row[0] for measures in shown.versions.values() for row in rows_of(measures)}
        assert len(shown.versions) == 5 and len(counts) == 1
        seen.add("new" if counts == {2} else "old")
        wait += 0.02
    assert "old" in seen
    alone.publish(new, site, "--partial", "--grace", "0")
    assert files_of(site) == files_of(alone.path / "new")


def rows_of(measures):
    return (row for series in measures.values() for day in series["build"].values() for row in day.values())


def test_a_full_disk_publishes_nothing(alone):
    """A limit on the size of files stands for a full disk."""
    done = alone.run_tool(
        "bash",
        "-c",
        "ulimit -f 1; trap '' XFSZ; tel-dashboard --partial --to site",
        stdin=b"".join(line_of("1", f"SIMPLE_MEASURES_{n}") for n in range(40)),
        cwd=alone.path,
    )
    assert done.returncode == 74 and b"File too large" in done.stderr
    assert list((alone.path / "site" / "v7").iterdir()) == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_measures(alone):
    """Held whole, the lines of the larger tree take 20 MiB more."""
    peaks = []
    for number in (200, 2000):
        lines = b"".join(line_of("1", f"SIMPLE_MEASURES_{m}") for m in range(number))
        lines = b"".join(lines.replace(b'"v"', b'"%d"' % version) for version in range(10))
        words = ("tel-dashboard", "--to", "site", "--partial", "--memory", "4M", "--grace", "0")
        done = alone.run_tool(sys.executable, PEAK, alone.path / "peak", *words, stdin=lines, cwd=alone.path)
        assert done.returncode == 0, done.stderr
        peaks.append(int((alone.path / "peak").read_text()))
    assert peaks[1] < peaks[0] + (8 << 10)
    assert all(len(load(path)) == 2000 for path in (alone.path / "site" / "v7").glob("*/histograms.json"))
