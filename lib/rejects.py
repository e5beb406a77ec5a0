"""Bad data, kept whole: one JSON line for each rejected line or histogram, or the end of the run at the first one."""

import base64

from tel import jsonl, streams
from tel.errors import BadData, UsageError


class Rejects:
    """Where a tool's bad data goes: to `path`, or, without one, up as the BadData itself.

    `limit` (a Limit, or None) makes too many of them an error.
    """

    def __init__(self, tool, stats, path=None, limit=None):
        self.tool, self.stats, self.limit = tool, stats, limit
        self._file = streams.create(path) if path else None

    def line(self, error, where, line, id=None):
        """Reject a whole line (bytes, or an Overlong) for a BadData found in it.

        Raises the error, with its place, if there is no file, and BadData `too_many` beyond the limit.
        """
        if self._file is None:
            raise self._placed(error, where)
        self.stats.rejected[error.error_type] += 1
        if isinstance(line, streams.Overlong):
            self._overlong(self._entry(error, where, id), line)
        else:
            self._file.line(jsonl.dumps({**self._entry(error, where, id), **_printable(line)}))
        self._check_limit()

    def histogram(self, error, where, id, name, path, value):
        """Reject one histogram taken out of a ping that goes on: `path` is its place in the ping, `value` as it was."""
        if self._file is None:
            raise self._placed(error, where)
        self.stats.dropped[error.error_type] += 1
        self._file.line(jsonl.dumps({**self._entry(error, where, id), "name": name, "path": path, "value": value}))

    def close(self):
        """Close the file and look at the limit a last time; once is enough."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
            self._check_limit(final=True)

    @staticmethod
    def _placed(error, where):
        error.where = error.where or where
        error.cure = error.cure or "--rejects FILE keeps bad data there and goes on"
        return error

    def _entry(self, error, where, id):
        return {"tool": self.tool, "where": where, "id": id, "error_type": error.error_type, "error_message": error.reason}

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
        number = text[:-1] if text.endswith("%") else text
        try:
            self.most = float(number) if text.endswith("%") else int(number)
        except ValueError:
            raise UsageError(f"--max-bad is a number or a percentage, not {text}") from None
        self.text, self.percent = text, text.endswith("%")

    def check(self, stats, final=False):
        """Raise BadData `too_many` if more were rejected; a percentage is judged at the end, of all lines."""
        bad = sum(stats.rejected.values())
        if self.percent and not final:
            return
        allowed = stats.read * self.most / 100 if self.percent else self.most
        if bad > allowed:
            raise BadData("too_many", f"{bad} of {stats.read} lines are bad, and --max-bad allows {self.text}")
