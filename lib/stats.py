"""What was counted: the summary for people, the metrics for Prometheus, the progress on a terminal."""

import os
import sys
import time
from collections import Counter

from tel import streams

FORMATS = ("text", "json")


class Stats:
    """Counters of one run of a tool: lines read, written and rejected whole, histograms dropped, bytes, seconds."""

    def __init__(self, tool):
        self.tool, self.started = tool, time.monotonic()
        self.read = self.written = self.bytes_out = 0
        self.rejected, self.dropped = Counter(), Counter()
        self.more, self.gauges = {}, []  # gauges: (name, help, [(labels, value)]), written to --metrics alone
        self.inputs = []

    @property
    def bytes_in(self):
        """Bytes read from all inputs, as they lie on disk."""
        return sum(source.consumed for source in self.inputs)

    @property
    def seconds(self):
        """Seconds since the tool began."""
        return time.monotonic() - self.started

    def summary(self):
        """All counters as a dict; `read` = `written` + `rejected` for every tool that passes lines on."""
        return {
            "tool": self.tool,
            "read": self.read,
            "written": self.written,
            "rejected": sum(self.rejected.values()),
            "rejected_by_type": dict(sorted(self.rejected.items())),
            "dropped_histograms": sum(self.dropped.values()),
            "dropped_by_type": dict(sorted(self.dropped.items())),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "seconds": round(self.seconds, 3),
            **self.more,
        }

    def print_summary(self, format):
        """Print the summary to stderr as text or as one line of JSON."""
        from tel import jsonl

        summary = self.summary()
        if format == "json":
            say(jsonl.dumps(summary).decode())
            return
        parts = [f"{summary[name]} {name}" for name in ("read", "written", "rejected")]
        if summary["dropped_histograms"]:
            parts.append(f"{summary['dropped_histograms']} histograms dropped")
        parts += [f"{value} {name.replace('_', ' ')}" for name, value in self.more.items()]
        say(f"{self.tool}: {', '.join(parts)}; {summary['bytes_in']} bytes in, {summary['seconds']:.1f} s")
        for title, reasons in (("rejected", self.rejected), ("dropped", self.dropped)):
            for reason, count in sorted(reasons.items()):
                say(f"{self.tool}:   {title} {count} {reason}")

    def write_metrics(self, path):
        """Write the counters, atomically, in the Prometheus text format for node_exporter's textfile collector.

        https://prometheus.io/docs/instrumenting/exposition_formats/
        """
        lines = []
        for name, help, values in self._metrics():
            lines += [
                f"# HELP tel_{name} {help}",
                f"# TYPE tel_{name} {'counter' if name.endswith('_total') else 'gauge'}",
            ]
            lines += [f'tel_{name}{{tool="{self.tool}"{labels}}} {value}' for labels, value in values]
        streams.replace(path, "".join(line + "\n" for line in lines).encode())

    def _metrics(self):
        yield "records_read_total", "Lines read.", [("", self.read)]
        yield "records_written_total", "Lines written.", [("", self.written)]
        yield "rejects_total", "Whole lines rejected, by reason.", _labelled(self.rejected)
        yield "histograms_dropped_total", "Histograms taken out of pings, by reason.", _labelled(self.dropped)
        yield "bytes_read_total", "Bytes read, as they lie on disk.", [("", self.bytes_in)]
        yield "bytes_written_total", "Bytes written to standard output.", [("", self.bytes_out)]
        yield "run_seconds", "Seconds that the run took.", [("", round(self.seconds, 3))]
        yield from self.gauges


def _labelled(counter):
    return [(f',reason="{reason}"', count) for reason, count in sorted(counter.items())]


class Seen:
    """How many raw lines and records have been read: raw lines alone mean that the stream starts here."""

    def __init__(self):
        self.raw = self.records = 0

    def raw_only(self):
        """Whether there were raw lines, and nothing else."""
        return self.raw > 0 and self.records == 0


def say(message):
    """One line to stderr, in a single write, so that lines of parallel processes do not mix; never fails."""
    try:
        os.write(2, f"{message}\n".encode(errors="backslashreplace"))
    except OSError:
        pass


class Progress:
    """A line on stderr once a second: records, rate, and percent and time left where all sizes are known."""

    def __init__(self, stats, every=1.0):
        self.stats, self.every, self._next = stats, every, stats.started + every

    def watch(self, items):
        """Yield the items, saying how far it has got."""
        for item in items:
            if time.monotonic() >= self._next:
                self._next = time.monotonic() + self.every
                self.show("\r" if sys.stderr and sys.stderr.isatty() else "\n")
            yield item
        self.show("\n")

    def show(self, ending):
        """Write the progress as it is now."""
        stats = self.stats
        seconds = max(stats.seconds, 1e-3)
        rates = f"{stats.read / seconds:.0f}/s, {stats.bytes_in / seconds / 1e6:.1f} MB/s"
        text = f"{stats.tool}: {stats.read} records, {rates}"
        sizes = [source.size for source in stats.inputs]
        if sizes and None not in sizes and sum(sizes):
            done = stats.bytes_in / sum(sizes)
            text += f", {done:.0%}"
            if 0 < done < 1:
                text += f", {seconds / done - seconds:.0f} s left"
        try:
            os.write(2, (text + ending).encode())
        except OSError:
            pass
