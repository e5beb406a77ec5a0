"""What --salvage gets out of a damaged file, and that it never claims more."""

import hashlib
import json
import os
import random

import pytest

from tel import compress, ends, jsonl, salvage

FRAMES = 5


@pytest.fixture(scope="module")
def original(run_tool, tmp_path_factory):
    """(a store of one file of several frames, the frames' ends, their plain bytes)."""
    store = tmp_path_factory.mktemp("salvage") / "store"
    noise = random.Random(1)
    rows = [
        {"id": f"id-{n}", "date": "20130901", "info": {}, "ping": {"ver": 2, "info": {}, "x": noise.randbytes(9).hex()}}
        for n in range(FRAMES * 3)
    ]
    lines = [jsonl.dumps(row) + b"\n" for row in rows] + [ends.line("test", len(rows)) + b"\n"]
    done = run_tool("tel-persist", "--store", store, "--batch", "b", "--memory", 120, stdin=b"".join(lines))
    assert done.returncode == 0, done.stderr
    (path,) = done.stdout.decode().splitlines()
    data = open(path, "rb").read()
    with open(path, "rb") as file:
        sizes = compress.read_seek_table(file, len(data))
    assert len(sizes) >= FRAMES
    places = [sum(packed for packed, _ in sizes[:n]) for n in range(len(sizes) + 1)]
    plain = [compress.frame_at(data, at)[1] for at in places[:-1]]
    return store, path, data, places, plain


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]


def spoilings():
    """(name, how to spoil the bytes with frames at these places, numbers of the frames lost, ranges of bytes lost)."""

    def middle(places, n):
        return (places[n] + places[n + 1]) // 2

    yield "a bit", lambda d, p: flipped(d, middle(p, 2)), [2], lambda d, p: [[p[2], p[3]]]
    yield "a magic", lambda d, p: flipped(d, p[1]), [1], lambda d, p: [[p[1], p[2]]]
    yield "the first", lambda d, p: flipped(d, 5), [0], lambda d, p: [[0, p[1]]]
    yield "a checksum", lambda d, p: flipped(d, p[3] - 1), [2], lambda d, p: [[p[2], p[3]]]
    yield "a cut at a frame", lambda d, p: d[: p[2]], [*range(2, 99)], lambda d, p: []
    yield "a cut in a frame", lambda d, p: d[: middle(p, 2)], [*range(2, 99)], lambda d, p: [[p[2], middle(p, 2)]]
    yield "a seek table's magic", lambda d, p: flipped(d, len(d) - 1), [], lambda d, p: [[p[-1], len(d)]]
    yield "a seek table's size", lambda d, p: flipped(d, p[-1] + 9), [], lambda d, p: []
    yield "no seek table", lambda d, p: d[: p[-1]], [], lambda d, p: []
    yield "garbage", lambda d, p: d[: p[2]] + b"(\xb5/\xfdgarbage" * 9 + d[p[2] :], [], lambda d, p: [[p[2], p[2] + 99]]
    yield "zeros", lambda d, p: d[: p[1]] + bytes(p[3] - p[1]) + d[p[3] :], [1, 2], lambda d, p: [[p[1], p[3]]]
    yield "nothing", lambda d, p: b"", [*range(99)], lambda d, p: []


@pytest.mark.parametrize("spoil, lost, ranges", [pytest.param(*how, id=name) for name, *how in spoilings()])
def test_the_whole_frames_are_saved_and_the_rest_is_said(spoil, lost, ranges, original, run_tool, tmp_path):
    store, path, data, places, plain = original
    kept = [text for number, text in enumerate(plain) if number not in lost]
    bad = spoil(data, places)
    open(path, "wb").write(bad)
    try:
        done = run_tool("tel-verify", "--salvage", tmp_path / "saved", store)
        assert open(path, "rb").read() == bad, "the store was changed"
    finally:
        open(path, "wb").write(data)
    said = json.loads(done.stdout)
    target = tmp_path / "saved" / os.path.relpath(path, store)
    records = sum(text.count(b"\n") for text in kept)
    assert done.returncode == 1 and said["path"] == path and said["reason"]
    assert said["salvaged"] == (str(target) if kept else None) and said["frames"] == len(kept)
    assert (said["records"], said["records_lost"]) == (records, FRAMES * 3 - records)
    assert said["bytes_lost"] == ranges(data, places)
    if kept:
        saved = b"".join(piece for _, _, piece in salvage.pieces(target.read_bytes()))
        assert saved == b"".join(kept)
        mapped = run_tool("tel-map", "count", target)
        assert mapped.returncode == 0 and json.loads(mapped.stdout.splitlines()[-1])["end"]["files"] == 1
    else:
        assert not target.exists()


def test_sound_files_are_left_and_nothing_is_replaced(original, run_tool, tmp_path):
    store, path, data, places, _ = original
    done = run_tool("tel-verify", "--all", "--salvage", tmp_path, store)
    assert done.returncode == 0 and json.loads(done.stdout) == {"path": path, "reason": None}
    assert not list(tmp_path.iterdir())
    target = tmp_path / os.path.relpath(path, store)
    target.parent.mkdir(parents=True)
    target.write_text("kept")
    open(path, "wb").write(data[: places[1]])
    try:
        done = run_tool("tel-verify", "--salvage", tmp_path, store)
        assert done.returncode == 74 and str(target).encode() in done.stderr and target.read_text() == "kept"
        os.rename(path, f"{path}.away")
        done = run_tool("tel-verify", "--salvage", tmp_path, store)
        said = json.loads(done.stdout)
        assert done.returncode == 1 and (said["salvaged"], said["records_lost"]) == (None, FRAMES * 3)
    finally:
        open(path, "wb").write(data)
        if os.path.exists(f"{path}.away"):
            os.unlink(f"{path}.away")


def test_a_doubled_frame_is_no_proof_of_completeness(original, run_tool, tmp_path):
    store, path, data, places, _ = original
    open(path, "wb").write(data[: places[-1]] + data[: places[1]])
    try:
        said = json.loads(run_tool("tel-verify", "--salvage", tmp_path, store).stdout)
    finally:
        open(path, "wb").write(data)
    assert said["records"] > FRAMES * 3 and said["records_lost"] is None


def test_lines_that_are_none_are_not_saved():
    assert salvage.good_lines(b"a\t{}\nb\n\t{}\nc\t{\nd\t{}") == [b"a\t{}\n"]
    assert hashlib.sha256(compress.frame(b"x", 1)).digest() and compress.frame_at(compress.frame(b"x", 1), 1) is None
