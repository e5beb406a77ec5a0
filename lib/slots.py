"""Memory in slots, for lines on their way to workers and back: shared with the processes that are forked later.

Where so much memory cannot be shared, a slot is a process's own, and what it holds has to be sent.
"""

import itertools
import mmap
from array import array

from tel.ends import PREFIX
from tel.streams import Overlong, overlong

BLOCK, LINES = 1 << 20, 512  # bytes, and lines, that a worker is given at once: told in so few words that no pipe fills


class Slot:
    """A part of the shared memory, of `size` bytes."""

    def __init__(self, memory, start, size):
        self._memory, self._start, self.size = memory, start, size

    def put(self, at, data):
        """Write bytes at a place."""
        start = self._start + at
        self._memory[start : start + len(data)] = data

    def get(self, at, size):
        """The bytes at a place."""
        start = self._start + at
        return self._memory[start : start + size]


class OwnSlot:
    """The same in memory that is not shared: it grows as it must, and has no room for others."""

    size = 0

    def __init__(self):
        self._memory = bytearray()

    def put(self, at, data):
        """Write bytes at a place."""
        self._memory[at : at + len(data)] = data

    def get(self, at, size):
        """The bytes at a place."""
        return bytes(memoryview(self._memory)[at : at + size])


class Slots:
    """Slots by number, `free` those in no use: each for a Block of lines of up to `limit` bytes and what is made of it.

    `shared` tells whether other processes see what is written.
    """

    def __init__(self, count, limit):
        size = -(-(limit + 3 * BLOCK) // mmap.PAGESIZE) * mmap.PAGESIZE
        self.free = list(range(count))
        try:
            memory = mmap.mmap(-1, count * size)  # pages that nobody writes to take no memory
        except (OSError, OverflowError):
            self.shared, self._slots = False, [OwnSlot() for _ in self.free]
        else:
            self.shared, self._slots = True, [Slot(memory, at * size, size) for at in self.free]

    def __getitem__(self, number):
        return self._slots[number]


def keep(slot, at, lines):
    """Write lines one behind the other; their sizes, or None, and nothing is written, if there is no room."""
    sizes = array("Q", map(len, lines))
    if at + sum(sizes) > slot.size:
        return None
    for line in lines:
        slot.put(at, line)
        at += len(line)
    return sizes


def kept(slot, at, sizes):
    """Yield the lines of these sizes that lie one behind the other."""
    for size in sizes:
        yield slot.get(at, size)
        at += size


class Block:
    """Lines that follow each other in one input: their sizes, the number of their slot, and of what place they are."""

    def __init__(self, slot):
        self.slot, self.sizes, self.size = slot, array("Q"), 0
        self.name = self.number = None

    def add(self, name, number, size):
        """Take in the line that lies behind the others: the input's name, the line's number there, its size."""
        if not self.sizes:
            self.name, self.number = name, number
        self.sizes.append(size)
        self.size += size

    @property
    def is_full(self):
        """Whether no other line is to come."""
        return self.size > BLOCK or len(self.sizes) >= LINES

    def pairs(self, slots):
        """Yield the (where, line) pairs."""
        for number, line in enumerate(kept(slots[self.slot], 0, self.sizes), self.number):
            yield f"{self.name}:{number}", line


class Intake:
    """Lines on their way into Slots: `lines` cuts them out of blocks of bytes, `take` adds them to the Block at hand.

    `free()` gives the number of a free slot, `give(block)` is handed each Block that is full or has to go.
    """

    def __init__(self, memory, free, give):
        self._memory, self._free, self._hand_on = memory, free, give
        self._block = self._slot = None

    def lines(self, blocks, limit):
        """Yield the size of each line that `streams.lines` would yield: it lies in the slot, behind those taken before.

        One that may be an end record is yielded itself, and one that is too long as an Overlong.
        """
        self.give()
        blocks, held = iter(blocks), 0
        while (block := next(blocks, None)) is not None:
            view, at = memoryview(block), 0
            while at < len(block):
                slot = self._slot if held else self._room()
                start, stop = self._block.size, block.find(b"\n", at)
                piece = view[at : stop if stop >= 0 else len(block)]
                at, size = at + len(piece) + 1, held + len(piece)
                if size <= limit:
                    slot.put(start + held, piece)
                    held = 0 if stop >= 0 else size
                    if stop >= 0:
                        yield self._line(start, size)
                    continue
                parts, after, held = [slot.get(start, held), piece], [], 0
                if stop >= 0:
                    yield Overlong(limit, iter(parts))
                else:
                    yield from overlong(limit, parts, blocks, after)
                    blocks = itertools.chain(after, blocks)
        if held:
            yield self._line(self._block.size, held)

    def _line(self, start, size):
        """What stands for a line in the slot."""
        return self._slot.get(start, size) if self._slot.get(start, len(PREFIX)) == PREFIX else size

    def _room(self):
        """The slot that the next line goes to."""
        if self._block and self._block.is_full:
            self.give()
        if self._block is None:
            self._block = Block(self._free())
            self._slot = self._memory[self._block.slot]
        return self._slot

    def take(self, name, number, line):
        """Add the line that was yielded last to the Block."""
        self._block.add(name, number, line if line.__class__ is int else len(line))

    def give(self):
        """Hand on the Block, if there is a line in it."""
        if self._block and self._block.sizes:
            block, self._block = self._block, None
            self._hand_on(block)
