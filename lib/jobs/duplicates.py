"""duplicates: the document ids that are stored more than once, and how often."""

BYTES = True


def map(key, dims, value, context):
    """One for each ping, under its document id."""
    context.write(key, 1)


def combine(key, values, context):
    """Ones add up."""
    context.write(key, sum(values))


def reduce(key, values, context):
    """The ids that came more than once."""
    if sum(values) > 1:
        context.write(key, sum(values))
