"""pipelines/dashboard-daily publishes the sum of all days, maps those that are new, and keeps what is shown if it fails."""

import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
import standins

PIPELINES = pathlib.Path(__file__).parent.parent / "pipelines"
DAILY = PIPELINES / "dashboard-daily"

DEAD = "kill -KILL $$"  # before it does anything

for program in ("flock", "gzip"):
    if not shutil.which(program):
        pytest.skip(f"{program} missing: pipelines/dashboard-daily is not run", allow_module_level=True)


class Daily:
    """A folder with definitions `h`, a `store`, what is published in `site`, and runs of the pipeline."""

    def __init__(self, path, run_tool):
        self.path, self.run_tool = path, run_tool
        (path / "t").mkdir()
        self.env = {**os.environ, "TEL_HISTOGRAMS": str(path / "h"), "TMPDIR": str(path / "t")}

    def store(self, day, number, batch=None):
        """Store some generated pings under a submission date."""
        raw = self.run_tool("tel-sample", "--small", "-n", number, "--seed", number).stdout
        convert = f"tel-resolve --date {day} | tel-convert"
        persist = f"tel-persist --no-sync --store store --batch {batch or day}"
        done = self.run_tool("tel-chain", f"{convert} | {persist}", stdin=raw, cwd=self.path, env=self.env)
        assert done.returncode == 0, done.stderr

    def __call__(self, *words, env=None):
        command = (DAILY, "--store", "store", "--to", "site", *words)
        done = self.run_tool(*command, cwd=self.path, env=env or self.env)
        assert os.listdir(self.path / "t") == []
        return done

    def days(self):
        """{day: (name, time) of its answer}."""
        found = sorted((self.path / "site.days").glob("*.ndjson.gz"))
        return {path.name[:8]: (path.name, path.stat().st_mtime_ns) for path in found}

    def shown(self, site="site"):
        """What is published: {path: content}, without what was replaced."""
        root = self.path / site
        folders = json.loads((root / "v7" / "versions.json").read_text())
        paths = [root / "data", root / "v7" / "versions.json", *(root / "v7" / name for name in folders.values())]
        files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
        return {str(file.relative_to(root)): file.read_bytes() for file in files}

    def plain(self, *where):
        """What the plain pipeline publishes of the store."""
        command = f"tel-ls {' '.join(where)} store > files; tel-map --files-from files dashboard | tel-dashboard --to plain --grace 0"
        done = self.run_tool("bash", "-o", "pipefail", "-c", command, cwd=self.path, env=self.env)
        assert done.returncode == 0, done.stderr
        return self.shown("plain")


@pytest.fixture(scope="module")
def filled(run_tool, tmp_path_factory):
    place = Daily(tmp_path_factory.mktemp("daily"), run_tool)
    assert run_tool("tel-sample", "--definitions", place.path / "h").returncode == 0
    place.store("20130901", 30)
    place.store("20130902", 20)
    assert (place().returncode, sorted(place.days())) == (0, ["20130901", "20130902"])
    return place


@pytest.fixture
def daily(filled, run_tool, tmp_path):
    """A copy of a store of two days that are published."""
    for name in ("h", "store", "site", "site.days"):
        shutil.copytree(filled.path / name, tmp_path / name, symlinks=True)
    return Daily(tmp_path, run_tool)


def test_it_publishes_what_the_plain_pipeline_does(daily):
    assert daily.shown() == daily.plain()
    before = daily.days()
    done = daily("-j", "1", "--log", "log")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert daily.days() == before and "mapped" not in (daily.path / "log").read_text()


def test_only_days_with_other_files_are_mapped_again(daily):
    before = daily.days()
    daily.store("20130902", 10, "late")
    daily.store("20130903", 10)
    assert daily("--log", "log").returncode == 0
    after = daily.days()
    assert after["20130901"] == before["20130901"] and after["20130902"] != before["20130902"]
    assert sorted(after) == ["20130901", "20130902", "20130903"]
    assert daily.shown() == daily.plain()
    log = (daily.path / "log").read_text()
    assert log.count("mapped") == 2 and "published 3 days in site" in log


