"""histogram NAME: the sum of one histogram of the main process, by channel, version, name and number of buckets."""

import json

from tel import arrays

PARAMETERS = ["NAME"]


def map(key, dims, value, context):
    """The ping's histogram of that name, if it has it; arrays of different lengths have different keys."""
    name = context.parameters[0]
    if f'"{name}"' in value:
        array = arrays.of_ping(json.loads(value)).get(name)
        if array is not None:
            context.write([dims[2], dims[3], name, len(array) - arrays.STATISTICS], array)


def combine(key, values, context):
    """Arrays of one length add up."""
    context.write(key, arrays.add_all(values))


def reduce(key, values, context):
    """The sum in the storage format."""
    context.write(key, arrays.finish(arrays.add_all(values)))
