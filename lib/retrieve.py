"""Stored lines back as records, and the check of what is stored against its commit records."""

import hashlib

from tel import compress, jsonl, pings, streams
from tel.errors import BadData, IOFailed, TelError
from tel.records import Record
from tel.schema import OTHER, SUBMISSION_DATE, UNKNOWN, as_text
from tel.store import digest_of


def stored_lines(path, max_line):
    """Yield the lines of a stored file. Raises BadData for one that is cut or damaged."""
    return streams.lines(streams.Input(path, compress.read_seek_table).blocks(), max_line)


def checked_lines(path, entry, max_line):
    """The same of a file that must be what its commit entry says. Raises IOFailed, at the end, if it is not."""
    digest, number = hashlib.sha256(), 0
    source = streams.Input(path, compress.read_seek_table, digest)
    for line in streams.lines(source.blocks(), max_line):
        yield line
        number += 1
    if number != entry["records"]:
        raise IOFailed(f"has {number} records where its commit record says {entry['records']}", path)
    if digest.hexdigest() != entry.get("sha256"):
        raise IOFailed("its bytes do not have the SHA-256 of its commit record", path)


def split(line):
    """(document id, the ping's bytes) of a stored line. Raises BadData `not_stored`.

    >>> split(b"a\\t{}")
    ('a', b'{}')
    """
    id, tab, ping = streams.held(line).partition(b"\t")
    if not tab or not id:
        raise BadData("not_stored", "not a stored line <id> TAB <json>")
    return jsonl.text(id), ping


def records(store, files, max_line):
    """Yield the Records of stored files, (path, commit entry) pairs: date and what the ping itself does not say come
    from the directory. Raises BadData with the place for a damaged file, IOFailed for one with other than its records.
    """
    for path, entry in files:
        yield from placed(checked_lines(path, entry, max_line), path, store.dims(entry["path"]))


def placed(lines, path, dims):
    """Yield the Record of each line of a file, whose dimensions say what it does not. Raises BadData with its place."""
    for number, line in enumerate(lines, 1):
        try:
            yield _record(line, dims, f"{path}:{number}")
        except BadData as error:
            error.where = error.where or f"{path}:{number}"
            raise


def _record(line, dims, where):
    id, data = split(line)
    ping = jsonl.loads(data)
    known = {name: _told(ping, name, value) for name, value in dims.items() if value != UNKNOWN}
    known.pop(SUBMISSION_DATE, None)
    small = {
        "id": id,
        "date": dims.get(SUBMISSION_DATE, UNKNOWN),
        "info": {**known, **pings.info_of(ping, pings.generation(ping))},
        "revision": None,
    }
    return Record(small, data, where)


def of(source, files, max_line):
    """Yield the Records of files of a Store, or of another kind of store that reads its files itself."""
    return source.records(files, max_line) if hasattr(source, "records") else records(source, files, max_line)


def _told(ping, name, value):
    """A dimension's value: for OTHER, what the ping itself says, if it does."""
    return as_text(pings.at(ping, ("info", name))) or value if value == OTHER else value


def damage(store, path, entry, max_line):
    """What is wrong with a stored file, in words, or None: its checksum, its frames, its number of lines, each line."""
    try:
        store.check_file(path)
        if digest_of(path) != entry["sha256"]:
            return "its bytes do not have the SHA-256 of its commit record"
        number = 0
        for number, line in enumerate(stored_lines(path, max_line), 1):
            try:
                jsonl.loads(split(line)[1])
            except BadData as error:
                return f"line {number}: {error.reason}"
        if number != entry["records"]:
            return f"{number} records where its commit record says {entry['records']}"
    except TelError as error:
        return error.reason
    return None
