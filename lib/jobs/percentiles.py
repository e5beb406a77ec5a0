"""percentiles NAME [by=FIELDS] [process=PROCESS] [keyed=yes] [p=LIST]: percentiles of one histogram, by fields."""

from tel import arrays, fields, measures, percentiles

PARAMETERS = ["NAME"]
DEFAULTS = {"by": "channel,version", "process": "parent", "keyed": "no", "p": "5,25,50,75,95"}
VALUES = "histograms"


def setup(context):
    """Reads the histogram, its definition, and the fields to tell apart by."""
    global key, measure, bounds, name, wanted
    name = context.parameters[0]
    key = fields.Key(context.params["by"])
    measure = measures.Measure(name, context.params["process"], context.params["keyed"])
    bounds = measures.Bounds(name)
    wanted = percentiles.shares(context.params["p"])


def map(ping):
    """The ping's histogram, under the lower bounds of its buckets too, as the definitions of its revision say."""
    for of_key, array in measure(ping.data):
        yield [*key(ping), name, *of_key, bounds(ping.data, len(array) - arrays.STATISTICS)], array


def reduce(key, array):
    """{percentile: value} for the number of buckets, and how many values there are."""
    *key, (lower, ranged) = key
    counts = array[: -arrays.STATISTICS]
    found = (value and value[0] for value in percentiles.of(lower, counts, wanted.values(), ranged))
    yield [*key, len(lower)], {"count": sum(counts), **dict(zip(wanted, found))}
