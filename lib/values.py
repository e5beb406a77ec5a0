"""Ways in which the values of one key become one, by name: each may be applied to some values, and to what it made.

In any order and any grouping the same comes out.
"""

from collections import namedtuple

from tel import arrays, jsonl
from tel.errors import UsageError
from tel.pairs import key_text

# `plus` makes one value of a list of them, `finish` what is said in the answer of the last one; `fits` tells whether a
# map may yield a value, which is to be `wanted`.
Monoid = namedtuple("Monoid", "plus finish fits wanted")


def total(values):
    """The sum of numbers, itself fit to be added to: of floats, a list of those that add up to it exactly.

    >>> total([1, 2]), total([0.1, 0.2]), total([total([0.1, 0.2]), -0.1])
    (3, [0.30000000000000004, -2.7755575615628914e-17], [0.2])
    """
    parts = [part for value in values for part in (value if _is_total(value) else (value,))]
    floats = [part for part in parts if isinstance(part, float)]
    whole = sum(part for part in parts if not isinstance(part, float))
    return [*([whole] if whole else []), *arrays.exactly(floats)] if floats else whole


def _is_total(value):
    return isinstance(value, list) and any(isinstance(part, float) for part in value)


def number(value):
    """A total as one number, correctly rounded.

    >>> number([1, 0.5])
    1.5
    """
    return arrays.nearest(value) if isinstance(value, list) else value


def columns(values):
    """The sums of the columns of lists of numbers. Raises ValueError where their lengths differ.

    >>> columns([[1, 2], [3, 4]])
    [4, 6]
    """
    if len(set(map(len, values))) > 1:
        raise ValueError("lists of different lengths have no columns")
    return [total(column) for column in zip(*values)]


def union(values):
    """All elements of some lists, each once, sorted by their text.

    >>> union([["b"], ["a", "b"]])
    ['a', 'b']
    """
    return [jsonl.loads(text) for text in sorted({key_text(element) for value in values for element in value})]


def _least(values):
    return min(values, key=_ordered)


def _most(values):
    return max(values, key=_ordered)


def _ordered(value):
    """What orders values; of those that are equal, as 1 and 1.0 are, always the same is the first."""
    return value, key_text(value)


def _same(value):
    return value


def _anything(value):
    return True


def _is_number(value):
    return isinstance(value, (int, float))


def _is_list(value):
    return isinstance(value, (list, tuple))


def _is_numbers(value):
    return _is_list(value) and all(map(_is_number, value))


MONOIDS = {
    "sum": Monoid(total, number, _is_number, "a number"),
    "columns": Monoid(columns, lambda value: [number(part) for part in value], _is_numbers, "a list of numbers"),
    "histograms": Monoid(arrays.add_all, arrays.finish, _is_list, "an array of the storage format"),
    "min": Monoid(_least, _same, _anything, "anything"),
    "max": Monoid(_most, _same, _anything, "anything"),
    "union": Monoid(union, _same, _is_list, "a list"),
}


def named(name):
    """The Monoid of a name; of a function of a list of values, one that uses it; None of None. Raises UsageError."""
    if name is None:
        return None
    if callable(name):
        return Monoid(name, _same, _anything, "anything")
    if not isinstance(name, str) or name not in MONOIDS:
        raise UsageError(f"VALUES of a job is a function or one of {', '.join(MONOIDS)}, not {name!r:.60}")
    return MONOIDS[name]
