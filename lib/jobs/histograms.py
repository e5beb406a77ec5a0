"""histograms: the sum of every histogram of the main process, by channel, version, name and number of buckets."""

import json

from tel import arrays


def map(key, dims, value, context):
    """Each histogram of the ping; arrays of different lengths have different keys."""
    for name, array in arrays.of_ping(json.loads(value)).items():
        context.write([dims[2], dims[3], name, len(array) - arrays.STATISTICS], array)


def combine(key, values, context):
    """Arrays of one length add up."""
    context.write(key, arrays.add_all(values))


def reduce(key, values, context):
    """The sum in the storage format."""
    context.write(key, arrays.finish(arrays.add_all(values)))
