"""What a worker of a chain does: its own copies of all stages make of one block of lines after another what they can.

It keeps nothing: what came out of a block, the rejects and the counts go back to the parent.
"""

import os
from collections import Counter, namedtuple

from tel import slots
from tel.rejects import batch_of
from tel.stage import text_of

BEHIND = 3  # how much nicer than the parent, for which all would wait: a core that it had to share would stand still

# What came of one block: the lines that came out, a Tally of each stage. The lines themselves where they found no
# room in the block's slot, else their sizes there; `names` are what the last stage puts before them, if it does. Of
# what was `dropped`, a Counter, and of `rejects`, a Batch, most blocks have none: False.
Result = namedtuple("Result", "names sizes lines tallies")
Tally = namedtuple("Tally", "read written bytes dropped raw records rejects")


def _noted(rejects):
    """What a stage's Rejects would count and write from now on, noted in a list instead."""
    notes = []

    def book(reject):
        whole = reject.text.__class__ is tuple  # else it is to be read now, while it can be
        notes.append(reject if whole else reject._replace(text=tuple(reject.text)))

    rejects.book = book
    return notes


def serve(stages, memory, ours):
    """Work on the Blocks that come, until there are no more; None is the result of one in which a stage fails."""
    os.closerange(3, ours.fd)  # what the parent has locked is free once it ends, and its other workers see that
    os.closerange(ours.fd + 1, os.sysconf("SC_OPEN_MAX"))
    os.nice(BEHIND)
    notes = [_noted(stage.rejects) for stage in stages]
    while True:
        try:
            block = received(ours, memory)
        except EOFError:
            return
        _reset(stages, notes)
        try:
            result = _result(stages, notes, block, memory)
        except Exception:
            result = None
        ours.send(result)


def send(other, block, memory):
    """Send a Block, and what lies in its slot where that is not shared. Raises OSError."""
    other.send(block)
    if not memory.shared:
        other.send_bytes(memory[block.slot].get(0, block.size))


def received(ours, memory):
    """The Block that comes next. Raises EOFError."""
    block = ours.receive()
    if not memory.shared:
        memory[block.slot].put(0, ours.receive_bytes())
    return block


def _result(stages, notes, block, memory):
    items = block.pairs(memory)
    for stage in stages:
        items = stage.made(items)
    lines, names = list(map(text_of, items)), None
    if lines and lines[0].__class__ is tuple:
        names, lines = zip(*lines)
    sizes = slots.keep(memory[block.slot], block.size, lines)
    return Result(names, sizes, lines if sizes is None else None, list(map(_tally, stages, notes)))


def items_of(result, block, memory):
    """What came out of a Block's lines, in the parent."""
    lines = result.lines
    if lines is None:
        lines = slots.kept(memory[block.slot], block.size, result.sizes)
    return lines if result.names is None else zip(result.names, lines)


def _reset(stages, notes):
    for stage, noted in zip(stages, notes):
        stage.stats.read = stage.stats.written = stage.out.written = stage.seen.raw = stage.seen.records = 0
        stage.stats.dropped = Counter()
        noted.clear()


def _tally(stage, noted):
    counts, seen = stage.stats, stage.seen
    dropped, rejects = bool(counts.dropped) and counts.dropped, bool(noted) and batch_of(noted)
    return Tally(counts.read, counts.written, stage.out.written, dropped, seen.raw, seen.records, rejects)
