"""The body of a request unfolded from its Content-Encoding, never further than a limit. The one user of `brotli`."""

import zlib

from tel.errors import BadData

PIECE = 1 << 18
MOST_MEMBERS = 100  # of gzip in one body, each of which costs a copy of the rest


class Unsupported(Exception):
    """A Content-Encoding that cannot be undone here."""


class TooLarge(Exception):
    """More plain bytes than the limit."""


def plain(body, encoding, limit):
    """The plain bytes of a body, at most `limit` of them, by the name of its encoding.

    Several members of gzip are one body. Raises Unsupported, TooLarge, BadData `corrupt` or `truncated`.

    >>> plain(b"a", "identity", 10)
    b'a'
    """
    unfold = _unfolder(encoding.strip().lower())
    parts, left = [], limit
    for part in unfold(body):
        left -= len(part)
        if left < 0:
            raise TooLarge(f"more than {limit} bytes when decompressed")
        parts.append(part)
    return b"".join(parts)


def check(encoding):
    """Raise Unsupported for an encoding that `plain` cannot undo."""
    _unfolder(encoding.strip().lower())


def _unfolder(name):
    if name in ("", "identity"):
        return lambda body: (body,)
    if name in ("gzip", "x-gzip"):
        return _gzip
    if name == "deflate":
        return _deflate
    if name == "br" and _brotli():
        return _br
    raise Unsupported(f"the content encoding {name[:40]!r} is not among gzip, deflate, br and identity")


def _gzip(body):
    """The members one after another; zeros behind the last are padding."""
    for _ in range(MOST_MEMBERS):
        body = (yield from _inflated(body, 31)).lstrip(b"\0")
        if not body:
            return
    raise BadData("corrupt", f"corrupt gzip data: more than {MOST_MEMBERS} members")


def _deflate(body):
    """RFC 9110 says zlib's format; some clients send the bare stream."""
    is_zlib = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
    rest = yield from _inflated(body, 15 if is_zlib else -15)
    if rest:
        raise BadData("corrupt", "corrupt deflate data: bytes behind its end")


def _inflated(body, wbits):
    """Yield what one stream of zlib's holds, in pieces; returns what follows it."""
    decoder = zlib.decompressobj(wbits)
    try:
        while not decoder.eof:
            part = decoder.decompress(body, PIECE)
            body = decoder.unconsumed_tail
            if not part and not body and not decoder.eof:
                raise BadData("truncated", "truncated compressed data: it is cut short")
            yield part
    except zlib.error as error:
        raise BadData("corrupt", f"corrupt compressed data: {error}") from None
    return decoder.unused_data


def _brotli():
    """The library of brotli, or None."""
    try:
        import brotli
    except ImportError:
        return None
    return brotli if hasattr(brotli.Decompressor, "can_accept_more_data") else None  # else it has no bound


def _br(body):
    library = _brotli()
    decoder = library.Decompressor()
    try:
        while not decoder.is_finished():
            part = decoder.process(body, output_buffer_limit=PIECE)
            if not part and decoder.can_accept_more_data():
                raise BadData("truncated", "truncated compressed data: it is cut short")
            body = b""
            yield part
    except library.error as error:
        raise BadData("corrupt", f"corrupt br data: {error}") from None
