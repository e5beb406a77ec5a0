"""Runs tests/cases/<tool>/<name>/: `cmd` under bash, `input` as stdin; `expout`, `experr` and `status` are expected.

What is absent is empty, or status 0. A case runs in a copy of its folder; $CASES/histograms are the definitions.
TEL_ACCEPT=1 writes down what comes as what is expected.
"""

import os
import pathlib
import shutil
import subprocess

import pytest

import tools

tools.put_on_path()

ACCEPT = os.environ.get("TEL_ACCEPT") == "1"
ITS_OWN = ("cmd", "input", "expout", "experr", "status")  # what the runner reads, and the command does not see
FOUND = sorted(path.parent for path in tools.CASES.glob("*/*/cmd"))


def content(path):
    """A file's bytes; none if it is not there."""
    return path.read_bytes() if path.exists() else b""


def environment(home):
    """The same for every case, wherever it runs."""
    changed = {"LC_ALL": "C", "TZ": "UTC", "XDG_CACHE_HOME": str(home), "CASES": "../cases"}
    ours = ("TEL_", "LANG", "LC_")
    kept = {name: value for name, value in os.environ.items() if name == "TEL_TIER" or not name.startswith(ours)}
    return {**kept, **changed}


def run(case, place):
    """(stdout, stderr, status as bytes) of a case run in a copy of its folder."""
    folder = shutil.copytree(case, place / "case", ignore=shutil.ignore_patterns(*ITS_OWN))
    (place / "cases").symlink_to(tools.CASES)
    command, given = ["bash", "-c", content(case / "cmd").decode()], content(case / "input")
    settings = {"cwd": folder, "env": environment(place / "home"), "timeout": 60}
    done = subprocess.run(command, input=given, capture_output=True, **settings)
    return done.stdout, done.stderr, b"" if done.returncode == 0 else b"%d\n" % done.returncode


def accept(case, found):
    """Make what came what is expected."""
    for name, data in zip(("expout", "experr", "status"), found):
        path = pathlib.Path(case, name)
        if data:
            path.write_bytes(data)
        else:
            path.unlink(missing_ok=True)


@pytest.mark.parametrize("case", FOUND, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_case(case, tmp_path):
    found = run(case, tmp_path)
    if ACCEPT:
        accept(case, found)
        pytest.skip("accepted")
    assert found[:2] == (content(case / "expout"), content(case / "experr"))
    assert found[2].strip() == content(case / "status").strip()


def test_there_are_cases_for_every_tool():
    assert {case.parent.name for case in FOUND} >= {f"tel-{tool.name}" for tool in tools.TABLE}
