"""Bad data, kept whole: one JSON line for each rejected line or histogram, or the end of the run at the first one."""

import base64
import re

from tel import jsonl, streams
from tel.errors import BadData, UsageError, printable


class Rejects:
    """Where a tool's bad data goes: to `path`, or, without one, up as the BadData itself.

    `limit` (a Limit, or None) makes too many of them an error. `counting` goes on without a file too. `heard(error,
    info, name)` is told of each, with the small info of the ping and the name of the histogram, where there is one.
    """

    def __init__(self, tool, stats, path=None, limit=None, counting=False):
        self.tool, self.stats, self.limit, self.counting = tool, stats, limit, counting
        self._file = streams.create(path) if path else None
        self.heard = None

    def line(self, error, where, line, id=None, info=None, source=None):
        """Reject a whole line (bytes, or an Overlong) for a BadData found in it; `source` says where it came from.

        Raises the error, with its place, if there is no file, and BadData `too_many` beyond the limit.
        """
        if self.stops():
            raise self.placed(error, where)
        self.stats.rejected[error.error_type] += 1
        if self.heard:
            self.heard(error, info or {}, None)
        if self._file is None:
            pass
        elif isinstance(line, streams.Overlong):
            self._overlong(self._entry(error, where, id, source), line)
        else:
            self._file.line(jsonl.dumps({**self._entry(error, where, id, source), **_printable(line)}))
        self._check_limit()

    def histogram(self, error, record, name, path, value, key=None):
        """Reject one histogram taken out of a Record's ping, which goes on.

        `path` is where it was in the ping, `key` its key if it is one of a keyed histogram, `value` the histogram.
        """
        if self.stops():
            raise self.placed(error, record.where)
        self.stats.dropped[error.error_type] += 1
        if self.heard:
            self.heard(error, record.info, name)
        if self._file is not None:
            entry = self._entry(error, record.where, record.id, record.source)
            entry = {**entry, "name": name, "path": path}
            self._file.line(jsonl.dumps({**entry, **({} if key is None else {"key": key}), "value": value}))

    def stops(self):
        """Whether the first bad thing ends the run."""
        return self._file is None and not self.counting

    def close(self):
        """Close the file and look at the limit a last time; once is enough."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
            self._check_limit(final=True)

    @staticmethod
    def placed(error, where):
        """The error that ends the run, with its place and cure."""
        error.where = error.where or where
        error.cure = error.cure or "--rejects FILE keeps bad data there and goes on"
        return error

    def _entry(self, error, where, id, source):
        entry = {
            "tool": self.tool,
            "where": printable(where),
            "id": id,
            "error_type": error.error_type,
            "error_message": error.reason,
        }
        return {**entry, "source": source} if source else entry

    def _overlong(self, entry, line):
        """Write a line of any length as base64 without ever holding it."""
        self._file.write(jsonl.dumps(entry)[:-1] + b',"line_base64":"')
        rest = b""
        for chunk in line.chunks():
            chunk = rest + chunk
            whole = len(chunk) - len(chunk) % 3
            self._file.write(base64.b64encode(chunk[:whole]))
            rest = chunk[whole:]
        self._file.write(base64.b64encode(rest) + b'"}\n')

    def _check_limit(self, final=False):
        if self.limit:
            self.limit.check(self.stats, final)


def _printable(line):
    """A line as a reject's field: as text where it is UTF-8, else in base64.

    >>> _printable(b"a")
    {'line': 'a'}
    """
    try:
        return {"line": line.decode()}
    except UnicodeDecodeError:
        return {"line_base64": base64.b64encode(line).decode()}


class Limit:
    """How many whole-line rejects are too many: a number `N`, or `P%` of the lines read."""

    def __init__(self, text):
        if not re.fullmatch(r"\d{1,15}|\d{1,3}(\.\d{1,9})?%", text, re.ASCII):
            raise UsageError(f"--max-bad is a number or a percentage, not {text[:40]!r}")
        self.text, self.percent = text, text.endswith("%")
        self.most = float(text[:-1]) if self.percent else int(text)

    def check(self, stats, final=False):
        """Raise BadData `too_many` if more were rejected; a percentage is judged at the end, of all lines."""
        bad = sum(stats.rejected.values())
        if self.percent and not final:
            return
        allowed = stats.read * self.most / 100 if self.percent else self.most
        if bad > allowed:
            raise BadData("too_many", f"{bad} of {stats.read} lines are bad, and --max-bad allows {self.text}")
