"""What is measured: sections of rows, each a command that runs in the folder of a set of data."""

import functools
import importlib.util
import os
import shutil
import subprocess
from collections import namedtuple

import data
import measure

# Sizes of sets: for starting only, for what is very slow, for what is slow, for what else would mostly be its start.
TINY, LITTLE, SMALL, LARGE = "tiny", "little", "small", "large"
TIERS = ("compiled", "fast", "plain", "reference")
NAME = "HTTP_PAGE_CONNECT_TIME_MS"  # the one histogram that is asked for
BUCKETS = 50

# `needs` are programs, tiers and Python modules; `answer` is how what is printed is compared with the section's first
# row: a number of key fields, "records", or None.
Row = namedtuple("Row", "what command size needs answer", defaults=(LARGE, (), None))
Section = namedtuple("Section", "name title family rows", defaults=("sample", ()))

UNIT = Row("ujson: parse and drop the raw lines", "$PYTHON $PEERS/parse.py ujson raw")

RESOLVE = f"tel-resolve --histograms h --date {data.DATE}"
VALIDATE = "tel-validate --histograms h --rejects $OUT/rejects"
CONVERT = "tel-convert --histograms h"
PERSIST = "tel-persist --store $OUT/store --batch b"
INGEST = f"{RESOLVE} raw | {VALIDATE} | {CONVERT}"
WHOLE = f"{INGEST} | {PERSIST}"


def size_of(tier):
    """The size for a tier: that of the unit, so that ratios are of the same lines, but for the slowest."""
    return SMALL if tier == "reference" else LARGE


def tiered(tier, what, command):
    """A row of a command in one tier."""
    return Row(what, f"export TEL_TIER={tier}; {command}", size_of(tier), (tier,))


def chain(pipeline, options=""):
    """A pipeline as tel-chain runs it."""
    return f'tel-chain {options} "{pipeline}"'


def floors():
    """What no program that reads the data can go below."""
    return (
        Row("cat raw", "cat raw"),
        Row("wc -l raw", "wc -l raw"),
        Row("zstd -dc of the store", "zstd -dcq $(cat files)", needs=("zstd",)),
        Row("msgspec: check each ping, cut at its first level", "$PYTHON $PEERS/parse.py scan raw", needs=("msgspec",)),
        Row("msgspec: parse and drop", "$PYTHON $PEERS/parse.py msgspec raw", needs=("msgspec",)),
    )


def ingest():
    """The whole ingest, in one process and in several, in each tier."""
    for tier in TIERS:
        for jobs in (1, 2):
            yield tiered(tier, f"tel-chain -j {jobs}, {tier}", chain(WHOLE, f"-j {jobs}"))
    yield from shell()


def shell():
    """The same by a shell, a process for each tool."""
    for tier in ("compiled", "plain"):
        yield tiered(tier, f"four tools in a shell, {tier}", WHOLE)


def tools():
    """Each tool alone, in each tier."""
    commands = {
        "tel-resolve": f"{RESOLVE} raw",
        "tel-validate": f"{VALIDATE} resolved",
        "tel-convert": f"{CONVERT} validated",
        "tel-persist": f"{PERSIST} converted",
    }
    for tool, command in commands.items():
        for tier in TIERS:
            yield tiered(tier, f"{tool}, {tier}", command)


def machine():
    """A question answered by the jobs of one machine, one at a time and two."""
    for jobs in (1, 2):
        row = tiered("compiled", f"mapreduce -j {jobs}", f"$PIPELINES/mapreduce -j {jobs} --store store histograms")
        yield row._replace(needs=("compiled", "parallel"))


def converting():
    """tel-convert of good pings, against others that do the same."""
    for tier in TIERS:
        row = tiered(tier, f"tel-convert, {tier}", f"{CONVERT} validated")
        yield row._replace(answer="records")
    stdlib, jq = "$PYTHON $PEERS/convert.py bounds.json validated", "jq -c --slurpfile bounds bounds.json -f"
    yield Row("Python's json", stdlib, SMALL, answer="records")
    yield Row("jq", f"{jq} $PEERS/convert.jq validated", LITTLE, ("jq",), "records")


def asking(job, keys, peers):
    """Rows of a job over the store, by the suite and by peers, (what, command, size, needs)."""
    tools = f"tel-map --files-from files '{job}' | tel-combine '{job}' | tel-reduce --format tsv '{job}'"
    for tier in TIERS[0], "plain":
        for what, command in (("three tools in a shell", tools), ("tel-chain", chain(tools))):
            yield tiered(tier, f"{what}, {tier}", command)._replace(answer=keys)
    for what, command, size, needs in peers:
        yield Row(what, command, size, needs, keys)


PINGS = "cut -f2 stored"
AWK = "mawk -f $PEERS/stored.awk"
SQL, FRAMES = "$PYTHON $PEERS/sql.py", "$PYTHON $PEERS/frames.py"


