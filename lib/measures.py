"""One histogram of stored pings, and the bounds of its buckets by the definitions of the pings' revisions."""

from tel import arrays, jsonl, parts, pings, revisions
from tel.errors import BadData, NoInput, UsageError
from tel.memory import remembered

PARENT, CURE = "parent", "TEL_HISTOGRAMS names the definitions cache"


class Measure:
    """Finds the histogram of a name, of a process, in a stored ping; `keyed` as `yes`, one for each of its keys.

    >>> list(Measure("A")(b'{"ver":2,"histograms":{"A":[1,0,1,-1,-1,-1,-1]}}'))
    [([], [1, 0, 1, -1, -1, -1, -1])]
    """

    def __init__(self, name, process=PARENT, keyed="no"):
        if keyed not in ("yes", "no"):
            raise UsageError(f"keyed is yes or no, not {keyed!r:.60}")
        self.name, self._keyed, self._quoted = name, keyed == "yes", jsonl.dumps(name)
        kind = pings.KEYED if self._keyed else pings.PLAIN
        way = (*(() if process == PARENT else ("processes", process)), kind, name)
        self._read = parts.Reader(("payload",), ("payload", *way), way)

    def __call__(self, data):
        """Yield ([], array), or ([key], array) for each key. Raises BadData `not_stored`."""
        if self._quoted not in data and b"\\" not in data:  # which a name may be written with
            return
        payload, inner, outer = self._read(data)
        if not isinstance(payload, (dict, type(None))):
            raise BadData("not_stored", "the ping's payload is no object")
        found = outer if payload is None else inner
        if found is None:
            return
        if not self._keyed:
            yield [], arrays.checked(self.name, found)
        elif isinstance(found, dict):
            yield from (([key], arrays.checked(self.name, array)) for key, array in found.items() if array is not None)
        else:
            raise BadData("not_stored", f"the keyed histogram {self.name:.60} is not an object")


class Bounds:
    """Finds what a stored ping's revision says of a histogram's buckets: [lower bounds, whether they are ranges]."""

    def __init__(self, name, directory=None):
        self.name, self._known = name, {}
        self._cache = revisions.shared(directory or revisions.usual_directory())
        self._read = parts.Reader(pings.REVISION[pings.UNIFIED], pings.REVISION[pings.CLASSIC])

    def __call__(self, data, n_buckets):
        """Raises BadData `definitions_not_found` where no definition has so many buckets."""
        inner, outer = self._read(data)
        url = inner or outer
        bounds = remembered(self._known, (url, n_buckets), self._bounds)
        if not bounds:
            reason = f"no definition of {self.name:.60} with {n_buckets} buckets at {str(url):.100}"
            raise BadData("definitions_not_found", reason, cure=CURE)
        return bounds

    def _bounds(self, asked):
        url, n_buckets = asked
        named = revisions.parse_url(url)
        try:
            version = named and self._cache.find(*named)
        except NoInput as error:
            raise NoInput(error.reason, error.where, CURE) from None
        definition = version and version.definitions.get(self.name)
        layout = definition and definition.by_buckets.get(n_buckets)
        return layout and [layout.bounds, definition.ranged]
