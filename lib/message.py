"""A Kafka message's key and value as the raw line that is read as a record, a ping with its id, or a bare ping."""

import time

from tel import compress, jsonl, pings, records, streams
from tel.errors import BadData

SOURCE = ("topic", "partition", "offset")
DAY = 86400
_KCAT = {*SOURCE, "payload"}


def id_of(key):
    """The document id that a key (bytes or None) is, or None.

    >>> id_of(b"cba4d7a6"), id_of(b"two words")
    ('cba4d7a6', None)
    """
    try:
        return pings.check_id(key.decode()) if key else None
    except (BadData, UnicodeDecodeError):
        return None


def line_of(id, value, most=streams.MAX_LINE):
    """The raw line of a value, plain or compressed, behind its id if it is a bare ping.

    Raises BadData `line_too_long` if it is unpacked more than `most` bytes, and `not_json` for several lines that are
    no JSON object.

    >>> line_of("a", b'{"ver":1}')
    b'a\\t{"ver":1}'
    """
    text = _one_line(plain(value, most))
    if id and text.startswith(b"{") and not is_record(text):
        return b"%s\t%s" % (id.encode(), text)
    return text


def plain(value, most):
    """A value, unpacked if it is compressed."""
    codec, parts, size = compress.codec_of(value), [], 0
    for part in [value] if codec is None else compress.decompress(codec, [value]):
        parts.append(part)
        size += len(part)
        if size > most:
            raise streams.Overlong(most, None).error()
    return b"".join(parts)


def _one_line(text):
    """Text without newlines, which may stand between the parts of a JSON object only."""
    text = text.strip(b" \t\r\n")
    if b"\n" in text:
        if not text.startswith(b"{"):
            raise BadData("not_json", "several lines that are no JSON object")
        jsonl.loads(text)  # within a string a newline is an error
        text = text.replace(b"\n", b" ")
    return text


def is_record(text):
    """Whether a line is a record by its looks."""
    return text.startswith((b'{"id":', b'{"date":')) and records.SPLIT in text


def date_of(milliseconds):
    """The date (UTC) of a message's time, or None for one without a time.

    >>> date_of(1378000000000)
    '20130901'
    """
    if milliseconds.__class__ is not int or not 0 < milliseconds < 1 << 47:
        return None
    return time.strftime("%Y%m%d", time.gmtime(milliseconds // 1000))


def is_kcat(value):
    """Whether a parsed line is a message as `kcat -J` prints it."""
    return _KCAT <= value.keys() and "ver" not in value and "version" not in value


def of_kcat(value):
    """(the raw line, its date or None, its source) of such a message. Raises BadData `not_an_object` if it is empty."""
    key, payload = value.get("key"), value["payload"]
    if not isinstance(payload, str):
        raise BadData("not_an_object", "the message has no payload")
    id = id_of(key.encode()) if isinstance(key, str) else None
    return line_of(id, payload.encode()), date_of(value.get("ts")), {name: value[name] for name in SOURCE}
