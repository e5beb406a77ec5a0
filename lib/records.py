"""Records: one line of JSON for one ping, its small fields first and the ping's own bytes last.

    {"id":"<document id>","date":"20130901","info":{...},"revision":{...},"ping":{...}}

A tool that asks for the small fields alone never parses the ping: the line is split at the first `,"ping":`, which
cannot stand inside a JSON string, where quotes are escaped.
"""

from tel import jsonl, memory, pings
from tel.document import Document
from tel.errors import BadData

SPLIT = b',"ping":'


class Record:
    """One record: its small fields parsed, its ping as the bytes of a JSON object.

    `small` is the dict of all fields but the ping, `head` its text up to the ping; `where` is the place it was read
    at. `outline` is what a quick look at the ping showed, for as long as the ping stays as it is (see tel.tiers);
    `sound` tells whether the ping is known to be strict JSON, having been looked at or made here.
    """

    __slots__ = ("small", "where", "head", "outline", "sound", "_ping", "_document", "_original")

    def __init__(self, small, ping, where=None, head=None, original=None, sound=False):
        self.small, self.where, self.head, self.sound = small, where, head, sound
        self.outline = self._document = None
        self._ping, self._original = ping, original

    @property
    def id(self):
        """The document id."""
        return self.small["id"]

    @property
    def info(self):
        """The few scalar fields that later tools ask for (dict)."""
        return self.small["info"]

    @property
    def revision(self):
        """What tel-resolve found: {"repository", "node", "sha256", "by"}, or None for a ping without histograms."""
        return self.small.get("revision")

    @property
    def source(self):
        """Where a stream took it from: {"topic", "partition", "offset"}, or None."""
        return self.small.get("source")

    @property
    def ping(self):
        """The ping's bytes."""
        if self._ping.__class__ is not bytes:
            self._ping = self._document.bytes() if self._ping is None else self._ping.text()
        return self._ping

    @property
    def most(self):
        """How many bytes the ping has at most; they are not made for that where somebody knows it."""
        return len(self.ping) if self._ping is None or self._ping.__class__ is bytes else self._ping.most

    @property
    def original(self):
        """The line it came as, for rejects."""
        return self.line() if self._original is None else self._original

    def with_ping(self, ping, document=None):
        """The same record with other bytes for a ping, or with its Document (ping None), changed and taken over.

        In place of the bytes, an object whose `text()` gives them once they are asked for, at `most` so many: what a
        stage passes on within a chain, the next one may not look at.
        """
        record = Record(self.small, ping, self.where, self.head, self._original, sound=True)
        record._document, self._document = document, None
        return record

    def put(self, **fields):
        """Set some small fields."""
        self.small.update(fields)
        self.head = None
        return self

    def came(self, where, line=None):
        """Say that the record came from another tool, at a place of its own: as `line`, or as it is now."""
        self.where, self._original = where, line
        return self

    def document(self):
        """The ping as a Document, parsed once, open where tools change it; BadData if it is not a JSON object.

        Bytes that looked like the ping may hold fields that follow it (jq appends them): then the line is parsed whole.
        """
        if self._document is None:
            try:
                document = _opened(self.ping)
            except BadData:
                if self.head is None or self._original is None:
                    raise
                whole = _whole(self._original, self.where)
                self.small, self.head, self._ping = whole.small, None, whole.ping
                document = _opened(self.ping)
            if not isinstance(document.value, dict):
                raise BadData("not_an_object", "the ping is not a JSON object", self.where)
            self._document, self.sound = document, True
        return self._document

    def line(self):
        """The record as a line, without the newline.

        >>> Record({"id": "a", "date": "20130901", "info": {}}, b'{"ver":1}').line()
        b'{"id":"a","date":"20130901","info":{},"ping":{"ver":1}}'
        """
        return b"".join((self.opening(), SPLIT, self.ping, b"}"))

    def opening(self):
        """The line up to the ping."""
        if self.head is None:
            self.head = _opening(self.small)
        return self.head


_FIELDS = "id", "date", "info", "revision"
_BEHIND_ID, _MOST = {}, 1000  # texts, and how many are remembered


def _opening(small):
    """The text of small fields without the last brace; that behind the id is made once for pings that share an info."""
    if tuple(small) != _FIELDS:
        return jsonl.dumps(small)[:-1]
    document_id, date, info, revision = small.values()
    key = date, id(info), id(revision)
    known = _BEHIND_ID.get(key)
    if known is None:
        if len(_BEHIND_ID) >= _MOST:
            _BEHIND_ID.clear()
        text = jsonl.dumps({"date": date, "info": info, "revision": revision})[1:-1]
        known = text, info, revision  # these are kept, so that no others get their ids
        if len(text) <= memory.LONGEST:
            _BEHIND_ID[key] = known
    return b'{"id":%s,%s' % (jsonl.dumps(document_id), known[0])


def _opened(ping):
    return Document(ping, (pings.PLAIN, pings.KEYED, pings.ADDON), ("ver", "version"), _holders)


def _holders(ping):
    """The objects of a ping that may have histograms, the ping itself first, whatever its generation."""
    yield ping
    for generation in (pings.CLASSIC, pings.UNIFIED):
        yield from (holder for holder, _ in pings.holders(ping, generation) if holder is not ping)


def parse(line, where=None):
    """The Record of a line of ours. Raises BadData: `not_json`, `not_a_record` and what jsonl raises.

    >>> parse(b'{"id":"a","date":"20130901","info":{},"revision":null,"ping":{"ver":1}}').ping
    b'{"ver":1}'
    """
    return _split(line, where) or _whole(line, where)


def _split(line, where):
    """The record by splitting its bytes, or None where only a full parse can tell."""
    at = line.find(SPLIT)
    start = at + len(SPLIT)
    if at < 0 or not line.startswith(b"{", start) or not line.endswith(b"}}") or len(line) < start + 3:
        return None
    head = line[:at]
    try:
        small = jsonl.loads(head + b"}")
    except BadData:
        return None
    if not _is_small(small):
        return None
    return Record(small, line[start:-1], where, head, line)


def _whole(line, where):
    """The record of a line whose fields come in another order, or with white space between them."""
    document = jsonl.loads(line)
    if not isinstance(document, dict) or not isinstance(document.get("ping"), dict):
        raise BadData("not_a_record", "not a record: a JSON object with id, date, info and ping is expected", where)
    ping = document.pop("ping")
    if not _is_small(document):
        raise BadData("not_a_record", "not a record: id and date are strings, info is an object", where)
    return Record(document, jsonl.dumps(ping), where, None, line)


def _is_small(small):
    return (
        isinstance(small, dict)
        and "ping" not in small
        and isinstance(small.get("id"), str)
        and isinstance(small.get("date"), str)
        and isinstance(small.get("info"), dict)
        and isinstance(small.get("revision", {}), (dict, type(None)))
    )
