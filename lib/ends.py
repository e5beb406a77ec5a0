"""End records: the last line of a whole stream, which vouches for the lines before it.

`{"end":{"tool":"tel-convert","records":N,...}}`: N lines were written before it by that tool. Streams that are
concatenated carry one each. A killed process writes none, so that its stream is never taken for a smaller whole one.
"""

from tel import jsonl
from tel.errors import BadData, NotWhole

PREFIX = b'{"end":'


def parse(line):
    """The content of an end record line, or None if the line is something else.

    >>> parse(b'{"end":{"tool":"tel-cat","records":2}}')["records"]
    2
    """
    if not line.startswith(PREFIX):
        return None
    try:
        value = jsonl.loads(line)
    except BadData:
        return None
    end = value.get("end")
    if len(value) != 1 or not isinstance(end, dict) or not isinstance(end.get("tool"), str):
        return None
    records = end.get("records")
    return end if records.__class__ is int and 0 <= records < 10**100 else None


def line(tool, records, more=()):
    """The end record of `records` lines, with further fields of the stream.

    >>> line("tel-cat", 2)
    b'{"end":{"tool":"tel-cat","records":2}}'
    """
    return jsonl.dumps({"end": {"tool": tool, "records": records, **dict(more)}})


class Ends:
    """What a tool has heard about the wholeness of its input, and may say about its own output.

    `received` holds the end records, `read` the other lines. An input that is `given` (named on the command line, or
    raw, so that this tool is where the stream starts) is whole without an end record once it has been read to its end.
    A line of more than `longest` bytes is no end record.
    """

    def __init__(self, longest):
        self.received, self.read, self._longest = [], 0, longest
        self.faults, self._marks = [], []

    def body(self, lines, name, given, written=lambda: 0):
        """Yield (number, line) of the lines that are no end records.

        At the end `given()` is asked, and the count checked. `written()` tells how many lines this tool has written,
        which each end record met is a mark in.
        """
        start, promised, heard, most = self.read, 0, len(self.received), self._longest
        for numbered in enumerate(lines, 1):
            line = numbered[1]
            end = parse(line) if line.__class__ is bytes and line.startswith(PREFIX) and len(line) <= most else None
            if end is None:
                self.read += 1
                yield numbered
            else:
                promised += end["records"]
                self.received.append(end)
                self._marks.append(written())
        self._judge(name, self.read - start, promised, len(self.received) > heard, given())

    def hear(self, lines, name, read, written, given=False):
        """Take in, at once, that `read` lines came and these end record lines after them, `written` lines being out."""
        ends = [parse(line) for line in lines]
        self.read += read
        self.received += ends
        self._marks += [written] * len(ends)
        self._judge(name, read, sum(end["records"] for end in ends), bool(ends), given)

    def _judge(self, name, read, promised, heard, given):
        if heard and read != promised:
            self.faults.append(f"{name}: {read} lines came, and its end records vouch for {promised}")
        elif not heard and not given:
            self.faults.append(f"{name}: {read} lines came, and no end record vouches for them")

    @property
    def broken(self):
        """Whether an end record came that does not fit its lines, which no harmless filter explains."""
        return bool(self.faults) and bool(self.received)

    def vouch(self, tool, written, more=()):
        """The end records a tool may write after its `written` lines: as many as it received, one if none, or none.

        Fields that they came with are passed on; `more` are fields of the tool's own.
        """
        if self.faults:
            return []
        if not self.received:
            return [line(tool, written, more)]
        marks = [*self._marks[:-1], written]
        counts = [mark - before for before, mark in zip([0, *marks], marks)]
        return [line(tool, count, {**_passed_on(end), **dict(more)}) for count, end in zip(counts, self.received)]

    def demand(self, expected=None):
        """Raise NotWhole unless every input was whole and, where a number is expected, that many end records came."""
        if self.faults:
            raise NotWhole(
                self.faults[0] + ": the input is not whole",
                cure="run the pipeline again, or use --partial if lines were taken out on purpose",
            )
        if expected is not None and len(self.received) != expected:
            raise NotWhole(
                f"{len(self.received)} end records came where --expect {expected} demands another number: "
                "a host or job is missing",
                cure="run the pipeline again",
            )


def _passed_on(end):
    return {name: value for name, value in end.items() if name not in ("tool", "records")}
