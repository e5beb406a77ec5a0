"""The whole job, from raw pings to an answer, against one independent computation from the same raw pings."""

import json
import math
from collections import Counter, defaultdict

import pytest

from pipeline import Pipeline


def bounds(kind, low, high, n):
    """Bucket lower bounds by the published formulas, written again from their description."""
    if kind != "exponential":
        return [0] + [int((low * (n - 1 - i) + high * (i - 1)) / (n - 2) + 0.5) for i in range(1, n)]
    found, current = [0, low], low
    for i in range(2, n):
        step = (math.log(high) - math.log(current)) / (n - i)
        following = int(math.floor(math.exp(math.log(current) + step) + 0.5))
        current = max(following, current + 1)
        found.append(current)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory, run_tool):
    """A folder with definitions and an export of good pings."""
    place = tmp_path_factory.mktemp("truth")
    run_tool("tel-sample", "--definitions", str(place / "h"))
    (place / "export.tsv").write_bytes(run_tool("tel-sample", "-n", "40", "--seed", "7").stdout)
    return place


@pytest.fixture(scope="module")
def pings(place):
    lines = (place / "export.tsv").read_text(encoding="utf-8").splitlines()
    return [json.loads(line.split("\t", 1)[1]) for line in lines if "\t" in line]


@pytest.fixture(scope="module")
def files(place, run_tool):
    """The list of the files of the store that the ingest pipeline made."""
    histograms = ("--histograms", str(place / "h"))
    _, statuses = Pipeline(
        [
            ["tel-resolve", *histograms, "--date", "2026-09-01", str(place / "export.tsv")],
            ["tel-validate", *histograms],
            ["tel-convert", *histograms],
            ["tel-persist", "--store", str(place / "store"), "--batch", "b"],
        ]
    ).finish()
    assert statuses == [0] * 4
    listed = run_tool("tel-ls", str(place / "store"))
    (place / "files").write_bytes(listed.stdout)
    return place / "files"


def answer(job, files):
    """{key: value} of the reduced lines of a job; a key's list as a tuple."""
    out, statuses = Pipeline(
        [
            ["tel-map", "--files-from", str(files), job],
            ["tel-combine", job],
            ["tel-reduce", "--inputs", str(files), job],
        ]
    ).finish()
    assert statuses == [0] * 3
    pairs = [json.loads(line) for line in out.splitlines()]
    return {tuple(key) if isinstance(key, list) else key: value for key, value in pairs}


def test_operating_systems_are_counted(files, pings):
    assert answer("os-count", files) == Counter(ping["info"]["OS"] for ping in pings)


def test_every_histogram_is_summed(files, pings):
    expected = defaultdict(lambda: defaultdict(int))
    for ping in pings:
        info = ping["info"]
        for name, histogram in ping["histograms"].items():
            key = (info["appUpdateChannel"], info["appVersion"], name, histogram["bucket_count"])
            kind = "exponential" if histogram["histogram_type"] == 0 else "linear"
            places = bounds(kind, *histogram["range"], histogram["bucket_count"])
            for bucket, count in histogram["values"].items():
                expected[key][places.index(int(bucket))] += count
            expected[key]["sum"] += histogram["sum"]
    found = answer("histograms", files)
    assert found.keys() == expected.keys() and len(found) > 100
    for key, array in found.items():
        counts = {at: count for at, count in enumerate(array[: key[3]]) if count}
        assert counts == {at: count for at, count in expected[key].items() if at != "sum" and count}, key
        assert array[key[3]] == expected[key]["sum"], key


def test_one_histogram_is_among_all(files, pings):
    name = next(iter(pings[0]["histograms"]))
    alone = answer(f"histogram {name}", files)
    among = {key: value for key, value in answer("histograms", files).items() if key[2] == name}
    assert len(alone) == len(among) > 0
    assert sorted(map(str, alone.values())) == sorted(map(str, among.values()))


def test_stored_lines_and_records_on_standard_input_give_the_same(files, place, run_tool):
    paths = files.read_text().splitlines()
    stored = run_tool("zstd", "-dcq", *paths).stdout
    mapped = run_tool("tel-map", "os-count", stdin=stored)
    done = run_tool("tel-reduce", "os-count", stdin=mapped.stdout)
    assert done.returncode == 0
    assert {key: value for key, value in map(json.loads, done.stdout.splitlines())} == answer("os-count", files)
