"""histograms: the sum of every histogram, by channel, version, name and number of buckets."""

import json

from tel import arrays


def map(key, dims, value, context):
    """Each histogram of the ping; arrays of different lengths have different keys."""
    ping = json.loads(value)
    for name, array in ping.get("payload", ping).get("histograms", {}).items():
        context.write([dims[2], dims[3], name, len(array) - arrays.STATISTICS], array)


def combine(key, values, context):
    """Arrays of one length add up."""
    context.write(key, arrays.add_all(values))


reduce = combine
