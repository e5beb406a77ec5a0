"""Schemas: which dimensions partition a store, and which of their values have a directory of their own.

The file form is the 2013 telemetry server's, and that of tel-ls's filters:
`{"version":1,"dimensions":[{"field_name":"reason","allowed_values":["idle-daily","saved-session"]},...]}`.
`allowed_values` is "*" (any), one string, a list, or {"min":...,"max":...} (as text, both ends included).
"""

import hashlib
import re

from tel import jsonl, pings
from tel.errors import BadData, IOFailed, NoInput, UsageError
from tel.memory import remembered

SUBMISSION_DATE = "submission_date"
ANY, OTHER, UNKNOWN = "*", "OTHER", "UNKNOWN"
LONGEST_NAME = 100
MOST_DIRECTORIES = 10_000  # that are remembered

DEFAULT = {
    "version": 1,
    "dimensions": [
        {"field_name": SUBMISSION_DATE, "allowed_values": ANY},
        {
            "field_name": "reason",
            "allowed_values": [
                "idle-daily", "saved-session", "aborted-session", "main", "first-shutdown", "event", "health",
                "new-profile", "deletion-request", "crash", "modules", "update", "ftu", "android-anr-report",
            ],
        },
        {
            "field_name": "appName",
            "allowed_values": [
                "Firefox", "Fennec", "Fenix", "Focus", "Thunderbird", "SeaMonkey", "FirefoxOS", "B2G",
            ],
        },
        {
            "field_name": "appUpdateChannel",
            "allowed_values": ["nightly", "aurora", "beta", "release", "esr", "default"],
        },
        {"field_name": "appVersion", "allowed_values": ANY},
        {"field_name": "appBuildID", "allowed_values": ANY},
    ],
}  # fmt: skip


def safe_name(value):
    """A dimension's value as one directory's name: [a-zA-Z0-9_.-] only, no leading dot, at most 100 characters.

    >>> safe_name("../etc"), safe_name("23.0.1")
    ('_._etc', '23.0.1')
    """
    name = re.sub(r"[^a-zA-Z0-9_.-]", "_", value)
    if name.startswith("."):
        name = f"_{name[1:]}"
    if len(name) > LONGEST_NAME:
        digest = hashlib.sha256(value.encode(errors="surrogatepass")).hexdigest()[:16]
        name = f"{name[: LONGEST_NAME - 17]}-{digest}"
    return name


def as_text(value):
    """A field's value as a dimension's text; None for one that is missing or no scalar.

    >>> as_text(4), as_text(True), as_text("")
    ('4', 'true', None)
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, jsonl.Real)):
        return str(float(value) if value.__class__ is jsonl.Real else value)
    return value if isinstance(value, str) and value else None


class Dimension:
    """One dimension: its field's name and the values allowed."""

    def __init__(self, name, allowed):
        self.name, self.allowed = name, allowed
        self._accepts = _acceptance(name, allowed)

    def allows(self, text):
        """Whether a value is among the allowed ones.

        >>> Dimension("version", {"min": "23", "max": "24"}).allows("23.0.1")
        True
        """
        return self._accepts(text)

    def allows_name(self, name):
        """Whether a directory's name can be that of an allowed value.

        >>> Dimension("x", ["a/b"]).allows_name("a_b")
        True
        """
        if isinstance(self.allowed, list):
            return name in {safe_name(value) for value in self.allowed}
        return self._accepts(name) or (isinstance(self.allowed, str) and name == safe_name(self.allowed))

    def value(self, text):
        """What stands for a value in the store: itself, OTHER, or UNKNOWN for a missing one (None)."""
        if text is None:
            return UNKNOWN
        return text if self._accepts(text) else OTHER


def _acceptance(name, allowed):
    if allowed == ANY:
        return lambda text: True
    if isinstance(allowed, str):
        return lambda text: text == allowed
    if isinstance(allowed, list) and all(isinstance(value, str) for value in allowed):
        return frozenset(allowed).__contains__
    if isinstance(allowed, dict) and allowed and allowed.keys() <= {"min", "max"}:
        low, high = str(allowed.get("min", "")), allowed.get("max")
        return lambda text: low <= text and (high is None or text <= str(high)) and text not in (OTHER, UNKNOWN)
    raise UsageError(f'allowed_values of {name} must be "*", a string, a list of strings or {{"min","max"}}')


class Schema:
    """The dimensions of a store, in the order of its directories. Raises UsageError for what is no schema.

    `top` is the directory, relative to the store's root, that all of its directories lie below, or "".
    """

    def __init__(self, description, top=""):
        self.description, self.top = description, top
        try:
            entries = description["dimensions"]
            self.dimensions = [Dimension(entry["field_name"], entry["allowed_values"]) for entry in entries]
        except (TypeError, KeyError) as error:
            raise UsageError(f"not a schema: {error} is missing or of the wrong form") from None
        names = [dimension.name for dimension in self.dimensions]
        if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names) or not names:
            raise UsageError("not a schema: the field_names must be different, non-empty strings")
        self.names = names
        self._directories = {}

    def values(self, record, ping):
        """The text of each dimension (None where missing) from a record's date and info, else from its parsed ping."""
        return tuple(as_text(_field(name, record, ping)) for name in self.names)

    def directory(self, values):
        """The directory, relative to the store, of a tuple of values; remembered, since few are different.

        >>> Schema(DEFAULT).directory(("20130901", "idle-daily", "Firefox", "mine", "23.0", None))
        '20130901/idle-daily/Firefox/OTHER/23.0/UNKNOWN'
        """
        return remembered(self._directories, values, self._directory, MOST_DIRECTORIES)

    def _directory(self, values):
        names = [safe_name(dimension.value(text)) for dimension, text in zip(self.dimensions, values)]
        return "/".join([self.top, *names] if self.top else names)


def _field(name, record, ping):
    if name == SUBMISSION_DATE:
        return record.small["date"]
    if name in record.info:
        return record.info[name]
    return pings.at(ping, ("info", name))


def read(path, top=""):
    """The Schema in a file. Raises NoInput, UsageError, IOFailed where the system fails."""
    try:
        with open(path, "rb") as file:
            return Schema(jsonl.loads(file.read()), top)
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise NoInput(f"cannot be read: {error.strerror}", path) from None
    except OSError as error:
        raise IOFailed(f"cannot be read: {error.strerror}", path) from None
    except BadData as error:
        raise UsageError(error.reason, path) from None
    except UsageError as error:
        raise UsageError(error.reason, path) from None
