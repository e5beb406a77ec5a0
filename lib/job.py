"""Jobs: what a map, a combine and a reduce do, in one Python file.

The functions are those of the telemetry server's MapReduce framework, so that its example scripts run as they are:
`map(key, dims, value, context)`, and optionally `combine` and `reduce(key, values, context)`, `setup_reduce(context)`.
"""

import os
import sys

from tel import jsonl
from tel.errors import BadData, NoInput, UsageError


class Context:
    """What a job's functions write to. `parameters` are the words behind the job's name.

    `field_separator` and `record_separator` belong to `writeline` and `writecsv`, as in the original framework.
    """

    field_separator, record_separator = ",", "\n"

    def __init__(self, parameters=()):
        self.parameters = list(parameters)
        self.pairs = []

    def write(self, key, value):
        """Hand on a key and its value: anything that JSON can say, tuples as lists."""
        self.pairs.append((key, value))

    def writeline(self, text):
        """Hand on a line of text as a key without a value."""
        self.pairs.append((text, None))

    def writecsv(self, values):
        """Hand on a row of values as one line of text."""
        self.writeline(self.field_separator.join(map(str, values)))

    def take(self):
        """What was written since the last time, as a list of (key, value)."""
        pairs, self.pairs = self.pairs, []
        return pairs


class Job:
    """A job that is loaded: its functions, its context and its path; `combines`, `reduces`: whether it has these.

    `reads_bytes`: whether its map is given a ping's bytes, which it is to check itself, rather than text. `merges`:
    whether its answer can be combined and reduced with others again.

    Raises UsageError for a file that is no job, or too few parameters: it may name those it needs in PARAMETERS.
    """

    def __init__(self, path, source, parameters):
        self.path, self.context = path, Context(parameters)
        self._names = {"__name__": "job", "__file__": path}
        sys.stdout = sys.stderr  # what a job prints is for its user, and no part of the answer
        sys.path.append(os.path.dirname(os.path.abspath(path)))  # for good: its functions may import, too
        try:
            self._guarded(None, lambda: exec(compile(source, path, "exec"), self._names))
        except BadData as error:
            raise UsageError(error.reason) from None
        self.combines, self.reduces, self.maps = (callable(self._names.get(n)) for n in ("combine", "reduce", "map"))
        if not self.maps:
            raise UsageError("the job has no map function", path)
        self.reads_bytes, self.merges = (self._names.get(name) is True for name in ("BYTES", "MERGES"))
        needed = self._names.get("PARAMETERS", ())
        if len(parameters) < len(needed):
            raise UsageError(f"the job needs words behind its name, in the same argument: {' '.join(needed)}", path)

    def map(self, key, dims, value, where=None):
        """The pairs that the job's map writes for one stored ping (its id, dimensions, and JSON text)."""
        return self._written(where, "map", key, list(dims), value)

    def finish_map(self):
        """The pairs that the job writes after the last ping, having kept them back till then."""
        return self._written(None, "finish_map") if callable(self._names.get("finish_map")) else []

    def combine(self, key, values):
        """The pairs that the job's combine writes for some values of one key."""
        return self._written(_place(key), "combine", key, values)

    def setup_reduce(self):
        """Let the job prepare its reduce."""
        if callable(self._names.get("setup_reduce")):
            self._guarded(None, self._names["setup_reduce"], self.context)

    def reduce(self, key, values):
        """The pairs that the job's reduce writes for all values of one key."""
        return self._written(_place(key), "reduce", key, values)

    def _written(self, where, name, *arguments):
        """What one call of the job's code writes; nothing of a call that fails stays behind for the next one."""
        try:
            self._guarded(where, self._names[name], *arguments, self.context)
        finally:
            written = self.context.take()
        return written

    def _guarded(self, where, function, *arguments):
        """Call the job's code; whatever it raises becomes BadData `job_failed` with the job's own line.

        BadData of ours, which the built-in jobs raise for a ping that is none of theirs, stays what it is.
        """
        try:
            function(*arguments)
        except BadData as error:
            error.where = error.where or where
            raise
        except (Exception, SystemExit, GeneratorExit) as error:  # the code is the user's: anything can come out of it
            reason = f"the job failed at {self.path}:{self._line(error)}: {_words(error)}"
            raise BadData("job_failed", reason, where) from None

    def _line(self, error):
        """The line of the job that an error came through last."""
        if isinstance(error, SyntaxError) and error.filename == self.path:
            return error.lineno
        line, trace = 0, error.__traceback__
        while trace:
            if trace.tb_frame.f_code.co_filename == self.path:
                line = trace.tb_lineno
            trace = trace.tb_next
        return line


def _words(error):
    """An error's class and text; the text can fail too."""
    try:
        return f"{error.__class__.__name__}: {error}"
    except Exception:
        return error.__class__.__name__


def _place(key):
    """A key as the place of an error."""
    return f"key {said(key).decode()[:200]}"


def load(spec):
    """The Job of a word: a built-in's name, a path (with a slash or ending in .py), parameters behind either.

    Raises UsageError for a name that is none, NoInput for a file that cannot be read.
    """
    name, *parameters = spec.split() or [""]
    builtin = "/" not in name and not name.endswith(".py")
    path = os.path.join(FOLDER, f"{name.replace('-', '_')}.py") if builtin else name
    if builtin and (not name.replace("-", "").isalnum() or not os.path.exists(path)):
        raise UsageError(
            f"no job {name!r}; there are {', '.join(builtins())}, and job files (with a slash or ending in .py)"
        )
    try:
        with open(path, "rb") as file:
            return Job(path, file.read(), parameters)
    except OSError as error:
        raise NoInput(f"cannot be read: {error.strerror}", path) from None


FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "jobs")


def builtins():
    """The names of the built-in jobs, sorted."""
    names = (name[:-3].replace("_", "-") for name in os.listdir(FOLDER) if name.endswith(".py"))
    return sorted(name for name in names if not name.startswith("--"))


def pair_line(key, value):
    """A key and a value as a line between the tools.

    >>> pair_line(("a", 1), 2)
    b'[["a",1],2]'
    """
    return b"[%s,%s]" % (key_text(key), said(value))


def key_text(key):
    """The bytes of a key's canonical JSON, by which keys are the same or not, and are sorted.

    >>> key_text(("a", {"c": 1, "b": 2}))
    b'["a",{"b":2,"c":1}]'
    """
    try:
        return said(_canonical(key))
    except TypeError as error:
        raise BadData("job_failed", f"the job wrote what JSON cannot say: {error}") from None


def _canonical(key):
    """A key with its objects sorted by name and its tuples as lists."""
    if isinstance(key, (list, tuple)):
        return [_canonical(part) for part in key]
    if isinstance(key, dict):
        return {name: _canonical(key[name]) for name in sorted(key)}
    return key


def said(value):
    """A value that a job wrote as JSON. Raises BadData `job_failed` for what JSON cannot say."""
    try:
        return jsonl.dumps(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadData("job_failed", f"the job wrote what JSON cannot say: {error}") from None
