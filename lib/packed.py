"""The binary log files of the 2013 server: records behind a separator, in two framings, and what lies between them.

A record is the byte 0x1e, a head of little-endian numbers, the path that was submitted to and the body, plain or
gzipped: version 1 has the lengths of path (2 bytes) and body (4) and the time in milliseconds (8); version 2 has before
these the length of the client's address (1), which stands before the path.
"""

import struct
from collections import namedtuple

from tel import encodings, jsonl, pings, submission
from tel.errors import BadData

SEPARATOR = b"\x1e"
HEADS = {"v1": struct.Struct("<HIQ"), "v2": struct.Struct("<BHIQ")}
TRIED = 64  # records that a version is told by
MOST_GARBAGE = 1 << 20  # bytes of one reject
GZIP = b"\x1f\x8b"
_VISIBLE = bytes(range(33, 127))  # of which paths consist

# What lies at an offset of a file: a record, or bytes that are none, for which `error` is a BadData.
Frame = namedtuple("Frame", "offset time address path body error")


def _is_visible(path):
    return not path.translate(None, _VISIBLE)


class _Window:
    """What is looked at of a stream of blocks: `data` from `at` on; `offset` is where `at` is in the stream."""

    def __init__(self, blocks):
        self._blocks, self.data, self.at, self.offset = iter(blocks), b"", 0, 0

    def reach(self, number):
        """Whether there are so many bytes."""
        if len(self.data) - self.at < number:
            parts = [self.data[self.at :]]
            have = len(parts[0])
            while have < number:
                block = next(self._blocks, None)
                if block is None:
                    break
                parts.append(block)
                have += len(block)
            self.data, self.at = b"".join(parts), 0
        return len(self.data) - self.at >= number

    def take(self, number):
        """The next bytes, at most so many."""
        taken = self.data[self.at : self.at + number]
        self.at += len(taken)
        self.offset += len(taken)
        return taken


def version_of(head):
    """The version of a file by its first bytes, or None where they do not tell.

    >>> version_of(b"\\x1e" + HEADS["v1"].pack(1, 2, 0) + b"a{}")
    'v1'
    """
    fits = {version: _fitting(head, version) for version in HEADS}
    if fits["v1"] == fits["v2"]:
        return None
    return max(fits, key=fits.get)


def _fitting(head, version):
    """How well the first records fit: each has a path of visible ASCII, and another one, or the end, follows it."""
    form, at, fitting = HEADS[version], head.find(SEPARATOR), 0
    for _ in range(TRIED):
        if at < 0 or len(head) < at + 1 + form.size:
            break
        *lengths, _ = form.unpack_from(head, at + 1)
        end = at + 1 + form.size + sum(lengths)
        named = end <= len(head) and _is_visible(head[end - sum(lengths[-2:]) : end - lengths[-1]])
        followed = end <= len(head) and head[end : end + 1] in (SEPARATOR, b"\n", b"")
        fitting += named + followed
        at = head.find(SEPARATOR, end if named or followed else at + 1)
    return fitting


def frames(blocks, version, limit):
    """Yield the Frames of a stream: its records of at most `limit` bytes, and what lies between them.

    `version` is v1, v2, or auto. Where a separator begins no whole record, the next one is looked for right behind it.
    Raises BadData `unknown_framing`.
    """
    window = _Window(blocks)
    window.reach(1 << 20)
    if version == "auto" and SEPARATOR in window.data:
        version = version_of(window.data[: 1 << 20])
        if version is None:
            cure = "--framing says whether it is v1 or v2"
            raise BadData("unknown_framing", "no record of either framing fits", cure=cure)
    form = HEADS.get(version, HEADS["v1"])
    garbage, since, reason = [], 0, None
    while window.reach(1):
        frame, problem = _record(window, form, limit)
        if frame or sum(map(len, garbage)) >= MOST_GARBAGE:
            yield from _garbage(garbage, since, reason)
            garbage, reason = [], None
        if frame:
            yield frame
            continue
        since = since if garbage else window.offset
        reason = reason or problem
        garbage.append(_to_separator(window))
    yield from _garbage(garbage, since, reason)


def _record(window, form, limit):
    """(the Frame that begins here, None), or (None, the BadData that says why none does)."""
    if window.data[window.at : window.at + 1] != SEPARATOR:
        return None, BadData("garbage", "bytes that are no record")
    if not window.reach(1 + form.size):
        return None, BadData("truncated", "cut short: a separator and no whole head behind it")
    *lengths, time = form.unpack_from(window.data, window.at + 1)
    if sum(lengths) > limit:
        return None, BadData("garbage", f"bytes that are no record, or one of more than {limit} bytes")
    if not window.reach(1 + form.size + sum(lengths)):
        return None, BadData("truncated", "cut short, or no record: the lengths go beyond the end of the file")
    start = window.at + 1 + form.size + sum(lengths[:-2])
    if not _is_visible(window.data[start : start + lengths[-2]]):
        return None, BadData("garbage", "no record: its path is not visible ASCII")
    offset = window.offset
    window.take(1 + form.size)
    address = window.take(lengths[0]) if len(lengths) == 3 else None
    path = window.take(lengths[-2])
    return Frame(offset, time, address, path, window.take(lengths[-1]), None), None


def _to_separator(window):
    """The bytes from here to the next separator, at most MOST_GARBAGE of them."""
    to = window.data.find(SEPARATOR, window.at + 1)
    return window.take(min(MOST_GARBAGE, (to if to >= 0 else len(window.data)) - window.at))


def _garbage(parts, offset, error):
    """The Frame of bytes that are no record; newlines alone, which editors leave, are nothing."""
    data = b"".join(parts)
    if data.strip(b"\r\n"):
        yield Frame(offset, None, None, None, data, error)


def records(found, name, rejected, limit, keep_ip=False):
    """Yield the line of a record for each Frame of a file called `name`; the others are rejected, in full."""
    for frame in found:
        where, id = f"{name}:{frame.offset}", None
        try:
            if frame.error:
                raise frame.error
            id, hint = _named(frame.path)
            item, error = _arrival(frame, keep_ip).record(id, _plain(frame.body, limit), hint)
            if error:
                raise error
        except BadData as error:
            rejected.line(error, where, frame.body, id)
            continue
        yield item.before + item.after


def _named(path):
    """(the document id, what the path says of the info) of a path `<id>/<reason>/<appName>/...`."""
    id, *rest = jsonl.text(path).removeprefix("/submit/telemetry/").split("/")
    return pings.check_id(id), {n: part for n, part in zip(submission.DIMENSIONS, rest) if part}


def _arrival(frame, keep_ip):
    if not 0 <= frame.time < 253402300800000:  # the year 10000
        raise BadData("bad_time", f"the time {frame.time} is beyond the calendar")
    path = jsonl.text(frame.path)
    path = path if path.startswith("/") else f"/submit/telemetry/{path}"
    remote = frame.address.decode(errors="replace") if keep_ip and frame.address else None
    return submission.Arrival(path, {}, remote, frame.time / 1000)


def _plain(body, limit):
    if not body.startswith(GZIP):
        return body
    try:
        return encodings.plain(body, "gzip", limit)
    except encodings.TooLarge as error:
        raise BadData("line_too_long", str(error), cure="raise --max-line if it is a real one") from None
