"""tel-reduce within bounds of memory: what goes through sort comes out as the same bytes, and its failure is told."""

import os
import pathlib
import random
import shutil
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_grouping import numbered, own_job
from test_limits import mounted

from strategies import json_values
from tel import job, mapreduce
from tel.answer import pieces
from tel.pairs import pair_line

PEAK = pathlib.Path(__file__).with_name("peak.py")
COUNT = ("tel-reduce", "--partial", "--memory", "1M", "count")


def answer(lines, chosen, memory=None):
    said = mapreduce.reduce(mapreduce.gather(numbered(lines), chosen, memory), chosen)
    return [piece.rstrip(b"\n") for piece in pieces(said, "ndjson")]


def pairs(size, keys):
    """Lines of many keys, each of which comes often."""
    chance = random.Random(size)
    return b"".join(b'["key %d",%d]\n' % (chance.randrange(keys), at) for at in range(size))


@given(st.lists(st.tuples(json_values, json_values), max_size=30), st.integers(1, 4000))
@settings(deadline=None, max_examples=30)
def test_sorted_outside_of_memory_pairs_stay_what_they_are_and_as_they_came(pairs, memory):
    chosen, lines = job.load("count"), [pair_line(*pair) for pair in pairs]
    chosen.combines = chosen.reduces = False
    assert answer(lines, chosen, memory) == answer(lines, chosen)


@given(st.lists(st.tuples(st.text(max_size=2), st.integers()), max_size=60), st.integers(1, 4000))
@settings(deadline=None, max_examples=30)
def test_sorted_outside_of_memory_values_add_up_to_the_same(pairs, memory):
    chosen, lines = job.load("count"), [pair_line(*pair) for pair in pairs]
    assert answer(lines, chosen, memory) == answer(lines, chosen)


def test_a_reduce_gets_all_values_of_a_key_wherever_they_waited(tmp_path):
    chosen = job.load(own_job(tmp_path, "def map(*all): pass\ndef reduce(k, v, c): c.write(k, v)\n"))
    lines = [b'["a",%d]' % at for at in range(300)] + [b'["b",1]']
    expected = [b'["a",[%s]]' % b",".join(b"%d" % at for at in range(300)), b'["b",[1]]']
    assert answer(lines, chosen, 2000) == expected == answer(lines, chosen)


def test_many_keys_in_little_memory_give_the_same_bytes(run_tool):
    lines = pairs(60_000, 50_000)
    little, much = run_tool(*COUNT, stdin=lines), run_tool("tel-reduce", "--partial", "count", stdin=lines)
    assert little.returncode == 0 and little.stderr == b"" and little.stdout == much.stdout
    assert len(much.stdout.splitlines()) > 30_000


@pytest.mark.slow
def test_memory_stays_within_its_bound(run_tool, tmp_path):
    """Some 250,000 keys hold more than 100 MiB without a bound."""
    lines = pairs(400_000, 400_000)
    words = ("tel-reduce", "--partial", "--memory", "16M", "count")
    done = run_tool(sys.executable, PEAK, tmp_path / "peak", *words, stdin=lines)
    assert done.returncode == 0 and int((tmp_path / "peak").read_text()) < 60 << 10
    assert len(done.stdout.splitlines()) > 200_000


def without(place, script=None):
    """An environment whose PATH has no sort, or one that is a script."""
    place.mkdir()
    if script:
        (place / "sort").write_text(f"#!{shutil.which('bash')}\n{script}\n")
        (place / "sort").chmod(0o755)
    return {**os.environ, "PATH": str(place)}


@pytest.mark.parametrize(
    "script, said",
    [
        (None, b"sort, which cannot be run: No such file"),
        ("echo 'sort: write failed: No space left on device' >&2; exit 2", b"tel-reduce: sort: write failed: No space"),
        ("echo half; exit 3", b"sort ended with 3"),
        ("kill -9 $$", b"sort was killed by signal 9"),
    ],
)
def test_a_sort_that_is_missing_or_fails_is_told(script, said, run_tool, tmp_path):
    tool = shutil.which("tel-reduce")
    done = run_tool(tool, *COUNT[1:], stdin=pairs(40_000, 40_000), env=without(tmp_path / "bin", script))
    assert done.returncode == 74 and done.stdout == b"" and said in done.stderr and done.stderr.count(b"\n") == 1, done


def test_a_full_disk_for_temporary_files(run_tool, tmp_path):
    with mounted(tmp_path / "full", "-t", "tmpfs", "-o", "size=256k", "tmpfs") as disk:
        environment = {**os.environ, "TMPDIR": str(disk)}
        done = run_tool(*COUNT, stdin=pairs(60_000, 60_000), env=environment)
        assert done.returncode == 74 and done.stdout == b"" and b"No space left" in done.stderr, done
        assert not list(disk.iterdir())
        assert run_tool(*COUNT, stdin=b'["a",1]\n', env=environment).stdout == b'["a",1]\n'


def test_what_is_wrong_after_memory_was_full_stops_sort(run_tool, tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = run_tool(*COUNT, stdin=pairs(60_000, 60_000) + b"no pair\n", env=environment)
    assert done.returncode == 65 and done.stdout == b"" and b":60001: " in done.stderr
    assert not list(tmp_path.iterdir())


def test_nothing_is_printed_of_a_reduce_that_fails(run_tool, tmp_path):
    code = "def map(*all): pass\ndef reduce(k, v, c):\n    if k == 'key 9': 1 / 0\n    c.write(k, v)\n"
    words = ("tel-reduce", "--partial", "--memory", "64K", own_job(tmp_path, code))
    done = run_tool(*words, stdin=pairs(5000, 5000))
    assert done.returncode == 65 and done.stdout == b"" and b'key "key 9"' in done.stderr
