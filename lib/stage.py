"""A tool as one stage of a chain: what it reads comes from the stage before it, what it writes goes to the next one."""

from tel import cli, exits, stats
from tel.errors import TelError
from tel.records import SPLIT, Record
from tel.streams import STDIN, Overlong, held

NAME = "standard input"  # of what a stage reads from the one before it
SMALL = 16 << 20  # bytes: no record that was accepted as a line has as much beside its ping


class Arriving:
    """In place of an Input: what the stage `before` hands on, which can be read once."""

    path, name, size = STDIN, NAME, None

    def __init__(self, before):
        self.before, self.items = before, before.output()

    @property
    def consumed(self):
        """The bytes that would have been read."""
        return self.before.out.written


class Handed:
    """In place of an Output: counts the bytes that would have been written, and keeps single `lines` to hand on."""

    def __init__(self):
        self.written, self.lines = 0, []

    def line(self, data):
        """Take a line that is no record."""
        self.lines.append(data)

    def close(self):
        """Nothing is open."""


class Stage(cli.Run):
    """One tool of a chain: a Run whose standard input is what the Stage `before` it hands on.

    The first reads its inputs like any tool, the `last` writes to standard output. `options` are its Options, or the
    error that they are: a stage that cannot begin says so, and hands on nothing.
    """

    def __init__(self, tool, module, options, before, last):
        self.tool, self.module, self.before, self.last = tool, module, before, last
        self.arriving = Arriving(before) if before else None
        self.alone, self.status, self.begun, self.crew = last, exits.OK, False, None
        self.function, self.raw, self.number, self.counting = None, None, 0, False
        self._handed, self._once, self._more, self._vouches = (), False, dict, False
        self.out = Handed()
        try:
            if isinstance(options, TelError):
                raise options
            super().__init__(tool, options)
        except Exception as error:
            self.status = cli.failed(tool, error)
            return
        self.begun = True
        if any(options[name] for name in ("--metrics", "--summary", "--progress")):
            self.counting = True
            if before:
                before.counting = True

    def output_of(self, options):
        """Standard output for the last stage, nothing but a count of bytes for the others."""
        return super().output_of(options) if self.last else Handed()

    # What a tool's `work` asks of a Run, for a stage within the chain.

    def inputs(self, paths=None, check=None):
        """Yield the Inputs of the operands; standard input is what the stage before hands on."""
        for path in self.options.get("FILE") or [STDIN] if paths is None else paths:
            if path == STDIN and self.before:
                self.stats.inputs.append(self.arriving)
                yield self.arriving
            else:
                yield from super().inputs([path], check)

    def lines(self, source, given=None, named=True):
        """Yield the (where, line) pairs of an Input, or of what arrives, that are no end records."""
        if source is self.arriving:
            return self._texts(self._arrivals(given))
        return super().lines(source, given, named)

    def records(self, named=True):
        """Yield the Records of all inputs; lines that are none are rejected."""
        for source in self.inputs():
            if source is self.arriving:
                yield from self._taken(self._arrivals())
            else:
                yield from self.parsed_all(self.lines(source, named=named))

    def _arrivals(self, given=None):
        """Yield the items that arrive and are no end records, counted; `number` tells the place of each."""
        body = self.ends.body(self.arriving.items, NAME, given or _never, self.written)
        for number, item in self.watched(body):
            self.number = number
            self.stats.read += 1
            yield self._fitting(item)

    def _fitting(self, item):
        """An item, or an Overlong in its place if its line is longer than this stage accepts."""
        if item.__class__ is Record and item.most < self.max_line - SMALL:
            return item
        size = _size(item) if item.__class__ is Record else len(item)
        return item if size <= self.max_line else Overlong(self.max_line, (text_of(item),))

    def _texts(self, items):
        return ((f"{NAME}:{self.number}", text_of(item)) for item in items)

    def _taken(self, items):
        """Yield the items as Records with their places here; lines that are none are rejected."""
        for item in items:
            where = f"{NAME}:{self.number}"
            record = item.came(where) if item.__class__ is Record else self.parsed(where, item)
            if record is not None:
                yield record

    def file_lines(self, path):
        """The lines of a small file of ours; `-` is what the stage before hands on."""
        if path != STDIN or not self.before:
            return super().file_lines(path)
        return [held(text_of(self._fitting(item))) for item in self.arriving.items]

    def _counted(self, lines, source):
        """With a crew, lines count when their block comes back, and their places come as (name, number)."""
        if self.crew is None:
            return super()._counted(lines, source)
        return (((source.name, number), line) for number, line in lines)

    def cut(self, source):
        """The lines of an Input; with a crew, what stands for them."""
        return super().cut(source) if self.crew is None else self.crew.lines(source, self.max_line)

    def written(self):
        """How many lines have been written, those read so far being done."""
        if self.crew is None:
            return self.stats.written
        waiting = self.crew.settle()
        return self.stats.written + (waiting if self.last else 0)

    def filter(self, stage, raw=None):
        """Hand on what a stage makes, to the next one, or to standard output."""
        self.function, self.raw = stage, raw
        if self.last:
            self.write(map(text_of, self.stage(stage, raw)))
            return
        self._vouches = True
        if self.crew is None:
            self._handed = super().stage(stage, raw)

    def stage(self, stage, raw=None, named=True):
        """What a stage makes of what arrives, here or in the workers."""
        self.function, self.raw = stage, raw
        return super().stage(stage, raw, named) if self.crew is None else self.crew.results(named)

    def write(self, lines, once=False, more=dict):
        """Hand on lines, and at their end the end records; written by the last stage only."""
        if self.last:
            super().write(lines, once, more)
        else:
            self._handed, self._once, self._more, self._vouches = lines, once, more, True

    def put(self, lines):
        """Hand on lines that nothing vouches for; written by the last stage only."""
        if self.last:
            super().put(lines)
        else:
            self._handed = lines

    # What the chain does with a stage.

    def run(self):
        """Work as the last stage."""
        if not self.begun:
            return
        try:
            self.status = self.module.work(self) or exits.OK
            self.finish()
        except Exception as error:
            self.fail(error)

    def output(self):
        """Yield what this stage hands on, end records after it; what it fails of is said, and ends its output."""
        if not self.begun:
            return
        try:
            self.status = self.module.work(self) or exits.OK
            for line in self.out.lines:
                yield self._sized(line)
            for item in self._handed:
                self.stats.written += 1
                yield self._sized(item) if self.counting else item
        except Exception as error:
            self.fail(error)
            return
        yield from self.ending()

    def ending(self):
        """The end records of what this stage handed on; it is finished."""
        said = []
        try:
            if self._vouches:
                said = list(map(self._sized, self.vouched(self._once, **self._more())))
            self.finish()
        except Exception as error:
            self.fail(error)
        return said

    def _sized(self, item):
        if self.counting:
            self.out.written += len(text_of(item)) + 1
        return item

    def fail(self, error):
        """End as a tool that met an error."""
        self.status = cli.failed(self.tool, error)
        self.abandon()

    def stop(self):
        """End where it is, as by a broken pipe; the rejects found so far are kept."""
        try:
            if self.begun:
                self.rejects.close()
        except TelError:
            pass

    # What a crew does with a stage.

    def join(self, crew):
        """Leave the work to a crew."""
        self.crew = crew
        if self.before:
            self.stats.inputs.append(self.arriving)

    def made(self, items):
        """Yield what this stage makes of a part of its input: (where, line) pairs, or what the stage before made."""
        items = self._read(items)
        if self.before:
            items = self._texts(items) if self.raw else self._taken(items)
        elif not self.raw:
            items = self.parsed_all(items)
        for item in self.function(items):
            if not self.last:
                self.stats.written += 1
                self._sized(item)
            yield item

    def _read(self, items):
        for item in items:
            self.stats.read += 1
            self.number = self.stats.read
            yield self._fitting(item) if self.before else item

    def hear(self, said):
        """Take in, at once, that all of this stage's input has come, and these end records after it.

        Raises BadData for one that is too long, where there are no rejects.
        """
        ends = []
        for item in map(self._fitting, said):
            if item.__class__ is Overlong:
                self.stats.read += 1
                self.rejects.line(item.error(), f"{NAME}:{self.stats.read}", item)
            else:
                ends.append(item)
        self.ends.hear(ends, NAME, self.stats.read, self.stats.written, bool(self.raw and self.raw()))
        if self.options["--progress"]:
            stats.Progress(self.stats).show("\n")


def text_of(item):
    """What a stage hands on as a line."""
    return item.line() if item.__class__ is Record else item


def _size(record):
    """The length of a record's line."""
    return len(record.opening()) + len(SPLIT) + len(record.ping) + 1


def _never():
    return False
