"""histogram NAME [by=FIELDS] [process=PROCESS] [keyed=yes]: the sum of one histogram, by fields and buckets."""

from tel import arrays, fields, measures

PARAMETERS = ["NAME"]
DEFAULTS = {"by": "channel,version", "process": "parent", "keyed": "no"}
VALUES = "histograms"


def setup(context):
    """Reads the histogram, and the fields to tell apart by."""
    global key, measure, name
    name = context.parameters[0]
    key = fields.Key(context.params["by"])
    measure = measures.Measure(name, context.params["process"], context.params["keyed"])


def map(ping):
    """The ping's histogram of that name, if it has it; arrays of different lengths have different keys."""
    for of_key, array in measure(ping.data):
        yield [*key(ping), name, *of_key, len(array) - arrays.STATISTICS], array
