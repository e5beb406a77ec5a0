"""Workers for a chain: forked copies of its stages, fed with blocks of lines, and what they found put together again.

A worker keeps nothing: rejects, counts and failures of a block go back with what came out of it, numbered within the
block; the parent, which knows how many lines went before, books them in the stages' own names.
"""

import gc
import os
from collections import Counter, namedtuple
from multiprocessing.connection import Pipe, wait

from tel.errors import NotWhole
from tel.stage import NAME, text_of
from tel.streams import Overlong

BLOCK = 1 << 20  # bytes of lines that a worker is given at once

# What came of one block: the items; for each stage its Tally; how many lines were raw and how many records; and the
# number of the stage that failed, with its error, or None.
Result = namedtuple("Result", "items tallies raw records failure")
Tally = namedtuple("Tally", "read written bytes dropped rejects")
Rejected = namedtuple("Rejected", "where id info")  # what a reject tells of a record


class Crew:
    """The workers of a chain's stages. `ordered` hands on what comes out in the order of what went in."""

    def __init__(self, stages, count, ordered):
        self.stages, self.count, self.ordered = stages, count, ordered
        self._connections, self._busy, self._held = [], {}, {}
        self._children = []
        self._sent = self._next = 0
        self._ready, self._failure = [], None

    def results(self, last):
        """Yield what comes out of the stages up to `last`, whose function is known, and say their end records to it."""
        crewed = self.stages[: self.stages.index(last) + 1]
        for stage in crewed[:-1]:
            self._set_up(stage)
        first = crewed[0]
        if first.status:
            return
        self._start(crewed)
        try:
            for block in self._blocks(first):
                self._send(block)
                yield from self._taken()
                if self._failure:
                    break
            self.drain()
            yield from self._taken()
        finally:
            for connection in self._connections:
                connection.close()
            for child in self._children:
                os.waitpid(child, 0)
        self._end(crewed)

    def _set_up(self, stage):
        try:
            stage.module.work(stage)
        except Exception as error:
            stage.fail(error)

    def _start(self, crewed):
        """Fork the workers."""
        gc.freeze()
        for _ in range(self.count):
            ours, theirs = Pipe()
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    for connection in (ours, *self._connections):
                        connection.close()
                    _Worker(crewed, theirs).work()
                    status = 0
                finally:
                    os._exit(status)
            theirs.close()
            self._children.append(child)
            self._connections.append(ours)

    def _blocks(self, first):
        """Yield (name of the input, number of the first line, lines) of the lines of all inputs."""
        name, number, lines, size = None, 0, [], 0
        pairs = first.all_lines(first.raw) if first.raw else first.all_lines()
        for where, line in pairs:
            here, _, at = where.rpartition(":")
            if lines and (here != name or int(at) != number + len(lines) or size > BLOCK):
                yield name, number, lines
                lines, size = [], 0
            if line.__class__ is Overlong:
                first.seen.raw += 1
                first.rejects.line(line.error(), where, line)
                continue
            if not lines:
                name, number = here, int(at)
            lines.append(line)
            size += len(line)
        if lines:
            yield name, number, lines

    def _send(self, block):
        """Give a block to a worker that has nothing to do, once there is one."""
        while len(self._busy) == self.count:
            self._receive()
        if self._failure:
            return
        free = next(each for each in self._connections if each not in self._busy)
        try:
            free.send(block)
        except OSError:
            raise _lost() from None
        self._busy[free] = self._sent
        self._sent += 1

    def drain(self):
        """Wait until all that was sent has come back."""
        while self._busy:
            self._receive()

    def _receive(self):
        for connection in wait(list(self._busy)):
            try:
                result = connection.recv()
            except (EOFError, OSError):
                raise _lost() from None
            self._held[self._busy.pop(connection)] = result
        while self._held:
            number = self._next if self.ordered else min(self._held)
            if number not in self._held:
                return
            self._book(self._held.pop(number))
            self._next = number + 1

    def _book(self, result):
        """Put what came of a block to the stages' accounts; nothing that comes after a failure counts."""
        if self._failure:
            return
        for stage, tally in zip(self.stages, result.tallies):
            before = stage.stats.read if stage is not self.stages[0] else None
            for method, error, arguments in tally.rejects:
                try:
                    getattr(stage.rejects, method)(_moved(error, before), *_placed(arguments, before))
                except Exception as stop:
                    self._failure = self._failure or (stage, stop)
            if before is not None:
                stage.stats.read += tally.read
            if stage is not self.stages[len(result.tallies) - 1]:
                stage.stats.written += tally.written
            stage.stats.dropped.update(tally.dropped)
            stage.out.written += tally.bytes
        first = self.stages[0]
        first.seen.raw += result.raw
        first.seen.records += result.records
        self._ready += result.items
        if result.failure and not self._failure:
            number, error = result.failure
            stage = self.stages[number]
            self._failure = stage, _moved(error, stage.stats.read - result.tallies[number].read if number else None)

    def _taken(self):
        ready, self._ready = self._ready, []
        return ready

    def _end(self, crewed):
        """End each stage in its turn: what it vouches for is what the next one hears."""
        for stage, following in zip(crewed, crewed[1:]):
            said = []
            if self._failure and self._failure[0] is stage:
                stage.fail(self._failure[1])
            elif stage.status == 0:
                try:
                    said = stage.vouched()
                    stage.finish()
                except Exception as error:
                    stage.fail(error)
            following.ends.hear(said, NAME, following.stats.read, following.stats.written)
        if self._failure and self._failure[0] is crewed[-1]:
            raise self._failure[1]


