"""Makes a published tree without the tools that publish, and says on its own what a reader of it must see.

As a program, `published.py DIR` writes a large one and the page into DIR.
"""

import json
import pathlib
import random
import sys
from fractions import Fraction

from tel import definitions

LEVELS = ("reason", "appName", "OS", "osVersion", "arch")
FEW = 100
ABSENT = -1

PLAIN = {
    "CYCLES": {"kind": "exponential", "description": "Time of a cycle (ms)", "low": 1, "high": 10000, "n_buckets": 20},
    "WIDTHS": {"kind": "linear", "description": "Width & height <b>of all</b>", "low": 1, "high": 100, "n_buckets": 12},
    "STARTED": {"kind": "boolean", "description": "Whether it started"},
    "CAUSE": {"kind": "enumerated", "description": "Why", "n_values": 6},
    "SHRINKS": {"kind": "linear", "description": "Other buckets in version 25", "low": 1, "high": 50, "n_buckets": 8},
    "RARE": {"kind": "exponential", "description": "Small data", "low": 1, "high": 300, "n_buckets": 10},
    "__proto__": {"kind": "linear", "description": "An odd name", "low": 1, "high": 20, "n_buckets": 5},
    "constructor": {"kind": "flag", "description": "<img src=x onerror=alert(1)>"},
}
ALSO = " (keyed)"  # of the name of a keyed measure that is there as a plain one too
KEYED = {
    "BY_ADDON": {"kind": "exponential", "description": "Per add-on", "low": 1, "high": 500, "n_buckets": 9},
    f"WIDTHS{ALSO}": {"kind": "linear", "description": "Keyed at another time", "low": 1, "high": 7, "n_buckets": 4},
}
KEYS = ("plain", "__proto__", "<i>tag</i>", 'a,"b"', "_id", "")
LEAVES = [
    ("saved_session", "Firefox", "Linux", "3.10", "x86"),
    ("saved_session", "Firefox", "Linux", "3.1", "x86-64"),
    ("saved_session", "Firefox", "WINNT", "6.1", "x86"),
    ("saved_session", "Fennec", "Android", "18", "arm"),
    ("idle_daily", "Firefox", "WINNT", "6.2", "x86"),
    ("idle_daily", "Firefox", "<b>OS</b>", "__proto__", "constructor"),
]


def days(count):
    """The texts of the first days of a year."""
    return [f"2013{1 + n // 28:02}{1 + n % 28:02}" for n in range(count)]


