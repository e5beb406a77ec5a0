"""dashboard: every measure by channel, major version, day and kind of machine, for tel-dashboard; answers add up."""

from tel import dashboard

READS, MERGES = "bytes", True
PARAMETERS, DEFAULTS = [], {}
VALUES = dashboard.merged
TALLY = dashboard.Tally()


def map(ping):
    """Nothing yet, the ping's measures being added to what there is, by the days of its build and its submission."""
    TALLY.add(list(ping.dims.values()), ping.value)
    if TALLY.full:
        yield from TALLY.take()


def finish_map():
    """What was added up since; counts of what was left out too."""
    yield from TALLY.take()
