"""pipelines/live-dashboard shows at every moment what one run over all files would show, mapping only new ones."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import pytest
import standins

import tools

LIVE = pathlib.Path(__file__).parent.parent / "pipelines" / "live-dashboard"

if not shutil.which("flock"):
    pytest.skip("flock missing: pipelines/live-dashboard is not run", allow_module_level=True)


class Live:
    """A folder with definitions `h`, a `store`, what is published in `site`, and rounds of the pipeline."""

    def __init__(self, path, run_tool):
        self.path, self.run_tool = path, run_tool
        self.env = {**os.environ, "TEL_HISTOGRAMS": str(path / "h")}
        self.command = [str(LIVE), "--store", "store", "--to", "site"]

    def come(self, batch, number=20):
        """Store a batch of generated pings."""
        tools.store_sampled(self.run_tool, self.path, self.path / "store", number, f"b{batch}", batch)

    def once(self, *words, env=None):
        return self.run_tool(*self.command, "--once", *words, cwd=self.path, env=env or self.env)

    def shown(self, site="site"):
        """{path: bytes} of what versions.json leads to."""
        return {
            str(file.relative_to(self.path / site)): file.read_bytes()
            for file in (self.path / site / "data").rglob("*")
            if file.is_file()
        }

    def plain(self, *where):
        """The same of one run over everything."""
        shutil.rmtree(self.path / "plain", ignore_errors=True)
        listed = " ".join(("tel-ls", *where, "store"))
        script = f"{listed} | tel-map --files-from - dashboard | tel-reduce dashboard | tel-dashboard --to plain"
        done = self.run_tool("bash", "-o", "pipefail", "-c", script, cwd=self.path, env=self.env)
        assert done.returncode == 0, done.stderr
        return self.shown("plain")

    def mapped(self):
        """How many files each tel-map has been given since the last time."""
        path = self.path / "mapped"
        found = list(map(int, path.read_text().split())) if path.exists() else []
        path.unlink(missing_ok=True)
        return found


@pytest.fixture
def live(tmp_path, run_tool):
    assert run_tool("tel-sample", "--definitions", tmp_path / "h").returncode == 0
    made = Live(tmp_path, run_tool)
    made.come(1)
    (tmp_path / "bin").mkdir()
    count = f'for list; do [ ! -f "$list" ] || wc -l < "$list" >> {tmp_path}/mapped; done; exec "$real" "$@"'
    standins.replace(tmp_path / "bin", "tel-map", count)
    made.env["PATH"] = f"{tmp_path}/bin:{made.env['PATH']}"
    return made


def files(live):
    return len(live.run_tool("tel-ls", live.path / "store").stdout.splitlines())


def test_each_round_maps_what_is_new_and_shows_all(live):
    assert live.once("-j", "1").returncode == 0 and live.shown() == live.plain()
    live.mapped()
    for batch in (2, 3):
        before = files(live)
        live.come(batch)
        done = live.once()
        assert done.returncode == 0, done.stderr
        assert sum(live.mapped()) == files(live) - before
        assert live.shown() == live.plain()
    pointer = live.path / "site/v7/versions.json"
    published = pointer.stat().st_mtime_ns
    live.mapped()
    assert live.once().returncode == 0 and live.mapped() == [] and pointer.stat().st_mtime_ns == published


def test_after_a_compaction_or_with_other_conditions_everything_is_mapped(live):
    live.come(2)
    assert live.once().returncode == 0
    assert live.run_tool("tel-compact", "--grace", "0", live.path / "store").returncode == 0
    live.mapped()
    assert live.once().returncode == 0 and sum(live.mapped()) == files(live) and live.shown() == live.plain()
    assert live.once("--where", "channel=nightly").returncode == 0
    assert live.shown() == live.plain("--where channel=nightly")


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on(live):
    chance = random.Random(1)
    for batch in range(2, 7):
        live.come(batch)
        words = [*live.command, "--every", "1"]
        running = subprocess.Popen(words, cwd=live.path, env=live.env, start_new_session=True, stderr=subprocess.PIPE)
        time.sleep(chance.random() * 1.5)
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    done = live.once()
    assert done.returncode == 0 and live.shown() == live.plain(), done.stderr


@pytest.mark.parametrize("tool", ["tel-map", "tel-reduce", "tel-dashboard", "tel-ls"])
def test_a_round_that_fails_leaves_what_is_shown(tool, live):
    assert live.once().returncode == 0
    before = live.shown()
    live.come(2)
    standins.replace(live.path / "bin", tool, standins.KILLED)
    done = live.once()
    assert done.returncode == 75 and live.shown() == before
    (live.path / "bin" / tool).unlink()
    assert live.once().returncode == 0 and live.shown() == live.plain()


def test_it_goes_on_by_itself_and_two_do_not_work_at_once(live):
    (live.path / "store").rename(live.path / "later")
    running = subprocess.Popen([*live.command, "--every", "1"], cwd=live.path, env=live.env, start_new_session=True)
    time.sleep(0.5)
    (live.path / "later").rename(live.path / "store")
    try:
        until(lambda: (live.path / "site/v7/versions.json").exists())
        assert live.once().returncode == 75
        live.come(2)
        expected = live.plain()
        until(lambda: live.shown() == expected)
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait()


def until(ready):
    for _ in range(600):
        if ready():
            return
        time.sleep(0.05)
    raise AssertionError("it does not come")


def test_wrong_command_lines(run_tool, tmp_path):
    for words in ([], ["--store", "x"], ["--every", "0", "--store", "x", "--to", "y"], ["--no"], ["x"], ["--store"]):
        done = run_tool(LIVE, *words, cwd=tmp_path)
        assert done.returncode == 2 and done.stderr.startswith(b"live-dashboard: "), words
    assert run_tool(LIVE, "--once", "--store", "x", "--to", "y", cwd=tmp_path).returncode == 66
    assert run_tool(LIVE, "--help").stdout.startswith(b"live-dashboard - ")
