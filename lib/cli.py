"""The one way every tool is run: command line, signals, streams, statuses, and the last flush.

A filter hands its docstring and a function of a Run to `main`; nothing else of it opens, prints or exits.
"""

import os
import signal
import sys

from tel import exits, stats, usage
from tel.errors import BadData, TelError, UsageError


def main(doc, work, argv=None, run=None):
    """Run a tool: `work(run)` does the job and returns an exit status or None; this returns the status.

    `run` is `bare` for a tool that has no streams of its own. Every error becomes one line on stderr and a status of
    the table; a broken pipe and an interrupt kill silently.
    """
    tool = usage.tool_of(doc)
    argv = sys.argv[1:] if argv is None else argv
    _settle(argv)
    try:
        words = argv[: argv.index("--")] if "--" in argv else argv
        if "--help" in words:
            return _print(usage.manual(doc) + usage.exit_statuses())
        if "--version" in words:
            from tel import tiers

            return _print(usage.version(tool, tiers.active()))
        return (run or with_streams)(tool, usage.parse(doc, argv), work)
    except Exception as error:
        return failed(tool, error)


def with_streams(tool, options, work):
    """Do the work of a tool that reads and writes; returns its status."""
    run = Run(tool, options)
    try:
        status = work(run)
        run.finish()
    except BaseException:
        run.abandon()
        raise
    return status or exits.OK


def bare(tool, options, work):
    """Do the work of a tool that only needs its options."""
    return work(options) or exits.OK


def failed(tool, error):
    """Say on stderr why a tool ends, in one line; returns the exit status that goes with it."""
    if isinstance(error, TelError):
        stats.say(f"{tool}: {_words(error)}")
        return error.status
    if isinstance(error, OSError):
        stats.say(f"{tool}: {f'{error.filename}: ' if error.filename else ''}{error.strerror or error}")
        return exits.IO
    if isinstance(error, RecursionError):
        stats.say(f"{tool}: the input is nested too deeply")
        return exits.BAD_DATA
    return _bug(tool, error)


def _words(error):
    if isinstance(error, UsageError) and not error.where:
        return f"{error.reason}\n{error.cure}" if error.cure else f"{error}; --help tells what there is"
    return str(error)


def _bug(tool, error):
    import traceback

    place = traceback.extract_tb(error.__traceback__)[-1]
    stats.say(
        f"{tool}: a bug: {error!r} at {os.path.basename(place.filename)}:{place.lineno}; "
        "please report it (TEL_DEBUG=1 shows more)"
    )
    if os.environ.get("TEL_DEBUG"):
        stats.say(traceback.format_exc())
    return exits.BUG


