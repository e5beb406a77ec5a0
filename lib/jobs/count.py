"""count [DIMENSION...]: how many pings there are, all together or by some dimensions."""

NAMES = ["reason", "appName", "appUpdateChannel", "appVersion", "appBuildID", "submission_date"]


def map(key, dims, value, context):
    """One for each ping, under the values of the dimensions asked for."""
    context.write([dims[NAMES.index(name)] for name in context.parameters] or "all", 1)


def combine(key, values, context):
    """Ones add up."""
    context.write(key, sum(values))


reduce = combine
