"""Parts of a ping read from its text, the rest being checked and skipped where a tier can."""

from tel import jsonl, pings, tiers
from tel.errors import BadData, UsageError


class Reader:
    """Reads what lies at some ways (tuples of names into nested objects) of a ping's JSON, text or bytes.

    >>> Reader(("info", "OS"), ("x",))('{"info":{"OS":"Linux"}}')
    ('Linux', None)
    """

    def __init__(self, *ways):
        if any(isinstance(way, str) for way in ways):
            raise UsageError(f"a way is a tuple of names, not {next(w for w in ways if isinstance(w, str))!r:.60}")
        self.ways, self._find = ways, tiers.finder(ways)

    def __call__(self, ping):
        """The values, None for each that is not there. Raises BadData for what is no strict JSON object."""
        data = ping.encode() if ping.__class__ is str else ping
        found = self._find(data) if self._find else None
        if found is None:
            ping = jsonl.loads(data)
            if not isinstance(ping, dict):
                raise BadData("not_an_object", "the ping is not a JSON object")
            return tuple(pings.at(ping, way) for way in self.ways)
        return tuple(text and jsonl.loads(text) for text in map(found.text, range(len(self.ways))))
