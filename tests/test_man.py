"""The manual pages: fresh, clean, readable."""

import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = sorted((ROOT / "man").glob("*.[157]"))


def needs(program):
    return pytest.mark.skipif(
        not shutil.which(program), reason=f"{program} is missing: its check of the manual is skipped"
    )


def test_the_tools_pages_are_fresh():
    done = subprocess.run([sys.executable, str(ROOT / "man/make"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_tool_has_a_page():
    tools = {f"tel-{path.stem}" for path in (ROOT / "filters").glob("*.py") if path.stem != "__init__"}
    assert tools <= {path.stem for path in PAGES}


@needs("mandoc")
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_is_clean(page):
    done = subprocess.run(["mandoc", "-T", "lint", str(page)], capture_output=True, text=True)
    # which other manuals there are is the machine's business
    assert not [line for line in done.stdout.splitlines() if "referenced manual not found" not in line]


@needs("man")
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_can_be_read(page):
    done = subprocess.run(
        ["man", "-l", str(page)],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "MANPAGER": "cat", "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0 and "NAME" in done.stdout and page.stem in done.stdout
