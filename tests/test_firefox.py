"""A real Firefox submits its pings, and they come out of tel-reduce; so does what its pingsender sends alone."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from receiving import lines, receiving

if not shutil.which("firefox-esr"):
    pytest.skip("firefox-esr missing: no real Firefox submits (make test-firefox installs it)", allow_module_level=True)

HERE = pathlib.Path(__file__).parent
KINDS = {0: "exponential", 1: "linear", 2: "boolean", 3: "flag", 4: "count"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the spool of what Firefox has sent, in a network of its own where that is allowed."""
    place = tmp_path_factory.mktemp("firefox")
    command = [sys.executable, str(HERE / "firefox.py"), str(place)]
    alone = ["unshare", *(["-n"] if os.geteuid() == 0 else ["-rn"]), "sh", "-c", 'ip link set lo up && exec "$@"', "-"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        alone = []
    done = subprocess.run([*alone, *command], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return place


def holders(ping):
    """The objects of a ping that hold histograms."""
    payload = ping.get("payload", {})
    return [payload, *payload.get("processes", {}).values()]


def definition(histogram, keyed):
    """The definition that a histogram was built with, as far as it tells."""
    low, high = histogram["range"]
    kind = KINDS.get(histogram["histogram_type"])
    if kind is None:
        return {"kind": "categorical", "labels": [f"label{n}" for n in range(high)], **keyed}
    sizes = (
        {"low": low, "high": high, "n_buckets": histogram["bucket_count"]} if kind in ("exponential", "linear") else {}
    )
    return {"kind": kind, **sizes, **keyed}


def define(rows, cache):
    """Make the definitions that the pings were built with, from the pings: no network, no copy of Mozilla's file."""
    found, url = {}, None
    for row in rows:
        url = row["ping"].get("payload", {}).get("info", {}).get("revision") or url
        for holder in holders(row["ping"]):
            for name, histogram in holder.get("histograms", {}).items():
                found[name] = definition(histogram, {})
            for name, keys in holder.get("keyedHistograms", {}).items():
                for histogram in keys.values():
                    found[name] = definition(histogram, {"keyed": True})
    repository, node = url.split("://hg.mozilla.org/")[1].split("/rev/")
    (cache / repository / node).mkdir(parents=True)
    (cache / repository / node / "Histograms.json").write_text(json.dumps(found))
    return found


@pytest.mark.slow
def test_its_pings_go_all_the_way(place, run_tool, tmp_path):
    rows = lines(place / "spool")
    assert {"new-profile", "first-shutdown", "main"} <= {row["info"]["reason"] for row in rows}
    assert all(row["id"] == row["ping"]["id"] and "Date" in row["http"]["headers"] for row in rows)
    assert lines(place / "spool", rejects=True) == [] and len({row["id"] for row in rows}) == len(rows)
    assert define(rows, tmp_path / "h")
    environment = {**os.environ, "TEL_HISTOGRAMS": str(tmp_path / "h")}
    pipeline = "tel-resolve {} | tel-validate | tel-convert | tel-persist --store {}".format(
        *place.glob("spool/2*.ndjson"), tmp_path / "store"
    )
    done = run_tool("bash", "-o", "pipefail", "-c", pipeline, env=environment)
    assert done.returncode == 0, done.stderr
    count = "tel-ls {} | tel-map --files-from - 'count reason' | tel-combine count | tel-reduce count"
    done = run_tool("bash", "-c", count.format(tmp_path / "store"))
    counted = {json.loads(line)[0][0]: json.loads(line)[1] for line in done.stdout.splitlines()}
    expected = [row["info"]["reason"] for row in rows]
    assert counted == {reason: expected.count(reason) for reason in expected}


def test_pingsender_alone(run_tool, tmp_path):
    program = pathlib.Path("/usr/lib/firefox-esr/pingsender")
    if not program.exists():
        pytest.skip(f"{program} missing: it is not run alone")
    (tmp_path / "ping").write_bytes(b'{"type":"main","id":"p-1","version":4,"payload":{"x":[1.50]}}')
    with receiving(tmp_path / "spool") as receiver:
        url = f"http://localhost:{receiver.port}/submit/telemetry/p-1/main/Firefox/140.0/esr/20260609153453?v=4"
        done = run_tool(program, url, tmp_path / "ping")
        assert done.returncode == 0 and not (tmp_path / "ping").exists(), done.stderr  # it removes what is safe
        (tmp_path / "ping").write_bytes(b"{")
        run_tool(program, url, tmp_path / "ping")
        receiver.end()
    (row,), (reject,) = lines(tmp_path / "spool"), lines(tmp_path / "spool", rejects=True)
    headers = row["http"]["headers"]
    assert (headers["User-Agent"], headers["X-PingSender-Version"]) == ("pingsender/1.0", "1.0")
    assert row["ping"]["payload"] == {"x": [1.5]} and reject["line"] == "{"
