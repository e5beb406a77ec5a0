"""The pings that are measured, made once and kept: sets of one family in several sizes.

A set is a folder: `raw` lines, their definitions `h`, what the tools make of them (`resolved`, `validated`,
`converted`, the `store`, the list of its `files`, its lines `stored`), `bounds.json` for peers, `facts.json`.
"""

import gzip
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import uuid
from collections import Counter

import measure

DATE = "20260901"
FEWEST = 10  # pings of a set, however small
HISTOGRAM = re.compile(rb'"[^"]*":\{[^{}]*"values":\{[^{}]*\}[^{}]*\}')  # name and text
NUMBER = re.compile(rb'("(?:[0-9]+|sum|log_sum|log_sum_squares|sum_squares_lo)":)([1-9][0-9]*(?:\.[0-9]+)?)\b')
DERIVED = f"""
tel-resolve --histograms h --date {DATE} raw > resolved
tel-validate --histograms h --rejects rejects resolved > validated
tel-convert --histograms h validated > converted
tel-persist --store store --batch b converted > published
tel-ls store > files
zstd -dcq $(cat files) > stored
"""


class Family:
    """A kind of ping: its `name`, bytes of one on average, and a function that writes `raw` and `h` in a folder."""

    def __init__(self, name, size, make, title):
        self.name, self.size, self.make, self.title = name, size, make, title

    def count(self, megabytes):
        """How many pings are that much."""
        return max(FEWEST, int(megabytes * 1e6 / self.size))

    def set(self, cache, megabytes):
        """The folder of a set, made if it is not there."""
        count = self.count(megabytes)
        folder = pathlib.Path(cache, f"{self.name}-{count}").absolute()
        if not folder.exists():
            made = folder.with_name(f"{folder.name}.new")
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir(parents=True)
            self.make(made, count)
            derive(made)
            made.rename(folder)
        return folder


def derive(folder):
    """Make all that the tools make of a set's raw lines, and what is told of it."""
    measure.once(DERIVED, folder)
    for task in ("facts", "bounds"):  # in processes of their own, for the memory that they need
        words = [sys.executable, __file__, task, folder]
        subprocess.run(words, check=True)


def facts(folder):
    """What a set is: pings, bytes, histograms, and how many of these have a text that comes more than once."""
    texts, pings = Counter(), 0
    with open(folder / "raw", "rb") as lines:
        for line in lines:
            pings += 1
            texts.update(map(hash, HISTOGRAM.findall(line)))
    repeated = sum(count for count in texts.values() if count > 1)
    sizes = {name: (folder / name).stat().st_size for name in ("raw", "converted", "stored")}
    sizes["store"] = sum(os.path.getsize(folder / path) for path in (folder / "files").read_text().split())
    return {"pings": pings, "histograms": texts.total(), "repeated": repeated, "bytes": sizes}


def bounds(folder):
    """{name: {number of buckets: [lower bound of each, as text]}} of a set's definitions.

    Where wide linear histograms repeat a bound, its count belongs to the last bucket: the others get the bound "".
    """
    from tel import definitions

    known = {}
    for path in sorted(folder.glob("h/**/Histograms.json")):
        known.update(definitions.load(path.read_bytes()))
    return {name: {layout.n_buckets: _keys(layout) for layout in known[name].layouts} for name in known}


def _keys(layout):
    return [key if layout.position[key] == at else "" for at, key in enumerate(layout.keys)]


def read_facts(folder):
    """The facts of a set that is there."""
    return json.loads((folder / "facts.json").read_text())


# --- families


def make_sample(folder, count):
    """Generated pings."""
    measure.once(f"tel-sample --definitions h; tel-sample -n {count} > raw", folder)


def corpus(*parts):
    """A file of the real data."""
    (path,) = pathlib.Path(os.environ["TEL_CORPUS"]).joinpath(*parts[:-1]).glob(parts[-1])
    return path


def make_firefox_23(folder, count):
    """One real ping of 2013 again and again, each time with an id and numbers of its own."""
    plant(folder, "23.0-2013-*.json.gz", "releases/mozilla-release/a55c55edf302")
    with open(corpus("pings", "telemetry1.ndjson"), "rb") as file:
        (ping,) = file.read().splitlines()
    source = random.Random(23)
    with open(folder / "raw", "wb") as out:
        for _ in range(count):
            out.write(b"%s\t%s\n" % (fresh_id(source), varied(source, ping)))


def make_firefox_153(folder, count):
    """The requests of a real browser again and again, each time with ids and numbers of their own."""
    node = "a9effd9e521653405f0ffd311e8edf90bde92237"
    plant(folder, "153.7.0-reconstructed*.json.gz", f"releases/mozilla-esr153/{node}")
    with gzip.open(corpus("pings", "firefox-153.ndjson.gz")) as lines:
        bodies = [json.loads(line)["body"] for line in lines]
    texts = [(body["id"].encode(), compact(body)) for body in bodies]
    source = random.Random(153)
    with open(folder / "raw", "wb") as out:
        for number in range(count):
            id, text = texts[number % len(texts)]
            out.write(varied(source, text.replace(id, fresh_id(source), 1)) + b"\n")


def compact(value):
    """The JSON text of a value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def plant(folder, definitions, revision):
    """Put a real Histograms.json where pings of a revision have theirs."""
    place = folder / "h" / revision
    place.mkdir(parents=True)
    (place / "Histograms.json").write_bytes(gzip.decompress(corpus("histograms", definitions).read_bytes()))


def fresh_id(source):
    """A new document id."""
    return str(uuid.UUID(int=source.getrandbits(128), version=4)).encode()


def varied(source, ping):
    """A ping with other numbers of the same sizes in its histograms; zeros stay."""

    def other(match):
        number = float(match[2])
        changed = number * (0.5 + source.random() * 1.5)
        return match[1] + (
            repr(changed).encode() if b"." in match[2] else b"%d" % (changed + source.random() * 3 + 0.5)
        )

    return HISTOGRAM.sub(lambda histogram: NUMBER.sub(other, histogram[0]), ping)


FAMILIES = {
    family.name: family
    for family in (
        Family("sample", 70_000, make_sample, "generated pings like those of Firefox 23"),
        Family("firefox-23", 78_000, make_firefox_23, "one real ping of Firefox 23, its numbers varied"),
        Family("firefox-153", 16_000, make_firefox_153, "371 real requests of Firefox 153, their numbers varied"),
    )
}


def main(task, path):
    """Write what is told of a set: facts or bounds."""
    folder = pathlib.Path(path)
    (folder / f"{task}.json").write_text(json.dumps({"facts": facts, "bounds": bounds}[task](folder)))


if __name__ == "__main__":
    main(*sys.argv[1:])
