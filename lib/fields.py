"""A stored ping as a job of the short form gets it, and its fields by the names that questions use."""

from tel import jsonl, parts, pings
from tel.errors import BadData, UsageError
from tel.jsonl import Real
from tel.query import ALIASES
from tel.schema import UNKNOWN, as_text
from tel.tree import NAMES

# Fields of a ping's info that are no dimensions, by the names that are unlike those of dimensions.
INFO = {"os": "OS", "OS": "OS", "os_version": "version", "arch": "arch", "locale": "locale"}
DERIVED = {
    "build_day": ("appBuildID", lambda build: build[:8]),
    "major": ("appVersion", lambda version: version.split(".")[0]),
}


class Ping:
    """One stored ping: its document `id`, `dims` ({dimension: value}), `data` (bytes), and, by name, what is in it.

    >>> ping = Ping("a", {"reason": "daily"}, b'{"info":{"OS":"Linux"}}')
    >>> ping["info"]["OS"], ping.get("ver")
    ('Linux', None)
    """

    __slots__ = ("id", "dims", "data", "_value")

    def __init__(self, id, dims, data):
        self.id, self.dims, self.data, self._value = id, dims, data, None

    @property
    def value(self):
        """The ping parsed, once and when it is first asked for. Raises BadData."""
        if self._value is None:
            self._value = jsonl.loads(self.data)
            if not isinstance(self._value, dict):
                raise BadData("not_an_object", "the ping is not a JSON object")
        return self._value

    def __getitem__(self, name):
        return self.value[name]

    def __contains__(self, name):
        return name in self.value

    def __iter__(self):
        return iter(self.value)

    def get(self, name, default=None):
        """What lies under a name at the top of the ping."""
        return self.value.get(name, default)


def listed(text):
    """The names of a list like `channel,os`; an empty one has none."""
    return [name for name in text.split(",") if name]


class Key:
    """Reads some fields of a Ping, as a list. `names` is a list, or text like `channel,os`.

    A field is a dimension (or channel, version, app, build, date), `build_day`, `major` (of the version), `os`,
    `os_version`, `arch` or `locale`, all UNKNOWN where they are missing; or, with a dot before each name, a way into
    the ping, null where nothing is. Raises UsageError for other names.

    >>> ping = Ping("a", {"appVersion": "24.0a1"}, b'{"info":{"OS":"Linux"},"simpleMeasurements":{"uptime":5}}')
    >>> Key(["version", "major", "os", ".simpleMeasurements.uptime"])(ping)
    ['24.0a1', '24', 'Linux', 5]
    """

    def __init__(self, names):
        self._ways = []
        names = listed(names) if isinstance(names, str) else names
        self._readers = [self._reader(ALIASES.get(name, name)) for name in names]
        self._read = parts.Reader(*self._ways) if self._ways else None

    def __call__(self, ping):
        found = self._read(ping.data) if self._read else ()
        return [reader(ping.dims, found) for reader in self._readers]

    def _reader(self, name):
        """A function of the dimensions and what was found at `_ways`."""
        if name.startswith(".") and all(name.split(".")[1:]):
            at = self._at(tuple(name.split(".")[1:]))
            return lambda dims, found: found[at]
        if name in DERIVED:
            source, made = DERIVED[name]
            return lambda dims, found: made(dims.get(source, UNKNOWN))
        if name in INFO:
            places = [self._at(way) for way in _ways_of(INFO[name])]
            return lambda dims, found: _first(found[at] for at in places)
        if name not in NAMES and not name.isidentifier():
            raise UsageError(f"no field {name!r}; {FIELDS}")
        return lambda dims, found: _dimension(dims, name)

    def _at(self, way):
        """The place of a way among those that are read."""
        if way not in self._ways:
            self._ways.append(way)
        return self._ways.index(way)


FIELDS = f"""there are the store's dimensions, {", ".join([*ALIASES, *DERIVED, *INFO])}, and ways like .info.OS"""


def _dimension(dims, name):
    if name not in dims:
        raise UsageError(f"no field {name!r}; {FIELDS}")
    return dims[name]


def _ways_of(name):
    """Where a field of the small info lies in pings of all generations."""
    found = (ways.get(name, ()) for ways in pings.FIELDS.values())
    return [way for ways in found if not isinstance(ways, str) for way in ways]


def _first(values):
    """The first value that is a string, a number or a boolean, as text; UNKNOWN if there is none."""
    value = next((value for value in values if isinstance(value, (str, int, float, Real))), None)
    return as_text(value) or UNKNOWN
