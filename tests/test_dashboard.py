"""tel-dashboard's trees show what the raw pings say, to the published clients of both generations."""

import contextlib
import functools
import http.server
import json
import math
import os
import pathlib
import shutil
import subprocess
import threading

import pytest
from dashboards import V7, Expected, June, bounds_of

V1 = pathlib.Path(__file__).with_name("v1_client.js")
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
    done = place.publish(place.lines, "counted", "--summary=json")
    told, summary = done.stderr.decode().splitlines()
    dropped = json.loads(summary)["dropped_by_type"]
    assert set(dropped) == {"other_buckets"} and f"left out: {dropped['other_buckets']} other_buckets" in told
