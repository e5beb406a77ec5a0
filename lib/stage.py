"""A tool as one stage of a chain: what it reads comes from the stage before it, what it writes goes to the next one."""

from tel import cli, exits
from tel.errors import UsageError
from tel.records import Record
from tel.streams import STDIN, Overlong

NAME = "standard input"  # of what a stage reads from the one before it


class Handed:
    """In place of an Output: how many bytes would have been written."""

    written = 0

    def close(self):
        """Nothing is open."""


class Stage(cli.Run):
    """One tool of a chain: a Run whose input is what the Stage `before` it hands on, and whose output is taken from it.

    The first reads its inputs like any tool, the last writes to standard output.
    """

    def __init__(self, tool, module, options, before, last):
        self.module, self.before, self.last = module, before, last
        super().__init__(tool, options)
        self.status, self.function, self.raw, self.number = exits.OK, None, None, 0
        self._handed, self._once, self._more, self._vouches = (), False, dict, True
        self.crew = None
        self.counting = bool(options["--metrics"] or options["--summary"])

    def output_of(self, options):
        """Standard output for the last stage, nothing but a count of bytes for the others."""
        return super().output_of(options) if self.last else Handed()

    # What a tool's `work` asks of a Run, for a stage within the chain.

    def inputs(self, paths=None, check=None):
        """Yield the Inputs of the operands; a stage that has one before it has no standard input of its own."""
        for source in super().inputs(paths, check):
            if self.before is not None and source.path == STDIN:
                raise UsageError("standard input is what the stage before hands on")
            yield source

    def records(self, named=True):
        """Yield the Records that come from the stage before, or from the inputs."""
        if self.before is None or self.options.get("FILE"):
            yield from super().records(named)
            return
        yield from self.taken(self.before.output())

    def taken(self, items):
        """Yield the Records of what arrives; lines that are none are rejected."""
        for item in self.arrivals(items):
            record = self.record(item)
            if record is not None:
                yield record

    def record(self, item):
        """What arrived as a Record with its place here; None if it was a line that is none, which is rejected."""
        where = f"{NAME}:{self.number}"
        if item.__class__ is Record:
            item.came(where)
            if len(item.ping) <= self.max_line // 2 or len(item.line()) <= self.max_line:
                return item
            item = item.line()
        return self.parsed(where, _short(item, self.max_line))

    def all_lines(self, given=None, named=True):
        """Yield the (where, line) pairs that come from the stage before, or from the inputs."""
        if self.before is None or self.options.get("FILE"):
            yield from super().all_lines(given, named)
            return
        for item in self.arrivals(self.before.output(), given):
            yield f"{NAME}:{self.number}", _short(text_of(item), self.max_line)

    def arrivals(self, items, given=None):
        """Yield the items that are no end records, counted; `number` tells the place of each."""
        self.number = 0

        def numbered():
            for item in items:
                self.number += 1
                yield item

        whole = given or (lambda: False)
        for item in self._watched(self.ends.body(numbered(), NAME, whole, lambda: self.stats.written)):
            self.stats.read += 1
            yield item

    def written(self):
        """How many lines have been written, those read so far being done."""
        if self.crew is not None:
            self.crew.drain()
        return self.stats.written

    def filter(self, stage, raw=None):
        """Hand on what a stage makes, to the next one, or to standard output."""
        self.function, self.raw = stage, raw
        if self.last:
            self.write(map(text_of, self.stage(stage, raw)))
        elif self.crew is None:
            self._handed = stage(self.all_lines(raw) if raw else self.records())

    def stage(self, stage, raw=None, named=True):
        """What a stage makes of what arrives, here or in the workers."""
        self.function, self.raw = stage, raw
        return super().stage(stage, raw, named) if self.crew is None else self.crew.results(self)

    def write(self, lines, once=False, more=dict):
        """Hand on lines, and at their end the end records; written by the last stage only."""
        if self.last:
            super().write(lines, once, more)
        else:
            self._handed, self._once, self._more = lines, once, more

    def put(self, lines):
        """Hand on lines that nothing vouches for; written by the last stage only."""
        if self.last:
            super().put(lines)
        else:
            self._handed, self._vouches = lines, False

    # What the chain does with a stage.

    def output(self):
        """Yield what this stage hands on, end records after it; what it fails of is said, and ends its output."""
        try:
            self.status = self.module.work(self) or exits.OK
            for item in self._handed:
                self.stats.written += 1
                if self.counting:
                    self.out.written += len(text_of(item)) + 1
                yield item
            if self._vouches:
                yield from self.vouched(self._once, **self._more())
            self.finish()
        except Exception as error:
            self.fail(error)

    def fail(self, error):
        """End as a tool that met an error."""
        self.status = cli.failed(self.tool, error)
        self.abandon()

    def run(self):
        """Work as the last stage."""
        try:
            self.status = self.module.work(self) or exits.OK
            self.finish()
        except Exception as error:
            self.fail(error)


def text_of(item):
    """What a stage hands on as a line."""
    return item.line() if item.__class__ is Record else item


def _short(line, limit):
    return line if len(line) <= limit else Overlong(limit, iter((line,)))
