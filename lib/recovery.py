"""Closing what a writer of a spool that died left behind; a torn tail goes to a file of its own."""

import contextlib
import fcntl
import mmap
import os

from tel import compress, ends, jsonl, records, spool, streams, tiers
from tel.errors import BadData
from tel.store import sync_directory


def recover(directory, say):
    """Close the files of writers that are gone; returns their names. What cannot be closed now is said.

    A file of a writer that lives is locked, and left alone.
    """
    names = sorted(name for name in spool.listed(directory) if name.startswith(spool.CURRENT))
    found = [name for name in names if name.endswith((spool.RECORDS, spool.ZSTD)) and not name.endswith(spool.REJECTS)]
    alone = [
        name
        for name in names
        if name.endswith(spool.REJECTS) and not any(spool.stem(f) == spool.stem(name) for f in found)
    ]
    return [name for name in found + alone for name in _recovered(directory, name, say)]


def _recovered(directory, name, say):
    """Yield the name of a file that was closed, if it is there, not in use, and there is room."""
    path = os.path.join(directory, name)
    try:
        with spool.locked(directory), open(path, "r+b") as file:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            own = _closed(directory, name, file, say)
    except FileNotFoundError:  # somebody else has closed it
        return
    except OSError as error:
        say(f"{path}: cannot be closed now: {error.strerror}; it is closed later")
        return
    yield own


def _closed(directory, name, file, say):
    path = os.path.join(directory, name)
    if name.endswith(spool.REJECTS):
        _cut(path, file, _sound_lines(path, lambda line: jsonl.loads(line))[0], say)
        own = name.removeprefix(spool.CURRENT)
        spool.renamed(directory, name, own)
        sync_directory(directory)
        return own
    rejects = spool.CURRENT + spool.stem(name.removeprefix(spool.CURRENT)) + spool.REJECTS
    with contextlib.suppress(FileNotFoundError), open(os.path.join(directory, rejects), "r+b") as beside:
        _cut(beside.name, beside, _sound_lines(beside.name, lambda line: jsonl.loads(line))[0], say)
    size, count, ended = _sound_lines(path, _prove) if name.endswith(spool.RECORDS) else _sound_frames(file)
    _cut(path, file, size, say)
    if not ended:
        file.seek(size)
        file.write(spool.end_of(path, count))
        file.flush()
        os.fsync(file.fileno())
    return spool.finished(path)


def _cut(path, file, size, say):
    """Move what lies behind `size` bytes of a file to a file of its own, beside it."""
    length = os.fstat(file.fileno()).st_size
    if length == size:
        return
    directory, name = os.path.split(path)
    torn = os.path.join(directory, name.removeprefix(spool.CURRENT) + spool.TORN)
    file.seek(size)
    with open(torn, "wb", opener=lambda path, flags: os.open(path, flags, spool.MODE)) as rest:
        for block in iter(lambda: file.read(streams.BLOCK), b""):
            rest.write(block)
        rest.flush()
        os.fsync(rest.fileno())
    os.ftruncate(file.fileno(), size)
    os.fsync(file.fileno())
    say(f"{path}: a torn tail of {length - size} bytes, which no client was told to be safe, is now {torn}")


def _sound_lines(path, prove):
    """(bytes, lines without the end record, whether there is one) of the whole lines that a file begins with."""
    size = count = 0
    with open(path, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            if ends.parse(line[:-1]):
                return size + len(line), count, True
            try:
                prove(line[:-1])
            except BadData:
                break
            size, count = size + len(line), count + 1
    return size, count, False


def _prove(line):
    record = records.parse(line)
    if not tiers.proves(record.ping):
        jsonl.loads(record.ping)


def _sound_frames(file):
    """The same of a file of zstd frames, whose checksums tell that they are whole."""
    if os.fstat(file.fileno()).st_size == 0:
        return 0, 0, False
    size = count = 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        while found := compress.frame_at(data, size):
            size, plain = found
            if ends.parse(plain.rstrip(b"\n")):
                return size, count, True
            count += plain.count(b"\n")
    return size, count, False
