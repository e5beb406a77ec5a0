"""duplicates: the document ids that are stored more than once, and how often."""

VALUES = "sum"
PARAMETERS = []
DEFAULTS = {}


def map(ping):
    """One for each ping, under its document id."""
    yield ping.id, 1


def reduce(key, count):
    """The ids that came more than once."""
    if count > 1:
        yield key, count
