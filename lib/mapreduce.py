"""Map, combine and reduce over stored pings: lines `["key",value]` between them, and manifests of the files mapped.

The end record of a map says how many files it read whole, and the sum of the hashes of their names, which does not
depend on their order. Combines add these up, so that a file that is missing or was mapped twice is known at the end.
"""

import hashlib
import os
import re

from tel import compress, jsonl, pings, records, store, streams, tree
from tel.errors import BadData, NotWhole, UsageError, naming
from tel.job import key_text, pair_line, said
from tel.schema import SUBMISSION_DATE, UNKNOWN, as_text

DIMENSIONS = tree.NAMES
BUFFERED = 64  # values of one key that are kept until they are combined
MODULUS = 1 << 128


class Manifest:
    """Which files were read whole: how many, and the sum of the hashes of their names.

    >>> Manifest.of(["a", "b"]).fields() == Manifest.of(["b", "a"]).fields()
    True
    """

    def __init__(self, files=0, total=0):
        self.files, self.total = files, total

    @classmethod
    def of(cls, names):
        """The manifest of some files."""
        manifest = cls()
        for name in names:
            manifest.add(name)
        return manifest

    @classmethod
    def received(cls, ends):
        """The manifest of all the files that some end records speak of."""
        manifest = cls()
        for end in ends:
            manifest.merge(end)
        return manifest

    def add(self, name):
        """Take in a file that was read whole, by its name as it was given."""
        self.files += 1
        digest = hashlib.sha256(os.fsencode(name)).digest()
        self.total = (self.total + int.from_bytes(digest[:16], "big")) % MODULUS

    def merge(self, end):
        """Take in what an end record says. Raises BadData `bad_end_record` if it says it in another way than ours."""
        files, total = end.get("files", 0), end.get("inputs", "0")
        if files.__class__ is not int or files < 0 or not re.fullmatch("[0-9a-f]{1,32}", str(total)):
            raise BadData(
                "bad_end_record", f"an end record of {end['tool']:.40} with files {files!r:.40}, inputs {total!r:.40}"
            )
        self.files += files
        self.total = (self.total + int(str(total), 16)) % MODULUS

    def fields(self):
        """The fields of an end record."""
        return {"files": self.files, "inputs": f"{self.total:032x}"}

    def demand(self, expected):
        """Raise NotWhole unless exactly the files of another manifest were read, each once."""
        if self.files != expected.files:
            raise NotWhole(
                f"{self.files} files were mapped, and --inputs lists {expected.files}", cure="run the map again"
            )
        if self.total != expected.total:
            raise NotWhole(
                "the files that were mapped are not those that --inputs lists: one is missing, another doubled"
            )


def listed(lines):
    """The file names of a list, one a line; empty lines are none. Raises UsageError for a name that is there twice."""
    names = [os.fsdecode(line) for line in lines if line]
    if len(set(names)) < len(names):
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise UsageError(f"the list names {twice} twice")
    return names


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
    """The dimensions of a ping in no store, from its small info.

    >>> dims_of_info({"reason": "daily"}, "20130901")
    ['daily', 'UNKNOWN', 'UNKNOWN', 'UNKNOWN', 'UNKNOWN', '20130901']
    """
    values = {**info, SUBMISSION_DATE: date}
    return [as_text(values.get(name)) or UNKNOWN for name in DIMENSIONS]


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


def map_lines(lines, job, rejects, render, dims=None, seen=None):
    """Yield `render(key, value)` of the pairs that a job makes of (where, line) pairs of stored lines or records.

    `seen` (a stats.Seen) is told which they were.
    """
    for where, line in lines:
        try:
            id, line_dims, value, raw = parse_stored(streams.held(line), dims)
            value = value if job.reads_bytes else jsonl.text(value)
            rendered = [render(key, value) for key, value in job.map(id, line_dims, value, where)]
        except BadData as error:
            rejects.line(error, where, line)
            continue
        if seen is not None:
            seen.raw += raw
            seen.records += not raw
        yield from rendered


def tab_line(key, value):
    """A pair as `key TAB value`, for Hadoop Streaming and Spark's pipe; a key that could be taken for JSON is quoted.

    >>> tab_line("Linux", 3), tab_line(["a"], 3)
    (b'Linux\\t3', b'["a"]\\t3')
    """
    text = key_text(key)
    plain = isinstance(key, str) and not _LIKE_JSON.match(key) and not any(c in key for c in "\t\n\r")
    return (key.encode() if plain else text) + b"\t" + said(value)


_LIKE_JSON = re.compile(r"""["\[{\d-]|(?:true|false|null)$|$""")


def parse_pair(where, line):
    """(key, value) of a line between the tools. Raises BadData `not_a_pair`."""
    try:
        pair = jsonl.loads(streams.held(line))
    except BadData as error:
        raise BadData(error.error_type, error.reason, where, error.cure) from None
    if not isinstance(pair, list) or len(pair) != 2:
        raise BadData("not_a_pair", 'not a line ["key",value]', where)
    return pair


def key_of(text):
    """The key of its canonical JSON as a job gets it: a list as a tuple, which can be a dict's key.

    >>> key_of(b'["a",[1]]')
    ('a', (1,))
    """
    return _tupled(jsonl.loads(text))


def _tupled(value):
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


class _Entry:
    """The values of one key, the bytes of their lines, and how many may come before they are combined."""

    __slots__ = ("values", "size", "bound")

    def __init__(self):
        self.values, self.size, self.bound = [], 0, BUFFERED


