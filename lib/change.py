"""Changes of what is stored: many small files become few large ones, and records go when their time is over.

A change stages new files, and its record takes away those that they replace at the instant that it adds them. Until
then nothing has changed, whenever it is killed; a file that is not what its commit record says ends it before.
"""

import itertools
import os
import re
import zlib

from tel import jsonl, persist, pings, retrieve, staging, streams
from tel.errors import BadData, UsageError
from tel.schema import SUBMISSION_DATE

MERGED_LEVEL = 9
ID_COST = 160  # bytes of memory that a remembered document id takes
_CLIENT = re.compile(rb'"client(?:Id|ID)"\s*:\s*"([^"]*)"')
_ESCAPED = b"\\u00"  # how an ASCII character of a name or value may be written too


class Rewriting:
    """A change on its way: files to be `replaced`, and staging.Files for what comes in their place.

    What is not published when it ends comes to nothing. Raises NotWhole while another process changes the store.
    """

    def __init__(self, store, kind, grace, form):
        self.store, self.kind, self.replaced, self.dropped = store, kind, [], 0
        self._change = staging.Change(store, grace)
        try:
            self._staging = staging.Staging(store, f"{staging.CHANGE}{kind}-{staging.fresh_id()}", own=True)
        except BaseException:
            self._change.close()
            raise
        self.files = staging.Files(self._staging, *form)

    def replace(self, directory, pairs, max_line, spared):
        """Write the lines of (path, entry) pairs that `spared(number, line)` says stay, one after another."""
        number = 0
        for path, entry in pairs:
            self.replaced.append(entry["path"])
            for line in retrieve.checked_lines(path, entry, max_line):
                if spared(number, streams.held(line)):
                    self.files.add(directory, line + b"\n")
                else:
                    self.dropped += 1
                number += 1
        self.files.close(directory)

    def publish(self):
        """Make the change; returns the paths of the new files. One that replaces nothing is none."""
        self.files.close()
        if not self.replaced:
            return []
        record = {"format": 1, "change": self.kind, "records": self.files.records, "dropped": self.dropped}
        return self._change.publish(self._staging, record, self.files, self.replaced)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self._staging.discard()
        self._change.close()


def by_directory(pairs):
    """Yield (directory, list of its pairs) of (path, entry) pairs that are sorted by path."""
    for directory, group in itertools.groupby(pairs, lambda pair: os.path.dirname(pair[1]["path"])):
        yield directory, list(group)


# Compaction.


def merge(rewriting, pairs, max_line, roll_size, level=None, ids_memory=None):
    """Merge the files of each directory that are smaller than `roll_size`, where there are several.

    With a `level`, files that have another one are written anew too. With `ids_memory`, the bytes that document ids
    may take, all but the first of records of a directory that have one id go.
    """
    for directory, group in by_directory(pairs):
        doubles = b"" if ids_memory is None else doubled(group, max_line, ids_memory)
        chosen = group if any(doubles) else mergeable(group, roll_size, level)
        rewriting.replace(
            directory, chosen, max_line, lambda number, line, gone=doubles: not any(gone[number : number + 1])
        )


def mergeable(pairs, roll_size, level):
    """The (path, entry) pairs of one directory that are worth writing anew, in their order.

    >>> [path for path, _ in mergeable([("a", {"bytes": 10}), ("b", {"bytes": 99}), ("c", {"bytes": 9})], 50, None)]
    ['a', 'c']
    """
    small = [entry.get("bytes", 0) < roll_size for _, entry in pairs]
    other = [level is not None and entry.get("level", staging.LEVEL) != level for _, entry in pairs]
    if sum(small) < 2 and not any(other):
        return []
    return [pair for pair, *reasons in zip(pairs, small, other) if any(reasons)]


