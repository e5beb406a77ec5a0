"""Histograms.json of any age: what each histogram is, and the lower bounds of its buckets.

The bucket formulas are those of Firefox's toolkit/components/telemetry/histogram_tools.py, unchanged since 2013.
Numbers are integers, strings of integers, or (to Firefox 46) sums and products of them and of symbolic constants.
"""

import functools
import marshal
import math
import re
import zlib

from tel import jsonl
from tel.errors import BadData

EXPONENTIAL, LINEAR, BOOLEAN, FLAG, COUNT, CATEGORICAL = range(6)

# What a symbolic constant stood for: first what the 2013 server assumed, then what clients really compiled
# (js/public/GCAPI.h; toolkit/components/startup/StartupTimeline.h, by version).
CONSTANTS = {
    "JS::gcreason::NUM_TELEMETRY_REASONS": (101, 100),
    "js::gcreason::NUM_TELEMETRY_REASONS": (101, 100),
    "mozilla::StartupTimeline::MAX_EVENT_ID": (12, 11, 14, 16),
}
CATEGORICAL_PADDED = 50  # categorical histograms have at least that many values since Firefox 55
MOST_OPERATORS = 6  # of an expression; real ones have two
MOST_BUCKETS = 100_000  # bounds memory against a hostile file; real ones stay below 1,100


class Layout:
    """What one wire form of a histogram must look like: its types, range, and bucket lower bounds.

    `types` are the `histogram_type` numbers clients send (the definition's own first), `position` maps the decimal
    text of each lower bound to its index (the last, where wide linear ones repeat a bound).
    """

    __slots__ = ("types", "low", "high", "n_buckets", "bounds", "keys", "position", "range")

    def __init__(self, types, low, high, n_buckets, bounds):
        self.types, self.low, self.high, self.n_buckets = types, low, high, n_buckets
        self.bounds, self.range = bounds, [low, high]
        self.keys = tuple(map(str, bounds))
        self.position = {key: at for at, key in enumerate(self.keys)}

    def parameters(self):
        """What makes a Layout again."""
        return self.types, self.low, self.high, self.n_buckets, self.bounds


class Definition:
    """One histogram: `kind`, `keyed`, `labels` (categorical), `keys` (a closed list, or None) and its `layouts`.

    Mostly there is one layout; a definition that leaves a choice open (see CONSTANTS, and categorical sizes) has
    several, told apart by their number of buckets.
    """

    __slots__ = ("name", "kind", "keyed", "labels", "keys", "layouts", "by_buckets")

    def __init__(self, name, kind, keyed, labels, keys, layouts):
        self.name, self.kind, self.keyed, self.labels, self.keys = name, kind, keyed, labels, keys
        self.layouts = layouts
        self.by_buckets = {layout.n_buckets: layout for layout in reversed(layouts)}

    @property
    def ranged(self):
        """Whether a bucket stands for a range of values, and not for one."""
        return self.kind in ("linear", "exponential")


def load(data):
    """The {name: Definition} of a Histograms.json in bytes. Raises BadData `bad_definitions`.

    >>> load(b'{"A": {"kind": "enumerated", "n_values": "2 + 1"}}')["A"].layouts[0].bounds
    (0, 1, 2, 3)
    """
    try:
        raw = jsonl.loads(data)
        if not isinstance(raw, dict):
            raise ValueError("it is not an object")
        return {name: define(name, fields) for name, fields in raw.items()}
    except BadData as error:
        raise BadData("bad_definitions", error.reason) from None
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise BadData("bad_definitions", f"not a Histograms.json: {error}") from None


def dump(known):
    """Definitions as bytes that `undump` reads many times faster than `load` does a Histograms.json.

    >>> undump(dump(load(b'{"A": {"kind": "flag"}}')))["A"].layouts[0].bounds
    (0, 1, 2)
    """
    layouts = list(dict.fromkeys(layout for definition in known.values() for layout in definition.layouts))
    number = {layout: at for at, layout in enumerate(layouts)}
    entries = [
        (d.name, d.kind, d.keyed, d.labels, d.keys, tuple(number[layout] for layout in d.layouts))
        for d in known.values()
    ]
    data = marshal.dumps(([layout.parameters() for layout in layouts], entries), _MARSHAL)
    return zlib.crc32(data).to_bytes(4, "big") + data


def undump(data):
    """The definitions that `dump` made bytes of. Raises ValueError for bytes that are damaged."""
    if len(data) < 8 or zlib.crc32(data[4:]).to_bytes(4, "big") != data[:4]:
        raise ValueError("damaged table of definitions")
    parameters, entries = marshal.loads(data[4:])
    layouts = [Layout(*each) for each in parameters]
    return {
        name: Definition(name, kind, keyed, labels, keys, tuple(layouts[at] for at in numbers))
        for name, kind, keyed, labels, keys, numbers in entries
    }


_MARSHAL = 4  # the version of marshal's format, the same in every Python that can run this


