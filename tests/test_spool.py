"""What carries tel-receive, alone: a spool whose disk fails, the window of ids, bodies that unfold, counters."""

import errno
import os
import random
import zlib

import pytest

from tel import encodings, recovery, spool, window
from tel.errors import BadData

LINE = b'{"id":"%d","date":"20260901","info":{},"ping":{}}'


@pytest.fixture
def made(tmp_path):
    said = []
    made = spool.Spool(str(tmp_path), None, 1 << 20, 60, said.append)
    made.said = said
    return made


def whole(folder):
    """The ids of all closed files."""
    return [
        line.split(b'"')[3]
        for name in spool.closed(str(folder))
        for line in (folder / name).read_bytes().splitlines()
        if not line.startswith(b'{"end"')
    ]


@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_any_failure_refuses_the_group_and_keeps_what_was_acknowledged(call, made, tmp_path, monkeypatch):
    """Calls fail at random, writes after a part of their bytes too; what add() returned for is there, in order, once."""
    moments, real = random.Random(call), getattr(os, call)
    acknowledged, tried = [], 0

    def fails(fd, *data):
        if moments.random() < 0.3:
            if call == "write":
                real(fd, data[0][: moments.randrange(len(data[0]))])
            raise OSError(errno.EIO, "made to fail")
        return real(fd, *data)

    for number in range(200):
        monkeypatch.setattr(os, call, fails)
        group = [LINE % (1000 * number + n) for n in range(moments.randrange(1, 4))]
        try:
            made.add(group, [b"{}"] if moments.random() < 0.3 else [])
            acknowledged += [line.split(b'"')[3] for line in group]
        except OSError:
            tried += 1
        monkeypatch.setattr(os, call, real)
        if moments.random() < 0.1:
            made.roll()
    made.roll()
    recovery.recover(str(tmp_path), made.said.append)
    found = whole(tmp_path)
    assert tried > 20 and found == acknowledged  # what was refused was cut off again
    assert not list(tmp_path.glob("current-*"))


def test_a_file_is_never_put_in_the_place_of_another(made, tmp_path):
    made.add([LINE % 1], [])
    (current,) = tmp_path.glob("current-*")
    other = tmp_path / current.name.removeprefix("current-")
    other.write_bytes(b"another")
    assert made.roll() == 0 and other.read_bytes() == b"another" and "cannot be closed now" in made.said[0]
    other.unlink()
    assert recovery.recover(str(tmp_path), made.said.append) == [other.name] and whole(tmp_path) == [b"1"]


def test_a_recovery_that_was_killed_goes_on(made, tmp_path):
    """Wherever the first one stopped: before and behind the end record, between the two renames."""
    made.add([LINE % 1], [b'{"line":"x"}'])
    made._abandon()
    (rejects,) = tmp_path.glob("current-*.rejects.ndjson")
    (records,) = [path for path in tmp_path.glob("current-*") if path != rejects]
    with open(records, "ab") as file:
        file.write(spool.end_of(records.name, 1))
    os.rename(rejects, tmp_path / rejects.name.removeprefix("current-"))
    assert len(recovery.recover(str(tmp_path), made.said.append)) == 1 and made.said == []
    (name,) = spool.closed(str(tmp_path))
    assert (tmp_path / name).read_bytes().count(b'{"end"') == 1


def test_the_window_forgets_by_time_and_number():
    now = [0.0]
    known = window.Window(10, most=8, clock=lambda: now[0])
    known.add(["a", "b"])
    now[0] = 5
    known.add(["c", "a"])
    assert all(id in known for id in "abc") and "d" not in known
    now[0] = 11
    assert [id in known for id in "abc"] == [True, False, True]
    known.add("123456")  # the last of them has the place of "b"
    assert all(id in known for id in "ac123456")
    known.add("7")
    assert sum(id in known for id in "ac1234567") == 8 and "7" in known
    nothing = window.Window(0)
    nothing.add(["a"])
    assert "a" not in nothing


def test_the_window_is_shared_and_roomy():
    known, ids = window.Window(60, most=1 << 14), [f"id-{n}" for n in range(1 << 13)]
    if not os.fork():
        known.add(ids)
        os._exit(0)
    os.wait()
    assert sum(id in known for id in ids) > 0.97 * len(ids) and not any(f"other-{n}" in known for n in range(1000))


@pytest.mark.parametrize("wbits, name", [(31, "gzip"), (15, "deflate"), (-15, "deflate")])
def test_bodies_are_cut_off_at_the_limit(wbits, name):
    plain = random.Random(1).randbytes(200_000) + bytes(200_000)
    pack = zlib.compressobj(6, zlib.DEFLATED, wbits)
    body = pack.compress(plain) + pack.flush()
    assert encodings.plain(body, name, len(plain)) == plain
    with pytest.raises(encodings.TooLarge):
        encodings.plain(body, name, len(plain) - 1)
    for cut in (1, 10, len(body) // 2, len(body) - 1):
        with pytest.raises(BadData):
            encodings.plain(body[:cut], name, 1 << 20)


def test_without_the_extra_it_says_what_to_install(run_tool, tmp_path):
    (tmp_path / "aiohttp.py").write_text("raise ImportError")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    done = run_tool("tel-receive", "--spool", tmp_path / "spool", env=environment)
    assert (done.returncode, (tmp_path / "spool").exists()) == (2, False)
    assert done.stderr == b"tel-receive: aiohttp is missing\npip install 'aiohttp>=3.14' (the extra http)\n"
