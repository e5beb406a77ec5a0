"""Jobs: what a map, a combine and a reduce do, in one Python file of one of two forms.

The full form is that of the telemetry server's MapReduce framework, so that its example scripts run as they are:
`map(key, dims, value, context)`, and optionally `combine` and `reduce(key, values, context)`, `setup_reduce(context)`.
In the short form `map(ping)` yields pairs, and VALUES says how the values of a key become one.
"""

import os
import re

from tel import jsonl, values
from tel.errors import BadData, NoInput, UsageError
from tel.fields import Ping
from tel.pairs import said
from tel.script import Script

TEXT, BYTES, LINES = "text", "bytes", "lines"  # what a job READS: a ping's text or bytes, or lines of any kind


class Context:
    """What a job's map and combine write to, and what they are told.

    `parameters` are the words behind the job's name, `params` those of the form NAME=VALUE, {name: value}.
    """

    def __init__(self, parameters=(), params=()):
        self.parameters, self.params = list(parameters), dict(params)
        self.written = []

    def write(self, key, value):
        """Hand on a key and its value: anything that JSON can say, tuples as lists."""
        self.written.append((key, value))

    def writeline(self, text):
        """Refused: text is no key and value."""
        raise TypeError("only a reduce writes text, by writeline and writecsv; map and combine write(key, value)")

    writecsv = writeline

    def take(self):
        """What was written since the last time, a list."""
        written, self.written = self.written, []
        return written


class Text(bytes):
    """A piece of the answer in the job's own words, with what ends it."""


class AnswerContext(Context):
    """What a job's reduce writes to: pairs, or text as it will stand in the answer."""

    field_separator, record_separator = "\t", "\n"

    @property
    def separators(self):
        """The separators of fields and of records if the job has set one, so that its pairs are text too; else None."""
        if {"field_separator", "record_separator"}.isdisjoint(vars(self)):
            return None
        separators = self.field_separator, self.record_separator
        if not all(isinstance(separator, str) for separator in separators):
            raise BadData("job_failed", f"the job set separators that are no strings: {separators!r:.80}")
        return separators

    def writeline(self, text):
        """A line of text."""
        self.written.append(Text(f"{text}{self.record_separator}".encode()))

    def writecsv(self, values):
        """A row of comma-separated values, quoted as in RFC 4180."""
        import csv
        import io

        row = io.StringIO()
        csv.writer(row, lineterminator="\n").writerow(values)
        self.written.append(Text(row.getvalue().encode()))


class Job:
    """A job of the full form; `combines`, `reduces`: whether it does, `reads`: what its map is given.

    `merges`: whether its answer can be combined and reduced with others again, and so has an end record.

    Raises UsageError for too few parameters, or params that the job does not know: it may name those it needs in a
    list PARAMETERS, and those it knows, with their defaults, in a dict DEFAULTS.
    """

    def __init__(self, script, parameters, params):
        self.script, self.path, names = script, script.path, script.names
        self.reads = names.get("READS", TEXT)
        if self.reads not in (TEXT, BYTES, LINES):
            raise UsageError(f"READS of a job is {TEXT}, {BYTES} or {LINES}, not {self.reads!r:.60}", self.path)
        _demand(names.get("PARAMETERS"), parameters, self.path)
        params = _filled(names.get("DEFAULTS"), params, self.path)
        self.context, self.answer = Context(parameters, params), AnswerContext()
        self.answer.parameters, self.answer.params = self.context.parameters, self.context.params
        self._check_form()
        self.combines, self.reduces = script.has("combine"), script.has("reduce")
        self.merges = names.get("MERGES") is True
        if script.has("setup"):
            _set_up(script, self.context)

    def _check_form(self):
        """Raise UsageError for what belongs to the other form."""
        if self.script.names.get("VALUES") is not None:
            raise UsageError("VALUES is for the short form, whose map takes one argument", self.path)

    @property
    def keeps(self):
        """Whether the job keeps pairs back till the last ping."""
        return self.script.has("finish_map")

    def map(self, key, dims, value, where=None):
        """The pairs that the job's map writes for one ping: its id, {dimension: value}, and bytes."""
        given = value if self.reads == BYTES else jsonl.text(value)
        return self._written(self.context, where, "map", key, list(dims.values()), given)

    def finish_map(self):
        """The pairs that the job writes after the last ping, having kept them back till then."""
        return self._written(self.context, None, "finish_map") if self.keeps else []

    def combine(self, key, values):
        """The pairs that the job's combine writes for some values of one key."""
        return self._written(self.context, _place(key), "combine", key, values)

    def setup_reduce(self):
        """Let the job prepare its reduce."""
        if self.script.has("setup_reduce"):
            self.script.call(None, "setup_reduce", self.answer)

    def reduce(self, key, values):
        """What the job's reduce writes for all values of one key: pairs, and Texts."""
        return self._written(self.answer, _place(key), "reduce", key, values)

    def _written(self, context, where, name, *arguments):
        """What one call of the job's code writes; nothing of a call that fails stays behind for the next one."""
        try:
            self.script.call(where, name, *arguments, context)
        finally:
            written = context.take()
        return written


