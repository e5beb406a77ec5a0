"""histograms [by=FIELDS]: the sum of every histogram of the parent process, by fields, name and number of buckets."""

from tel import fields, sums

PARAMETERS = []
DEFAULTS = {"by": "channel,version"}
VALUES = "histograms"
SUMS = sums.Sums()


def setup(context):
    """Reads the fields to tell apart by."""
    global key
    key = fields.Key(context.params["by"])


def map(ping):
    """Nothing yet, each histogram being added to what there is; that, when it has become much."""
    SUMS.add(tuple(key(ping)), ping.data)
    if SUMS.full:
        yield from SUMS.take()


def finish_map():
    """What was added up since; arrays of different lengths have different keys."""
    yield from SUMS.take()
