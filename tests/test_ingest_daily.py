"""pipelines/ingest-daily stores each file of an inbox once, keeps what fails, and says so."""

import fcntl
import gzip
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest
import standins

from tel import persist

PIPELINES = pathlib.Path(__file__).parent.parent / "pipelines"
DAILY = PIPELINES / "ingest-daily"

if not shutil.which("flock"):
    pytest.skip("flock missing: pipelines/ingest-daily is not run", allow_module_level=True)


@pytest.fixture(scope="module")
def definitions(tmp_path_factory, run_tool):
    place = tmp_path_factory.mktemp("daily") / "h"
    assert run_tool("tel-sample", "--definitions", place).returncode == 0
    return place


@pytest.fixture
def inbox(tmp_path, run_tool):
    """An inbox with two exports, one in ten lines of the second bad."""
    inbox = tmp_path / "in box"
    inbox.mkdir()
    good = run_tool("tel-sample", "--small", "-n", "30").stdout
    (inbox / "a's 2013-09-01.gz").write_bytes(gzip.compress(good))
    bad = run_tool("tel-sample", "--small", "-n", "40", "--seed", "2", "--bad", "10%").stdout
    (inbox / "b-20130902.tsv").write_bytes(bad)
    return inbox


@pytest.fixture
def daily(inbox, definitions, run_tool, tmp_path):
    def run(*words, env=os.environ):
        env = {**env, "TEL_HISTOGRAMS": str(definitions), "TMPDIR": str(tmp_path)}
        done = run_tool(DAILY, "--store", tmp_path / "store", *words, inbox, env=env)
        assert not [name for name in os.listdir(tmp_path) if name.startswith("tel-")]
        assert done.stdout == b""
        return done

    return run


def stored(run_tool, store):
    """How many pings there are of each day."""
    done = run_tool(
        "bash", "-c", 'tel-ls "$0" | tel-map --files-from - "count submission_date" | tel-reduce count', store
    )
    return {day: int(n) for day, n in re.findall(r'"(\d{8})"\]?,(\d+)', done.stdout.decode())}


def visible(inbox):
    return sorted(path.name for path in inbox.iterdir() if not path.name.startswith("."))


def test_all_files_are_stored_and_nothing_is_said(daily, inbox, run_tool, tmp_path):
    ids = {persist.default_id([str(inbox / name)]) for name in visible(inbox)}
    done = daily("--log", tmp_path / "log", "--metrics", tmp_path / "m")
    assert (done.returncode, done.stderr, visible(inbox)) == (0, b"", [])
    days = stored(run_tool, tmp_path / "store")
    assert days["20130901"] == 30 and 30 < days["20130902"] < 40
    assert sorted(os.listdir(inbox / ".done")) == ["a's 2013-09-01.gz", "b-20130902.tsv"]
    log = (tmp_path / "log").read_text()
    assert set(re.findall(r"as batch (.*)", log)) == ids and "tel-resolve: " in log
    (kept,) = [path for path in (inbox / ".rejects").iterdir() if path.name.endswith(".resolve.ndjson")]
    assert kept.name.startswith("b-20130902.tsv-") and kept.read_text().count("\n") == 40 - days["20130902"]
    metrics = (tmp_path / "m" / "tel-ingest-daily.prom").read_text()
    assert f'tel_records_written_total{{tool="tel-persist"}} {sum(days.values())}\n' in metrics
    assert 'tel_records_read_total{tool="tel-resolve"} 70\n' in metrics
    assert 'tel_ingest_files{state="stored"} 2\n' in metrics and "tel_ingest_status 0\n" in metrics
    heads = re.findall(r"(?m)^# TYPE (\S+)", metrics)
    samples = [line.split("{")[0].split(" ")[0] for line in metrics.splitlines() if not line.startswith("#")]
    assert len(heads) == len(set(heads)) and [n for at, n in enumerate(samples) if n not in samples[:at]] == [
        name for name in heads if name in samples
    ]  # each family once, its samples together


