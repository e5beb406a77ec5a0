"""tel-unpack against what the 2013 server's own reader found, and over files that are cut or damaged anywhere."""

import gzip
import json
import random
import struct

import pytest

from tel import packed

# Files whose version it took wrongly, by their times; and one whose only record has a path that cannot tell.
UNTOLD = ("ts_zero.packed", "ts_huge.packed", "non_utf8_path.packed")
PATH = b"0b0f3c1e-0000-4000-8000-%012d/saved-session/Firefox/25.0a1/nightly/20130801030215"


def entry(number, version, pack=gzip.compress, address=b"192.0.2.1"):
    """(the bytes of a record, its plain body)."""
    plain = b'{"ver":1,"info":{"reason":"saved-session","n":%d}}' % number
    path, body, time = PATH % number, pack(plain), 1378822911255 + number
    head = struct.pack("<BHIQ", len(address), len(path), len(body), time) + address
    return b"\x1e" + (head if version == "v2" else struct.pack("<HIQ", len(path), len(body), time)) + path + body, plain


def unpacked(run_tool, tmp_path, data, *words):
    """(records, rejects) of some bytes."""
    (tmp_path / "packed").write_bytes(data)
    done = run_tool("tel-unpack", "--rejects", tmp_path / "bad", *words, tmp_path / "packed")
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    *records, end = [json.loads(line) for line in done.stdout.splitlines()]
    assert end == {"end": {"tool": "tel-unpack", "records": len(records)}}
    return records, [json.loads(line) for line in (tmp_path / "bad").read_bytes().splitlines()]


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_records_of_both_framings(version, pack, run_tool, tmp_path):
    entries = [entry(n, version, pack, address=b"" if n % 2 else b"192.0.2.1") for n in range(200)]
    records, rejects = unpacked(run_tool, tmp_path, b"".join(data for data, _ in entries), "--keep-ip")
    assert rejects == [] and [row["ping"] for row in records] == [json.loads(plain) for _, plain in entries]
    assert records[0]["date"] == "20130910" and records[0]["received"] == "2013-09-10T14:21:51.255Z"
    assert [row["http"].get("remote") for row in records[:2]] == ["192.0.2.1" if version == "v2" else None, None]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_damage_anywhere_costs_little_and_nothing_is_lost(version, run_tool, tmp_path):
    """Frames and garbage are, together, the whole file, whatever was done to it."""
    moments = random.Random(version)
    whole = b"".join(entry(n, version)[0] for n in range(12))
    head = packed.HEADS[version]
    for _ in range(300):
        data, at = bytearray(whole), moments.randrange(len(whole))
        change = moments.choice(["cut", "flip", "drop", "add"])
        if change == "cut":
            del data[at:]
        elif change == "flip":
            data[at] = moments.randrange(256)
        elif change == "drop":
            del data[at : at + moments.randrange(1, 30)]
        else:
            data[at:at] = moments.randbytes(moments.randrange(1, 30)).replace(b"\n", b"").replace(b"\r", b"")
        frames = list(packed.frames([bytes(data[n : n + 100]) for n in range(0, len(data), 100)], version, 1 << 20))
        size = sum(
            len(f.body) + (0 if f.error else 1 + head.size + len(f.address or b"") + len(f.path)) for f in frames
        )
        assert size == len(data), change
        good = {frame.path for frame in frames if not frame.error}
        untouched = [n for n in range(12) if entry(n, version)[0] in bytes(data)]
        assert len(good & {PATH % n for n in untouched}) >= len(untouched) - 2, change


def test_what_the_2013_server_read(corpus, run_tool, tmp_path):
    """Each whole record that it read comes out, or, where its body was no JSON object, is a reject."""
    folder = corpus / "oracle" / "packed"
    for line in (folder / "expected.ndjson").read_bytes().splitlines():
        expected = json.loads(line)
        data = (folder / expected["file"]).read_bytes()
        version = expected["version_used"]
        frames = list(packed.frames([data], version, 32 << 20))
        there = [(f.time, f.path.decode("latin-1"), f.address) for f in frames if not f.error]
        rows, rejects = unpacked(run_tool, tmp_path, data, "--framing", version)
        stored = {(row["id"], json.dumps(row["ping"])) for row in rows}
        for row in expected["records"]:
            if len(row["path"]) < row["len_path"] or _is_cut(row) or not row["path"].isascii() or "\0" in row["path"]:
                assert rejects, expected["file"]  # it handed on what was cut short
                continue
            address = None if row["ip"] is None else row["ip"].encode()
            assert (row["timestamp"], row["path"], address) in there, expected["file"]
            try:
                ping = json.loads(row["data"]) if row["error"] is None and row["timestamp"] < 2**60 else None
            except ValueError:
                ping = None
            id = row["path"].split("/")[0]
            assert (id and (id, json.dumps(ping)) in stored) or rejects, expected["file"]
            assert bool(ping) == ((id, json.dumps(ping)) in stored) or not id or not row["data"].isascii()
        if expected["detected"] in packed.HEADS and expected["file"] not in UNTOLD:
            assert packed.version_of(data) == expected["detected"], expected["file"]


def _is_cut(row):
    return (
        row["error"] is None
        and not row["data"].startswith("\x1f")
        and len(row["data"]) < row["len_data"]
        and (row["len_data"] > 1000 or row["data"].count("{") > row["data"].count("}"))
    )


def test_real_logs(corpus, run_tool, tmp_path):
    for name, plain in (("telemetry1.log", "telemetry1.ndjson"), ("unicode.v1.packed", "unicode.v1.ndjson")):
        records, rejects = unpacked(run_tool, tmp_path, (corpus / "pings" / name).read_bytes())
        lines = (corpus / "pings" / plain).read_bytes().splitlines()
        assert rejects == [] and len(records) == len(lines) > 0
        for record, line in zip(records, lines):
            assert record["ping"] == json.loads(line.split(b"\t")[-1])


def test_memory_is_bounded(run_tool, tmp_path):
    data = b"\x1e" + struct.pack("<HIQ", 5, 2**31, 0) + b"x" * (8 << 20)
    records, rejects = unpacked(run_tool, tmp_path, data + entry(1, "v1")[0], "--framing", "v1")
    assert len(records) == 1 and len(rejects) > 4 and all(row["error_type"] == "garbage" for row in rejects)
