"""Every example of every tool's manual runs, in a folder that holds the files it speaks of."""

import functools
import importlib
import os
import pathlib
import shutil
import subprocess

import pytest

import tools

FILTERS = sorted(
    path.stem for path in (pathlib.Path(__file__).parent.parent / "filters").glob("*.py") if path.stem != "__init__"
)
CASES = pathlib.Path(__file__).parent / "cases"
BROKERS = "kafka1:9092"  # in their place come those that the tests have
ELSEWHERE = "https://"  # an example that asks a server on the internet is not run

SETUP = """
tel-sample --definitions cache > definitions.list
tel-sample -n 40 --small > export
gzip -c export > export.ndjson.gz; cp export.ndjson.gz export.gz; zstd -q export -o export.zst
tel-resolve --date 20130901 export > records.ndjson; zstd -q records.ndjson
tel-convert records.ndjson > compact.ndjson
tel-persist --store store --batch b compact.ndjson > stored; tel-ls store > files; echo a > ids
tel-map --files-from files histograms | tel-reduce histograms > sums
one=store/20130901/idle-daily/Firefox/release/23.0.1/20130814063812; mkdir -p $one; cp $(head -n 1 files) $one/b-001.v2.zst
old=published/idle_daily/Firefox/release/23.0.1; mkdir -p $old
head -n 40 export | gzip -c > $old/20130814063812.20130901.v2.log.0a1b.gz
tel-resolve --date 20130901 --rejects rejects.ndjson export > none
for day in yesterday today; do tel-map --files-from files dashboard | tel-reduce dashboard > $day; done
for host in host1 host2; do tel-map --files-from files os-count > $host; done
echo '{"version":1,"dimensions":[{"field_name":"reason","allowed_values":"*"}]}' > schema.json
mkdir spool; cp $CASES/spool/* spool; cp $CASES/packed/telemetry.log .
git init -q firefox; cd firefox; mkdir -p toolkit/components/telemetry
cp ../$(head -n 1 ../definitions.list) toolkit/components/telemetry/Histograms.json; git add -A
git -c user.name=t -c user.email=t commit -q -m one; git update-ref refs/remotes/origin/beta HEAD; cd ..
tel-history --repo releases/mozilla-release --git firefox --to cache > versions; tel-sample --definitions definitions > more.list
"""


def examples():
    """(tool, command line) of every example in the docstrings."""
    for name in FILTERS:
        text = importlib.import_module(f"tel.filters.{name}").__doc__
        section = text[text.index("Examples:\n") :].split("\n\n")[0]
        yield from ((name, line.strip()) for line in section.split("\n")[1:] if line.strip())


EXAMPLES = list(examples())


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The folder that each example gets a copy of."""
    place = tmp_path_factory.mktemp("examples")
    done = bash(SETUP, place)
    assert done.returncode == 0, done.stderr
    return place


def bash(command, place):
    environment = {**os.environ, "TEL_HISTOGRAMS": "cache", "HOME": str(place), "CASES": str(CASES)}
    return subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=place, env=environment, capture_output=True)


@functools.cache
def topic(prepared):
    """A topic that has some pings."""
    name = tools.cluster().topic("pings", 1)
    lines = (line.split(b"\t") for line in (prepared / "export").read_bytes().splitlines() if b"\t" in line)
    tools.cluster().send(name, [(0, id, ping) for id, ping in lines])
    return name


def test_every_tool_has_examples():
    assert {name for name, _ in EXAMPLES} == set(FILTERS)


@pytest.mark.parametrize("name, command", EXAMPLES, ids=[f"{name}-{at}" for at, (name, _) in enumerate(EXAMPLES)])
def test_an_example_runs(name, command, prepared, tmp_path):
    if ELSEWHERE in command:
        pytest.skip(f"not run, it asks the internet: {command}")
    for program in ("parallel", "zstdcat"):
        if program in command and not shutil.which(program):
            pytest.skip(f"{program} is missing: not run: {command}")
    if BROKERS in command:
        command = command.replace(BROKERS, tools.cluster().brokers).replace(
            "--topic pings", f"--topic {topic(prepared)}"
        )
    if command.startswith("tel-receive --spool"):
        pytest.importorskip("aiohttp", reason=f"aiohttp missing (tel[http]): not run: {command}")
    place = shutil.copytree(prepared, tmp_path / "copy")
    if "--store store" in command:
        shutil.rmtree(place / "store")
    done = bash(command, place)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout or ">" in command or name in ("verify", "compact", "expire") or "--produce" in command
