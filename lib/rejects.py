"""Bad data, kept whole: one JSON line for each rejected line or histogram, or the end of the run at the first one."""

import base64
import itertools
import re
from collections import Counter, namedtuple

from tel import jsonl, streams
from tel.errors import BadData, UsageError, printable
from tel.stats import say

FAILED = "job_failed"  # the error type of what a job raises

# A `whole` line or a histogram that is rejected: its place, pieces of JSON text of all else, what `heard` is told.
Reject = namedtuple("Reject", "whole error_type where text heard")

# Many of them, from the lines of one input: how many of each error type, whole lines and histograms; the input's name;
# and of each the number of its line, its text in one piece, and what `heard` is told.
Batch = namedtuple("Batch", "lines histograms name numbers texts heard")


class Rejects:
    """Where a tool's bad data goes: to `path`, or, without one, up as the BadData itself.

    `limit` (a Limit, or None) makes too many of them an error. `counting` goes on without a file too. `skips` (a
    Limit, or None) allows some failures of a job, file or not; `skipped` is how many there were. `heard(error, info,
    name)` is told of each, with the small info of the ping and the name of the histogram, where there is one.
    """

    def __init__(self, tool, stats, path=None, limit=None, counting=False, skips=None):
        self.tool, self.stats, self.limit, self.counting, self.skips = tool, stats, limit, counting, skips
        self._file = streams.create(path) if path else None
        self._closed = False
        self.heard = None

    @property
    def skipped(self):
        """How many failures of a job were allowed by `skips`."""
        return self.stats.rejected[FAILED] if self.skips else 0

    def line(self, error, where, line, id=None, info=None, source=None):
        """Reject a whole line (bytes, or an Overlong) for a BadData found in it; `source` says where it came from.

        Raises the error, with its place, if there is no file, and BadData `too_many` beyond the limit.
        """
        skips = bool(self.skips) and error.error_type == FAILED
        if self.stops() and not skips:
            raise self.placed(error, where)
        if skips and not self.skipped:
            say(f"{self.tool}: {printable(where)}: {error.reason}; it is left out, as others will be")
        more = {} if line.__class__ is streams.Overlong or self._file is None else original(line)
        text = self._text(error, id, source, more)
        if line.__class__ is streams.Overlong and self._file is not None:
            text = itertools.chain((text[0][:-2],), _overlong(line))
        self.book(Reject(True, error.error_type, where, text, self.heard and (error, info or {}, None)))

    def histogram(self, error, record, name, path, value, key=None):
        """Reject one histogram taken out of a Record's ping, which goes on.

        `path` is where it was in the ping, `key` its key if it is one of a keyed histogram, `value` the histogram.
        """
        if self.stops():
            raise self.placed(error, record.where)
        more = {"name": name, "path": path, **({} if key is None else {"key": key}), "value": value}
        text = self._text(error, record.id, record.source, more)
        self.book(Reject(False, error.error_type, record.where, text, self.heard and (error, record.info, name)))

    def _text(self, error, id, source, more):
        """The members of an entry behind its place, its end too; nothing if there is no file."""
        if self._file is None:
            return ()
        more = {"source": source, **more} if source else more
        return (b"," + jsonl.dumps({**_fault(error, id), **more})[1:] + b"\n",)

    def book(self, reject):
        """Count and write a Reject. Raises BadData `too_many`."""
        (self.stats.rejected if reject.whole else self.stats.dropped)[reject.error_type] += 1
        if self.heard:
            self.heard(*reject.heard)
        if self._file is not None:
            self._file.write(jsonl.dumps({"tool": self.tool, "where": printable(reject.where)})[:-1])
            for piece in reject.text:
                self._file.write(piece)
        if reject.whole:
            self._check_limits()

    def book_all(self, batch, before=0):
        """The same for a Batch; `before` so many lines begins what its lines are numbered in."""
        self.stats.rejected += batch.lines
        self.stats.dropped += batch.histograms
        if self.heard:
            for told in batch.heard:
                self.heard(*told)
        if self._file is not None and batch.texts:
            head = jsonl.dumps({"tool": self.tool, "where": printable(f"{batch.name}:")})[:-2]
            entries = [b'%s%d"%s' % (head, number + before, text) for number, text in zip(batch.numbers, batch.texts)]
            self._file.write(b"".join(entries))
        if batch.lines:
            self._check_limits()

    def stops(self):
        """Whether the first bad thing ends the run."""
        return self._file is None and not self.counting

    def close(self):
        """Close the file and look at the limits a last time; once is enough."""
        if not self._closed:
            self._closed = True
            if self._file is not None:
                file, self._file = self._file, None
                file.close()
            self._check_limits(final=True)

    @staticmethod
    def placed(error, where):
        """The error that ends the run, with its place and cure."""
        error.where = error.where or where
        error.cure = error.cure or "--rejects FILE keeps bad data there and goes on"
        return error

    def _check_limits(self, final=False):
        for limit in filter(None, (self.limit, self.skips)):
            limit.check(self.stats, final)


