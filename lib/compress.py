"""Compressed bytes in and out: every codec by its magic bytes, and zstd frames with a seek table.

The one user of `zstandard`. Compressed input is read member by member, frame by frame; a member that is still open
at the end of the input, or bytes that begin no member, are errors, whatever the codec's own library would let pass.
The seek table is that of the zstd seekable format: a skippable frame at the end of the file that lists the sizes of
all frames (https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md).
"""

import functools
import struct
import threading
from collections import namedtuple

from tel.errors import BadData

# decoder() gives (a decompressor, the class of its errors), feed(decompressor, block) its plain bytes
Codec = namedtuple("Codec", "name magics decoder padding feed")
PIECE = 512  # bytes of a zstd frame or gzip member that are unfolded at once: to 16 MiB at most
MOST_PLAIN = 1 << 20
MOST_FRAME = 64 << 20  # plain bytes of a frame that are unfolded at once where its size is known

SKIPPABLE = tuple(bytes([n]) + b"\x2a\x4d\x18" for n in range(0x50, 0x60))
FRAME_MAGIC = b"\x28\xb5\x2f\xfd"
SEEK_TABLE_MAGIC, SEEKABLE_MAGIC = 0x184D2A5E, 0x8F92EAB1
MAGIC_LENGTH = 6


def _feed_pieces(decoder, block):
    """Yield what a block unfolds to, a small piece of it at a time, which bounds what a bomb can do; return its rest.

    The rest is what lies behind the member's end.
    """
    for start in range(0, len(block), PIECE):
        plain = decoder.decompress(block[start : start + PIECE])
        if plain:
            yield plain
        if decoder.eof:
            return decoder.unused_data + block[start + PIECE :]
    return b""


def _feed_bounded(decoder, block):
    """The same with a decoder that takes the bound itself."""
    while True:
        plain = decoder.decompress(block, MOST_PLAIN)
        if plain:
            yield plain
        if decoder.eof:
            return decoder.unused_data
        if decoder.needs_input:
            return b""
        block = b""


def _gzip():
    import zlib

    return zlib.decompressobj(wbits=31), zlib.error


def _bzip2():
    import bz2

    return bz2.BZ2Decompressor(), OSError


def _xz():
    import lzma

    return lzma.LZMADecompressor(), lzma.LZMAError


def _zstd():
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError


ZSTD = Codec("zstd", (FRAME_MAGIC,) + SKIPPABLE, _zstd, b"", _feed_pieces)
CODECS = (
    Codec("gzip", (b"\x1f\x8b",), _gzip, b"\0", _feed_pieces),
    Codec("xz", (b"\xfd7zXZ\0",), _xz, b"\0", _feed_bounded),
    Codec("lzma", (b"\x5d\0\0",), _xz, b"", _feed_bounded),
    Codec("bzip2", (b"BZh",), _bzip2, b"", _feed_bounded),
    ZSTD,
)


def codec_of(head):
    """The codec whose magic bytes begin `head` (at least MAGIC_LENGTH bytes of it), or None for plain bytes.

    >>> codec_of(b"BZh91AY").name
    'bzip2'
    """
    return next((codec for codec in CODECS if head.startswith(codec.magics)), None)


def decompress(codec, blocks):
    """Yield the plain bytes of an iterable of compressed blocks: all members of it, each of them whole.

    Raises BadData `truncated` for a member cut short and `corrupt` for anything that is no member.
    """
    decoder = None
    for block in blocks:
        while block:
            if decoder is None:
                block = block.lstrip(codec.padding) if codec.padding else block
                if not block:
                    break
                decoder, failure = codec.decoder()
            try:
                block = yield from codec.feed(decoder, block)
            except failure as error:
                raise BadData("corrupt", f"corrupt {codec.name} data: {error}") from None
            if decoder.eof:
                decoder = None
    if decoder is not None:
        raise BadData("truncated", f"truncated {codec.name} data: the last member is cut short")


@functools.lru_cache(maxsize=64)
def _compressor(level, thread):
    import zstandard

    return zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True)


