"""The typed tier: the canonical one, with the buckets of a layout as the fields of a msgspec type. Owns msgspec.

A wrong bucket, a count that is no integer and a repeated quote are errors of the type's own decoder.
"""

import functools

import msgspec
from msgspec.structs import astuple

from tel import canonical

_encode = msgspec.json.Encoder().encode


class Layout(canonical.Layout):
    """A layout whose counts are decoded by a type of its own."""

    def __init__(self, layout):
        super().__init__(layout)
        self._decode = _decoder(tuple(layout.keys)) if len(set(layout.keys)) == len(layout.keys) else None

    def _counts(self, values):
        if self._decode is None or len(values) > canonical.LONGEST_VALUES:
            return super()._counts(values)
        try:
            counts = astuple(self._decode(f"{{{values}}}"))
        except (msgspec.DecodeError, ValueError):
            return None
        return super()._counts(values) if min(counts) < 0 else _encode(counts)[1:-1].decode()


@functools.lru_cache(maxsize=4096)
def _decoder(keys):
    """The decoder of an object with these keys, all optional, whose values are integers."""
    fields = [(f"b{at}", int, msgspec.field(default=0, name=key)) for at, key in enumerate(keys)]
    return msgspec.json.Decoder(msgspec.defstruct("Values", fields, forbid_unknown_fields=True, gc=False)).decode


class Heads(canonical.Heads):
    """Heads whose values are decoded by type."""

    def __init__(self, known):
        super().__init__(known, Layout)


def look(data):
    """The Outline of a classic ping's text; None where only the reference way can tell."""
    return canonical.look(data, "fast", Heads)
