"""histograms: the sum of every histogram of the main process, by channel, version, name and number of buckets."""

from tel import arrays, sums

BYTES = True
SUMS = sums.Sums()


def map(key, dims, value, context):
    """Each histogram of the ping; arrays of different lengths have different keys."""
    SUMS.add((dims[2], dims[3]), value)
    if SUMS.full:
        finish_map(context)


def finish_map(context):
    """What was added up so far."""
    for key, array in SUMS.take():
        context.write(key, array)


def combine(key, values, context):
    """Arrays of one length add up."""
    context.write(key, arrays.add_all(values))


def reduce(key, values, context):
    """The sum in the storage format."""
    context.write(key, arrays.finish(arrays.add_all(values)))
