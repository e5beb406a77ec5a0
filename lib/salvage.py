"""What a damaged stored file still holds: whole frames, found by their magic bytes and proved by their checksums."""

import mmap
import os

from tel import compress, jsonl, retrieve, streams
from tel.errors import BadData, IOFailed, TelError, naming


def pieces(data):
    """Yield (start, end, plain bytes) of all parts of a stored file in a row, None for the bytes of a lost one.

    The seek table is no part if it is where it should be, whatever it says.

    >>> frame = compress.frame(b"a\\t{}\\n", 1)
    >>> [(start, plain) for start, _, plain in pieces(b"xy" + frame)]
    [(0, None), (2, b'a\\t{}\\n')]
    """
    at = lost = 0
    while at < len(data):
        found = compress.frame_at(data, at)
        if found is None:
            at = data.find(compress.FRAME_MAGIC, at + 1) % (len(data) + 1)  # -1, for none, is the end
            continue
        if lost < at:
            yield lost, at, None
        yield (at, *found)
        at = lost = found[0]
    if lost < len(data) and not compress.is_seek_table(data[lost:]):
        yield lost, len(data), None


def good_lines(plain):
    """The whole lines <id> TAB <json> of a frame's bytes."""
    good = []
    for line in plain.split(b"\n")[:-1]:
        try:
            jsonl.loads(retrieve.split(line)[1])
            good.append(line + b"\n")
        except BadData:
            pass
    return good


def rescue(store, path, entry, folder):
    """Write what a damaged file still holds into a folder, as a stored file of the same relative path.

    Returns what became of it: `salvaged`, the new file or None; how many frames and records it has; how many of the
    commit record's it lacks, None where more came than that says; `bytes_lost`, the (start, end) of what was no frame.
    Raises IOFailed if it would replace a file.
    """
    try:
        store.check_file(path)
    except TelError:
        return _report(None, [], 0, entry, [])
    target = os.path.join(folder, entry["path"])
    if os.path.lexists(target):
        raise IOFailed("is there, and would be replaced", target, "salvage into another directory")
    with naming(path), open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) if os.path.getsize(path) else b""
        with naming(folder):
            os.makedirs(os.path.dirname(target), exist_ok=True)
        sizes, records, lost = _copy(data, target)
    if not sizes:
        os.unlink(target)
    return _report(target if sizes else None, sizes, records, entry, lost)


def _copy(data, target):
    """Write the good lines of all frames; returns (sizes of the new frames, number of lines, [(start, end)] lost)."""
    sizes, records, lost = [], 0, []
    out = streams.create(target)
    for start, end, plain in pieces(data):
        good = good_lines(plain or b"")
        if plain is None:
            lost.append((start, end))
        if good:
            kept = b"".join(good)
            frame = data[start:end] if kept == plain else compress.frame(kept, 1)
            out.write(frame)
            sizes.append((len(frame), len(kept)))
            records += len(good)
    if sizes:
        out.write(compress.seek_table(sizes))
    out.close()
    return sizes, records, lost


def _report(target, sizes, records, entry, lost):
    lacking = entry["records"] - records
    return {
        "salvaged": target,
        "frames": len(sizes),
        "records": records,
        "records_lost": lacking if lacking >= 0 else None,
        "bytes_lost": lost,
    }
