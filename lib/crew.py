"""Workers for a chain: forked copies of its stages, fed with blocks of lines, and what they found put together again.

A worker keeps nothing: what came out of a block, the rejects and the counts go back to the parent, which books them in
the stages' own names. A block in which a stage fails, or rejects too much, is done again by the parent in its turn, so
that the chain ends there as it would without workers.
"""

import gc
import os
import signal
from collections import Counter, namedtuple
from multiprocessing.connection import Pipe, wait

from tel.errors import NotWhole
from tel.stage import NAME, text_of
from tel.streams import Overlong

BLOCK = 1 << 20  # bytes of lines that a worker is given at once
AHEAD = 4  # blocks for each worker that are given out, or back and waiting for an earlier one

# What came of one block: the items, and for each stage its Tally.
Result = namedtuple("Result", "items tallies")
Tally = namedtuple("Tally", "read written bytes dropped raw records rejects")
Rejected = namedtuple("Rejected", "where id info source")  # what a reject tells of a record


class Lost(NotWhole):
    """A worker is gone."""

    def __init__(self):
        super().__init__("a worker ended before its time", cure="run the chain again")


class Block:
    """Lines that follow each other in one input: its name, and the number of the first of them."""

    def __init__(self, name, number):
        self.name, self.number, self.lines, self.size = name, number, [], 0

    def add(self, name, number, line):
        """Take a line in, if it is the next one and there is room; whether it was taken."""
        if (name, number) != (self.name, self.number + len(self.lines)) or self.size > BLOCK:
            return False
        self.lines.append(line)
        self.size += len(line)
        return True

    def pairs(self):
        """Yield the (where, line) pairs."""
        for number, line in enumerate(self.lines, self.number):
            yield f"{self.name}:{number}", line


class Crew:
    """The workers of a chain's stages. `ordered` hands on what comes out in the order of what went in."""

    def __init__(self, stages, count, ordered):
        self.stages, self.count, self.ordered = stages, count, ordered
        self._children, self._busy = {}, {}  # by connection: a worker's process id, and the number of its block
        self._filling, self._given, self._back = None, {}, {}  # the Blocks and, once they are back, Results by number
        self._number = self._next = 0
        self._ready, self._failure = [], None

    def results(self, named):
        """Yield what comes out of the stages, the last of which is set up, and let each hear of its end."""
        for stage in self.stages[:-1]:
            try:
                stage.module.work(stage)
            except Exception as error:
                stage.fail(error)
        if not any(stage.status for stage in self.stages):
            yield from self._shared(named or len(self.stages) > 1)
        if self._failure:
            stage, error = self._failure
            if stage.last:
                raise error
            stage.fail(error)
        self._end()

    def _shared(self, named):
        """Yield what comes out of the workers."""
        self._start()
        try:
            for where, line in self._lines(named):
                self._take(where, line)
                yield from self._taken()
                if self._failure:
                    break
            self.settle()
            yield from self._taken()
        finally:
            self._stop()

    def _lines(self, named):
        """Yield the (where, line) pairs of all inputs but for lines too long, which are rejected here in their turn."""
        first = self.stages[0]
        try:
            for where, line in first.all_lines(first.raw and self._given_whole(first), named):
                if line.__class__ is not Overlong:
                    yield where, line
                    continue
                self.settle()
                if not self._failure:
                    self._work([(where, line)])
                if self._failure:
                    return
        except Lost:
            raise
        except Exception as error:
            self.settle()
            self._failure = self._failure or (first, error)

    def _given_whole(self, first):
        def given():
            self.settle()
            return first.raw()

        return given

    def _take(self, where, line):
        name, _, number = where.rpartition(":")
        if self._filling is None or not self._filling.add(name, int(number), line):
            self._give()
            self._filling = Block(name, int(number))
            self._filling.add(name, int(number), line)

    def _give(self):
        """Give the block that has been filled to a worker that has nothing to do, once there is one."""
        if self._filling is None:
            return
        while self._busy and (len(self._busy) == self.count or self._number - self._next >= AHEAD * self.count):
            self._receive()
        if not self._failure:
            free = next(each for each in self._children if each not in self._busy)
            _send(free, self._filling)
            self._given[self._number], self._busy[free] = self._filling, self._number
            self._number += 1
        self._filling = None

    def settle(self):
        """Wait until all lines that were read are done; returns how many items wait to be taken."""
        self._give()
        while self._busy:
            self._receive()
        return len(self._ready)

    def _receive(self):
        for connection in wait(list(self._busy)):
            try:
                result = connection.recv()
            except (EOFError, OSError):
                raise Lost from None
            self._back[self._busy.pop(connection)] = result
        while self._back:
            number = self._next if self.ordered else min(self._back)
            if number not in self._back:
                return
            self._book(self._given.pop(number), self._back.pop(number))
            self._next += 1

    def _book(self, block, result):
        """Put what came of a block to the stages' accounts; nothing that comes after a failure counts."""
        if self._failure:
            return
        if result is None or any(map(_too_many, self.stages, result.tallies)):
            self._work(block.pairs())
            return
        for stage, tally in zip(self.stages, result.tallies):
            try:
                _book(stage, tally)
            except Exception as error:
                self._failure = self._failure or (stage, error)
        self._ready += result.items

    def _work(self, pairs):
        """Do the work of all stages here; the first failure is kept."""
        items = pairs
        for stage in self.stages:
            items = self._guarded(stage, stage.made(items))
        self._ready += map(text_of, items)

    def _guarded(self, stage, items):
        try:
            yield from items
        except Exception as error:
            self._failure = self._failure or (stage, error)

    def _taken(self):
        ready, self._ready = self._ready, []
        return ready

    def _end(self):
        """End each stage in its turn, but those before one that failed."""
        failed = [at for at, stage in enumerate(self.stages) if stage.status]
        stages = self.stages[failed[-1] if failed else 0 :]
        for stage, following in zip(stages, stages[1:]):
            following.hear([] if stage.status else stage.ending())

    def _start(self):
        """Fork the workers."""
        gc.freeze()
        for _ in range(self.count):
            ours, theirs = Pipe()
            child = os.fork()
            if child == 0:
                try:
                    _serve(self.stages, theirs)
                finally:
                    os._exit(0)
            theirs.close()
            self._children[ours] = child

    def _stop(self):
        for connection in self._children:
            connection.close()
        for child in self._children.values():
            os.waitpid(child, 0)


