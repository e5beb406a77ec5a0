"""Counters that processes share: each counts in a row of its own, and any can add them up."""

import mmap

COUNTS = ("requests", "records", "rejects", "duplicates", "groups", "files", "failures", "bytes", "plain_bytes")
STATUSES = (200, 201, 400, 404, 405, 411, 413, 414, 415, 417, 500, 503)
NAMES = (*COUNTS, *STATUSES)
_AT = {name: at for at, name in enumerate(NAMES)}
HELP = {
    "requests": "Requests that were answered.",
    "records": "Records in the spool, on disk.",
    "rejects": "Rejects in the spool, on disk.",
    "duplicates": "Records marked as duplicates.",
    "groups": "Groups of records that were synced at once.",
    "files": "Files that were closed.",
    "failures": "Groups that could not be written.",
    "bytes": "Bytes of bodies, as they came.",
    "plain_bytes": "Bytes of bodies, decompressed.",
}


class Counters:
    """`rows` rows of counters, one for each process, in memory that children made by fork share."""

    def __init__(self, rows=1):
        self._values = memoryview(mmap.mmap(-1, 8 * len(NAMES) * rows)).cast("Q")
        self._rows, self._row = rows, 0

    def use(self, row):
        """Count in this row from now on."""
        self._row = row * len(NAMES)

    def add(self, name, number=1):
        """Count; a name that is not known counts as 500."""
        self._values[self._row + _AT.get(name, _AT[500])] += number

    def totals(self):
        """{name: sum over all rows}.

        >>> counters = Counters(2)
        >>> counters.add("records", 2); counters.use(1); counters.add("records")
        >>> counters.totals()["records"]
        3
        """
        width = len(NAMES)
        return {name: sum(self._values[at::width]) for name, at in _AT.items()}

    def prometheus(self):
        """The text of all counters in the Prometheus format."""
        totals, lines = self.totals(), []
        for name in COUNTS:
            lines += _head(f"tel_receive_{name}_total", HELP[name]) + [f"tel_receive_{name}_total {totals[name]}"]
        lines += _head("tel_receive_answers_total", "Answers, by status.")
        lines += [f'tel_receive_answers_total{{status="{code}"}} {totals[code]}' for code in STATUSES]
        return "".join(f"{line}\n" for line in lines)


def _head(name, help):
    return [f"# HELP {name} {help}", f"# TYPE {name} counter"]
