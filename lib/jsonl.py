"""Strict JSON in and out: the one place that decides what is JSON, and the one user of ujson.

Read by the standard library's parser, which knows the grammar of RFC 8259, made strict where it is not: NaN,
Infinity, numbers beyond a double, lone surrogates and bytes that are not UTF-8 are errors. Written by ujson.
"""

from json import JSONDecodeError, JSONDecoder

import ujson

from tel.errors import BadData


def _no_constant(word):
    raise ValueError(f"{word} is not a JSON number")


def _finite(text):
    number = float(text)
    if number - number != 0:
        raise ValueError(f"the number {text[:40]} is too large")
    return number


class Real:
    """A number with a fraction or an exponent, kept as its text, so that it comes out with the digits it came in.

    >>> dumps([Real("1.50e3")])
    b'[1.50e3]'
    """

    __slots__ = ("text",)

    def __init__(self, text):
        _finite(text)
        self.text = text

    def __float__(self):
        return float(self.text)

    def __eq__(self, other):
        return float(self) == (float(other) if other.__class__ is Real else other)

    def __hash__(self):
        return hash(float(self))

    def __repr__(self):
        return self.text

    def __json__(self):
        return self.text


def decoder(real=_finite):
    """The standard library's parser made strict; `real` makes the number of a text that has a fraction or exponent."""
    return JSONDecoder(parse_constant=_no_constant, parse_float=real)


_DECODER = decoder()


def text(data):
    """The str of UTF-8 bytes; bytes that are not UTF-8 (CESU-8 surrogates too) raise BadData `not_utf8`.

    >>> text(b'{"a":1}')
    '{"a":1}'
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadData("not_utf8", f"not UTF-8: byte 0x{data[error.start]:02x} at position {error.start}") from None


def strict(parse, *arguments):
    """What `parse` returns, its errors said as BadData `not_json`."""
    try:
        return parse(*arguments)
    except JSONDecodeError as error:
        raise BadData("not_json", f"not JSON: {error.msg} at position {error.pos}") from None
    except RecursionError:
        raise BadData("too_deep", "not usable JSON: nested too deeply") from None
    except StopIteration as stop:
        raise BadData("not_json", f"not JSON: expecting a value at position {stop.value}") from None
    except ValueError as error:
        raise BadData("not_json", f"not JSON: {error}") from None


def check_surrogates(source, value):
    """Raise BadData if an escape in `source` left half a surrogate pair in `value`."""
    if "\\u" in source and ("\\ud" in source or "\\uD" in source):
        try:
            ujson.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise BadData("lone_surrogate", "not usable JSON: a lone surrogate in a string") from None
    return value


def loads(data):
    """The value of one JSON text in bytes; anything that is not strict JSON raises BadData.

    >>> loads(b'[1, 2.5, "x"]')
    [1, 2.5, 'x']
    """
    source = text(data)
    return check_surrogates(source, strict(_DECODER.decode, source))


def dumps(value):
    """Compact JSON bytes of a value, non-ASCII as UTF-8; NaN and Infinity raise ValueError.

    >>> dumps({"a": [1, "/é"]}).decode()
    '{"a":[1,"/é"]}'
    """
    return ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False, allow_nan=False).encode()
