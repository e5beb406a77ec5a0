"""distribution FIELD [by=FIELDS] [step=N]: how many pings have each value of a field, numbers taken down to steps."""

from tel import fields
from tel.errors import UsageError

PARAMETERS = ["FIELD"]
DEFAULTS = {"by": "", "step": "1"}
VALUES = "sum"


def setup(context):
    """Reads the field, and those to tell apart by."""
    global key, step
    step = int(context.params["step"]) if context.params["step"].isdecimal() else 0
    if not step:
        raise UsageError(f"step takes a whole number from 1, not {context.params['step']!r}")
    key = fields.Key([*fields.listed(context.params["by"]), *context.parameters])


def map(ping):
    """One for each ping, under the value; none for a ping that has no such field."""
    *by, value = key(ping)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = int(value // step * step)
    if value is not None:
        yield [*by, value], 1