def general(job, name=""):
    """The peers that ask in the same way whatever the job: awk, and engines that know JSON."""
    size = SMALL if job == "histograms" else LARGE
    return (
        ("mawk, by the look of the text", f"{AWK} -v question={job} -v name={name} stored", size, ("mawk",)),
        ("DuckDB", f"{SQL} duckdb {job} stored {name}", size, ("duckdb",)),
        ("polars", f"{FRAMES} {job} stored bounds.json {name}", SMALL, ("polars",)),
        ("chdb", f"{SQL} chdb {job} stored {name}", LARGE, ("chdb",)),
    )


def one_histogram():
    """One histogram by channel and version."""
    return asking(
        f"histogram {NAME}",
        4,
        (
            (
                "jq \\| datamash",
                f"{PINGS} | jq -r --arg name {NAME} -f $PEERS/histogram.jq"
                f" | datamash -s -g 1,2,3,4 sum 5-{BUCKETS + 9}",
                LITTLE,
                ("jq", "datamash"),
            ),
            ("Miller", f"{PINGS} | NAME={NAME} mlr --ijson --ocsv put -q -f $PEERS/histogram.mlr", LITTLE, ("mlr",)),
            *general("histogram", NAME),
        ),
    )


def os_count():
    """Pings by operating system."""
    count = '@count[$info["OS"]] += 1; end { for (os, n in @count) { print os . "\\t" . n } }'
    return asking(
        "os-count",
        1,
        (
            ("jq \\| datamash", f"{PINGS} | jq -r .info.OS | datamash -s -g 1 count 1", LITTLE, ("jq", "datamash")),
            ("Miller", f"{PINGS} | mlr --ijson --ocsv put -q '{count}'", LITTLE, ("mlr",)),
            *general("os-count"),
        ),
    )


def all_histograms():
    """All histograms by channel and version."""
    return asking(
        "histograms",
        4,
        (
            (
                "jq \\| mawk",
                f"{PINGS} | jq -r -f $PEERS/histograms.jq | mawk -f $PEERS/sums.awk",
                LITTLE,
                ("jq", "mawk"),
            ),
            ("Miller", f"{PINGS} | mlr --ijson --ocsv put -q -f $PEERS/histogram.mlr", LITTLE, ("mlr",)),
            *general("histograms"),
        ),
    )


def real():
    """The whole ingest of real pings, against the least that answers for the JSON it stores."""
    scan = "$PYTHON $PEERS/rewrite.py"
    yield Row("msgspec: check and cut each ping", "$PYTHON $PEERS/parse.py scan raw", needs=("msgspec",))
    yield Row("the same, and write the line", f"{scan} plain raw $OUT/lines", needs=("msgspec",))
    yield Row("the same, and write it by zstd -1", f"{scan} zstd raw $OUT/lines", needs=("msgspec", "zstandard"))
    yield tiered("compiled", "tel-chain of three, to a file, compiled", f"{chain(INGEST)} > $OUT/lines")
    zipped = f"{chain(INGEST)} | zstd -1 -q > $OUT/lines"
    yield tiered("compiled", "tel-chain of three \\| zstd -1, compiled", zipped)
    for jobs in (1, 2):
        yield tiered("compiled", f"tel-chain -j {jobs}, compiled", chain(WHOLE, f"-j {jobs}"))
    for tier in TIERS[1:]:
        yield tiered(tier, f"tel-chain -j 1, {tier}", chain(WHOLE))
    yield from shell()


def unified():
    """The same of pings that all tiers but the compiled one leave to the reference, of which some are enough."""
    for row in real():
        yield row._replace(size=SMALL) if row.needs[0] in TIERS[1:] else row


SECTIONS = {
    section.name: section
    for section in (
        Section("floors", "Floors", rows=floors),
        Section("chain", "resolve, validate, convert, persist", rows=ingest),
        Section("tools", "Each tool alone", rows=tools),
        Section("convert", "Converting histograms", rows=converting),
        Section("histogram", "One histogram summed by channel and version", rows=one_histogram),
        Section("os-count", "Pings counted by operating system", rows=os_count),
        Section("histograms", "All histograms summed by channel and version", rows=all_histograms),
        Section("machine", "All histograms summed by the jobs of one machine", rows=machine),
        Section("firefox-23", "Real pings of Firefox 23", "firefox-23", real),
        Section("firefox-153", "Real pings of Firefox 153", "firefox-153", unified),
    )
}


@functools.cache
def is_there(need):
    """Whether a tier, a Python module or a program can be had."""
    if need in TIERS:
        words, environment = ["tel-convert", "--version"], {**measure.environment(""), "TEL_TIER": need}
        return not subprocess.run(words, env=environment, capture_output=True).returncode
    return bool(shutil.which(need, path=measure.environment("")["PATH"]) or importlib.util.find_spec(need))


def parted(rows):
    """(rows that can be measured, {what: what is missing} of the others)."""
    missing = {row.what: next((need for need in row.needs if not is_there(need)), None) for row in rows}
    return [row for row in rows if not missing[row.what]], {what: need for what, need in missing.items() if need}


def wanted(names):
    """The Sections of these names, of all names if there are none; those of real pings only where these are."""
    real = bool(os.environ.get("TEL_CORPUS"))
    return [
        section
        for name, section in SECTIONS.items()
        if (name in names or not names) and (real or section.family == "sample")
    ]
