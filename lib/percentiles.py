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


def of(bounds, counts, shares, ranged=True):
    """[(value below which a share of all values lies, whether it is that or more)] for some shares; None of no values.

    `bounds` are the lower bounds of the buckets, which hold `ranged` values or only the bound itself. The last has no
    upper bound: what is there lies at its lower one, or above. Shares are Fractions, or floats as they are: no rank is
    rounded into another bucket.

    >>> of((0, 10, 20), (2, 2, 2), (0.25, 0.5, 1)), of((0, 1), (3, 1), (0.5,), False), of((0, 1), (0, 0), (0.5,))
    ([(7.5, False), (15.0, False), (20.0, True)], [(0.0, False)], [None])
    """
    whole = sum(counts)
    return [_found(bounds, counts, Fraction(share) * whole, ranged) if whole else None for share in shares]


def _found(bounds, counts, rank, ranged):
    """(value, whether it is that or more) that `rank` of all values lie below."""
    at = 0
    while not counts[at] or rank > counts[at]:  # there is such a bucket, as rank is no more than all values
        rank -= counts[at]
        at += 1
    last = at == len(bounds) - 1
    width = 0 if last or not ranged else bounds[at + 1] - bounds[at]
    return float(bounds[at] + width * rank / counts[at]), last and ranged
