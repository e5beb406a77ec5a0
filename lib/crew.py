"""Workers for a chain: forked copies of its stages, fed with blocks of lines, and what they found put together again.

A worker keeps nothing: what came out of a block, the rejects and the counts go back to the parent, which books them in
the stages' own names. A block in which a stage fails, or rejects too much, is done again by the parent in its turn, so
that the chain ends there as it would without workers. Lines go to the workers and back in memory that all share.
"""

import gc
import itertools
import os
import select
import signal
from collections import deque

from tel import channel, ranges, slots, worker
from tel.errors import BadData, NotWhole
from tel.stage import text_of
from tel.streams import Overlong

AHEAD, FEWEST = 4, 16  # blocks for each worker, and for all, that are given out, or back and waiting for an earlier one
GIVEN = 4  # of these, the blocks that a worker has: the next one is there when one is done, even if we are busy


class Lost(NotWhole):
    """A worker is gone."""

    def __init__(self):
        super().__init__("a worker ended before its time", cure="run the chain again")


class Crew:
    """The workers of a chain's stages. `ordered` hands on what comes out in the order of what went in."""

    def __init__(self, stages, count, ordered):
        self.stages, self.count, self.ordered = stages, count, ordered
        self._memory = slots.Slots(max(AHEAD * count, FEWEST), stages[0].max_line)
        self._intake = slots.Intake(self._memory, self._free, self._give)
        self._children, self._tasks = {}, {}  # by channel: a worker's process id, and the numbers of its blocks
        self._polled, self._by_fd = select.poll(), {}  # the channels, and each by its descriptor
        self._given, self._back = {}, {}  # the Blocks and, once they are back, Results by number
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
            for place, line in self._lines(named):
                if line is not None:
                    self._intake.take(*place, line)
                yield from self._taken()
                if self._failure:
                    break
            self.settle()
            yield from self._taken()
        finally:
            self._stop()

    def _lines(self, named):
        """Yield the ((name, number), line) pairs of all inputs, the line being what `lines` yields.

        Lines that are too long are rejected here in their turn.
        """
        first = self.stages[0]
        try:
            for place, line in first.all_lines(first.raw and self._given_whole(first), named):
                if line.__class__ is not Overlong:
                    yield place, line
                    continue
                self.settle()
                if not self._failure:
                    self._work([("{}:{}".format(*place), line)])
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

    def lines(self, source, limit):
        """Yield what stands for the lines of an Input: None for one that a worker has read, the rest as an Intake does.

        A plain file is read by the workers themselves, until there are lines in it that are not for them to judge.
        """
        self._intake.give()
        start = yield from self._ranges(source, limit)
        yield from self._intake.lines(source.blocks(start or None), limit)

    def _ranges(self, source, limit):
        """Yield None for each line of the ranges of an Input; returns where the next line begins."""
        self.settle()
        places, count, start = ranges.places(source, limit), 0, 0
        while True:
            self._hear(0)  # who is done must not wait for us
            while self._memory.free and self._has_room() and (place := next(places, None)):
                self._give(ranges.Range(self._memory.free.pop(), source, *place, limit))
            if not self._given:
                return start
            if self._next not in self._back:
                self._hear()
                continue
            result = self._back[self._next]
            if result is None or self._too_many(result):
                self._forget()
                return start
            part = self._given.pop(self._next)
            del self._back[self._next]
            self._book(part, result, count)
            self._next += 1
            self._memory.free.append(part.slot)
            count, start = count + result.tallies[0].read, part.stop
            source.consumed = start
            yield from itertools.repeat(None, result.tallies[0].read)

    def _forget(self):
        """Let all that workers have been given be undone."""
        while any(self._tasks.values()):
            self._hear()
        self._memory.free += [each.slot for each in self._given.values()]
        self._given.clear()
        self._back.clear()
        self._next = self._number

    def _free(self):
        """The number of a slot that is free, once there is one."""
        while not self._memory.free:
            self._receive()
        return self._memory.free.pop()

    def _has_room(self):
        """Whether some worker should have more to do."""
        most = GIVEN if self._memory.shared else 1  # two that send each other much would wait for each other
        return min(map(len, self._tasks.values())) < most

    def _give(self, block):
        """Give a Block to the worker that has least to do, once one has not enough."""
        while not self._has_room():
            self._receive()
        free = min(self._tasks, key=lambda each: len(self._tasks[each]))
        _send(free, block, self._memory)
        self._given[self._number] = block
        self._tasks[free].append(self._number)
        self._number += 1

    def settle(self):
        """Wait until all lines that were read are done; returns how many items wait to be taken."""
        self._intake.give()
        while any(self._tasks.values()):
            self._receive()
        return len(self._ready)

    def _receive(self):
        """Wait for Results, and book those whose turn it is."""
        self._hear()
        while self._back:
            number = self._next if self.ordered else min(self._back)
            if number not in self._back:
                return
            block, result = self._given.pop(number), self._back.pop(number)
            if not self._failure:  # nothing that comes after one counts
                if result is None or self._too_many(result):
                    self._work(block.pairs(self._memory))
                else:
                    self._book(block, result)
            self._memory.free.append(block.slot)
            self._next += 1

    def _hear(self, patience=None):
        """Take in the Results that are there; wait for some, if some worker has a block, or so many milliseconds."""
        for fd, _ in self._polled.poll(patience):
            other = self._by_fd[fd]
            try:
                result = other.receive()
            except (EOFError, OSError):
                raise Lost from None
            self._back[self._tasks[other].popleft()] = result

    def _too_many(self, result):
        """Whether some stage would have more rejects than it may; a percentage is judged at the end."""
        return any(map(_are_too_many, self.stages, result.tallies))

    def _book(self, block, result, before=0):
        """Put what came of a block to the stages' accounts; places in the input are numbered on from `before`."""
        for stage, tally in zip(self.stages, result.tallies):
            try:
                _book(stage, tally, stage.stats.read if stage.before else before)
            except Exception as error:
                self._failure = self._failure or (stage, error)
        self._ready += worker.items_of(result, block, self._memory)

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
            try:
                following.hear([] if stage.status else stage.ending())
            except BadData as error:
                if following.last:
                    raise
                following.fail(error)

    def _start(self):
        """Fork the workers."""
        gc.freeze()
        for _ in range(self.count):
            ours, theirs = channel.pair()
            child = os.fork()
            if child == 0:
                try:
                    worker.serve(self.stages, self._memory, theirs)
                finally:
                    os._exit(0)
            theirs.close()
            self._children[ours], self._tasks[ours] = child, deque()
            self._by_fd[ours.fd] = ours
            self._polled.register(ours.fd, select.POLLIN)

    def _stop(self):
        for each in self._children:
            each.close()
        for child in self._children.values():
            os.waitpid(child, 0)


def _send(other, block, memory):
    """Send a block; a worker that is gone is no broken pipe of ours."""
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        worker.send(other, block, memory)
    except OSError:
        raise Lost from None
    finally:
        signal.signal(signal.SIGPIPE, before)


def _are_too_many(stage, tally):
    limit, found = stage.rejects.limit, tally.rejects
    if not limit or limit.percent or not found:
        return False
    return sum(stage.stats.rejected.values()) + sum(found.lines.values()) > limit.most


def _book(stage, tally, before):
    """Put what happened in a stage to its account; places are numbered on from those `before`."""
    stage.stats.read += tally.read
    stage.stats.written += tally.written
    if tally.dropped:
        stage.stats.dropped += tally.dropped
    stage.out.written += tally.bytes
    stage.seen.raw += tally.raw
    stage.seen.records += tally.records
    if tally.rejects:
        stage.rejects.book_all(tally.rejects, before)
