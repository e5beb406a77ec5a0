"""Writing a batch into the store: all of it or nothing, and only once."""

import hashlib
import os

from tel import pings, positions, staging, streams, tiers
from tel.errors import BadData, IOFailed, UsageError, printable
from tel.schema import SUBMISSION_DATE
from tel.store import SUFFIX, batch_name, digest_of

PATIENCE = 60  # seconds that others get to publish batches with positions
MOST_REMEMBERED = 1000  # infos whose directory is known


def default_id(paths):
    """The batch id of files that are named: the first one's name, and a hash of all names and contents.

    A fresh one where standard input, or what can be read only once, is among them.
    """
    if not paths or not all(path != streams.STDIN and os.path.isfile(path) for path in paths):
        return staging.fresh_id()
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{digest_of(path)} {os.path.basename(path)}\0".encode(errors="surrogateescape"))
    return f"{os.path.basename(paths[0])}-{digest.hexdigest()[:20]}"


class Batch:
    """One batch on its way into a store: `add` lines, then `publish`; what is not published when it ends is discarded.

    `options` are those of staging.Files. `schema` is what its lines are placed by. A batch that is stored already is
    only compared, unless it is to `replace` that one. Where the id is not `given`, end records with positions say
    another. Raises NotWhole where another process is writing the same batch.

    `outcome` tells at the end what became of it: `stored`, `recognised`, or `empty` for positions without any offset.
    """

    def __init__(self, store, id, *options, replace=False, durable=True, given=True):
        self.store, self.id, self.name, self.given = store, id, batch_name(id), given
        self.records, self.digest, self.schema = 0, hashlib.sha256(), store.schema
        self._files = self._change = None
        self._staging = staging.Staging(store, self.name, durable)
        try:
            self.stored = store.commit(self.name)
            self._demand_name()
            if self.stored and replace:
                self._change = staging.Change(store)
                self._demand_own()
            if self.stored and not replace:
                self.schema = store.schemas[self.stored.get("top", "")]
            else:
                self._files = staging.Files(self._staging, *options, after=_last_number(self.stored))
        except BaseException:
            self.discard()
            raise

    def _demand_name(self):
        """Raise IOFailed if what is stored by this name is another batch, to a file system that ignores case."""
        if self.stored and self.stored["batch"] != printable(self.id):
            raise IOFailed(
                f"to this file system {self.id} is the batch {self.stored['batch']}",
                self.store.commit_path(self.name),
                "give this input a batch id that differs by more than case",
            )

    def _demand_own(self):
        """Raise UsageError if files of the stored batch have become part of others."""
        own = {entry["path"] for entry in self.stored["files"]}
        if own & self.store.replaced():
            raise UsageError(
                f"batch {self.id} cannot be replaced: tel-compact or tel-expire has changed its files",
                self.store.root,
                "take its records out by tel-expire --ids, and store these under another id",
            )

    def add(self, directory, line):
        """Add one stored line (with its newline) to a directory (relative to the store)."""
        self.records += 1
        self.digest.update(b"%s\t" % directory.encode())
        self.digest.update(line)
        if self._files:
            self._files.add(directory, line)

    def publish(self, ends):
        """Make the batch visible; returns the paths of its files. `ends` are the end records of the stream.

        One that is stored already is left as it is. Raises BadData `batch_differs` if that holds something else, and
        NotWhole if the ends have positions that the store does not go on at.
        """
        found = positions.of(ends)
        if self.stored or not found:
            self._demand_positions(found)
            return self._publish(ends)
        if not positions.moved(found):
            self.outcome = "empty"
            self.discard()
            return []
        with self.store.turn(PATIENCE):
            self._name_after(found)
            return self._publish(ends)

    def _demand_positions(self, found):
        """Raise BadData if the stored batch of this id is known by other positions, which nothing may replace."""
        if self.stored and positions.of(self.stored["ends"]) != found:
            raise BadData(
                "batch_differs",
                f"batch {self.id} is stored already, with other source positions",
                cure="give this input a batch id of its own",
            )

    def _name_after(self, found):
        """Take the id that positions say, if the store goes on there, or has this very batch."""
        id = positions.batch_id(found)
        if self.given and id != self.id:
            raise UsageError(f"the batch is {id} by its source positions, not {self.id}", cure="leave out --batch")
        staging.tidy(self.store)  # a dead writer of these positions may have put files in place
        stored = self.store.commit(batch_name(id))
        if stored and positions.of(stored["ends"]) == found:
            self.stored = stored
        else:
            positions.demand_next(found, positions.stored(self.store), self.store.root)
        self.id = id
        self.name = self._staging.name = batch_name(id)

    def _publish(self, ends):
        self.outcome = "recognised" if self.stored and (self._same() or not self._change) else "stored"
        if self.outcome == "recognised":
            return self._recognise()
        self._files.close()
        top = {"top": self.schema.top} if self.schema.top else {}
        record = {"format": 1, "batch": printable(self.id), **top, "records": self.records}
        record = {**record, "sha256": self.digest.hexdigest(), "ends": ends}
        if self._change:
            return self._change.publish(self._staging, record, self._files, _paths_of(self.stored))
        return self._staging.publish(record, self._files)

    def _same(self):
        """Whether the stored batch has the same lines; their number decides where they lie under another schema."""
        if not self._change and self.stored.get("top", "") != self.schema.top:
            return self.stored["records"] == self.records
        return (self.stored["records"], self.stored["sha256"]) == (self.records, self.digest.hexdigest())

    def _recognise(self):
        self.discard()
        if not self._same():
            raise BadData(
                "batch_differs",
                f"batch {self.id} is stored already, with other content "
                f"({self.stored['records']} records, not {self.records})",
                cure="give this input a batch id of its own, or put it in that one's place by --replace",
            )
        return []

    def discard(self):
        """Remove what is staged and give the batch's name free; once is enough."""
        self._staging.discard()
        if self._change:
            self._change.close()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.discard()


def _paths_of(stored):
    """What a batch's files are, and were before a replacement for which readers have still time."""
    return [entry["path"] for entry in stored["files"]] + (stored["replaces"] if "until" in stored else [])


def _last_number(stored):
    """The highest number of a file that a stored batch has or had; 0 if there is no such batch."""
    paths = [entry["path"] for entry in stored["files"]] + stored.get("replaces", []) if stored else []
    return max((int(path[: -len(SUFFIX)].rpartition("-")[2]) for path in paths), default=0)


def placed(records, schema, rejects):
    """Yield (directory relative to the store, stored line with its newline) of each Record, by its dimensions."""
    named, known = set(schema.names) - {SUBMISSION_DATE}, {}
    for record in records:
        info, date = record.info, record.small["date"]
        seen = known.get(id(info))  # pings that say the same may share one dict
        again = seen is not None and seen[0] is info and seen[1] == date
        try:
            complete = again or info.keys() >= named
            if not complete or not (record.sound or tiers.proves(record.ping)):
                record.document()
            pings.check_id(record.id)
        except BadData as error:
            rejects.line(error, record.where, record.original, record.id)
            continue
        if again:
            directory = seen[2]
        else:
            directory = schema.directory(schema.values(record, None if complete else record.document().value))
            if len(known) >= MOST_REMEMBERED:
                known.clear()
            if complete:
                known[id(info)] = info, date, directory
        yield directory, b"%s\t%s\n" % (record.id.encode(), record.ping)
