"""What tel-show says of a histogram, against sums of our own, and how wide it says it."""

import fcntl
import json
import os
import pty
import random
import struct
import subprocess
import termios
from fractions import Fraction

import pytest

import published
import tools
from tel import definitions, edges, percentiles, revisions
from tel.errors import BadData

tools.put_on_path()
HISTOGRAMS = f"{tools.CASES}/histograms"
LINE = b'["A_LINEAR",[0,3,10,4,0,60,-1,-1,-1,-1]]\n'


def test_percentiles_are_interpolated_within_buckets():
    made = random.Random(3)
    for kind in ("linear", "exponential", "enumerated", "categorical"):
        fields = {"kind": kind, "high": 900, "n_buckets": 12, "n_values": 11, "labels": ["a", "b"]}
        definition = definitions.define("A", fields)
        layout = definition.layouts[-1]
        for _ in range(50):
            counts = [made.choice([0, 1, made.randrange(1000)]) for _ in layout.bounds]
            counts[made.randrange(len(counts))] += 1
            seen = published.Seen([(counts, 0, 1)], layout.bounds, kind)
            for percent in (5, 50, 99.9):
                value, open = percentiles.of(layout.bounds, counts, [Fraction(str(percent)) / 100], definition.ranged)[
                    0
                ]
                assert value == pytest.approx(seen.percentile(percent))
                assert open == (seen.ranged and value == layout.bounds[-1] and counts[-1] > 0)


def test_it_is_as_wide_as_the_terminal():
    for columns in (30, 100):
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        command = ["tel-show", "--histograms", HISTOGRAMS]
        done = subprocess.run(command, input=LINE, stdout=its, stderr=subprocess.PIPE, timeout=60)
        os.close(its)
        text = os.read(ours, 1 << 16).decode()
        os.close(ours)
        assert done.returncode == 0, done.stderr
        drawn = [line for line in text.splitlines() if "█" in line]
        assert len(drawn) == 3 and {len(line) for line in drawn} == {columns}


def test_a_table_holds_every_bucket(run_tool):
    done = run_tool("tel-show", "--format", "tsv", "--histograms", HISTOGRAMS, stdin=LINE)
    rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert [int(row[3]) for row in rows] == [0, 3, 10, 4, 0]
    assert [row[1:3] for row in rows] == [["0", "1"], ["1", "4"], ["4", "7"], ["7", "10"], ["10", ""]]
    assert sum(float(row[4]) for row in rows) == pytest.approx(1, abs=1e-5)


def test_the_whole_cache_is_looked_at(tmp_path, run_tool):
    """What tel-history keeps by its content, too; what all of it agrees on is taken."""
    assert run_tool("tel-history", "--import", HISTOGRAMS, "--to", tmp_path / "cache").returncode == 0
    known = edges.Edges(version.definitions for version in loaded(tmp_path / "cache"))
    assert known.find("A_LINEAR", 5)[1].bounds == (0, 1, 4, 7, 10)
    other = tmp_path / "cache" / "repository" / ("a" * 12)
    other.mkdir(parents=True)
    shape = {"kind": "linear", "low": 1, "high": 90, "n_buckets": 5}
    (other / "Histograms.json").write_text(json.dumps({"A_LINEAR": shape, "A_FLAG": {"kind": "flag"}}))
    known = edges.Edges(version.definitions for version in loaded(tmp_path / "cache"))
    with pytest.raises(BadData) as caught:
        known.find("A_LINEAR", 5)
    assert caught.value.error_type == "ambiguous_buckets"
    assert known.find("A_FLAG", 3)[0].kind == "flag"


def loaded(directory):
    """The Versions of everything in a cache."""
    cache = revisions.Cache(str(directory))
    return [cache.load(version) for version in cache.all()]
