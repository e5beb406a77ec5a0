"""Which files were mapped: lists of names, and what the end records of maps and combines vouch for."""

import hashlib
import os
import re

from tel.errors import BadData, NotWhole, UsageError

MODULUS = 1 << 128


class Manifest:
    """Which files were read whole: how many, and the sum of the hashes of their names; and what is left out on purpose.

    `skipped` is how many pings the job failed on, `missing` the names of hosts that did not answer.

    >>> Manifest.of(["a", "b"]).fields() == Manifest.of(["b", "a"]).fields()
    True
    """

    def __init__(self):
        self.files = self.total = self.skipped = 0
        self.missing = []

    @classmethod
    def of(cls, names):
        """The manifest of some files."""
        manifest = cls()
        for name in names:
            manifest.add(name)
        return manifest

    @classmethod
    def heard(cls, ends):
        """The sum of what end records say. Raises BadData `bad_end_record` where one says it in another way."""
        manifest = cls()
        for end in ends:
            manifest._merge(end)
        return manifest

    def add(self, name):
        """Take in a file that was read whole, by its name as it was given."""
        self.files += 1
        digest = hashlib.sha256(os.fsencode(name)).digest()
        self.total = (self.total + int.from_bytes(digest[:16], "big")) % MODULUS

    def _merge(self, end):
        numbers, total, missing = (
            (end.get("files", 0), end.get("skipped", 0)),
            end.get("inputs", "0"),
            end.get("missing", []),
        )
        sound = all(number.__class__ is int and number >= 0 for number in numbers)
        if not sound or not re.fullmatch("[0-9a-f]{1,32}", str(total)) or not _are_names(missing):
            said = {name: end.get(name) for name in ("files", "skipped", "inputs", "missing")}
            raise BadData("bad_end_record", f"an end record of {end['tool']:.40} with {said!r:.120}")
        self.files += numbers[0]
        self.skipped += numbers[1]
        self.total = (self.total + int(str(total), 16)) % MODULUS
        self.missing += missing

    def fields(self):
        """The fields of an end record."""
        left_out = {"skipped": self.skipped, "missing": self.missing}
        return {"files": self.files, "inputs": f"{self.total:032x}", **{n: v for n, v in left_out.items() if v}}

    def left_out(self):
        """What an answer's user is to be told, a list of sentences."""
        words = [f"{host} is missing from the answer, as --allow-missing allows" for host in self.missing]
        if self.skipped:
            words.append(f"the job failed on {self.skipped} pings, which are left out as --skip-errors allows")
        return words

    def demand(self, expected):
        """Raise NotWhole unless exactly the files of another manifest were read, each once."""
        if self.files != expected.files:
            raise NotWhole(
                f"{self.files} files were mapped, and --inputs lists {expected.files}", cure="run the map again"
            )
        if self.total != expected.total:
            raise NotWhole(
                "the files that were mapped are not those that --inputs lists: one is missing, another doubled"
            )


def _are_names(value):
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def listed(lines):
    """The file names of a list, one a line; empty lines are none. Raises UsageError for a name that is there twice."""
    names = [os.fsdecode(line) for line in lines if line]
    if len(set(names)) < len(names):
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise UsageError(f"the list names {twice} twice")
    return names