def define(name, fields):
    """The Definition of one entry of Histograms.json. Raises ValueError."""
    try:
        kind = fields["kind"]
        layouts = tuple(_layout(*parameters) for parameters in _SHAPES[kind](fields))
    except KeyError as missing:
        raise ValueError(f"{name}: no {missing}, or a kind unknown") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{name}: {error}") from None
    keyed = fields.get("keyed") in (True, "true")
    return Definition(name, kind, keyed, _words(name, fields, "labels") or (), _words(name, fields, "keys"), layouts)


def _words(name, fields, member):
    """A list of strings of a definition as a tuple, None if it has none. Raises ValueError."""
    words = fields.get(member)
    if words is not None and not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        raise ValueError(f"{name}: {member} is no list of strings")
    return None if words is None else tuple(words)


def find(definitions, name):
    """The definition of a histogram on the wire: under its full name, else without `STARTUP_`; None if unknown.

    Clients make a STARTUP_ twin of many histograms themselves; some names begin so of their own.
    """
    found = definitions.get(name)
    if found is None and name.startswith("STARTUP_"):
        found = definitions.get(name[8:])
    return found


def evaluate(expression):
    """Every value a number of Histograms.json may stand for, as a tuple. Raises ValueError.

    Knows integers, `+`, `*` (binding closer) and CONSTANTS; it never evaluates anything else.

    >>> evaluate("2 * 60 * 1000 + 1")
    (120001,)
    """
    if isinstance(expression, int) and not isinstance(expression, bool):
        return (expression,)
    if not isinstance(expression, str) or expression.count("*") + expression.count("+") > MOST_OPERATORS:
        raise ValueError(f"{expression!r:.60} is no number")
    sums = [0]
    for term in expression.split("+"):
        products = [1]
        for factor in term.split("*"):
            products = [product * value for value in _factor(factor.strip()) for product in products]
        sums = [total + product for product in products for total in sums]
    return tuple(sums)


def _factor(word):
    if re.fullmatch(r"[0-9]{1,18}", word):
        return (int(word),)
    if word in CONSTANTS:
        return CONSTANTS[word]
    raise ValueError(f"{word[:60]!r} is neither an integer nor a known constant")


def _number(fields, name, default=None):
    values = evaluate(fields[name] if default is None else fields.get(name, default))
    if len(values) != 1:
        raise ValueError(f"{name} leaves a choice open")
    return values[0]


def _fixed(type):
    return lambda fields: [(LINEAR, (type,), 1, 2, 3)]


def _enumerated(fields):
    return [(LINEAR, (LINEAR,), 1, n, n + 1) for n in evaluate(fields["n_values"])]


def _ranged(type):
    def shape(fields):
        low, high, buckets = _number(fields, "low", 1), _number(fields, "high"), _number(fields, "n_buckets")
        return [(type, (type,), low, high, buckets)]

    return shape


def _categorical(fields):
    labels = len(fields["labels"])
    padded = max(labels, _number(fields, "n_values", 0), CATEGORICAL_PADDED)
    return [(LINEAR, (CATEGORICAL, LINEAR), 1, n, n + 1) for n in dict.fromkeys((labels, padded))]


_SHAPES = {
    "boolean": _fixed(BOOLEAN),
    "flag": _fixed(FLAG),
    "count": _fixed(COUNT),
    "enumerated": _enumerated,
    "linear": _ranged(LINEAR),
    "exponential": _ranged(EXPONENTIAL),
    "categorical": _categorical,
}


@functools.lru_cache(maxsize=4096)
def _layout(scale, types, low, high, n_buckets):
    """The Layout of these parameters, shared by all histograms and versions that have them."""
    if not 0 < low <= high or not 3 <= n_buckets <= MOST_BUCKETS:
        raise ValueError(f"impossible buckets: low {low}, high {high}, n_buckets {n_buckets}")
    bounds = exponential(low, high, n_buckets) if scale == EXPONENTIAL else linear(low, high, n_buckets)
    return Layout(types, low, high, n_buckets, bounds)


def linear(low, high, n_buckets):
    """The lower bounds of evenly spaced buckets; the first is 0.

    >>> linear(1, 10, 5)
    (0, 1, 4, 7, 10)
    """
    span = n_buckets - 2
    return (0, *(int((low * (n_buckets - 1 - i) + high * (i - 1)) / span + 0.5) for i in range(1, n_buckets)))


def exponential(low, high, n_buckets):
    """The lower bounds of buckets whose logarithms are evenly spaced; the first is 0, all are different.

    >>> exponential(1, 100, 5)
    (0, 1, 5, 22, 100)
    """
    log_high, current = math.log(high), low
    bounds = [0, low]
    for i in range(2, n_buckets):
        log_current = math.log(current)
        following = int(math.floor(math.exp(log_current + (log_high - log_current) / (n_buckets - i)) + 0.5))
        current = following if following > current else current + 1
        bounds.append(current)
    return tuple(bounds)