def _settle(argv):
    """Die by SIGPIPE and SIGINT like any filter; keep closed standard descriptors from being taken by files we open."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for fd, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, flags)  # the lowest free number: this one; using it the other way still fails


def _print(text):
    from tel import streams

    out = streams.Output()
    out.write(text.encode())
    out.close()
    return exits.OK


class Run:
    """One run of a tool: its options, inputs, output, rejects and counters.

    Filters read `records()` or `lines()` and hand what comes out to `write()`; `finish()` and `abandon()` are ours.
    """

    alone = True  # nothing that is known of a record goes on beside its line

    def __init__(self, tool, options):
        from tel import ends, rejects, streams

        self.tool, self.options = tool, options
        self._spare_inputs()
        if options["--metrics"]:
            streams.check_replaceable(options["--metrics"])
        self._summary = self._format("--summary")
        self.max_line = options.size("--max-line")
        self.stats, self.seen, self.ends = stats.Stats(tool), stats.Seen(), ends.Ends(self.max_line)
        limit = rejects.Limit(options["--max-bad"]) if options.get("--max-bad") else None
        skips = (
            rejects.Limit(options["--skip-errors"], "--skip-errors", rejects.FAILED)
            if options.get("--skip-errors")
            else None
        )
        self.out = self.output_of(options)
        self.rejects = rejects.Rejects(
            tool, self.stats, options.get("--rejects"), limit, bool(options.get("--check")), skips
        )
        self._report = self._format("--report")
        if self._report:
            from tel import report

            self.report = report.Report()
            self.rejects.heard = self.report.add

    @staticmethod
    def output_of(options):
        """Where lines are written: standard output."""
        from tel import streams

        return streams.Output(unbuffered=options["--unbuffered"])

    def _spare_inputs(self):
        """Raise UsageError if a file that is to be written is one of those to be read."""
        read = [path for path in self.options.get("FILE") or () if os.path.exists(path)]
        for name in ("--rejects", "--metrics"):
            path = self.options.get(name)
            if path and os.path.isfile(path) and any(os.path.samefile(path, other) for other in read):
                raise UsageError(f"{name} {path} is one of the inputs")

    def _format(self, name):
        """The form an option asks for, text or json, or None if it is not given."""
        return self.options.one_of(name, stats.FORMATS) if self.options.get(name) else None

    def inputs(self, paths=None, check=None):
        """Yield the Inputs of the operands, each opened when its turn comes; standard input if there are none."""
        from tel import streams

        if paths is None:
            paths = self.options.get("FILE") or [streams.STDIN]
        for path in paths:
            source = streams.Input(path, check)
            self.stats.inputs.append(source)
            yield source

    def lines(self, source, given=None, named=True):
        """Yield the (where, line) pairs of an Input that are no end records; these are heard and counted.

        A `named` file is whole without an end record; for standard input `given()` tells, at its end.
        """
        from tel import streams

        named = named and source.path != streams.STDIN
        whole = (lambda: True) if named else (given or (lambda: False))
        body = self.ends.body(self.cut(source), source.name, whole, self.written)
        return self._counted(self.watched(body), source)

    def cut(self, source):
        """The lines of an Input, those that are too long as Overlongs."""
        from tel import streams

        return streams.lines(source.blocks(), self.max_line)

    def all_lines(self, given=None, named=True):
        """Yield the (where, line) pairs of all inputs, as `lines` does."""
        for source in self.inputs():
            yield from self.lines(source, given, named)

    def watched(self, items):
        """Yield the items, with --progress saying how far it has got."""
        return stats.Progress(self.stats).watch(items) if self.options["--progress"] else items

    def _counted(self, lines, source):
        name, counts = source.name, self.stats
        for number, line in lines:
            counts.read += 1
            yield f"{name}:{number}", line

    def counted(self, items):
        """Yield items that were read, each counted as a line."""
        for item in stats.Progress(self.stats).watch(items) if self.options["--progress"] else items:
            self.stats.read += 1
            yield item

    def records(self, named=True):
        """Yield the Records of all inputs, as `lines` does; lines that are none are rejected."""
        return self.parsed_all(self.all_lines(named=named))

    def parsed_all(self, pairs):
        """Yield the Records of (where, line) pairs; lines that are none are rejected."""
        for where, line in pairs:
            record = self.parsed(where, line)
            if record is not None:
                yield record

    def parsed(self, where, line):
        """The Record of a line; None if it is none, which is rejected."""
        from tel import records, streams

        try:
            return records.parse(streams.held(line), where)
        except BadData as error:
            self.rejects.line(error, where, line)
            return None

    def stage(self, stage, raw=None, named=True):
        """What a stage, a function of an iterable of Records or (`raw`) of (where, line) pairs, makes of all inputs.

        `raw()` tells, at the end of standard input, whether the stream starts here.
        """
        from tel import heap

        heap.hold()
        return stage(self.all_lines(raw) if raw else self.records(named))

    def filter(self, stage, raw=None):
        """Hand on the Records that a stage makes of all inputs."""
        self.write(record.line() for record in self.stage(stage, raw))

    def file_lines(self, path):
        """The lines of a small file of ours, such as a list, or of standard input for `-`."""
        from tel import streams

        return [streams.held(line) for line in streams.lines(streams.Input(path).blocks(), self.max_line)]

    def words(self, name, listing):
        """What an option says, again and again, and what is in the file of another, as bytes; None without any."""
        given, path = self.options[name], self.options[listing]
        words = [word.encode(errors="surrogateescape") for word in given]
        words += [line for line in self.file_lines(path) if line] if path else []
        return words if given or path else None

    def written(self):
        """How many lines have been written, those read so far being done."""
        return self.stats.written

    def put(self, lines):
        """Write lines (bytes), and nothing after them."""
        for line in lines:
            self.out.line(line)
            self.stats.written += 1

    def write(self, lines, once=False, more=dict):
        """Write lines (bytes), then the end records that the input allows; say so if it allows none.

        `once`: one end record for all that were received; `more()` gives further fields of them.
        """
        self.put(lines)
        for line in self.vouched(once, **more()):
            self.out.line(line)

    def vouched(self, once=False, **more):
        """The end records of what was written; before, rejects are on disk and were not too many."""
        self.rejects.close()
        if once and not self.ends.faults:
            self.ends.received.clear()
        if self.ends.broken:
            self.say(f"{self.ends.faults[0]}: so this stream gets no end record either")
        return self.ends.vouch(self.tool, self.stats.written, more)

    def demand_whole(self):
        """Raise NotWhole unless the input was whole, and of --expect streams; --partial waives it."""
        if not self.options["--partial"]:
            self.ends.demand(self.options.number("--expect"))

    def demand_fitting(self):
        """Raise NotWhole if end records came that do not fit what came; --partial waives it. None need come."""
        if self.ends.broken and not self.options["--partial"]:
            self.ends.demand()

    def print_paths(self, paths):
        """Write paths, one a line, as bytes of the file system."""
        for path in paths:
            self.out.line(os.fsencode(path))

    def print_values(self, values):
        """Write values as lines of JSON that are no records, without an end record."""
        from tel import jsonl

        for value in values:
            self.out.line(jsonl.dumps(value))
            self.stats.written += 1

    def selected(self):
        """(the Store or Tree, what selects of it) that the operand STORE and the conditions name."""
        from tel import query, schema, store, tree

        layout = self.options.layout() if "--layout" in self.options else None
        source = (tree.Tree if layout else store.Store)(self.options["STORE"])
        conditions = query.conditions(self.options["--where"])
        if self.options["--filter"]:
            conditions += schema.read(self.options["--filter"]).dimensions
        return source, source.selection(conditions)

    def schema(self):
        """The description of the schema that --schema names, or None."""
        from tel import schema

        path = self.options["--schema"]
        return schema.read(path).description if path else None

    def say(self, message):
        """One line on stderr."""
        stats.say(f"{self.tool}: {message}")

    def finish(self):
        """Close everything with every error seen, then print and write the counters."""
        self.out.close()
        self.rejects.close()
        self._tell()

    def abandon(self):
        """Close what can be closed after an error: good lines before it are written, the counters told."""
        for close in (self.out.close, self.rejects.close, self._tell):
            try:
                close()
            except TelError:
                pass

    def _tell(self):
        self.stats.bytes_out = self.out.written
        if self.options["--metrics"]:
            self.stats.write_metrics(self.options["--metrics"])
        if self._report:
            from tel import jsonl

            for line in self.report.table() if self._report == "text" else [jsonl.dumps(self.report.rows()).decode()]:
                stats.say(line)
        if self._summary:
            self.stats.print_summary(self._summary)