def batch_of(rejects):
    """The Batch that Rejects from lines of one input are.

    >>> batch_of([Reject(True, "not_json", "a:7", (b"x", b"y"), None)])
    Batch(lines=Counter({'not_json': 1}), histograms=Counter(), name='a', numbers=[7], texts=[b'xy'], heard=[None])
    """
    lines, histograms = (Counter(each.error_type for each in rejects if each.whole is whole) for whole in (True, False))
    places = [each.where.rpartition(":") for each in rejects]
    (name,) = {name for name, _, _ in places} or [""]
    numbers, texts = [int(number) for _, _, number in places], [b"".join(each.text) for each in rejects]
    return Batch(lines, histograms, name, numbers, texts, [each.heard for each in rejects])


def _overlong(line):
    """Yield the last member of an entry: a line of any length as base64, without ever holding it."""
    yield b',"line_base64":"'
    rest = b""
    for chunk in line.chunks():
        chunk = rest + chunk
        whole = len(chunk) - len(chunk) % 3
        yield base64.b64encode(chunk[:whole])
        rest = chunk[whole:]
    yield base64.b64encode(rest) + b'"}\n'


def entry(tool, error, where, id):
    """What every reject says first of a BadData: the fields of tel-reject(5) as a dict."""
    return {"tool": tool, "where": printable(where), **_fault(error, id)}


def _fault(error, id):
    return {"id": id, "error_type": error.error_type, "error_message": error.reason}


def original(line):
    """A line as a reject's field: as text where it is UTF-8, else in base64.

    >>> original(b"a")
    {'line': 'a'}
    """
    try:
        return {"line": line.decode()}
    except UnicodeDecodeError:
        return {"line_base64": base64.b64encode(line).decode()}


class Limit:
    """How many whole-line rejects are too many for an option: a number `N`, or `P%` of the lines read.

    Of one error type, or, without it, of all.
    """

    def __init__(self, text, option="--max-bad", error_type=None):
        if not re.fullmatch(r"\d{1,15}|\d{1,3}(\.\d{1,9})?%", text, re.ASCII):
            raise UsageError(f"{option} is a number or a percentage, not {text[:40]!r}")
        self.text, self.percent, self.option, self.error_type = text, text.endswith("%"), option, error_type
        self.most = float(text[:-1]) if self.percent else int(text)

    def check(self, stats, final=False):
        """Raise BadData `too_many` if more were rejected; a percentage is judged at the end, of all lines."""
        if self.percent and not final:
            return
        bad = stats.rejected[self.error_type] if self.error_type else sum(stats.rejected.values())
        allowed = stats.read * self.most / 100 if self.percent else self.most
        if bad > allowed:
            raise BadData("too_many", f"{bad} of {stats.read} lines are bad, and {self.option} allows {self.text}")
