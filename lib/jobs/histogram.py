"""histogram NAME: the sum of one histogram, by channel, version and number of buckets."""

import json

from tel import arrays

PARAMETERS = ["NAME"]


def map(key, dims, value, context):
    """The ping's histogram of that name, if it has it; arrays of different lengths have different keys."""
    name = context.parameters[0]
    if f'"{name}"' in value:
        ping = json.loads(value)
        array = ping.get("payload", ping).get("histograms", {}).get(name)
        if array is not None:
            context.write([dims[2], dims[3], name, len(array) - arrays.STATISTICS], array)


def combine(key, values, context):
    """Arrays of one length add up."""
    context.write(key, arrays.add_all(values))


reduce = combine
