"""count [FIELD...]: how many pings there are, all together or by some fields."""

from tel import fields

VALUES = "sum"
DEFAULTS = {}


def setup(context):
    """Reads the fields asked for."""
    global key
    key = fields.Key(context.parameters)


def map(ping):
    """One for each ping, under the values of its fields."""
    yield key(ping) or "all", 1
