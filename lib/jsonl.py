"""Strict JSON in and out: the one place that decides what is JSON, and the one user of ujson.

Read by the standard library's parser, which knows the grammar of RFC 8259, made strict where it is not: NaN,
Infinity, numbers beyond a double, lone surrogates and bytes that are not UTF-8 are errors. Written by ujson.
"""

import os
from json import JSONDecodeError, JSONDecoder

import ujson

from tel.errors import BadData

WHITESPACE = " \t\n\r"
REMOVED = object()  # in Document.replace: the member goes
MARK = f"opened elsewhere {os.urandom(16).hex()}"
_MARK_TEXT = f'"{MARK}"'


def _no_constant(word):
    raise ValueError(f"{word} is not a JSON number")


def _finite(text):
    number = float(text)
    if number - number != 0:
        raise ValueError(f"the number {text[:40]} is too large")
    return number


_DECODER = JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def text(data):
    """The str of UTF-8 bytes; bytes that are not UTF-8 (CESU-8 surrogates too) raise BadData `not_utf8`.

    >>> text(b'{"a":1}')
    '{"a":1}'
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadData("not_utf8", f"not UTF-8: byte 0x{data[error.start]:02x} at position {error.start}") from None


def _strict(parse, *arguments):
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


def _check_surrogates(source, value):
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
    return _check_surrogates(source, _strict(_DECODER.decode, source))


def dumps(value):
    """Compact JSON bytes of a value, non-ASCII as UTF-8; NaN and Infinity raise ValueError.

    >>> dumps({"a": [1, "/é"]}).decode()
    '{"a":[1,"/é"]}'
    """
    return ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False, allow_nan=False).encode()


class Document:
    """One JSON object whose named top-level members can be exchanged while all other bytes stay as they are.

    `value` is the whole object. The members are cut out of the text before the rest is parsed, with a mark in
    their place that no input can hold; a member is spliced only if its mark came back as that very member.
    Where that fails (a name written with escapes, or twice) the whole object is parsed and printed instead.

    >>> Document(b'{"ver": 1, "x": 1e5}', ("ver",)).replace({"ver": 2})
    b'{"ver": 2, "x": 1e5}'
    """

    def __init__(self, data, members):
        source = text(data)
        self.value = self._open(source, members)
        if self.value is None:
            self._pieces = None
            self.value = _strict(_DECODER.decode, source)
        _check_surrogates(source, self.value)

    def _open(self, source, members):
        """The object, its text cut into `_pieces` around the members; None where that cannot be done safely."""
        try:
            found = sorted((at, name) for at, name in ((_place(source, name), name) for name in members) if at)
            pieces, texts, opened, start = [], {}, {}, 0
            for at, name in found:
                pieces.append(source[start:at])
                opened[name], start = _DECODER.scan_once(source, at)
                texts[name] = source[at:start]
            pieces.append(source[start:])
            value = _DECODER.decode(_MARK_TEXT.join(pieces))
        except (ValueError, StopIteration, RecursionError):
            return None
        if not isinstance(value, dict) or any(value.get(name) != MARK for name in opened):
            return None
        value.update(opened)
        self._pieces, self._texts = pieces, texts
        return value

    def replace(self, changes):
        """The object's bytes with some members exchanged, added at its end, or REMOVED."""
        present = changes.keys() & self.value.keys()
        if self._pieces is None or not present <= self._texts.keys() or REMOVED in changes.values():
            return dumps({name: value for name, value in {**self.value, **changes}.items() if value is not REMOVED})
        out = [self._pieces[0].encode()]
        for (name, old), piece in zip(self._texts.items(), self._pieces[1:]):
            out.append(dumps(changes[name]) if name in changes else old.encode())
            out.append(piece.encode())
        return _extended(b"".join(out), {name: value for name, value in changes.items() if name not in present})


def _extended(data, members):
    """An object's bytes with members added at its end.

    >>> _extended(b'{"a":1} ', {"b": 2})
    b'{"a":1,"b":2}'
    """
    if not members:
        return data
    head = data.rstrip(WHITESPACE.encode())[:-1].rstrip(WHITESPACE.encode())
    return head + (b"" if head.endswith(b"{") else b",") + dumps(members)[1:]


def _place(source, name):
    """Where the value of the only `"name":` in the text begins, or None.

    >>> _place('{"a": 1}', "a")
    6
    """
    token = f'"{name}"'
    at = source.find(token)
    if at < 0 or source.find(token, at + 1) >= 0:
        return None
    at += len(token)
    while source[at : at + 1] and source[at] in WHITESPACE:
        at += 1
    if source[at : at + 1] != ":":
        return None
    at += 1
    while source[at : at + 1] and source[at] in WHITESPACE:
        at += 1
    return at
