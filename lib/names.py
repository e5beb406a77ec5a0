"""Names of the outside world as names of files and in trees: as they are where that is safe, else marked by a tilde."""

import hashlib
import re

_PLAIN = re.compile(r"(?![.-])[a-z0-9_.-]{1,100}(?<!-keyed)", re.ASCII | re.IGNORECASE)
_TAKEN = {"__proto__", "filter", "histograms", "histogram_descriptions", "histograms.json", "versions.json"}
_LEVEL = re.compile(r"(?:name|_id|__proto__)~*")  # what a node of a filter tree says of itself


class Names:
    """Gives one name after another its name in a folder; no two get the same, also where case does not count.

    >>> names = Names()
    >>> [names.of(name) for name in ("GC_MS", "a/b", "gc_ms", "GC_MS")]
    ['GC_MS', 'a_b~c14cddc033f64b9d', 'gc_ms~07117c032e4a33f2', 'GC_MS']
    """

    def __init__(self):
        self._owners = {}

    def of(self, name):
        """The name for a name: itself, or, marked, what is safe of it and 16 digits of its SHA-256."""
        plain = _PLAIN.fullmatch(name) and name.lower() not in _TAKEN
        if plain and self._owners.setdefault(name.lower(), name) == name:
            return name
        return f"{re.sub('[^A-Za-z0-9_]', '_', name)[:100]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def level(value):
    """The value of a filter as a member of a tree's node; one that would be taken for the node's own gets a tilde.

    >>> [level(value) for value in ("3.10", "a/b", "name", "name~")]
    ['3.10', 'a/b', 'name~', 'name~~']
    """
    return f"{value}~" if _LEVEL.fullmatch(value) else value
