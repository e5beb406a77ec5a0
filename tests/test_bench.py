"""The measuring works: each section gives its table, and the peers answer what the suite does."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import tools

RUN = pathlib.Path(__file__).parent / "bench" / "run"
TITLES = {
    "floors": "Floors",
    "chain": "resolve, validate, convert, persist",
    "tools": "Each tool alone",
    "convert": "Converting histograms",
    "histogram": "One histogram summed by channel and version",
    "os-count": "Pings counted by operating system",
    "histograms": "All histograms summed by channel and version",
    "machine": "All histograms summed by the jobs of one machine",
    "firefox-23": "Real pings of Firefox 23",
    "firefox-153": "Real pings of Firefox 153",
    "start": "Start",
}
COMPARED = ("convert", "histogram", "os-count", "histograms")


def bench(cache, *words):
    """A run of the bench over very little, with the tools that this test has."""
    tools.put_on_path()
    done = subprocess.run([sys.executable, RUN, "--check", "--cache", cache, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """(what a run of all sections prints, its line of history, the folder of its data)."""
    cache = tmp_path_factory.mktemp("bench")
    printed = bench(str(cache))
    (line,) = (cache / "history.ndjson").read_text(encoding="utf-8").splitlines()
    return printed, json.loads(line), cache


def test_each_section_has_a_table(measured):
    printed, history, _ = measured
    names = [name for name in TITLES if os.environ.get("TEL_CORPUS") or not name.startswith("firefox")]
    assert list(history["sections"]) == names
    for name in names:
        table = printed[printed.index(f"## {TITLES[name]}\n") :].split("\n\n")[1].splitlines()
        assert len(table) >= 2 + len(history["sections"][name])
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1


def test_peers_answer_what_the_suite_does(measured):
    _, history, _ = measured
    for name in COMPARED:
        answers = {what: found["same"] for what, found in history["sections"][name].items() if "ujson" not in what}
        assert len(answers) >= 3 and all(answers.values()), answers


def test_the_unit_is_one(measured):
    _, history, _ = measured
    for name, rows in history["sections"].items():
        if name != "start":
            unit = rows["ujson: parse and drop the raw lines"]
            assert unit["ratio"] == 1 and unit["cpu_per_gb"] > 0 and unit["peak"] > 1e6


def test_sections_can_be_chosen_and_data_are_kept(measured):
    _, _, cache = measured
    made = {path: path.stat().st_mtime_ns for path in cache.glob("*/raw")}
    printed = bench(str(cache), "floors")
    assert made and made == {path: path.stat().st_mtime_ns for path in cache.glob("*/raw")}
    assert printed.count("\n## ") == 1 and len((cache / "history.ndjson").read_text().splitlines()) == 2


@pytest.mark.slow
def test_the_age_of_pings_from_kafka_is_measured(tmp_path):
    pytest.importorskip("confluent_kafka", reason="confluent_kafka is missing: tests/bench/kafka is not run")
    tools.put_on_path()
    words = ["--loads", "0.5", "1", "--seconds", "2", "--max-seconds", "1", "--folder", str(tmp_path)]
    done = subprocess.run([sys.executable, RUN.parent / "kafka", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [[float(cell) for cell in line.strip("| ").split(" | ")] for line in done.stdout.splitlines()[-2:]]
    for load, (rate, pings, behind, at_end, rest, median, most, bound, lost) in zip((0.5, 1), rows):
        assert 0.6 * load < rate < 1.4 * load and pings >= 10 * load and lost == 0 and bound == 3
        assert 0 < behind < 60 and 0 <= at_end <= behind and 0 < rest < 60 and 0.1 <= median <= most < 60
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_load_of_a_receiver_is_measured(tmp_path):
    for program in ("wrk", "nginx"):
        if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin"):
            pytest.skip(f"{program} missing: tests/bench/receive is not run")
    pytest.importorskip("aiohttp", reason="aiohttp missing (tel[http]): tests/bench/receive is not run")
    words = ["--runs", "1", "--seconds", "1", "--workers", "1", "--folder", str(tmp_path)]
    done = subprocess.run([sys.executable, RUN.parent / "receive", *words], capture_output=True, text=True)
    rows = re.findall(r"(?m)^\| .+? \| 1 \| (\d+) \| (\d\.\d\d) \|$", done.stdout)
    assert done.returncode == 0 and len(rows) == 3 and all(int(speed) > 0 for speed, _ in rows), done.stderr
