"""Adding histograms in the storage format."""

STATISTICS = 5  # the last elements of an array: sum, log_sum, log_sum_squares, sum_squares_lo, sum_squares_hi
ABSENT = -1


def add(a, b):
    """The sum of two storage arrays of one length: counts add up; of the five statistics, -1 means absent.

    Counts and integer sums are exact whatever their size; sums of floats can differ in the last digits with the order.
    Raises ValueError for arrays of different lengths, whose buckets are not the same.

    >>> add([1, 2, 0, 5, -1, -1, -1, 7], [1, 0, 1, 2, -1, 3, -1, 1])
    [2, 2, 1, 7, -1, 3, -1, 8]
    """
    if len(a) != len(b):
        raise ValueError(f"arrays of {len(a)} and {len(b)} elements cannot be added")
    counts = len(a) - STATISTICS
    total = [x + y for x, y in zip(a[:counts], b[:counts])]
    for x, y in zip(a[counts:], b[counts:]):
        total.append(y if x == ABSENT else x if y == ABSENT else x + y)
    return total


def add_all(values):
    """The sum of an iterable of storage arrays.

    >>> add_all([[1, -1, -1, -1, -1, -1], [2, 1, -1, -1, -1, -1]])
    [3, 1, -1, -1, -1, -1]
    """
    values = iter(values)
    total = next(values)
    for value in values:
        total = add(total, value)
    return total