def frames(read, sizes):
    """Yield the plain bytes of zstd frames of these (compressed, plain) sizes, one at a time; `read(n)` gives n bytes.

    Raises BadData `truncated` or `corrupt` for one that is not what its size says.
    """
    import zstandard

    for packed, plain in sizes:
        data = read(packed)
        if len(data) < packed:
            raise BadData("truncated", "cut short: a frame is not all there")
        try:
            if zstandard.frame_content_size(data) != plain:
                raise BadData("corrupt", "corrupt zstd data: a frame has another size than the seek table says")
            if plain > MOST_FRAME:
                yield from decompress(ZSTD, [data])
                continue
            decoder = zstandard.ZstdDecompressor().decompressobj()
            block = decoder.decompress(data)
        except zstandard.ZstdError as error:
            raise BadData("corrupt", f"corrupt zstd data: {error}") from None
        if not decoder.eof or decoder.unused_data or len(block) != plain:
            raise BadData("corrupt", "corrupt zstd data: a frame is not what the seek table says")
        yield block


def frame(plain, level):
    """One zstd frame of the bytes, with its content size and a checksum."""
    return _compressor(level, threading.get_ident()).compress(plain)


def frame_at(data, at):
    """(where it ends, its plain bytes) of the frame that begins at a place of some bytes; None if none does.

    One that is cut or damaged is none, nor is one without a checksum, which could not prove that it is whole.
    """
    import zstandard

    if data[at : at + 4] != FRAME_MAGIC:
        return None
    try:
        head = zstandard.get_frame_parameters(data[at : at + 18])
        if not head.has_checksum or head.content_size > MOST_FRAME:
            return None
        block = data[at : at + head.content_size + (head.content_size >> 7) + 1024]  # no frame is longer
        decoder = zstandard.ZstdDecompressor().decompressobj()
        plain = decoder.decompress(block)
    except zstandard.ZstdError:
        return None
    if not decoder.eof or len(plain) != head.content_size:
        return None
    return at + len(block) - len(decoder.unused_data), plain


def is_seek_table(data):
    """Whether these bytes are a whole seek table, of whatever frames.

    >>> is_seek_table(seek_table([(10, 20)])), is_seek_table(b"")
    (True, False)
    """
    if len(data) < 17:
        return False
    magic, length = struct.unpack_from("<II", data)
    count, flags, last = struct.unpack("<IBI", data[-9:])
    width = 12 if flags & 0x80 else 8
    return (magic, last) == (SEEK_TABLE_MAGIC, SEEKABLE_MAGIC) and length + 8 == len(data) == 17 + count * width


def seek_table(sizes):
    """The seek table of frames with these (compressed, plain) sizes in bytes, as a skippable frame.

    >>> len(seek_table([(10, 20), (30, 40)]))
    33
    """
    entries = b"".join(struct.pack("<II", *pair) for pair in sizes)
    footer = struct.pack("<IBI", len(sizes), 0, SEEKABLE_MAGIC)
    return struct.pack("<II", SEEK_TABLE_MAGIC, len(entries) + len(footer)) + entries + footer


def read_seek_table(file, size):
    """The (compressed, plain) sizes in the seek table of an open file of `size` bytes.

    Raises BadData `truncated` if the file does not end with a table that accounts for all its bytes: so a file cut
    anywhere, at the end of a frame too, is known by the file alone.
    """
    cut = BadData("truncated", "cut short or damaged: it does not end with the seek table of its frames")
    if size < 17:
        raise cut
    file.seek(size - 9)
    count, flags, magic = struct.unpack("<IBI", file.read(9))
    width = 12 if flags & 0x80 else 8
    length = 8 + count * width + 9
    if magic != SEEKABLE_MAGIC or length > size:
        raise cut
    file.seek(size - length)
    table = file.read(length)
    sizes = [struct.unpack_from("<II", table, 8 + i * width) for i in range(count)]
    header = struct.unpack_from("<II", table)
    if header != (SEEK_TABLE_MAGIC, length - 8) or sum(pair[0] for pair in sizes) + length != size:
        raise cut
    return sizes
