"""histogram NAME: the sum of one histogram of the main process, by channel, version, name and number of buckets."""

from tel import arrays, parts

PARAMETERS = ["NAME"]


def map(key, dims, value, context):
    """The ping's histogram of that name, if it has it; arrays of different lengths have different keys."""
    name = context.parameters[0]
    if f'"{name}"' in value:
        array = histogram(name, value)
        if array is not None:
            context.write([dims[2], dims[3], name, len(array) - arrays.STATISTICS], array)


def histogram(name, value):
    """The array of that name in a ping's text, or None."""
    if name not in READERS:
        READERS[name] = parts.Reader(("payload",), ("payload", "histograms", name), ("histograms", name))
    payload, inner, outer = READERS[name](value)
    return arrays.checked(name, outer if payload is None else inner)


READERS = {}


def combine(key, values, context):
    """Arrays of one length add up."""
    context.write(key, arrays.add_all(values))


def reduce(key, values, context):
    """The sum in the storage format."""
    context.write(key, arrays.finish(arrays.add_all(values)))
