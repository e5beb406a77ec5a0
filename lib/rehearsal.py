"""A rehearsal of a job on a few pings: what would spoil a real run, or its answer, found before it."""

from itertools import islice

from tel import jsonl
from tel.errors import BadData
from tel.job import Text
from tel.mapreduce import map_pairs
from tel.pairs import key_of, key_text, said

MOST = 1000  # pings that are tried
SHOWN = 60  # characters of a key in a finding


class Rehearsal:
    """Tries a Job on some (where, line, {dimension: value}) of stored lines or records.

    `findings` is a list of sentences with their places; `pings`, `pairs` and `keys` say how many there were.
    """

    def __init__(self, job):
        self.job, self.findings = job, []
        self.pings = self.pairs = 0
        self._values = {}

    @property
    def keys(self):
        """How many different keys were written."""
        return len(self._values)

    def run(self, lines):
        """Map up to MOST lines, then combine and reduce what came of them in several ways."""
        for where, line, dims in islice(lines, MOST):
            self.pings += 1
            self._mapped(self._pairs_of, where, line, dims)
        self._mapped(lambda: _texts(self.job.finish_map()))
        if not self.pairs and not self.findings:
            self._find(None, f"the map writes nothing for any of {self.pings} pings")
        self._tried(self.job.setup_reduce)
        for text, values in self._values.items():
            self._tried(self._check_key, text, values)

    def _tried(self, step, *arguments):
        """Take a step; its error is a finding."""
        try:
            return step(*arguments) or ()
        except BadData as error:
            self._find(error.where, error.reason)
            return ()

    def _find(self, where, what):
        """Keep a finding, once for all that differ in their place only."""
        if not any(finding.endswith(what) for finding in self.findings):
            self.findings.append(f"{where}: {what}" if where else what)

    def _pairs_of(self, where, line, dims):
        """The pairs of one ping; a map that keeps nothing back writes the same again."""
        first = _texts(map_pairs(where, line, self.job, dims)[0])
        if not self.job.keeps and _texts(map_pairs(where, line, self.job, dims)[0]) != first:
            self._find(where, "the map writes another thing when it gets the same ping again")
        return first

    def _mapped(self, step, *arguments):
        for key, value in self._tried(step, *arguments):
            self.pairs += 1
            self._values.setdefault(key, []).append(value)

    def _check_key(self, text, values):
        """See that the answer of a key does not depend on the order and the grouping of its values."""
        expected = self._answer(text, values)
        if self._answer(text, values[::-1]) != expected:
            self._find(_place(text), "the answer depends on the order of the values")
        if self.job.combines:
            first, rest = values[: len(values) // 3], values[len(values) // 3 :]
            parts = [value for part in (first, rest) if part for value in self._combined(text, part)]
            if self._answer(text, self._combined(text, parts)) != expected:
                self._find(_place(text), "the answer is another one if some values are combined first")

    def _combined(self, text, values):
        pairs = _texts(self.job.combine(key_of(text), list(map(jsonl.loads, values))))
        if any(key != text for key, _ in pairs):
            raise BadData("job_failed", "the combine writes another key", _place(text))
        return [value for _, value in pairs]

    def _answer(self, text, values):
        """What the reduce says of a key, as text; of a job without one, its values in any order."""
        if not self.job.reduces:
            return sorted(values)
        return _texts(self.job.reduce(key_of(text), list(map(jsonl.loads, values))))


def _place(text):
    return f"key {text.decode():.{SHOWN}}"


def _texts(pairs):
    """Pairs as the texts that stand between the tools."""
    return [(pair, None) if isinstance(pair, Text) else (key_text(pair[0]), said(pair[1])) for pair in pairs]
