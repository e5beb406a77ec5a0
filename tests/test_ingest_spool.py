"""pipelines/ingest-spool and pipelines/serve: what was answered 200 comes into the store, once."""

import contextlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest
from receiving import receiving, until
from test_ingest_daily import stored

EVENT = b'{"version":4,"type":"event","application":{},"payload":{}}'
PIPELINES = pathlib.Path(__file__).parent.parent / "pipelines"


@pytest.fixture(scope="module")
def definitions(tmp_path_factory, run_tool):
    place = tmp_path_factory.mktemp("spooled") / "h"
    assert run_tool("tel-sample", "--definitions", place).returncode == 0
    return place


@pytest.fixture
def spool(tmp_path, run_tool):
    """A spool with two closed files of 20 pings each, one with a reject."""
    for seed in (1, 2):
        with receiving(tmp_path / "spool") as receiver:
            made = run_tool("tel-sample", "-n", "20", "--small", "--seed", seed).stdout
            assert run_tool("tel-submit", f"http://127.0.0.1:{receiver.port}", stdin=made).returncode == 0
            if seed == 2:
                assert receiver.post("bad", b"{") == 400
            receiver.end()
    return tmp_path / "spool"


@pytest.fixture
def ingest(spool, definitions, run_tool, tmp_path):
    def run(*words):
        env = {**os.environ, "TEL_HISTOGRAMS": str(definitions)}
        return run_tool(PIPELINES / "ingest-spool", "--store", tmp_path / "store", *words, spool, env=env)

    return run


def number(run_tool, store):
    return sum(stored(run_tool, store).values())


def closed(spool):
    return sorted(path.name for path in spool.glob("2*"))


def test_closed_files_are_stored_and_put_away(ingest, spool, run_tool, tmp_path):
    current = spool / "current-20260901T000000.000000Z-h-1-1.ndjson"
    current.write_text('{"id":')
    names = closed(spool)
    done = ingest("--log", tmp_path / "log", "--metrics", tmp_path, "-j", "2")
    assert (done.returncode, done.stdout, done.stderr, closed(spool)) == (0, b"", b"", []) and current.exists()
    assert number(run_tool, tmp_path / "store") == 40
    rejects = [name for name in names if name.endswith(".rejects.ndjson")]
    assert sorted(os.listdir(spool / "done")) == [name for name in names if name not in rejects]
    assert os.listdir(spool / "rejects") == rejects and len(rejects) == 1
    assert "stored" in (tmp_path / "log").read_text() and (tmp_path / "tel-ingest-daily.prom").exists()
    for path in (spool / "done").iterdir():  # as if the run had been killed before it moved them
        shutil.move(path, spool)
    assert ingest().returncode == 0 and number(run_tool, tmp_path / "store") == 40


def test_a_file_that_fails_stays_and_the_others_go_on(ingest, spool, run_tool, tmp_path):
    first = spool / closed(spool)[0]
    whole = first.read_bytes()
    first.write_bytes(whole[: len(whole) // 2])
    done = ingest("--done", tmp_path / "done", "--rejects", tmp_path / "rejects", "--max-bad", "0")
    assert done.returncode == 75 and first.name.encode() in done.stderr and closed(spool) == [first.name]
    assert number(run_tool, tmp_path / "store") == 20 and len(list((tmp_path / "done").iterdir())) == 1
    first.write_bytes(whole)
    assert ingest().returncode == 0 and number(run_tool, tmp_path / "store") == 40 and closed(spool) == []


@pytest.mark.parametrize("seconds, awoken", [("1", False), ("600", True)])
def test_it_follows_the_spool(seconds, awoken, spool, definitions, run_tool, tmp_path):
    """It looks again after some seconds, or, with inotifywait, when a file comes."""
    if awoken and not shutil.which("inotifywait"):
        pytest.skip("inotifywait is missing (inotify-tools): it is not awoken by files that come")
    words = [PIPELINES / "ingest-spool", "--store", tmp_path / "store", "--follow", seconds]
    process = subprocess.Popen([*map(str, words), "--histograms", definitions, spool], stderr=subprocess.PIPE)
    try:
        until(lambda: closed(spool) == [])
        if awoken:
            until(lambda: _children(process.pid) == ["inotifywait"])
        with receiving(spool) as receiver:
            assert receiver.post("a", EVENT) == receiver.post("b", EVENT.replace(b"application", b"other")) == 200
            receiver.end()
        until(lambda: closed(spool) == [])
    finally:
        process.terminate()
        said = process.communicate(timeout=30)[1]
    assert (process.returncode, said) == (0, b"") and number(run_tool, tmp_path / "store") == 41
    (kept,) = (spool / "rejects").glob("*.convert.ndjson")
    assert '"id":"b","error_type":"missing_member"' in kept.read_text()


def _children(pid):
    """The names of a process's children."""
    names = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = path.read_text().partition(" (")[2].rpartition(") ")
            names += [name] if int(rest.split()[1]) == pid else []
    return names


@pytest.mark.parametrize("name", ["ingest-spool", "serve"])
def test_usage(name, run_tool, tmp_path):
    assert run_tool(PIPELINES / name, "--help").stdout.startswith(f"{name} - ".encode())
    for words in (
        ["--no"],
        [],
        ["a", "b"],
        ["--log"],
        ["--follow=x", "--store", "s", "p"],
        ["--age=x", "p"],
        ["-j", "x", "p"],
    ):
        assert run_tool(PIPELINES / name, *words, cwd=tmp_path).returncode == 2, words
    assert run_tool(PIPELINES / "ingest-spool", "--store", "s", "none", cwd=tmp_path).returncode == 66


def serving(place, definitions):
    """A process of pipelines/serve, and its port."""
    words = [PIPELINES / "serve", "--listen", "127.0.0.1:0", "--age", "1", "--histograms", definitions, place]
    process = subprocess.Popen(list(map(str, words)), stderr=subprocess.PIPE, start_new_session=True)
    line = process.stderr.readline()
    return process, int(re.search(rb"127\.0\.0\.1:(\d+)", line)[1])


def test_one_command_serves_and_stores(definitions, run_tool, tmp_path):
    process, port = serving(tmp_path / "place", definitions)
    made = run_tool("tel-sample", "-n", "30", "--small").stdout
    assert run_tool("tel-submit", f"http://127.0.0.1:{port}", stdin=made).returncode == 0
    until(lambda: list((tmp_path / "place/store").glob("2*/*")), 30)
    more = run_tool("tel-sample", "-n", "30", "--small", "--seed", "2").stdout
    assert run_tool("tel-submit", f"http://127.0.0.1:{port}", stdin=more).returncode == 0
    process.terminate()
    said = process.communicate(timeout=60)[1]
    assert (process.returncode, said) == (0, b"") and number(run_tool, tmp_path / "place/store") == 60


@pytest.mark.slow
def test_killed_and_started_again_each_is_stored_once(definitions, run_tool, tmp_path):
    acknowledged = 0
    for seed in range(6):
        process, port = serving(tmp_path / "place", definitions)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        pings = run_tool("tel-sample", "-n", "20", "--small", "--seed", seed).stdout.splitlines()[:-1]
        for id, ping in (line.split(b"\t", 1) for line in pings):
            connection.request("POST", f"/submit/telemetry/{id.decode()}", ping)
            answer = connection.getresponse()
            answer.read()
            acknowledged += answer.status == 200
        time.sleep(seed * 0.4)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    process, _ = serving(tmp_path / "place", definitions)
    process.terminate()
    process.communicate(timeout=60)
    assert (process.returncode, acknowledged) == (0, 120) and number(run_tool, tmp_path / "place/store") == 120
