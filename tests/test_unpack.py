"""tel-unpack against what the 2013 server's own reader found, and over files that are cut or damaged anywhere."""

import base64
import datetime
import gzip
import json
import random
import struct

import pytest

from tel import packed

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
    """Each record that it read comes out, in its order; or, where it is no ping or cut short, its bytes are a reject."""
    folder = corpus / "oracle" / "packed"
    for line in (folder / "expected.ndjson").read_bytes().splitlines():
        expected = json.loads(line)
        data, form = (folder / expected["file"]).read_bytes(), packed.HEADS[expected["version_used"]]
        records, rejects = unpacked(run_tool, tmp_path, data, "--keep-ip")
        bad = [row["line"].encode() if "line" in row else base64.b64decode(row["line_base64"]) for row in rejects]
        written = iter([(row["id"], row["received"], row["http"].get("remote"), row["ping"]) for row in records])
        at = 0
        for row in expected["records"]:
            head = [row["len_path"], row["len_data"], row["timestamp"]]
            head = form.pack(*[row["len_ip"]][: expected["version_used"] == "v2"], *head)
            start = data.index(b"\x1e" + head, at)
            at = start + 1 + len(head) + row["len_ip"] + row["len_path"] + row["len_data"]
            body = data[at - row["len_data"] : at] if at <= len(data) else None
            if body is None:  # it handed on what was cut short, with what follows
                at = data.find(b"\x1e", start + 1) % (len(data) + 1)
                assert any(data[start:at] in reject for reject in bad), row
            elif (ping := _ping(row)) is None:
                assert any(body in reject for reject in bad), row
            else:
                time = datetime.datetime.fromtimestamp(row["timestamp"] / 1000, datetime.timezone.utc)
                time = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
                assert (row["path"].split("/")[0], time, row["ip"] or None, ping) in written, row


def _ping(row):
    """The ping of a record as that reader gave it, where it has one, an id and a time of the calendar."""
    if row["error"] or not row["path"].isascii() or not row["path"] or row["timestamp"] > 1 << 50:
        return None
    try:
        return json.loads(row["data"].encode("latin-1"))
    except ValueError:
        return None


def test_the_version_that_fits_is_found(corpus):
    """Also where that reader told it wrongly, by the time, or not at all."""
    folder = corpus / "oracle" / "packed"
    for line in (folder / "expected.ndjson").read_bytes().splitlines():
        expected = json.loads(line)
        data = (folder / expected["file"]).read_bytes()
        assert packed.version_of(data) == (expected["version_used"] if data else None), expected["file"]


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