def _lost():
    return NotWhole("a worker ended before its time", cure="run the chain again")


def _placed(arguments, before):
    """The arguments of a reject, its place being among all lines of its stage, not those of a block."""
    where, *rest = arguments
    if isinstance(where, Rejected):
        return where._replace(where=_place(where.where, before)), *rest
    return _place(where, before), *rest


def _moved(error, before):
    if getattr(error, "where", None):
        error.where = _place(error.where, before)
    return error


def _place(where, before):
    name, _, number = where.rpartition(":")
    return f"{name}:{int(number) + before}" if before is not None and name == NAME else where


class _Recorder:
    """Stands for a stage's Rejects in a worker: what would be rejected is noted, or ends the stage as it would."""

    def __init__(self, rejects):
        self.calls, self._stops = [], rejects.stops()
        rejects.line, rejects.histogram, rejects.close = self.line, self.histogram, lambda: None
        self._placed = rejects.placed

    def line(self, error, where, line, id=None, info=None):
        """Note a line that is rejected whole."""
        if self._stops:
            raise self._placed(error, where)
        if line.__class__ is Overlong:
            line = b"".join(line.chunks())
        self.calls.append(("line", error, (where, line, id, info)))

    def histogram(self, error, record, name, path, value, key=None):
        """Note a histogram that is taken out of a ping."""
        if self._stops:
            raise self._placed(error, record.where)
        said = Rejected(record.where, record.id, record.info)
        self.calls.append(("histogram", error, (said, name, path, value, key)))


class _Worker:
    """One forked copy of some stages."""

    def __init__(self, stages, connection):
        self.stages, self.connection = stages, connection
        self.failure, self.items = None, []
        for stage in stages:
            stage.stats.read = stage.stats.written = stage.out.written = 0
            stage.stats.dropped = Counter()
            stage.recorder = _Recorder(stage.rejects)

    def work(self):
        """Take blocks until there are no more, or a stage fails."""
        items = self._lines()
        for number, stage in enumerate(self.stages):
            if number and stage.raw:
                items = ((f"{NAME}:{stage.number}", text_of(item)) for item in stage.arrivals(items))
            elif number:
                items = stage.taken(items)
            elif not stage.raw:
                items = (record for record in (stage.parsed(*pair) for pair in items) if record is not None)
            items = self._guarded(number, stage, stage.function(items))
        for item in items:
            self.items.append(text_of(item))
        if self.failure:
            self._report()

    def _lines(self):
        """Yield the (where, line) pairs of the blocks; between two of them all that was made of the one is reported."""
        while True:
            try:
                name, number, lines = self.connection.recv()
            except EOFError:
                return
            for at, line in enumerate(lines, number):
                yield f"{name}:{at}", line
            self._report()

    def _guarded(self, number, stage, items):
        """Yield what a stage makes; an error of its own ends it, and is kept for the report."""
        try:
            for item in items:
                stage.stats.written += 1
                if stage.counting and stage is not self.stages[-1]:
                    stage.out.written += len(text_of(item)) + 1
                yield item
        except Exception as error:
            self.failure = number, error

    def _report(self):
        tallies = []
        for stage in self.stages:
            counts = stage.stats
            tallies.append(Tally(counts.read, counts.written, stage.out.written, counts.dropped, stage.recorder.calls))
            counts.read = counts.written = stage.out.written = stage.number = 0
            counts.dropped, stage.recorder.calls = Counter(), []
        seen = self.stages[0].seen
        self.connection.send(Result(self.items, tallies, seen.raw, seen.records, self.failure))
        self.items, seen.raw, seen.records = [], 0, 0
