"""The typed tier: the canonical one, with histograms decoded by msgspec types. Owns msgspec.

A histogram is an object of one type, its values one of another, whose fields are the buckets of a layout: a wrong
member, a wrong bucket and a count that is no integer are errors of the decoders. Statistics keep their digits.
"""

import functools
import itertools
import os

import msgspec
from msgspec.structs import astuple

from tel import canonical, definitions, document, heads, jsonl, pings
from tel.errors import BadData
from tel.proof import LONGEST_DIGITS, ZEROS, holds

_ERRORS = (msgspec.DecodeError, ValueError, RecursionError)
_DIGITS = "0123456789"  # what the names of buckets end with
_NEVER = os.urandom(16).hex()  # begins a name that no input can hold
_ABSENT = msgspec.Raw(b"-1")
_counted = itertools.count().__next__


class Histogram(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A histogram of the classic generation; its values, and numbers that may have a fraction, as they are written."""

    range: tuple[int, int]
    bucket_count: int
    histogram_type: int
    values: msgspec.Raw
    sum: int
    log_sum: msgspec.Raw = _ABSENT
    log_sum_squares: msgspec.Raw = _ABSENT
    sum_squares_lo: int = -1
    sum_squares_hi: int = -1
    number: int = msgspec.field(default_factory=_counted, name=_NEVER)  # of those made so far


_MEMBERS = Histogram.__struct_encode_fields__
_decode = msgspec.json.Decoder(dict[str, Histogram]).decode
_encode = msgspec.json.Encoder().encode


class _Decoders(dict):
    """The decoders of the values of histograms, by name, number of buckets, type and range, as they are asked for.

    Raises ValueError for histograms that nobody defines so.
    """

    def __init__(self, known):
        self._known = known

    def __missing__(self, shape):
        name, buckets, type, low_high = shape
        definition = definitions.find(self._known, name)
        layout = definition and not definition.keyed and definition.by_buckets.get(buckets)
        if not layout or type not in layout.types or list(low_high) != layout.range:
            raise ValueError(name)
        decode = self[shape] = _decoder(layout.keys)
        return decode


class Heads:
    """The histograms of some definitions, known by all that comes before their values."""

    def __init__(self, known):
        self._known, self._decoders = known, _Decoders(known)

    @functools.cached_property
    def _canonical(self):
        """What takes one oddity for less than the end of a whole ping, if more slowly."""
        return heads.Heads(self._known)

    def arrays(self, text):
        """The same as heads.Heads.arrays."""
        found = None if "\\" in text or _has_odd_minus(text) else self._found(text)
        if found is None:
            return self._canonical.arrays(text)
        names, odd, arrays = found
        if len(names) > pings.MOST_HISTOGRAMS or len(odd) > heads.MOST_DOUBTS:
            return None
        try:
            return arrays, list(_doubts(text, names, odd, arrays))
        except (BadData, ValueError):
            return None

    def doubts(self, text):
        """The members that `arrays` leaves in doubt."""
        found = self.arrays(text)
        return found and found[1]

    def _found(self, text):
        """(all names, the places of those in doubt, the arrays of the others); None where types do not fit."""
        before = _counted()
        try:
            found = _decode(text)
            if _counted() - before > len(found) + 1:  # a name is there twice
                return None
            rows, odd = self._rows(found)
            return list(found), odd, _encode(rows)
        except _ERRORS:
            return None

    def _rows(self, found):
        """({name: array} of histograms, the places of those in doubt). Raises ValueError."""
        decoders, rows, reals, odd = self._decoders, {}, [], []
        for name, histogram in found.items():
            log_sum, log_sum_squares = histogram.log_sum, histogram.log_sum_squares
            if log_sum is not log_sum_squares:
                reals += log_sum, log_sum_squares
            try:
                decode = decoders[name, histogram.bucket_count, histogram.histogram_type, histogram.range]
                rows[name] = astuple(decode(histogram.values)) + (
                    histogram.sum,
                    log_sum,
                    log_sum_squares,
                    histogram.sum_squares_lo,
                    histogram.sum_squares_hi,
                )
            except _ERRORS:
                if bytes(histogram.values).find(b"{", 1) > 0:
                    raise ValueError(name) from None  # it may hide what looks like another
                odd.append(len(rows) + len(odd))
        _check_reals(b",".join(reals))
        return rows, odd


def _check_reals(text):
    """Raise ValueError unless the JSON values in a text are numbers without exponents, and no double overflows."""
    if text.translate(None, b"0123456789.,-") or LONGEST_DIGITS in text.translate(ZEROS):
        raise ValueError("not plain numbers")


@functools.lru_cache(maxsize=4096)
def _decoder(keys):
    """The decoder of an object of integers, with these keys, all optional; of those alike, the last one counts."""
    last = {key: at for at, key in enumerate(keys)}
    names = [key if last[key] == at else f"{_NEVER}{at}" for at, key in enumerate(keys)]
    fields = [(f"b{at}", int, msgspec.field(default=0, name=name)) for at, name in enumerate(names)]
    return msgspec.json.Decoder(msgspec.defstruct("Values", fields, forbid_unknown_fields=True, gc=False)).decode


def _has_odd_minus(text):
    """Whether a minus sign comes before a zero, or may make a count negative; there are few such signs.

    >>> _has_odd_minus('"sum":-5'), _has_odd_minus('"sum":-0'), _has_odd_minus('"7":-5'), _has_odd_minus('"7": -5')
    (False, True, True, True)
    """
    at = text.find("-")
    while at >= 0:
        if text.startswith("0", at + 1) or text[at - 2 : at] != '":' or text[at - 3] in _DIGITS:
            return True
        at = text.find("-", at + 1)
    return False


def _doubts(text, names, odd, arrays):
    """Yield the doubts of a parted.Container that the names at the `odd` places are, in their order.

    Raises ValueError for one that is not written as clients do, BadData for one that is no JSON. No name is found
    before an object elsewhere: in a Histogram that is that of its values, in which there are no others.
    """
    end, at, last = 0, 0, len(names) - 1
    for place in odd:
        name, share = names[place], place / len(names)
        start = _once(text, f'"{name}":{{', end, share)
        end = text.index(f',"{names[place + 1]}":{{', start) if place < last else len(text) - 1
        if name in _MEMBERS or text[start - 1] not in "{," or text[end - 1] != "}":
            raise ValueError(name)
        if len(document.parsed(f"{{{text[start:end]}}}")) != 1:
            raise ValueError(name)
        good = next((names[each] for each in range(place + 1, last + 1) if each not in odd), None)
        if good is None:
            at = len(arrays) - (arrays == b"{}")
        else:
            at = _once(arrays, b'"%s":[' % good.encode(), at, share)
        yield start, end, at


def _once(text, mark, start, share):
    """Where in a text lies what it has once, not before a place, and most likely at a share of the whole (0 to 1)."""
    likely, span = int(len(text) * share), len(text) // 8
    found = text.find(mark, max(start, likely - span), likely + span)
    return text.index(mark, start) if found < 0 else found


_SKIPPED = msgspec.json.Decoder(msgspec.Raw).decode


def strict(data):
    """Whether bytes are an object of strict JSON; False in doubt."""
    try:
        return holds(data) and bool(_SKIPPED(data))
    except _ERRORS:
        return False


_decode_any = msgspec.json.Decoder().decode


def _parsed(text):
    """The value of strict JSON in a str. Raises BadData."""
    try:
        return jsonl.check_surrogates(text, _decode_any(text))
    except _ERRORS:
        raise BadData("not_json", "not JSON") from None


def look(data, version=None):
    """The Outline of a classic ping's text; None where only the reference way can tell."""
    return canonical.look(data, version, Heads, _parsed)
