"""The typed tier: the canonical one, with the buckets of a layout as the fields of a msgspec type. Owns msgspec.

A wrong bucket, a count that is no integer and a stray quote are errors of the type's own decoder.
"""

import functools

import msgspec
from msgspec.structs import astuple

from tel import canonical
from tel.arrays import NAMES

LONGEST_STATISTICS = 300  # characters of those of one histogram
_encode = msgspec.json.Encoder().encode


class Layout(canonical.Layout):
    """A layout whose counts are decoded by a type of its own."""

    def __init__(self, layout):
        super().__init__(layout)
        self._decode = _decoder(layout.keys) if len(set(layout.keys)) == len(layout.keys) else None

    def _counts(self, values):
        if self._decode is None or "-" in values or len(values) > canonical.LONGEST_VALUES:
            return super()._counts(values)
        try:
            return _encode(astuple(self._decode(f"{{{values}}}")))[1:-1].decode()
        except (msgspec.DecodeError, ValueError):
            return None


@functools.lru_cache(maxsize=4096)
def _decoder(keys):
    """The decoder of an object with these keys, all optional, whose values are integers."""
    fields = [(f"b{at}", int, msgspec.field(default=0, name=key)) for at, key in enumerate(keys)]
    return msgspec.json.Decoder(msgspec.defstruct("Values", fields, forbid_unknown_fields=True, gc=False)).decode


_NUMBERS = msgspec.json.Decoder(
    list[
        msgspec.defstruct(
            "Statistics",
            [("sum", float)] + [(name, float, 0.0) for name in NAMES[1:]],
            forbid_unknown_fields=True,
            gc=False,
        )
    ]
).decode


_LOGARITHMS, _SQUARES = b',"log_sum":,"log_sum_squares":', b',"sum_squares_lo":,"sum_squares_hi":'
_ORDERS = {b'sum":' + some for some in (b"", _LOGARITHMS, _SQUARES, _LOGARITHMS + _SQUARES)}  # of names, less numbers


class Heads(canonical.Heads):
    """Heads whose values are decoded by type, and the statistics of all histograms at once."""

    layout_class = Layout

    @staticmethod
    def _are_numbers(tails, text):
        if "-0" in text or max(map(len, tails), default=0) > LONGEST_STATISTICS:
            return False
        if not _ORDERS.issuperset(text.encode().translate(None, b"0123456789.-").split(b"\n")):
            return False
        try:
            return len(_NUMBERS('[{"' + '},{"'.join(tails) + "}]")) == len(tails)
        except (msgspec.DecodeError, ValueError):
            return False


def look(data, version=None):
    """The Outline of a classic ping's text; None where only the reference way can tell."""
    return canonical.look(data, version, Heads)