def _send(connection, block):
    """Send a block; a worker that is gone is no broken pipe of ours."""
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        connection.send(block)
    except OSError:
        raise Lost from None
    finally:
        signal.signal(signal.SIGPIPE, before)


def _too_many(stage, tally):
    """Whether these rejects are more than the stage may still have; a percentage is judged at the end."""
    limit, lines = stage.rejects.limit, sum(name == "line" for name, *_ in tally.rejects)
    return limit and not limit.percent and sum(stage.stats.rejected.values()) + lines > limit.most


def _book(stage, tally):
    """Put what happened in a stage to its account; places among what it was handed are numbered on."""
    before = stage.stats.read
    stage.stats.read += tally.read
    stage.stats.written += tally.written
    stage.stats.dropped += tally.dropped
    stage.out.written += tally.bytes
    stage.seen.raw += tally.raw
    stage.seen.records += tally.records
    for name, error, place, *more in tally.rejects:
        if stage.before:
            place = _moved(place, before)
        getattr(stage.rejects, name)(error, place, *more)


def _moved(place, before):
    if isinstance(place, Rejected):
        return place._replace(where=_moved(place.where, before))
    return f"{NAME}:{int(place.rpartition(':')[2]) + before}"


class _Notes:
    """Stands for a stage's Rejects in a worker: what would be rejected is noted, or raised as it would be."""

    def __init__(self, rejects):
        self.calls, self._stops = [], rejects.stops()
        rejects.line, rejects.histogram = self.line, self.histogram

    def line(self, error, where, line, id=None, info=None):
        """Note a line that is rejected whole."""
        self._note("line", error, where, line, id, info)

    def histogram(self, error, record, name, path, value, key=None):
        """Note a histogram that is taken out of a ping."""
        self._note(
            "histogram", error, Rejected(record.where, record.id, record.info, record.source), name, path, value, key
        )

    def _note(self, name, error, *arguments):
        if self._stops:
            raise error
        self.calls.append((name, error, *arguments))


def _serve(stages, connection):
    """Work on blocks until there are no more; None is the result of one in which a stage fails."""
    mine = connection.fileno()
    os.closerange(3, mine)  # what the parent has locked is free once it ends, and its other workers see that
    os.closerange(mine + 1, os.sysconf("SC_OPEN_MAX"))
    notes = [_Notes(stage.rejects) for stage in stages]
    while True:
        try:
            block = connection.recv()
        except EOFError:
            return
        _reset(stages, notes)
        items = block.pairs()
        for stage in stages:
            items = stage.made(items)
        try:
            result = Result(list(map(text_of, items)), list(map(_tally, stages, notes)))
        except Exception:
            result = None
        connection.send(result)


def _reset(stages, notes):
    for stage, noted in zip(stages, notes):
        stage.stats.read = stage.stats.written = stage.out.written = stage.seen.raw = stage.seen.records = 0
        stage.stats.dropped, noted.calls = Counter(), []


def _tally(stage, noted):
    counts, seen = stage.stats, stage.seen
    return Tally(counts.read, counts.written, stage.out.written, counts.dropped, seen.raw, seen.records, noted.calls)
