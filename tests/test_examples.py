"""Every example of every tool's manual runs, in a folder that holds the files it speaks of."""

import importlib
import os
import pathlib
import shutil
import subprocess

import pytest

FILTERS = sorted(
    path.stem for path in (pathlib.Path(__file__).parent.parent / "filters").glob("*.py") if path.stem != "__init__"
)
ELSEWHERE = "https://"  # an example that asks a server on the internet is not run

SETUP = """
tel-sample --definitions cache > definitions.list
tel-sample -n 40 --small > export
gzip -c export > export.ndjson.gz; cp export.ndjson.gz export.gz; zstd -q export -o export.zst
tel-resolve --date 20130901 export > records.ndjson; zstd -q records.ndjson
tel-convert records.ndjson > compact.ndjson
tel-persist --store store --batch b compact.ndjson > stored; tel-ls store > files; echo a > ids
one=store/20130901/idle-daily/Firefox/release/23.0.1/20130814063812; mkdir -p $one; cp $(head -n 1 files) $one/b-001.v2.zst
old=published/idle_daily/Firefox/release/23.0.1; mkdir -p $old
head -n 40 export | gzip -c > $old/20130814063812.20130901.v2.log.0a1b.gz
for day in yesterday today; do tel-map --files-from files dashboard | tel-reduce dashboard > $day; done
for host in host1 host2; do tel-map --files-from files os-count > $host; done
echo '{"version":1,"dimensions":[{"field_name":"reason","allowed_values":"*"}]}' > schema.json
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
    environment = {**os.environ, "TEL_HISTOGRAMS": "cache", "HOME": str(place)}
    return subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=place, env=environment, capture_output=True)


def test_every_tool_has_examples():
    assert {name for name, _ in EXAMPLES} == set(FILTERS)


@pytest.mark.parametrize("name, command", EXAMPLES, ids=[f"{name}-{at}" for at, (name, _) in enumerate(EXAMPLES)])
def test_an_example_runs(name, command, prepared, tmp_path):
    if ELSEWHERE in command:
        pytest.skip(f"not run, it asks the internet: {command}")
    for program in ("parallel", "zstdcat"):
        if program in command and not shutil.which(program):
            pytest.skip(f"{program} is missing: not run: {command}")
    place = shutil.copytree(prepared, tmp_path / "copy")
    if "--store store" in command:
        shutil.rmtree(place / "store")
    done = bash(command, place)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout or ">" in command or name in ("verify", "compact", "expire")
