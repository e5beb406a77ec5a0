"""What a measurement depends on beside the code: the machine, and the versions of what is compared."""

import importlib.metadata
import platform
import re
import shutil
import subprocess

import measure

PROGRAMS = {
    "jq": ("jq", "--version"),
    "mawk": ("mawk", "-W", "version"),
    "mlr": ("mlr", "--version"),
    "datamash": ("datamash", "--version"),
    "zstd": ("zstd", "--version"),
}
PACKAGES = ("ujson", "msgspec", "zstandard", "duckdb", "polars", "chdb")


def processor():
    """The model of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return re.search(r"model name\s*: (.+)", file.read())[1]
    except (OSError, TypeError):
        return platform.processor() or platform.machine()


def revision():
    """The revision of the tree, with + if it was changed."""
    words = ["git", "-C", str(measure.HERE), "describe", "--always", "--dirty=+", "--abbrev=12"]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def versions():
    """{program or package: its version, or None if it is not there}."""
    return {**{name: _program(*words) for name, words in PROGRAMS.items()}, **{n: _package(n) for n in PACKAGES}}


def _program(*words):
    if not shutil.which(words[0]):
        return None
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = re.search(r"[0-9]+\.[0-9][0-9.]*", done.stdout + done.stderr)
    return found[0] if found else "unknown"


def _package(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
