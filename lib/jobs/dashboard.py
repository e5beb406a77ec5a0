"""dashboard: every measure by channel, major version, day and kind of machine, for tel-dashboard; answers add up."""

from tel import dashboard, jsonl

BYTES = MERGES = True
TALLY = dashboard.Tally()


def map(key, dims, value, context):
    """The ping's measures, by the day of its build and that of its submission."""
    TALLY.add(dims, jsonl.loads(value))
    if TALLY.full:
        finish_map(context)


def finish_map(context):
    """What was added up so far."""
    for key, value in TALLY.take():
        context.write(key, value)


def combine(key, values, context):
    """Measures of one day and kind of machine add up, counts of what was left out too."""
    context.write(key, dashboard.merged(values))


reduce = combine
