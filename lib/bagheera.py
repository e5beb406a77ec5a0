"""Messages as Bagheera put them on Kafka, the server that took pings over HTTP before 2014: an envelope around each.

A protocol buffer, as bagheera_message.proto defines it: namespace 2, id 3, ip_addr 4, payload 5, timestamp 6 (sint64,
milliseconds since 1970), operation 7 (1: delete), api_version 8, partition 9. The address is not looked at.
"""

from collections import namedtuple

from tel.errors import BadData

NAMESPACE, ID, PAYLOAD, TIMESTAMP, OPERATION = 2, 3, 5, 6, 7
DELETE = 1
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5  # wire types
_LONGEST = 10  # bytes of a number

# What an envelope holds: the document id (bytes, or None), the ping, and its time (milliseconds since 1970, or None).
Envelope = namedtuple("Envelope", "id payload time")


def is_one(value):
    """Whether a message's value is an envelope, by its first byte, which begins neither text nor compressed data.

    >>> is_one(b'\\x12\\x09telemetry'), is_one(b'{"ver":1}')
    (True, False)
    """
    return value[:1] in (_key(NAMESPACE), _key(ID))


def _key(number):
    return bytes([number << 3 | _BYTES])


def opened(value):
    """The Envelope of a value. Raises BadData `bad_envelope`, and `deletion` for one that asks for a deletion.

    >>> opened(b'\\x1a\\x01a*\\x09{"ver":1}0\\xd0\\x0f')
    Envelope(id=b'a', payload=b'{"ver":1}', time=1000)
    """
    try:
        fields = dict(_fields(value))
    except (IndexError, ValueError) as error:
        raise BadData("bad_envelope", f"the envelope of Bagheera is damaged: {error}") from None
    kinds = {ID: bytes, PAYLOAD: bytes, TIMESTAMP: int, OPERATION: int}
    if any(fields[number].__class__ is not kind for number, kind in kinds.items() if number in fields):
        raise BadData("bad_envelope", "the envelope of Bagheera has a field of another type")
    if fields.get(OPERATION) == DELETE:
        raise BadData("deletion", "the message asks for the deletion of its document", cure="tel-expire does that")
    if PAYLOAD not in fields:
        raise BadData("bad_envelope", "the envelope of Bagheera holds no payload")
    time = fields.get(TIMESTAMP)
    return Envelope(fields.get(ID), fields[PAYLOAD], time if time is None else time >> 1 ^ -(time & 1))


def _fields(value):
    """Yield (number, int or bytes) of each field. Raises IndexError and ValueError for what is cut or unknown."""
    at = 0
    while at < len(value):
        key, at = _varint(value, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            found, at = _varint(value, at)
        else:
            if kind == _BYTES:
                size, at = _varint(value, at)
            elif kind in (_FIXED_64, _FIXED_32):
                size = 8 if kind == _FIXED_64 else 4
            else:
                raise ValueError(f"a field of type {kind}")
            found, at = value[at : at + size], at + size
            if at > len(value):
                raise IndexError("it is cut")
        yield number, found


def _varint(value, at):
    """(a number of seven bits a byte, the lowest first; where it ends)."""
    number = 0
    for shift in range(_LONGEST):
        if at + shift >= len(value):
            raise IndexError("it is cut")
        byte = value[at + shift]
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number, at + shift + 1
    raise ValueError("a number without an end")
