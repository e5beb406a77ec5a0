"""A histogram as text: bars with its percentiles for people, or a table of its buckets for programs."""

from collections import namedtuple
from fractions import Fraction

from tel import arrays, percentiles
from tel.errors import printable

# How bars are drawn: columns in all, plain ASCII or not, which percentiles, empty buckets at the ends or not.
Style = namedtuple("Style", "width ascii percents all")

EIGHTHS = "▏▎▍▌▋▊▉█"
LEAST_BAR = 10  # columns of a bar, however narrow the terminal


def drawn(key, array, definition, layout, style):
    """Yield the lines of a histogram: its key, statistics and percentiles, a bar for each bucket, an empty line."""
    counts, ranged = array[: layout.n_buckets], definition.ranged
    yield title(key)
    yield _statistics(counts, array[layout.n_buckets])
    yield _percentiles(counts, layout.bounds, ranged, style.percents)
    yield from _bars(counts, _names(definition, layout), style)
    yield ""


def title(key):
    """A key as one line.

    >>> title(["nightly", "26.0a1", "GC_MS", 30])
    'nightly 26.0a1 GC_MS 30'
    """
    return printable(" ".join(map(str, key)) if isinstance(key, (list, tuple)) else str(key))


def _statistics(counts, total):
    values = sum(counts)
    mean = f", mean {number(total / values)}" if values and total != arrays.ABSENT else ""
    return f"{values:,} values in {len(counts)} buckets{mean}"


def _percentiles(counts, bounds, ranged, percents):
    shares = [Fraction(str(percent)) / 100 for percent in percents]
    found = zip(percents, percentiles.of(bounds, counts, shares, ranged))
    said = (f"{_named(percent)} {'>= ' * value[1]}{number(value[0])}" for percent, value in found if value)
    return ", ".join(said) or "no values"


def _named(percent):
    return "median" if percent == 50 else f"{percent:g}%"


def number(value):
    """A number with at least five digits.

    >>> number(1.0), number(12.345678), number(1234567.8)
    ('1', '12.346', '1,234,568')
    """
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.5g}"


def _names(definition, layout):
    """What stands before each bar: the lower bound, a label, or both."""
    names = [*map(str, layout.bounds)]
    if definition.ranged:
        names[-1] = f">= {names[-1]}"
    return [f"{name} {printable(label)}".strip() for name, label in zip(names, labels(definition, layout))]


def labels(definition, layout):
    """The label of each bucket, empty where it has none."""
    return [*definition.labels, *[""] * layout.n_buckets][: layout.n_buckets]


def _bars(counts, names, style):
    first, end = (0, len(counts)) if style.all else _filled(counts)
    values, most = sum(counts) or 1, max(counts) or 1
    left = max(map(len, names[first:end]), default=0)
    right = len(f"{most:,}")
    room = max(style.width - left - right - len("   100.0%"), LEAST_BAR)
    for name, count in zip(names[first:end], counts[first:end]):
        bar = _bar(count / most * room, style.ascii)
        yield f"{name:>{left}} {bar:<{room}} {count:>{right},} {count / values:>6.1%}"


def _bar(length, ascii):
    """A bar of some columns; what is not empty is seen.

    >>> _bar(2.5, False), _bar(0.01, True), _bar(0, True)
    ('██▌', '#', '')
    """
    if ascii:
        return "#" * max(round(length), length > 0)
    eighths = max(round(length * 8), length > 0)
    return EIGHTHS[-1] * (eighths // 8) + (EIGHTHS[eighths % 8 - 1] if eighths % 8 else "")


def _filled(counts):
    """(first, end) of the buckets between the first and the last that are not empty."""
    filled = [at for at, count in enumerate(counts) if count]
    return (filled[0], filled[-1] + 1) if filled else (0, 0)


def rows(key, array, definition, layout):
    """Yield the lines of a table: key, lower bound, upper bound (empty: none), count, share, label; tabs between."""
    counts = array[: layout.n_buckets]
    values, ranged = sum(counts) or 1, definition.ranged
    ends = [*layout.bounds[1:], ""] if ranged else [""] * layout.n_buckets
    for bound, end, count, label in zip(layout.bounds, ends, counts, labels(definition, layout)):
        yield "\t".join(map(str, (title(key), bound, end, count, f"{count / values:.6g}", printable(label))))
