"""No killed process, and no cut file, ever becomes a smaller answer."""

import json
import os
import random
import subprocess
import time

import pytest

from pipeline import Pipeline

KILLS = int(os.environ.get("TEL_KILLS", "50"))


@pytest.fixture(scope="module")
def place(tmp_path_factory, run_tool):
    """A folder with definitions, an export of small pings, and its store of several files."""
    place = tmp_path_factory.mktemp("kill")
    assert run_tool("tel-sample", "--definitions", str(place / "h")).returncode == 0
    export = run_tool("tel-sample", "-n", "400", "--small", "--bad", "5%")
    assert export.returncode == 0
    (place / "export.tsv").write_bytes(export.stdout)
    return place


def ingest(place, store):
    """The commands of the pipeline that fills a store."""
    histograms = ("--histograms", str(place / "h"))
    return [
        ["tel-resolve", *histograms, "--date", "20260901", "--rejects", os.devnull, str(place / "export.tsv")],
        ["tel-validate", *histograms, "--rejects", os.devnull],
        ["tel-convert", *histograms],
        ["tel-persist", "--store", str(store), "--batch", "b", "--roll-size", "64K"],
    ]


def answering(files):
    """The commands of the pipeline that answers from a store."""
    return [
        ["tel-map", "--files-from", str(files), "histograms"],
        ["tel-combine", "histograms"],
        ["tel-reduce", "--inputs", str(files), "histograms"],
    ]


def content(store, run_tool):
    """What a reader sees of a store: {file's relative path: its bytes}; None where there is no store yet."""
    done = run_tool("tel-ls", str(store))
    if done.returncode == 66:
        return None
    assert done.returncode == 0, done.stderr
    return {path[len(str(store)) :]: open(path, "rb").read() for path in done.stdout.decode().splitlines()}


def stray(store):
    """Files below a store that no reader sees."""
    found = (
        subprocess.run(["find", str(store), "-type", "f"], stdout=subprocess.PIPE, check=True)
        .stdout.decode()
        .splitlines()
    )
    listed = subprocess.run(["tel-ls", str(store)], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
    return sorted(
        path
        for path in set(found) - set(listed)
        if "/.tel/commits/" not in path and not path.endswith("/.tel/schema.json")
    )


def timed(commands):
    started = time.monotonic()
    out, statuses = Pipeline(commands).finish()
    assert statuses == [0] * len(commands)
    return out, time.monotonic() - started


@pytest.fixture(scope="module")
def truth(place, run_tool):
    """(the whole store's content, seconds to make it)."""
    _, seconds = timed(ingest(place, place / "truth"))
    return content(place / "truth", run_tool), seconds


@pytest.fixture(scope="module")
def answer(place, truth, run_tool):
    """(the list of the files, the whole answer, seconds to make it)."""
    files = place / "files"
    files.write_bytes(run_tool("tel-ls", str(place / "truth")).stdout)
    out, seconds = timed(answering(files))
    assert len(out.splitlines()) > 50
    return files, out, seconds


@pytest.mark.slow
@pytest.mark.parametrize("victim", range(4), ids=["resolve", "validate", "convert", "persist"])
def test_a_killed_ingest_publishes_all_or_nothing(place, truth, victim, run_tool, tmp_path):
    whole, seconds = truth
    moments = random.Random(victim)
    hits = 0
    for number in range(KILLS):
        store = tmp_path / f"store{number}"
        pipeline = Pipeline(ingest(place, store))
        hits += pipeline.kill(victim, moments.uniform(0, seconds * 1.1))
        _, statuses = pipeline.finish()
        found = content(store, run_tool)
        assert found in (None, {}, whole), f"a smaller store after a kill at try {number}"
        assert found == whole or any(statuses)
        started = time.monotonic()
        _, statuses = Pipeline(ingest(place, store)).finish()
        seconds = time.monotonic() - started  # a machine's speed changes: the next kill goes by the last whole run
        assert statuses == [0] * 4 and content(store, run_tool) == whole and not stray(store)
    assert hits > KILLS // 4, "most kills came too late to test anything"


@pytest.mark.slow
@pytest.mark.parametrize("victim", range(3), ids=["map", "combine", "reduce"])
def test_a_killed_answer_is_none(answer, victim):
    files, whole, seconds = answer
    moments = random.Random(victim)
    hits = 0
    for number in range(KILLS):
        pipeline = Pipeline(answering(files))
        hits += pipeline.kill(victim, moments.uniform(0, seconds * 1.1))
        out, statuses = pipeline.finish()
        if statuses[-1] == 0:
            assert out == whole, f"a smaller answer at try {number}"
        else:
            assert out in (b"", whole), f"a part of an answer was printed at try {number}"
        seconds = timed(answering(files))[1]
    assert hits > KILLS // 4, "most kills came too late to test anything"
    assert Pipeline(answering(files)).finish() == (whole, [0] * 3)


def cuts(path):
    """Lengths to cut a stored file to: every frame's end, and some in between."""
    from tel import compress

    size = os.path.getsize(path)
    with open(path, "rb") as file:
        frames = [length for length, _ in compress.read_seek_table(file, size)]
    ends = [sum(frames[:n]) for n in range(len(frames) + 1)]
    return sorted({*ends, *(size * n // 23 for n in range(23)), *range(size - 20, size)})


def test_a_cut_file_is_never_a_smaller_answer(truth, answer, place, tmp_path):
    files, whole, _ = answer
    path = files.read_text().splitlines()[0]
    data = open(path, "rb").read()
    tried = 0
    try:
        for length in cuts(path):
            with open(path, "wb") as file:
                file.write(data[:length])
            out, statuses = Pipeline(answering(files)).finish()
            assert out == b"" and statuses[0] in (65, 66) and statuses[-1] == 75, length
            tried += 1
    finally:
        with open(path, "wb") as file:
            file.write(data)
    assert tried > 40 and Pipeline(answering(files)).finish()[0] == whole


def test_a_listed_file_that_is_gone_or_doubled_gives_no_answer(answer, run_tool, tmp_path):
    files, whole, _ = answer
    paths = files.read_text().splitlines()
    for wrong in (paths[1:], paths + paths[:1], paths[:-1] + [paths[0]], []):
        mapped = run_tool(
            "tel-map", "--files-from", "-", "histograms", stdin="".join(f"{path}\n" for path in wrong).encode()
        )
        done = run_tool("tel-reduce", "--inputs", str(files), "histograms", stdin=mapped.stdout)
        assert done.returncode == 75 and done.stdout == b"", wrong
    os.rename(paths[0], paths[0] + ".away")
    try:
        listed = run_tool("tel-ls", str(files.parent / "truth"))
        assert listed.returncode == 74 and listed.stdout == b"" and paths[0].encode() in listed.stderr
    finally:
        os.rename(paths[0] + ".away", paths[0])


def test_commit_records_tell_the_truth(truth, place):
    with open(place / "truth" / ".tel" / "commits" / "b.json", encoding="utf-8") as file:
        commit = json.load(file)
    whole, _ = truth
    assert {f"/{entry['path']}" for entry in commit["files"]} == set(whole)
    assert commit["records"] == sum(entry["records"] for entry in commit["files"])
    assert commit["ends"][0]["records"] == commit["records"]
