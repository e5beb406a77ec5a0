"""rejects [FIELD...]: how many lines or histograms were rejected, by tool, error_type and name, or by other fields."""

import json

READS = "lines"
VALUES = "sum"
DEFAULTS = {}
FIELDS = ["tool", "error_type", "name"]


def setup(context):
    """Takes the fields asked for."""
    global fields
    fields = context.parameters or FIELDS


def map(line):
    """One for each line of a file of rejects."""
    reject = json.loads(line)
    yield [reject.get(field) for field in fields], 1
