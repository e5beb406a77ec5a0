"""What was bad, counted by reason, channel and version: a table for people, or JSON."""

from collections import Counter

COLUMNS = ("error_type", "appUpdateChannel", "appVersion")
NONE = "-"


class Report:
    """Counts of bad lines and bad histograms; `add` is what Rejects.heard calls.

    >>> report = Report()
    >>> report.add(type("Error", (), {"error_type": "wrong_type"}), {"appVersion": "23.0"}, "GC_MS")
    >>> report.rows()
    [{'error_type': 'wrong_type', 'appUpdateChannel': '-', 'appVersion': '23.0', 'lines': 0, 'histograms': 1}]
    """

    def __init__(self):
        self.lines, self.histograms = Counter(), Counter()

    def add(self, error, info, name):
        """Count one bad line, or one bad histogram if it has a name."""
        key = (error.error_type, *(str(info.get(column, NONE)) for column in COLUMNS[1:]))
        (self.lines if name is None else self.histograms)[key] += 1

    def rows(self):
        """A dict for each reason, channel and version, the most frequent first."""
        keys = self.lines.keys() | self.histograms.keys()
        ordered = sorted(keys, key=lambda key: (-self.lines[key] - self.histograms[key], key))
        return [
            {**dict(zip(COLUMNS, key)), "lines": self.lines[key], "histograms": self.histograms[key]} for key in ordered
        ]

    def table(self):
        """The rows as lines of text, in columns."""
        titles = ("reason", "channel", "version", "lines", "histograms")
        rows = [titles, *(tuple(str(value)[:40] for value in row.values()) for row in self.rows())]
        widths = [max(len(row[at]) for row in rows) for at in range(len(titles))]
        return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
