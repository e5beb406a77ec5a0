"""Which part of a store is meant: conditions on dimensions, from a filter file or from `name=value` words."""

import re

from tel.errors import UsageError
from tel.schema import ANY, SUBMISSION_DATE, Dimension

ALIASES = {
    "date": SUBMISSION_DATE,
    "app": "appName",
    "channel": "appUpdateChannel",
    "version": "appVersion",
    "build": "appBuildID",
}
_LAST = "\x7f"  # after every character of a directory's name


def conditions(words):
    """The Dimensions of `name=value` words: several values of one name are alternatives, `a..b` is a range.

    What begins with `b` is still in the range: 25.0.1 is in 24..25, and all of 2013 in ..2013.

    >>> [(d.name, d.allowed) for d in conditions(["channel=beta", "channel=esr", "date=2013-09-01.."])]
    [('appUpdateChannel', ['beta', 'esr']), ('submission_date', {'min': '20130901'})]
    """
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise UsageError(f"--where takes NAME=VALUE, not {word!r}")
        name = ALIASES.get(name, name)
        values.setdefault(name, []).append(_dates(value) if name == SUBMISSION_DATE else value)
    return [Dimension(name, _allowed(name, chosen)) for name, chosen in values.items()]


def _dates(value):
    """A date, or a range of dates, as directories have them; the end of one may be left out (2013, 2013-09).

    >>> _dates("2013-09-01..2013")
    '20130901..2013'
    """
    for date in value.split(".."):
        if not re.fullmatch(r"(\d{4}(-?\d\d(-?\d\d)?)?)?", date, re.ASCII):
            raise UsageError(f"--where date takes a date like 20130903 or 2013-09-03, not {date!r}")
    return value.replace("-", "")


def _allowed(name, chosen):
    low, dots, high = chosen[0].partition("..")
    if not any(".." in value for value in chosen):
        return chosen
    if len(chosen) > 1:
        raise UsageError(f"--where {name} takes one range, or values, not both")
    ends = {"min": low, "max": high and high + _LAST}
    return {name: end for name, end in ends.items() if end} or ANY


class Selection:
    """Which directories of a store meet all conditions. Raises UsageError for one on a field that is no dimension."""

    def __init__(self, names, conditions):
        for condition in conditions:
            if condition.name not in names:
                raise UsageError(f"the store has no dimension {condition.name}; it has {', '.join(names)}")
        self._levels = [[c for c in conditions if c.name == name] for name in names]
        self._known = {"": True}

    def selects(self, directory):
        """Whether a directory, relative to the store, is meant; each of its parents is judged once.

        >>> Selection(["reason", "appName"], conditions(["appName=Firefox"])).selects("daily/Firefox")
        True
        """
        found = self._known.get(directory)
        if found is None:
            parent, _, name = directory.rpartition("/")
            level = self._levels[directory.count("/")]
            found = self._known[directory] = self.selects(parent) and all(one.allows_name(name) for one in level)
        return found


class Selections:
    """The same for a store whose files may lie under several schemas: `schema_of(directory)` tells which.

    Raises UsageError for a condition that the newest schema cannot tell, or an older one that still has files.
    """

    def __init__(self, newest, schema_of, conditions):
        self._schema_of, self._conditions = schema_of, conditions
        self._selections = {newest.top: Selection(newest.names, conditions)}

    def selects(self, directory):
        """Whether a directory, relative to the store, is meant."""
        schema = self._schema_of(directory)
        if schema.top not in self._selections:
            self._selections[schema.top] = self._older(schema)
        return self._selections[schema.top].selects(directory[len(schema.top) :].lstrip("/"))

    def _older(self, schema):
        try:
            return Selection(schema.names, self._conditions)
        except UsageError as error:
            raise UsageError(
                f"{error.reason}, under an older schema", "conditions", "tel-compact --schema moves its files"
            ) from None