def test_a_day_that_expired_stays(daily):
    before = daily.shown()
    done = daily.run_tool("tel-expire", "--before", "20130902", "--grace", "0", "store", cwd=daily.path, env=daily.env)
    assert done.returncode == 0 and daily().returncode == 0
    assert daily.shown() == before != daily.plain()


def test_the_last_days_alone(daily):
    today = time.strftime("%Y%m%d", time.gmtime())
    daily.store(today, 10)
    assert daily("--last", "2").returncode == 0
    assert daily.shown() == daily.plain("--where", f"date={today}") and len(daily.days()) == 3


def test_folders_metrics_and_definitions_are_where_they_are_asked_for(daily):
    words = ("--histograms", "h", "--days", "kept", "--metrics", "m", "--rejects", "bad", "--jobs=1")
    done = daily(*words, env={name: value for name, value in daily.env.items() if name != "TEL_HISTOGRAMS"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(list((daily.path / "kept").glob("*.gz"))) == 2 and os.listdir(daily.path / "bad") == []
    assert "tel_records_read_total" in (daily.path / "m" / "tel-dashboard-daily.prom").read_text()


def test_a_bad_ping_stops_it_or_is_kept(daily):
    daily.store("20130903", 10)
    bad = b'{"id":"x","date":"20130903","info":{"reason":"r"},"revision":null,"ping":{"ver":2,"info":{},"histograms":{"A":1}}}'
    persist = ("tel-persist", "--no-sync", "--partial", "--store", "store", "--batch", "bad")
    assert daily.run_tool(*persist, stdin=bad, cwd=daily.path, env=daily.env).returncode == 0
    before = daily.shown()
    done = daily()
    assert done.returncode == 75 and b"no answer for 20130903" in done.stderr and b"storage format" in done.stderr
    assert daily.shown() == before
    assert daily("--rejects", "bad").returncode == 0 and daily.shown() != before
    assert json.loads((daily.path / "bad" / "20130903.ndjson").read_text())["error_type"] == "not_stored"


@pytest.mark.parametrize("tool, script", [("tel-map", standins.KILLED), ("tel-dashboard", DEAD), ("gzip", DEAD)])
def test_a_tool_that_dies_leaves_what_is_shown(daily, tool, script):
    daily.store("20130903", 10)
    before = daily.shown()
    env = {**daily.env, "PATH": f"{standins.replace(daily.path / 'bad', tool, script)}:{daily.env['PATH']}"}
    done = daily(env=env)
    assert done.returncode == 75 and b"dashboard-daily: no" in done.stderr and daily.shown() == before


def test_a_second_run_does_nothing(daily):
    with open(daily.path / "site.days" / ".lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = daily()
    assert done.returncode == 75 and b"an earlier run is still at work" in done.stderr


def test_killed_and_run_again_it_is_whole(daily):
    daily.store("20130903", 20)
    for tenths in (3, 7):
        command = [str(DAILY), "--store", "store", "--to", "site"]
        process = subprocess.Popen(command, cwd=daily.path, env=daily.env, start_new_session=True)
        time.sleep(tenths / 10)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert daily.shown()
    for left in (daily.path / "t").glob("*"):  # SIGKILL leaves it
        shutil.rmtree(left)
    assert daily().returncode == 0 and daily.shown() == daily.plain()


def test_wrong_words(run_tool, tmp_path):
    (tmp_path / "s").mkdir()
    good = ("--store", tmp_path / "s", "--to", tmp_path / "x")
    for words in (
        ["--nosuch"],
        ["a"],
        [*good, "-j", "0"],
        [*good, "--last", "0"],
        ["--store"],
        ["--store", tmp_path / "s"],
    ):
        done = run_tool(DAILY, *words)
        assert done.returncode == 2 and done.stderr.startswith(b"dashboard-daily: "), words
    assert run_tool(DAILY, "--store", tmp_path / "none", "--to", tmp_path / "x").returncode == 66
    assert run_tool(DAILY, "--help").stdout.startswith(b"dashboard-daily - ")
    assert list(tmp_path.iterdir()) == [tmp_path / "s"]