class ShortJob(Job):
    """A job of the short form: `map(ping)` yields pairs, `map(line)` where it reads lines; VALUES says how they add up.

    An optional `finish_map()` yields more after the last ping, `reduce(key, value)` what is said of a key, its values
    having become one.
    """

    def __init__(self, script, parameters, params):
        super().__init__(script, parameters, params)
        self._monoid = values.named(script.names.get("VALUES"))
        self._answers = self.reduces
        self.combines, self.reduces = self._monoid is not None, self._answers or self._monoid is not None

    def _check_form(self):
        if self.script.has("combine"):
            raise UsageError("combine is for the full form; in the short one VALUES says how values add up", self.path)

    def map(self, key, dims, value, where=None):
        """The pairs that the job's map yields for one ping."""
        given = jsonl.text(value) if self.reads == LINES else Ping(key, dict(dims), value)
        return self._fitting(where, self._yielded(where, "map", given))

    def finish_map(self):
        """The pairs that the job yields after the last ping."""
        return self._fitting(None, self._yielded(None, "finish_map")) if self.keeps else []

    def combine(self, key, values):
        """The key with its values made one."""
        return [(key, self.script.guarded(_place(key), self._monoid.plus, values))]

    def reduce(self, key, values):
        """What the job's reduce yields for a key; without one, the key and its value."""
        place, value = _place(key), values
        if self._monoid:
            value = self.script.guarded(place, lambda: self._monoid.finish(self._monoid.plus(values)))
        return self._yielded(place, "reduce", key, value) if self._answers else [(key, value)]

    def _yielded(self, where, name, *arguments):
        """The pairs that a generator of the job yields."""
        return self.script.guarded(where, lambda: list(map(_pair_of, self.script.names[name](*arguments) or ())))

    def _fitting(self, where, pairs):
        """The pairs, which VALUES can add up. Raises BadData `job_failed`."""
        if self._monoid:
            for _, value in pairs:
                if not self._monoid.fits(value):
                    said = f"VALUES {self.script.names['VALUES']} wants {self._monoid.wanted}, not {value!r:.60}"
                    raise BadData("job_failed", f"the job failed at {self.path}: {said}", where)
        return pairs


def _pair_of(yielded):
    if yielded.__class__ in (tuple, list) and len(yielded) == 2:
        return tuple(yielded)
    raise TypeError(f"a pair (key, value) is to be yielded, not {yielded!r:.60}")


def _set_up(script, context):
    try:
        script.call(None, "setup", context)
        if context.take():
            raise UsageError("the job's setup writes, which only its other functions may", script.path)
    except BadData as error:  # what it was told is wrong
        raise UsageError(error.reason) from None


def _demand(needed, parameters, path):
    """Raise UsageError unless there are as many words as a job names, if it does."""
    if needed is None:
        return
    if not isinstance(needed, (list, tuple)) or not all(isinstance(name, str) for name in needed):
        raise UsageError(f"PARAMETERS of a job is a list of names, not {needed!r:.60}", path)
    if len(parameters) < len(needed):
        raise UsageError(f"the job needs words behind its name, in the same argument: {' '.join(needed)}", path)
    if len(parameters) > len(needed):
        takes = f"only {' '.join(needed)}" if needed else "nothing"
        raise UsageError(f"the job takes {takes} behind its name, and not {parameters[len(needed)]!r:.60}", path)


def _filled(defaults, params, path):
    """Params with the defaults of those not given; without defaults any are known."""
    if not isinstance(defaults, (dict, type(None))):
        raise UsageError(f"DEFAULTS of a job is a dict of names and values, not {defaults!r:.60}", path)
    unknown = [name for name in params if defaults is not None and name not in defaults]
    if unknown:
        raise UsageError(f"the job has no parameter {unknown[0]}; it has {', '.join(defaults) or 'none'}", path)
    return {**(defaults or {}), **params}


def _place(key):
    """A key as the place of an error."""
    return f"key {said(key).decode()[:200]}"


def load(spec, params=()):
    """The Job of a word: a built-in's name, a path (with a slash or ending in .py), words behind either.

    A word NAME=VALUE, or each of `params`, is a parameter with a name. Raises UsageError for a name that is none,
    NoInput for a file that cannot be read.
    """
    name, *words = spec.split() or [""]
    named = [word for word in words if _NAMED.match(word)]
    path = _path(name)
    try:
        with open(path, "rb") as file:
            script = Script(path, file.read())
    except OSError as error:
        raise NoInput(f"cannot be read: {error.strerror}", path) from None
    if not script.has("map"):
        raise UsageError("the job has no map function", path)
    takes = script.takes("map")
    if takes not in (1, 4, None):
        raise UsageError(
            f"the job's map takes {takes} arguments: not map(key, dims, value, context), nor map(ping)", path
        )
    kind = ShortJob if takes == 1 else Job
    return kind(script, [word for word in words if word not in named], dict(map(_pair, [*named, *params])))


_NAMED = re.compile(r"[A-Za-z_]\w*=", re.ASCII)


def _pair(word):
    if not _NAMED.match(word):
        raise UsageError(f"--param takes NAME=VALUE, not {word[:60]!r}")
    name, _, value = word.partition("=")
    return name, value


def _path(name):
    """The file of a job's name."""
    if "/" in name or name.endswith(".py"):
        return name
    path = os.path.join(FOLDER, f"{name.replace('-', '_')}.py")
    if not name.replace("-", "").isalnum() or not os.path.exists(path):
        raise UsageError(
            f"no job {name!r}; there are {', '.join(builtins())}, and job files (with a slash or ending in .py)"
        )
    return path


FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "jobs")


def builtins():
    """The names of the built-in jobs, sorted."""
    names = (name[:-3].replace("_", "-") for name in os.listdir(FOLDER) if name.endswith(".py"))
    return sorted(name for name in names if not name.startswith("--"))
