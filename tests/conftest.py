"""What every test may ask for: the tools as they are installed, and the corpus if there is one."""

import collections
import os
import pathlib
import shutil
import subprocess
import sys

import hypothesis
import pytest

ROOT = pathlib.Path(__file__).parent.parent
BIN = ROOT / ".venv" / "bin"

# A busy machine is slow, which is no fault of what is tested.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("suite")

if BIN.is_dir():
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
sys.path.insert(0, str(ROOT / "tests"))
for name in ("TEL_HISTOGRAMS", "PYTHONUNBUFFERED"):
    os.environ.pop(name, None)


class RunTool:
    """Runs a program to its end: `run_tool("tel-ls", "store", stdin=b"", env=None)` -> CompletedProcess of bytes."""

    def __call__(self, *command, stdin=b"", env=None, **more):
        return subprocess.run([str(word) for word in command], input=stdin, env=env, capture_output=True, **more)

    @staticmethod
    def command(tool):
        """The words that start a tool."""
        return [shutil.which(tool) or tool]


@pytest.fixture(scope="session")
def run_tool():
    return RunTool()


@pytest.fixture(scope="session")
def corpus():
    """The folder of real data, which is not part of this project."""
    place = os.environ.get("TEL_CORPUS")
    if not place:
        pytest.skip("TEL_CORPUS is unset: real pings and definitions are not checked")
    assert os.path.isdir(place), f"TEL_CORPUS is no folder: {place}"
    return pathlib.Path(place)


def pytest_collection_modifyitems(items):
    """Fast tests first."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def pytest_terminal_summary(terminalreporter):
    """Say loudly what was not tested, and why."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = collections.Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    if reasons:
        terminalreporter.section(f"NOT TESTED: {len(skipped)} skipped", yellow=True)
        for reason, count in sorted(reasons.items()):
            terminalreporter.write_line(f"{count:5}  {reason}")
