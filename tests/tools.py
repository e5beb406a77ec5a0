"""The table of all tools, and what small input each can be fed with: what the contract tests are made from.

As a program, `tools.py NAME N` prints N lines of good input for a tool, and their end record.
"""

import atexit
import contextlib
import functools
import json
import os
import pathlib
import shutil
import stat
import sys
import tempfile
from collections import namedtuple

ROOT = pathlib.Path(__file__).parent.parent
CASES = ROOT / "tests" / "cases"

# What a tool is to a pipeline. A filter hands on line by line; an aggregate reads all before it writes; a sink commits
# or answers, if its input was whole; a view shows what comes to people; a source writes without reading; a query answers
# from a folder; a runner runs others.
FILTER, AGGREGATE, SINK, VIEW, SOURCE, QUERY, RUNNER = "filter aggregate sink view source query runner".split()

# `arguments` may hold {place}, a folder of the run's own, and {n}, how many lines are wanted of a source. `line` makes
# the n-th good line, `bad` is a bad one; `bounded` are options for a run whose memory is measured; `reads` is how much a
# good run reads without being given anything.
Tool = namedtuple("Tool", "name role arguments line bad bounded reads", defaults=(None, None, (), 0))


def record(n):
    """A record without histograms, its text not all ASCII."""
    return '{"id":"é-%07d","date":"20130901","info":{},"revision":null,"ping":{"ver":1,"info":{"OS":"Linüx"}}}' % n


def pair(n):
    """A line between map and reduce."""
    return '["é-%07d",1]' % n


def summed(n):
    """A line of an answer: the sum of a histogram."""
    return '[["é-%07d","A_FLAG",3],[1,2,0,2,-1,-1,-1,-1]]' % n


def measured(n):
    """A line of the job dashboard, of a measure that needs no definitions."""
    key = [
        "nightly",
        "24",
        "SIMPLE_MEASURES_%07d" % n,
        "by-build-date",
        None,
        "20130801",
        "r",
        "Firefox",
        "Linüx",
        "3.1",
        "x",
        50,
    ]
    return json.dumps([key, [[0, n % 9, *[0] * 48, n, -1, -1, -1, -1], 1, "20130801030201", ""]])


TABLE = (
    Tool("resolve", FILTER, [], record, "no tab"),
    Tool("validate", FILTER, [], record, '{"id":'),
    Tool("convert", FILTER, [], record, '{"id":'),
    Tool("map", FILTER, ["count"], record, "no tab"),
    Tool("combine", AGGREGATE, ["count"], pair, '["a"', ("--memory", "16M")),
    Tool("reduce", SINK, ["count"], pair, '["a"'),
    Tool("dashboard", SINK, ["--to", "{place}/site"], measured, '["a"', ("--memory", "16M")),
    Tool("persist", SINK, ["--store", "{place}/store", "--batch", "b"], record, '{"id":', ("--memory", "16M")),
    Tool("kafka", SOURCE, ["--brokers", "{brokers}", "--topic", "{topic}", "--until-end"], reads=3),
    Tool("show", VIEW, ["--histograms", f"{CASES}/histograms"], summed, '["a"'),
    Tool("sample", SOURCE, ["--no-histograms", "-n", "{n}"]),
    Tool("ls", QUERY, ["{place}/filled"]),
    Tool("cat", SOURCE, ["{place}/filled"]),
    Tool("verify", QUERY, ["--all", "{place}/filled"]),
    Tool("compact", QUERY, ["--level", "9", "{place}/filled"]),
    Tool("expire", QUERY, ["--before", "20130902", "{place}/filled"]),
    Tool("chain", RUNNER, ["tel-resolve | tel-validate | tel-convert"], record, "no tab"),
    Tool("unpack", SOURCE, [f"{CASES}/packed/telemetry.log"], reads=6),
    Tool("receive", QUERY, ["--drain", "--spool", f"{CASES}/spool"]),
    Tool("submit", FILTER, ["--dry-run", "--plain", "http://127.0.0.1:9"], record, "no tab"),
    Tool("history", QUERY, ["--import", f"{CASES}/histograms", "--to", "{place}/cache"]),
)
BY_NAME = {tool.name: tool for tool in TABLE}


def of(*roles):
    """The tools of some roles."""
    return [tool for tool in TABLE if tool.role in roles]


READERS = of(FILTER, AGGREGATE, SINK, VIEW)  # the tools that read FILEs or standard input
PASSERS = of(FILTER, AGGREGATE)  # those whose output carries end records


def end(records, **more):
    """An end record line."""
    fields = "".join(f',"{name}":{value}' for name, value in more.items())
    return b'{"end":{"tool":"tel-test","records":%d%s}}\n' % (records, fields.encode())


def lines(tool, numbers):
    """Good lines of input as bytes."""
    return "".join(f"{tool.line(n)}\n" for n in numbers).encode()


def whole(tool, numbers):
    """A whole stream of good input."""
    return lines(tool, numbers) + end(len(numbers))


def arguments(tool, place, n=3):
    """The words of a good run; a store to list is made in the folder if the tool wants one."""
    more = dict(zip(("brokers", "topic"), filled_topic(n))) if "{brokers}" in tool.arguments else {}
    return [word.format(place=place, n=n, **more) for word in tool.arguments]


@functools.cache
def cluster():
    """A cluster of brokers until the end of all tests; without one the test is skipped."""
    import kafka_peer

    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(kafka_peer.running())


@functools.cache
def filled_topic(n):
    """(the brokers of a cluster, a topic there that has N pings, though no more than the cluster keeps)."""
    topic = cluster().topic(f"pings-{n}", 1)
    cluster().send(topic, ((0, b"id-%d" % at, b'{"ver":1,"info":{}}') for at in range(min(n, 20_000))))
    return cluster().brokers, topic


def store_sampled(run_tool, place, store, number, batch="b", seed=1):
    """Store generated pings in a folder that has their definitions in `h`; returns the files' paths."""
    raw = run_tool("tel-sample", "-n", number, "--small", "--seed", seed)
    chain = f"tel-resolve --histograms {place}/h --date 2026-09-01 | tel-convert --histograms {place}/h"
    made = run_tool("tel-chain", f"{chain} | tel-persist --store {store} --batch {batch}", stdin=raw.stdout)
    assert raw.returncode == made.returncode == 0, raw.stderr + made.stderr
    return made.stdout.decode().splitlines()


def put_on_path():
    """Let tools that are not installed be found on PATH nevertheless: run from the modules that Python finds here."""
    missing = [tool.name for tool in TABLE if not shutil.which(f"tel-{tool.name}")]
    if not missing:
        return
    folder = tempfile.mkdtemp(prefix="tel-tools-")
    atexit.register(shutil.rmtree, folder)
    for name in missing:
        path = pathlib.Path(folder, f"tel-{name}")
        setting = f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}"
        code = f"{setting}; from tel.filters.{name} import main; sys.exit(main())"
        path.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


def main(name, number, distinct):
    """Print good input of `number` lines, of which `distinct` are different."""
    line, number = BY_NAME[name].line, int(number)
    texts = [f"{line(n)}\n".encode() for n in range(int(distinct))]
    for at in range(number):
        sys.stdout.buffer.write(texts[at % len(texts)])
    sys.stdout.buffer.write(end(number))


if __name__ == "__main__":
    main(*sys.argv[1:])
