"""Commands run and timed: CPU seconds of all their processes, seconds on the clock, peak memory of the largest."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
PIPELINES = HERE.parent.parent / "pipelines"
UNSET = ("TEL_TIER", "TEL_HISTOGRAMS", "TEL_DEBUG", "PYTHONUNBUFFERED")

Used = namedtuple("Used", "cpu wall rss")  # seconds, seconds, bytes


class CommandFailed(Exception):
    """A measured command ended with another status than 0."""


def environment(out):
    """The environment of a command: its folder for output is $OUT, its Python $PYTHON, where programs are too."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{kept['PATH']}"
    places = {"PYTHON": sys.executable, "PEERS": str(HERE / "peers"), "PIPELINES": str(PIPELINES), "OUT": out}
    return {**kept, "PATH": path, "LC_ALL": "C", **places}


def once(command, folder, output=subprocess.DEVNULL):
    """What a command of bash used that ran in a folder. Raises CommandFailed."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        words = [sys.executable, "-I", "-S", str(HERE / "timed.py"), f"{out}/used.json", command]
        done = subprocess.run(words, cwd=folder, env=environment(out), stdout=output, stderr=subprocess.PIPE)
        if done.returncode:
            raise CommandFailed(f"{command}\nin {folder}: status {done.returncode}: {done.stderr.decode()[-2000:]}")
        with open(f"{out}/used.json", encoding="ascii") as file:
            return Used(**json.load(file))


def interleaved(tasks, runs, at_once=1):
    """The median Used of each of some tasks, {name: (command, folder)}, that run in turn, or several at once."""
    with ThreadPoolExecutor(at_once) as pool:
        rounds = [list(pool.map(lambda task: once(*task), tasks.values())) for _ in range(runs)]
    return {name: median(used) for name, used in zip(tasks, zip(*rounds))}


def median(used):
    """The medians of some Used.

    >>> median([Used(1, 5, 3), Used(2, 4, 1), Used(9, 9, 2)])
    Used(cpu=2, wall=5, rss=2)
    """
    return Used(*map(statistics.median, zip(*used)))
