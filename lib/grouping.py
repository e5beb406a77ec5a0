"""Values by key, combined as they come, in memory or, beyond it, by the system's sort."""

from tel import jsonl
from tel.errors import BadData
from tel.pairs import key_of, key_text, said

BUFFERED = 64  # values of one key that are kept until they are combined
OVERHEAD = 8  # bytes of memory for one byte of a line, as Python holds it
ENTRY = 50  # what a key costs beside its lines, as bytes of a line


class _Entry:
    """The values of one key, the bytes of their lines, and how many may come before they are combined."""

    __slots__ = ("values", "size", "bound")

    def __init__(self):
        self.values, self.size, self.bound = [], 0, BUFFERED


class Table:
    """Values by key, combined when many of one key have come, within about `memory` bytes.

    Keys are held as the bytes of their canonical JSON; `items` gives them sorted by these.
    """

    def __init__(self, job, memory=None):
        self.job, self.memory = job, memory
        self._entries, self._held = {}, 0

    def add(self, key, value, size):
        """Take in a pair whose line has `size` bytes; whether the table is now full."""
        return self.add_text(key_text(key), value, size)

    def add_text(self, text, value, size):
        """The same with a key as its canonical JSON."""
        entry = self._entries.get(text)
        if entry is None:
            entry = self._entries[text] = _Entry()
            self._held += ENTRY
        entry.values.append(value)
        entry.size += size
        self._held += size
        if len(entry.values) >= entry.bound and self.job.combines:
            self._combine(text, entry)
        return self.memory is not None and self._held * OVERHEAD > self.memory

    def _combine(self, text, entry):
        """Combine the values of one key; one that does not become fewer is tried again when it has doubled.

        The values are written and read again, so that a later combine sees them as one behind a pipe would.
        """
        parts = [said(value) for value in self._combined(text, entry.values)]
        size = sum(map(len, parts))
        self._held += size - entry.size
        entry.values, entry.size = [jsonl.loads(part) for part in parts], size
        entry.bound = max(BUFFERED, 2 * len(parts))

    def _combined(self, text, values):
        """The values of one key after the job's combine. Raises BadData `job_failed` if it wrote another key."""
        pairs = self.job.combine(key_of(text), values)
        if any(key_text(key) != text for key, _ in pairs):
            raise BadData("job_failed", f"the job's combine wrote another key than {text.decode():.100}")
        return [value for _, value in pairs]

    def items(self):
        """Yield (key, values) sorted by key, values combined as far as the job can; the table is empty afterwards."""
        taken, self._entries, self._held = self._entries, {}, 0
        for text in sorted(taken):
            entry = taken.pop(text)
            if self.job.combines and len(entry.values) > 1:
                self._combine(text, entry)
            yield key_of(text), entry.values


OVERHEAD = 8  # bytes of memory for one byte of a line, as Python holds it
ENTRY = 50  # what a key costs beside its lines, as bytes of a line


def partials(table):
    """Yield the (key, value) pairs of a Table, which is empty afterwards."""
    for key, values in table.items():
        for value in values:
            yield key, value


class Spill:
    """What a Table cannot hold: its pairs, sorted by the system's sort, with the same `items`.

    Only the values of one key are in memory at a time, and those as far as the job combines them.
    """

    def __init__(self, job, memory):
        from tel import sorter

        self.job, self._sorter = job, sorter.Sorter(memory)

    def take(self, table):
        """Take everything out of a Table."""
        self._sorter.write([b"%s\t%s" % (key_text(key), said(value)) for key, value in partials(table)])

    def items(self):
        """Yield (key, values) sorted by key, values combined as far as the job can."""
        table, last = Table(self.job), None
        for line in self._sorter.sorted():
            text, _, value = line.partition(b"\t")
            if text != last:
                yield from table.items()
                last = text
            table.add_text(text, jsonl.loads(value), len(value))
        yield from table.items()

    def close(self):
        """Give up."""
        self._sorter.close()
