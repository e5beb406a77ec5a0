"""Percentiles of what buckets hold, values being spread evenly within each."""

from fractions import Fraction

from tel.errors import UsageError


def shares(text):
    """{percentile: share of all values} of a list, as `5,50,99.9`. Raises UsageError.

    >>> shares("5,99.9")
    {'5': Fraction(1, 20), '99.9': Fraction(999, 1000)}
    """
    try:
        found = {word: Fraction(word) / 100 for word in text.split(",")}
    except (ValueError, ZeroDivisionError):
        found = {}
    if not found or not all(0 <= share <= 1 for share in found.values()):
        raise UsageError(f"percentiles are numbers from 0 to 100, as 5,50,99.9, not {text[:40]!r}")
    return found


def of(bounds, counts, shares):
    """The values below which these shares of all values lie; None for each where there is no value at all.

    `bounds` are the lower bounds of the buckets. The last one has no upper bound: what is there lies at its lower one.

    Shares are Fractions, or floats as they are: no rank is rounded into another bucket.

    >>> of((0, 10, 20), (2, 2, 0), (0.25, 0.5, 0.75)), of((0, 1), (0, 0), (0.5,))
    ([5.0, 10.0, 15.0], [None])
    """
    whole = sum(counts)
    return [_value(bounds, counts, Fraction(share) * whole) if whole else None for share in shares]


def _value(bounds, counts, rank):
    """The value that `rank` of all values lie below."""
    for at, count in enumerate(counts):
        if count and rank <= count:
            width = bounds[at + 1] - bounds[at] if at + 1 < len(bounds) else 0
            return float(bounds[at] + width * max(rank, 0) / count)
        rank -= count
    return float(bounds[-1])