def doubled(pairs, max_line, memory):
    """A byte for each line of some files, in their order: 1 if an earlier one has its document id.

    The files are read as often as it takes for the ids that are looked at to fit into `memory` bytes.
    """
    turns, marks = 1 + sum(entry["records"] for _, entry in pairs) * ID_COST // max(memory, ID_COST), bytearray()
    for turn in range(turns):
        seen = set()
        lines = (line for path, entry in pairs for line in retrieve.checked_lines(path, entry, max_line))
        for number, line in enumerate(lines):
            if turn == 0:
                marks.append(0)
            id = streams.held(line).partition(b"\t")[0]
            if zlib.crc32(id) % turns == turn:
                marks[number] = id in seen
                seen.add(id)
    return marks


def repartition(rewriting, description, pairs, max_line, rejects):
    """Give a store another schema, if it is another one, and move what lies under older ones below it.

    New batches lie under it at once; a run that was killed is finished by the next one.
    """
    store = rewriting.store
    if store.schema.description != description:
        store.add_schema(description)
    for path, entry in pairs:
        if store.schema_of(entry["path"]) is not store.schema:
            rewriting.replaced.append(entry["path"])
            records = retrieve.records(store, [(path, entry)], max_line)
            for directory, line in persist.placed(records, store.schema, rejects):
                rewriting.files.add(directory, line)


# Expiry.


class Rule:
    """Which records go: those of a date before `before`, or those of some document ids and client ids (as bytes)."""

    def __init__(self, before, ids, clients):
        if (before is not None) == bool(ids is not None or clients is not None):
            raise UsageError("say what is to go: what is --before a date, or what has an --id or a --client-id")
        self.before, self._ids, self._clients = before, frozenset(ids or ()), frozenset(clients or ())

    def left(self, store, path, entry, max_line):
        """How many records of a file stay."""
        if self.before is None:
            return sum(map(self.spares, _placed_lines(path, entry, max_line)))
        date = store.dims(entry["path"]).get(SUBMISSION_DATE)
        if date is None:
            raise UsageError(
                f"--before needs the dimension {SUBMISSION_DATE}, which the schema of {path} does not have"
            )
        return 0 if date.isdigit() and date < self.before else entry["records"]

    def spares(self, placed):
        """Whether a (place, line) pair stays. Raises BadData with the place for a ping that cannot be read."""
        where, line = placed
        try:
            id, ping = retrieve.split(line)
            return id.encode() not in self._ids and not (self._clients and self._is_of_client(ping))
        except BadData as error:
            error.where = error.where or where
            raise

    def _is_of_client(self, ping):
        found = _CLIENT.findall(ping)
        if not any(value in self._clients or b"\\" in value for value in found) and _ESCAPED not in ping:
            return False
        value = jsonl.loads(ping)
        clients = (pings.at(value, way) for way in pings.CLIENT)
        return any(client.encode() in self._clients for client in clients if isinstance(client, str))


def _placed_lines(path, entry, max_line):
    for number, line in enumerate(retrieve.checked_lines(path, entry, max_line), 1):
        yield f"{path}:{number}", line


def expired(store, pairs, rule, max_line):
    """Yield (path, entry, how many of its records stay) of each file that loses some."""
    for path, entry in pairs:
        left = rule.left(store, path, entry, max_line)
        if left < entry["records"]:
            yield path, entry, left


def told(found):
    """What is printed of what `expired` found."""
    return [{"path": path, "records": entry["records"], "left": left} for path, entry, left in found]


def expire(rewriting, found, rule, max_line):
    """Take out of files what `expired` found in them; what stays of those of one directory is merged."""
    whole = [(path, entry) for path, entry, left in found if not left]
    rewriting.replaced += [entry["path"] for _, entry in whole]
    rewriting.dropped += sum(entry["records"] for _, entry in whole)
    for directory, group in by_directory((path, entry) for path, entry, left in found if left):
        rewriting.files.level = max(entry.get("level", staging.LEVEL) for _, entry in group)
        rewriting.replace(directory, group, max_line, lambda number, line: rule.spares((None, line)))
