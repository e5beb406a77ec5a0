"""Map, combine and reduce as generators: over stored pings, and over the lines between the tools.

The end record of a map says how many files it read whole, and the sum of the hashes of their names, which does not
depend on their order. Combines add these up, so that a file that is missing or was mapped twice is known at the end.
"""

import os

from tel import compress, jsonl, pings, records, store, streams, tree
from tel.errors import BadData, UsageError
from tel.grouping import Spill, Table, partials
from tel.job import LINES
from tel.manifest import listed
from tel.pairs import pair_line, parse_pair
from tel.schema import SUBMISSION_DATE, UNKNOWN, as_text

DIMENSIONS = tree.NAMES


def paths(run):
    """The files to map, from the operands or the list of --files-from; None for standard input."""
    listing, operands = run.options["--files-from"], run.options["FILE"]
    if listing and operands:
        raise UsageError("--files-from and FILE exclude each other")
    if streams.STDIN in operands and len(operands) > 1:
        raise UsageError("standard input (-) is mapped alone")
    if listing:
        return listed(run.file_lines(listing))
    return None if operands in ([], [streams.STDIN]) else operands


def stored_check(path):
    """The check that an Input of this path needs: a stored file must end with its seek table."""
    return compress.read_seek_table if path.endswith(store.SUFFIX) else None


def named_dims(path):
    """{name: value} of a stored file in a job's order, from its directories and the schema of the store above it.

    None for a file in no store.
    """
    found = store.above(path)
    if found is None:
        return None
    root, schema = found
    parts = os.path.relpath(os.path.dirname(os.path.abspath(path)), root).split(os.sep)
    if len(parts) != len(schema.names):
        return None
    values = dict(zip(schema.names, parts))
    return {**{name: values.get(name, UNKNOWN) for name in DIMENSIONS}, **values}


def reading(layout):
    """What makes (the check of an Input, the named dimensions) of a stored file's path, by the layout of its store."""
    if not layout:
        return stored_check, named_dims
    return (lambda path: tree.check), (lambda path: dict(zip(DIMENSIONS, tree.dims_of(path))))


def dims_of_info(info, date=None):
    """{name: value} of a ping in no store, from its small info.

    >>> list(dims_of_info({"reason": "daily"}, "20130901").values())
    ['daily', 'UNKNOWN', 'UNKNOWN', 'UNKNOWN', 'UNKNOWN', '20130901']
    """
    values = {**info, SUBMISSION_DATE: date}
    return {name: as_text(values.get(name)) or UNKNOWN for name in DIMENSIONS}


def parse_stored(line, dims):
    """(document id, dims, ping's bytes, whether the line was raw) of a stored line or a record.

    Raises BadData `not_stored` for a line that is neither.
    """
    if line.startswith(b"{"):
        record = records.parse(line)
        record.document()  # it may find that the line has to be read in another way
        return record.id, dims or dims_of_info(record.info, record.small["date"]), record.ping, False
    id, tab, value = line.partition(b"\t")
    if not tab or not id:
        raise BadData("not_stored", "neither a stored line <id> TAB <json> nor a record")
    return jsonl.text(id), dims or _dims_of_ping(value), value, True


def _dims_of_ping(value):
    ping = jsonl.loads(value)
    if not isinstance(ping, dict):
        raise BadData("not_an_object", "the ping is not a JSON object")
    return dims_of_info(pings.info_of(ping, pings.generation(ping)))


def map_pairs(where, line, job, dims=None):
    """(pairs, whether the line was raw) of a stored line or a record; a job that reads lines gets it as it is."""
    whole = streams.held(line)
    if job.reads == LINES:
        return job.map(None, {}, whole, where), True
    id, named, value, raw = parse_stored(whole, dims)
    return job.map(id, named, value, where), raw


def map_lines(lines, job, rejects, render, dims=None, seen=None):
    """Yield `render(key, value)` of the pairs that a job makes of (where, line) pairs of stored lines or records.

    `dims` ({name: value}) are those of the file; `seen` (a stats.Seen) is told which lines there were.
    """
    for where, line in lines:
        try:
            pairs, raw = map_pairs(where, line, job, dims)
            rendered = [render(key, value) for key, value in pairs]
        except BadData as error:
            rejects.line(error, where, line)
            continue
        if seen is not None:
            seen.raw += raw
            seen.records += not raw
        yield from rendered


def combine(lines, job, memory, parse=parse_pair):
    """Yield the (key, value) pairs of (where, line) pairs, combined as far as memory allows; may be applied again."""
    table = Table(job, memory)
    for where, line in lines:
        key, value = parse(where, line)
        if not job.combines:
            yield key, value
        elif table.add(key, value, len(line)):
            yield from partials(table)
    yield from partials(table)


def combined_lines(lines, job, memory, parse=parse_pair, render=pair_line):
    """Yield the lines of `combine`; a job without a combine gets its lines as they came."""
    if job.combines:
        return (render(key, value) for key, value in combine(lines, job, memory, parse))
    return (streams.held(line) for where, line in lines if parse(where, line))


def gather(lines, job, memory=None, parse=parse_pair):
    """All the pairs of (where, line) pairs, as a Table or, where `memory` bytes cannot hold them, a Spill."""
    table, spill = Table(job, memory and memory // 2), None
    try:
        for where, line in lines:
            key, value = parse(where, line)
            if table.add(key, value, len(line)):
                spill = spill or Spill(job, memory // 2)
                spill.take(table)
        if spill:
            spill.take(table)
    except BaseException:
        if spill:
            spill.close()
        raise
    return spill or table


def reduce(table, job):
    """What a job's reduce says of a Table, key by key: (key, value) pairs and job.Texts; the pairs if it has none."""
    job.setup_reduce()
    if not job.reduces:
        return partials(table)
    return (said for key, values in table.items() for said in job.reduce(key, values))
