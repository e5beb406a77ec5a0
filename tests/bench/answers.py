"""Whether peers answer what the suite does: as numbers, with what is absent (-1) counted as nothing."""

import json
import math
import re

NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?", re.IGNORECASE)


def table(text, keys):
    """{key fields: numbers} of the lines of an answer, whose arrays may be written in any way.

    >>> table("release\\t23.0\\t[5,-1]\\n", 2) == table("release\\t23.0\\t5\\t0\\n", 2)
    True
    """
    rows = (line.split("\t") for line in text.splitlines())
    return {tuple(row[:keys]): [_present(x) for x in NUMBER.findall("\t".join(row[keys:]))] for row in rows}


def _present(text):
    number = float(text)
    return 0.0 if number == -1 else number


def same_tables(ours, theirs):
    """Whether two tables have the same keys, and the same numbers but for rounding."""
    return ours.keys() == theirs.keys() and all(map(_close, ours.values(), (theirs[key] for key in ours)))


def _close(a, b):
    return len(a) == len(b) and all(math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-6) for x, y in zip(a, b))


def same_records(path, other):
    """Whether two files hold the same records as JSON values, whatever their end records say."""
    with open(path, "rb") as ours, open(other, "rb") as theirs:
        lines, others = list(ours), list(theirs)
    pairs = zip(map(json.loads, lines), map(json.loads, others))
    return len(lines) == len(others) and all(a == b for a, b in pairs if "end" not in a)