def test_a_file_that_comes_again_is_stored_once(daily, inbox, run_tool, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(inbox, copy)
    assert daily().returncode == 0
    days = stored(run_tool, tmp_path / "store")
    shutil.copytree(copy, inbox, dirs_exist_ok=True)
    done = daily()
    assert (done.returncode, done.stderr) == (0, b"") and stored(run_tool, tmp_path / "store") == days
    assert len(os.listdir(inbox / ".done")) == 4  # nothing there is overwritten


def test_a_file_that_fails_stays_and_is_named_and_the_others_are_stored(daily, inbox, run_tool, tmp_path):
    whole = (inbox / "a's 2013-09-01.gz").read_bytes()
    (inbox / "a's 2013-09-01.gz").write_bytes(whole[:-9])
    (inbox / "c.part").write_bytes(b"still being written")
    words = ("--job", "count", "--answers", tmp_path / "answers", "--day", "20130902", "--metrics", tmp_path / "m")
    done = daily(*words)
    told = done.stderr.decode()
    assert done.returncode == 75 and visible(inbox) == ["a's 2013-09-01.gz", "c.part"]
    assert "a's 2013-09-01.gz is not stored" in told and "truncated" in told and "1 of 2 files failed" in told
    assert "the job was not run" in told and not list((tmp_path / "answers").iterdir())
    assert set(stored(run_tool, tmp_path / "store")) == {"20130902"}
    assert 'state="failed"} 1\n' in (tmp_path / "m" / "tel-ingest-daily.prom").read_text()
    (inbox / "a's 2013-09-01.gz").write_bytes(whole)
    done = daily(*words)
    assert (done.returncode, done.stderr, visible(inbox)) == (0, b"", ["c.part"])
    assert re.fullmatch(r'\["all",3\d\]\n', (tmp_path / "answers" / "20130902.ndjson").read_text())


def test_too_many_bad_lines_fail_a_file(daily, inbox):
    done = daily("--max-bad", "1")
    assert done.returncode == 75 and visible(inbox) == ["b-20130902.tsv"] and b"tel-resolve: " in done.stderr


def test_a_job_that_fails_leaves_no_answer(daily, tmp_path):
    env = standins.environment(standins.replace(tmp_path / "bin", "tel-combine", standins.KILLED))
    done = daily("--job", "count", "--answers", tmp_path / "answers", "--day", "20130901", env=env)
    assert done.returncode == 75 and not list((tmp_path / "answers").iterdir())
    assert b"no answer to count for 20130901" in done.stderr


def test_a_second_run_leaves_the_inbox_alone(daily, inbox):
    with open(inbox / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = daily()
        assert done.returncode == 75 and b"still at work" in done.stderr and len(visible(inbox)) == 2
    assert daily().returncode == 0


def test_an_empty_inbox_is_no_failure(daily, inbox, tmp_path):
    for name in visible(inbox):
        (inbox / name).unlink()
    done = daily("--metrics", tmp_path / "m")
    assert (done.returncode, done.stderr) == (0, b"")
    assert 'state="stored"} 0\n' in (tmp_path / "m" / "tel-ingest-daily.prom").read_text()


def test_wrong_command_lines(run_tool, tmp_path):
    for words in ([], [tmp_path, tmp_path], ["--nothing", tmp_path], [tmp_path, "--job", "count"], ["--log"]):
        done = run_tool(DAILY, "--store", tmp_path / "s", *words)
        assert done.returncode == 2 and done.stderr.startswith(b"ingest-daily: "), words
    assert run_tool(DAILY, "--store", tmp_path / "s", tmp_path / "none").returncode == 66
    assert run_tool(DAILY, "--help").stdout.startswith(b"ingest-daily - ")


def test_killed_at_any_time_and_run_again_all_is_stored_once(daily, inbox, definitions, run_tool, tmp_path):
    env = {**os.environ, "TEL_HISTOGRAMS": str(definitions), "TMPDIR": str(tmp_path)}
    for tenths in (2, 5, 8, 11, 14):
        command = [str(DAILY), "--store", str(tmp_path / "store"), str(inbox)]
        process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(tenths / 10)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for left in tmp_path.glob("tel-*"):  # SIGKILL leaves it
        shutil.rmtree(left)
    assert daily().returncode == 0 and visible(inbox) == []
    days = stored(run_tool, tmp_path / "store")
    assert days["20130901"] == 30 and 30 < days["20130902"] < 40


def test_the_crontab_runs_what_there_is():
    settings = ("CRON_TZ", "TEL_HISTOGRAMS", "PATH")
    for crontab in PIPELINES.glob("*.cron"):
        for line in crontab.read_text().splitlines():
            if line.startswith("#") or line.split("=")[0] in settings:
                continue
            fields = line.split(None, 6)
            assert re.fullmatch(r"[\d*]+", fields[0]) and "%" not in line  # which cron takes for a newline
            assert (PIPELINES / fields[6].split()[0]).exists()
            words = set(re.findall(r"--[\w-]+", fields[6]))
            text = (PIPELINES / fields[6].split()[0]).read_text()
            assert all(f"{word} " in text for word in words)