class Table:
    """Values by key, combined when many of one key have come, within about `memory` bytes.

    Keys are held as the bytes of their canonical JSON; `items` gives them sorted by these.
    """

    def __init__(self, job, memory=None):
        self.job, self.memory = job, memory
        self._entries, self._held = {}, 0

    def add(self, key, value, size):
        """Take in a pair whose line has `size` bytes; whether the table is now full."""
        return self.add_text(key_text(key), value, size)

    def add_text(self, text, value, size):
        """The same with a key as its canonical JSON."""
        entry = self._entries.get(text)
        if entry is None:
            entry = self._entries[text] = _Entry()
            self._held += ENTRY
        entry.values.append(value)
        entry.size += size
        self._held += size
        if len(entry.values) >= entry.bound and self.job.combines:
            self._combine(text, entry)
        return self.memory is not None and self._held * OVERHEAD > self.memory

    def _combine(self, text, entry):
        """Combine the values of one key; one that does not become fewer is tried again when it has doubled.

        The values are written and read again, so that a later combine sees them as one behind a pipe would.
        """
        parts = [said(value) for value in self._combined(text, entry.values)]
        size = sum(map(len, parts))
        self._held += size - entry.size
        entry.values, entry.size = [jsonl.loads(part) for part in parts], size
        entry.bound = max(BUFFERED, 2 * len(parts))

    def _combined(self, text, values):
        """The values of one key after the job's combine. Raises BadData `job_failed` if it wrote another key."""
        pairs = self.job.combine(key_of(text), values)
        if any(key_text(key) != text for key, _ in pairs):
            raise BadData("job_failed", f"the job's combine wrote another key than {text.decode():.100}")
        return [value for _, value in pairs]

    def items(self):
        """Yield (key, values) sorted by key, values combined as far as the job can; the table is empty afterwards."""
        taken, self._entries, self._held = self._entries, {}, 0
        for text in sorted(taken):
            entry = taken.pop(text)
            if self.job.combines and len(entry.values) > 1:
                self._combine(text, entry)
            yield key_of(text), entry.values


OVERHEAD = 8  # bytes of memory for one byte of a line, as Python holds it
ENTRY = 50  # what a key costs beside its lines, as bytes of a line


def combine(lines, job, memory):
    """Yield the (key, value) pairs of (where, line) pairs, combined as far as memory allows; may be applied again."""
    table = Table(job, memory)
    for where, line in lines:
        key, value = parse_pair(where, line)
        if not job.combines:
            yield key, value
        elif table.add(key, value, len(line)):
            yield from _partials(table)
    yield from _partials(table)


def _partials(table):
    for key, values in table.items():
        for value in values:
            yield key, value


def combined_lines(lines, job, memory):
    """Yield the lines of `combine`; a job without a combine gets its lines as they came."""
    if job.combines:
        return (pair_line(key, value) for key, value in combine(lines, job, memory))
    return (line for where, line in lines if parse_pair(where, line))


class Spill:
    """What a Table cannot hold: its pairs, sorted by the system's sort, with the same `items`.

    Only the values of one key are in memory at a time, and those as far as the job combines them.
    """

    def __init__(self, job, memory):
        from tel import sorter

        self.job, self._sorter = job, sorter.Sorter(memory)

    def take(self, table):
        """Take everything out of a Table."""
        self._sorter.write([b"%s\t%s" % (key_text(key), said(value)) for key, value in _partials(table)])

    def items(self):
        """Yield (key, values) sorted by key, values combined as far as the job can."""
        table, last = Table(self.job), None
        for line in self._sorter.sorted():
            text, _, value = line.partition(b"\t")
            if text != last:
                yield from table.items()
                last = text
            table.add_text(text, jsonl.loads(value), len(value))
        yield from table.items()

    def close(self):
        """Give up."""
        self._sorter.close()


def gather(lines, job, memory=None):
    """All the pairs of (where, line) pairs, as a Table or, where `memory` bytes cannot hold them, a Spill."""
    table, spill = Table(job, memory and memory // 2), None
    try:
        for where, line in lines:
            key, value = parse_pair(where, line)
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


def held_back(lines, memory):
    """Yield lines when the last of them is made, and none if one fails; beyond `memory` bytes a file holds them."""
    import tempfile

    with tempfile.SpooledTemporaryFile(memory) as file:
        with naming(tempfile.gettempdir()):
            for line in lines:
                file.write(line + b"\n")
            file.seek(0)
        yield from (line[:-1] for line in file)


def reduce(table, job):
    """Yield the (key, value) pairs of a job's reduce over a Table, by key; the pairs as they are if it has none."""
    job.setup_reduce()
    for key, values in table.items():
        if job.reduces:
            yield from job.reduce(key, values)
        else:
            for value in values:
                yield key, value


def rows(pairs, format):
    """Yield the lines of an answer as `ndjson`, `tsv` or `csv`: the key's columns, then the value."""
    if format == "ndjson":
        return (pair_line(key, value) for key, value in pairs)
    joined = _csv if format == "csv" else _tsv
    plain = (jsonl.loads(pair_line(key, value)) for key, value in pairs)
    return (joined([*(key if isinstance(key, list) else [key]), value]) for key, value in plain)


def _cell(value):
    if isinstance(value, (list, dict, bool, type(None))):
        return jsonl.dumps(value).decode()
    return str(value)


def _tsv(cells):
    escapes = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
    return "\t".join(_cell(cell).translate(escapes) for cell in cells).encode()


def _csv(cells):
    return ",".join(_quoted(_cell(cell)) for cell in cells).encode()


def _quoted(text):
    """A field of RFC 4180.

    >>> _quoted("a,b")
    '"a,b"'
    """
    return '"%s"' % text.replace('"', '""') if any(c in text for c in '",\n\r') else text


FORMATS = ("ndjson", "tsv", "csv")