class Published:
    """A tree of some versions: {version: {(measure, by, key): {date: {leaf: (counts, sum, pings)}}}} and its files."""

    def __init__(self, versions, plain, keyed, leaves, dates, seed=1):
        self.versions, self.plain, self.keyed, self.leaves, self.dates = versions, plain, keyed, leaves, dates
        self.random = random.Random(seed)
        self.values = {version: self._version(version) for version in versions}

    def definition(self, version, measure):
        """The definition of a measure; one of them is another in version 25."""
        found = {**self.plain, **self.keyed}[measure]
        return {**found, "high": 80} if measure == "SHRINKS" and version.endswith("/25") else found

    def bounds(self, version, measure):
        """The lower bounds of a measure's buckets."""
        return definitions.define(measure, self.definition(version, measure)).layouts[0].bounds

    def _version(self, version):
        series = [(measure, None) for measure in self.plain] + [(m, key) for m in self.keyed for key in KEYS]
        return {
            (measure, by, key): {date: self._day(version, measure) for date in self.dates}
            for measure, key in series
            for by in ("build", "submission")
        }

    def _day(self, version, measure):
        bounds, pings = self.bounds(version, measure), (1, 4) if measure == "RARE" else (20, 90)
        peak = len(bounds) * self.random.uniform(0.45, 0.55)
        return {
            leaf: self._row(bounds, peak + leaf / 4, self.random.randint(*pings)) for leaf in range(len(self.leaves))
        }

    def _row(self, bounds, peak, pings):
        size = len(bounds)
        counts = [0] * size
        for _ in range(2 * pings):
            counts[min(size - 1, max(0, int(self.random.gauss(peak, size / 7))))] += 1
        return counts, ABSENT if pings % 7 == 0 else sum(map(int.__mul__, bounds, counts)), pings

    def write(self, directory, measures=None):
        """Write the files of all measures, or those of some, below a directory."""
        root = pathlib.Path(directory, "v7")
        root.mkdir(parents=True)
        put(root / "versions.json", {version: f"data/{version}" for version in self.versions})
        for version in self.versions:
            folder = root / "data" / version
            folder.mkdir(parents=True)
            put(folder / "filter-tree.json", self._filters())
            for name, some in (("histograms.json", self.plain), ("keyed.json", self.keyed)):
                put(folder / name, {m.removesuffix(ALSO): self.definition(version, m) for m in some})
            for measure in self.plain if measures is None else measures:
                for by in ("build", "submission"):
                    put(folder / f"{measure}-by-{by}-date.json", self._rows(version, measure, by, None))
            for measure in self.keyed:
                for by in ("build", "submission"):
                    rows = {key: self._rows(version, measure, by, key) for key in KEYS}
                    put(folder / f"{measure.removesuffix(ALSO)}-keyed-by-{by}-date.json", rows)

    def _filters(self):
        root = {"_id": 0, "name": LEVELS[0]}
        for leaf, path in enumerate(self.leaves):
            node = root
            for level, value in enumerate(path):
                last = level == len(LEVELS) - 1
                new = {"_id": 1000 + leaf} if last else {"_id": 10 * leaf + level + 1, "name": LEVELS[level + 1]}
                node = node.setdefault(value, new)
        return root

    def _rows(self, version, measure, by, key):
        return {
            date: [[*counts, total, -1, -1, -1, -1, pings, 1000 + leaf] for leaf, (counts, total, pings) in day.items()]
            for date, day in self.values[version][measure, by, key].items()
        }

    def seen(self, version, measure, by="build", key=None, date=None, **filters):
        """What a page must show of a selection, of one date or all: a Seen."""
        series = self.values[version][measure, by, key]
        leaves = [
            at
            for at, path in enumerate(self.leaves)
            if all(path[LEVELS.index(level)] == value for level, value in filters.items())
        ]
        rows = [series[day][leaf] for day in ([date] if date else series) for leaf in leaves]
        return Seen(rows, self.bounds(version, measure), self.definition(version, measure)["kind"])


class Seen:
    """The numbers of some rows (counts, sum, pings), computed with fractions."""

    def __init__(self, rows, bounds, kind):
        self.bounds, self.ranged = bounds, kind in ("linear", "exponential")
        self.counts = [sum(counts) for counts in zip(*(row[0] for row in rows))]
        self.pings, self.values = sum(row[2] for row in rows), sum(self.counts)
        summed = [(total, sum(counts)) for counts, total, _ in rows if total != ABSENT]
        self.mean = sum(total for total, _ in summed) / sum(values for _, values in summed) if summed else None

    def percentile(self, percent):
        """The value below which that share of the values lies, which lie evenly within each bucket."""
        wanted, below = Fraction(str(percent)) * self.values / 100, 0
        for at, count in enumerate(self.counts):
            if count and below + count >= wanted:
                last = at == len(self.bounds) - 1
                width = 0 if last or not self.ranged else self.bounds[at + 1] - self.bounds[at]
                return float(self.bounds[at] + width * (wanted - below) / count)
            below += count


def put(path, value):
    """Write a value as JSON."""
    path.write_text(json.dumps(value, separators=(",", ":")))


def small(directory, dates=12):
    """A tree with everything that a page must cope with."""
    made = Published(["nightly/24", "nightly/25", "release/24"], PLAIN, KEYED, LEAVES, days(dates))
    made.write(directory)
    return made


def large(directory, measures=2000, dates=60, leaves=30):
    """A tree of many measures, of which one has its files."""
    shape = {"kind": "exponential", "description": "Time taken", "low": 1, "high": 10000, "n_buckets": 50}
    paths = [("saved_session", "Firefox", "WINNT", f"6.{n}", "x86") for n in range(leaves)]
    made = Published(["nightly/24"], {"MEASURE_0777": shape}, {}, paths, days(dates))
    made.plain = {f"MEASURE_{n:04}": shape for n in range(measures)}
    made.write(directory, ["MEASURE_0777"])
    return made


if __name__ == "__main__":
    from tel import page

    large(sys.argv[1])
    page.write(sys.argv[1], page.files())
