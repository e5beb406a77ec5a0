"""os-count: how many pings came from each operating system."""

from tel import parts

READS = "bytes"
PARAMETERS = []
DEFAULTS = {}
READ = parts.Reader(("info", "OS"), ("environment", "system", "os", "name"))


def map(key, dims, value, context):
    """One for each ping, under the name of its operating system."""
    classic, unified = READ(value)
    context.write(classic or unified or "UNKNOWN", 1)


def combine(key, values, context):
    """Ones add up."""
    context.write(key, sum(values))


reduce = combine
