"""Every revision of a repository in one file that is searched without being read."""

import os
import re

from tel.errors import IOFailed, NoInput

_ROW = re.compile(rb"[0-9a-f]{40} (?:[0-9a-f]{16}|-{16}) [0-9]{12} [+-]\n")


class Table:
    """A repository's `revisions` file, searched without being read: lines of one width, sorted by node.

    `<node> <first 16 digits of the content's SHA-256, or 16 dashes> <date, 12 digits> <+ or ->`: + for a revision that
    changed what its first parent had.
    """

    WIDTH = 40 + 1 + 16 + 1 + 12 + 1 + 1 + 1

    def __init__(self, path, contents):
        self.path, self._contents = path, {name[:16]: name[:64] for name in contents}
        try:
            self._file = open(path, "rb")
        except OSError as error:
            raise NoInput(f"cannot be read: {error.strerror}", path) from None
        size = os.fstat(self._file.fileno()).st_size
        self._lines = size // self.WIDTH
        if size % self.WIDTH:
            raise self._damaged()

    def _damaged(self):
        return IOFailed("damaged", self.path, "remove its folder and run tel-history again")

    def _line(self, number):
        line = os.pread(self._file.fileno(), self.WIDTH, number * self.WIDTH)
        if not _ROW.fullmatch(line):
            raise self._damaged()
        return line.decode()

    def find(self, node):
        """(full node, SHA-256, whether it changed) of a node or its first digits; None if unknown or ambiguous."""
        low, high = 0, self._lines
        while low < high:
            middle = (low + high) // 2
            if self._line(middle)[: len(node)] < node:
                low = middle + 1
            else:
                high = middle
        found = [line for line in (self._line(n) for n in (low, low + 1) if n < self._lines) if line.startswith(node)]
        if len(found) != 1:
            return None
        full, short, _, sign = found[0].split()
        return (full, self._contents[short], sign == "+") if short in self._contents else None

    @classmethod
    def dump(cls, nodes):
        """The file's bytes for {node: (SHA-256 or "", date, whether it changed)}."""
        rows = (
            (node, sha256[:16] or "-" * 16, date, "+" if changed else "-")
            for node, (sha256, date, changed) in nodes.items()
        )
        return "".join(f"{node} {short} {date:012d} {sign}\n" for node, short, date, sign in sorted(rows)).encode()

    def load(self):
        """The {node: (SHA-256 or "", date, whether it changed)} of the whole file."""
        rows = (self._line(number).split() for number in range(self._lines))
        return {node: (self._contents.get(short, ""), int(date), sign == "+") for node, short, date, sign in rows}
