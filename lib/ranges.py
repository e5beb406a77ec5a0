"""Parts of a plain file that workers read themselves: whole lines, from one place to another."""

import os

from tel import slots
from tel.ends import PREFIX
from tel.errors import IOFailed
from tel.streams import STDIN

FEWEST, LINES = 4, 1 << 13  # ranges that a file must have, and lines that a range may have
SEARCHED = 1 << 16  # bytes that are read at once to find the end of a line


class NotSimple(Exception):
    """Lines of a range are for the parent to judge."""


class Range:
    """The lines between two places of an Input's file, and the number of the slot for what is made of them.

    Their numbers begin at 1; `limit` is what a line may have.
    """

    size = 0  # of what lies in the slot

    def __init__(self, slot, source, start, stop, limit):
        self.slot, self.start, self.stop, self._limit = slot, start, stop, limit
        self._name, self._path, self._file = source.name, source.path, source.identity

    def pairs(self, _slots):
        """Yield the (where, line) pairs. Raises NotSimple for end records, lines too long, too many lines; OSError."""
        data, at, number = self._read(), 0, 1
        while at < len(data):
            end = data.find(b"\n", at)
            if end - at > self._limit or number > LINES or data.startswith(PREFIX, at):
                raise NotSimple
            yield f"{self._name}:{number}", data[at:end]
            at, number = end + 1, number + 1

    def _read(self):
        fd = os.open(self._path, os.O_RDONLY)
        try:
            status = os.fstat(fd)
            data = os.pread(fd, self.stop - self.start, self.start)
        finally:
            os.close(fd)
        if (status.st_dev, status.st_ino) != self._file or len(data) < self.stop - self.start:
            raise NotSimple
        return data


def places(source, limit):
    """Yield the (start, stop) of ranges of an Input, none if it is no plain file; what is left at its end is in none.

    They end before a line of more than `limit` bytes.
    """
    if source.path == STDIN or not source.is_plain() or source.size < FEWEST * slots.BLOCK:
        return
    start = 0
    while stop := _line_end(source, start + slots.BLOCK, limit):
        yield start, stop
        start = stop


def _line_end(source, at, limit):
    """The place behind the line that goes on at a place; None if it does not end soon."""
    until = at + limit
    while at < until:
        try:
            piece = source.peek(at, SEARCHED)
        except IOFailed:
            return None  # who reads all of it says so in its turn
        end = piece.find(b"\n")
        if end >= 0:
            return at + end + 1
        if not piece:
            return None
        at += len(piece)
    return None
