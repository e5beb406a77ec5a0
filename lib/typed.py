"""The typed tier: the canonical one, with the buckets of a layout as the fields of a msgspec type. Owns msgspec.

A wrong bucket, a count that is no integer and a stray quote are errors of the type's own decoder.
"""

import functools

import msgspec
from msgspec.structs import astuple

from tel import canonical
from tel.proof import holds

LONGEST_STATISTICS = 300  # characters of those of one histogram
_encode = msgspec.json.Encoder().encode


class Layout(canonical.Layout):
    """A layout whose counts are decoded by a type of its own (`decode`; None where bounds are alike)."""

    def __init__(self, layout):
        super().__init__(layout)
        self.decode = _decoder(layout.keys) if len(set(layout.keys)) == len(layout.keys) else None

    def tuple(self, values):
        """The counts for `"0":2,"7":1` as a tuple; None in doubt."""
        try:
            return astuple(self.decode(f"{{{values}}}"))
        except (TypeError, ValueError, msgspec.DecodeError):
            return None


@functools.lru_cache(maxsize=4096)
def _decoder(keys):
    """The decoder of an object with these keys, all optional, whose values are integers."""
    fields = [(f"b{at}", int, msgspec.field(default=0, name=key)) for at, key in enumerate(keys)]
    return msgspec.json.Decoder(msgspec.defstruct("Values", fields, forbid_unknown_fields=True, gc=False)).decode


_NUMBERS = msgspec.json.Decoder(list[float]).decode


class Heads(canonical.Heads):
    """Heads whose values are decoded by type, and printed all at once."""

    layout_class = Layout

    @staticmethod
    def _counts(asked):
        try:
            tuples = [astuple(layout.decode(f"{{{values}}}")) for layout, values in asked]
        except (TypeError, ValueError, msgspec.DecodeError):  # one of them is in doubt
            tuples = [layout.tuple(values) for layout, values in asked]
        texts = _encode([each for each in tuples if each is not None])[2:-2].decode()
        if "-" in texts:
            return [layout.counts(values) for layout, values in asked]
        printed = iter(texts.split("],["))
        return [
            layout.counts(values) if each is None else next(printed) for each, (layout, values) in zip(tuples, asked)
        ]

    @staticmethod
    def _are_numbers(text):
        if "-0" in text or max(map(len, text.split("\n"))) > LONGEST_STATISTICS:
            return False
        try:
            return bool(_NUMBERS(f"[{text}]".replace("\n", ",")))
        except (msgspec.DecodeError, ValueError):
            return False


_SKIPPED = msgspec.json.Decoder(msgspec.Raw).decode


def strict(data):
    """Whether bytes are an object of strict JSON; False in doubt."""
    try:
        return holds(data) and bool(_SKIPPED(data))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False


def look(data, version=None):
    """The Outline of a classic ping's text; None where only the reference way can tell."""
    return canonical.look(data, version, Heads)
