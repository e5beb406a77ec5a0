"""Histograms in the compact storage format: made, taken apart, and added.

Stored: `[b0..bN, sum, log_sum, log_sum_squares, sum_squares_lo, sum_squares_hi]`, a count for each bucket of the
definition, then five statistics; what a ping lacks is -1. The format is the 2013 telemetry server's.

Adding is exact: in any order and any grouping the same bytes come out.

A statistic (one of the last five elements) is a number, -1 where it is absent, or, in a sum that is still to grow, a
list of numbers that add up to it. Sums of floats are kept as such a list, of the correctly rounded sum and what
rounding left over; so is a sum that comes out as -1 and is not absent.
"""

import math

from tel.errors import BadData

NAMES = ("sum", "log_sum", "log_sum_squares", "sum_squares_lo", "sum_squares_hi")  # of the last elements of an array
STATISTICS = len(NAMES)
ABSENT = -1


def compact(layout, histogram):
    """The storage array of a histogram that fits its layout.

    >>> from tel.definitions import define
    >>> layout = define("A", {"kind": "boolean"}).layouts[0]
    >>> compact(layout, {"values": {"0": 5, "1": 2}, "sum": 2})
    [5, 2, 0, 2, -1, -1, -1, -1]
    """
    array = [0] * layout.n_buckets
    position = layout.position
    for key, count in histogram["values"].items():
        array[position[key]] = count
    array += [histogram.get(name, ABSENT) for name in NAMES]
    return array


def expand(layout, array):
    """The histogram as clients send it; buckets whose count is 0 and statistics that are -1 are left out.

    >>> from tel.definitions import define
    >>> layout = define("A", {"kind": "boolean"}).layouts[0]
    >>> expand(layout, [5, 2, 0, 2, -1, -1, -1, -1])["values"]
    {'0': 5, '1': 2}
    """
    buckets = layout.n_buckets
    histogram = {
        "range": layout.range,
        "bucket_count": buckets,
        "histogram_type": layout.types[0],
        "values": {key: count for key, count in zip(layout.keys, array) if count},
    }
    histogram.update((name, number) for name, number in zip(NAMES, array[buckets:]) if number != ABSENT)
    return histogram


def of_ping(ping):
    """The histograms of a stored ping's main process, {name: array}. Raises BadData `not_stored` for other forms.

    >>> of_ping({"ver": 2, "histograms": {"A": [1, 0, 1, -1, -1, -1, -1]}})
    {'A': [1, 0, 1, -1, -1, -1, -1]}
    """
    payload = ping.get("payload")
    holder = ping if payload is None else payload
    histograms = holder.get("histograms", {}) if isinstance(holder, dict) else None
    if not isinstance(histograms, dict):
        raise BadData("not_stored", "the ping's payload or its histograms are no object")
    for name, array in histograms.items():
        present(name, array)
    return histograms


def present(name, array):
    """The array of a histogram. Raises BadData `not_stored` for null, too.

    >>> present("A", [1, 0, 1, -1, -1, -1, -1])
    [1, 0, 1, -1, -1, -1, -1]
    """
    if checked(name, array) is None:
        raise BadData("not_stored", f"the histogram {name:.60} is null")
    return array


def checked(name, array):
    """The array of a histogram, or None. Raises BadData `not_stored` for anything else.

    >>> checked("A", [1, 0, 1, -1, -1, -1, -1])
    [1, 0, 1, -1, -1, -1, -1]
    """
    if array is None:
        return None
    if array.__class__ is not list or len(array) <= STATISTICS:
        reason = f"the histogram {name:.60} is not in the storage format"
        raise BadData("not_stored", reason, cure="tel-convert brings pings into it")
    if any(count.__class__ is not int or count < 0 for count in array[:-STATISTICS]):
        raise BadData("not_stored", f"the histogram {name:.60} has a count that is no integer >= 0")
    if any(number.__class__ not in (int, float) for number in array[-STATISTICS:]):
        raise BadData("not_stored", f"the histogram {name:.60} has a statistic that is no number")
    return array


def add_all(arrays):
    """The sum of storage arrays of one length, itself fit to be added to. Raises ValueError where lengths differ.

    >>> add_all([[1, 2, 5, 0.1, -1, -1, 7], [1, 0, 2, 0.2, -1, 3, -8]])
    [2, 2, 7, [0.30000000000000004, -2.7755575615628914e-17], -1, 3, [-1]]
    """
    if len(set(map(len, arrays))) > 1:
        raise ValueError("arrays of different lengths have different buckets and cannot be added")
    columns = list(zip(*arrays))
    return [*map(sum, columns[:-STATISTICS]), *map(_together, columns[-STATISTICS:])]


def add(a, b):
    """The sum of two storage arrays.

    >>> add([1, -1, -1, -1, -1, -1], [2, 1, -1, -1, -1, -1])
    [3, 1, -1, -1, -1, -1]
    """
    return add_all((a, b))


def finish(array):
    """A sum in the storage format: every statistic one number, correctly rounded.

    >>> finish([2, 2, 7, [0.30000000000000004, -2.7755575615628914e-17], -1, 3, [-1]])
    [2, 2, 7, 0.30000000000000004, -1, 3, -1]
    """
    return [*array[:-STATISTICS], *map(_rounded, array[-STATISTICS:])]


def _together(column):
    """The statistic that some values of it add up to."""
    parts = []
    for value in column:
        if value.__class__ is list:
            parts += value
        elif value != ABSENT:
            parts.append(value)
    if not parts:
        return ABSENT
    integers = [part for part in parts if part.__class__ is int]
    floats = [part for part in parts if part.__class__ is float]
    if len(integers) + len(floats) < len(parts):
        raise ValueError("a statistic that is no number")
    whole = sum(integers)
    exact = ([whole] if whole or not floats else []) + (exactly(floats) if floats else [])
    return exact[0] if len(exact) == 1 and exact[0] != ABSENT else exact


def exactly(floats):
    """Floats that add up exactly to the sum of some: its rounding, that of the rest, until no rest is left.

    >>> exactly([0.1, 0.2])
    [0.30000000000000004, -2.7755575615628914e-17]
    """
    parts = [math.fsum(floats)]
    while True:
        rest = math.fsum([*floats, *(-part for part in parts)])
        if not rest:
            return parts
        parts.append(rest)


def _rounded(value):
    if value.__class__ is not list:
        return value
    return nearest(value)


def nearest(parts):
    """The number that some numbers add up to, correctly rounded where there is a float among them.

    >>> nearest([9007199254740993, 0.5]), nearest([2**60, 1])
    (9007199254740994.0, 1152921504606846977)
    """
    whole = sum(part for part in parts if part.__class__ is not float)
    floats = [part for part in parts if part.__class__ is float]
    if not floats:
        return whole
    if abs(whole) <= 1 << 53:
        return math.fsum([whole, *floats])
    from fractions import Fraction

    return float(sum(map(Fraction, floats), Fraction(whole)))
