"""Raw input to records: the id, date and info of each ping, and the definitions it was built with."""

from tel import jsonl, pings, records, revisions, streams
from tel.errors import BadData
from tel.records import Record

MOST_REMEMBERED = 10_000


def parse_raw(line, date, make_ids=False):
    """(Record, parsed ping, whether the line was raw) of a line: a record, a bare ping, or `<id> TAB <json>`.

    A bare ping needs an id of its own (`version` 4 has one) unless `make_ids`. Raises BadData: `no_tab`, `no_id`,
    `bad_id`, `not_json`, `not_an_object`, `missing_info`, `unknown_version`.
    """
    text = line.strip(b" \r")
    if text.startswith(b"{"):
        return _parse_object(line, text, date, make_ids)
    id, tab, text = line.partition(b"\t")
    if not tab:
        raise BadData("no_tab", "neither JSON nor <id> TAB <json>: no tab in the line")
    text = text.strip(b" \t\r")
    return (*_record(pings.check_id(jsonl.text(id)), date, text, _ping(text)), True)


def _parse_object(line, text, date, make_ids):
    if text.startswith((b'{"id":', b'{"date":')) and records.SPLIT in text:
        try:
            record = records.parse(text)
        except BadData:
            pass
        else:
            pings.check_id(record.id)
            return record, record.document().value, False
    ping = _ping(text)
    if "ver" not in ping and "version" not in ping and "ping" in ping:
        record = records.parse(text)
        pings.check_id(record.id)
        return record, record.document().value, False
    id = ping.get("id")
    if not isinstance(id, str):
        id = content_id(text) if make_ids else ""
    if not id:
        raise BadData("no_id", "a bare ping without an id", cure="--make-ids gives it one made from its content")
    return (*_record(pings.check_id(id), date, text, ping), True)


def content_id(data):
    """A document id made from a ping's bytes: the same bytes always get the same one.

    >>> content_id(b"{}")
    '44136fa3-55b3-678a-1146-ad16f7e8649e'
    """
    import hashlib

    digits = hashlib.sha256(data).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def _ping(text):
    ping = jsonl.loads(text)
    if not isinstance(ping, dict):
        raise BadData("not_an_object", "the ping is not a JSON object")
    return ping


def _record(id, date, text, ping):
    return Record({"id": id, "date": date, "info": pings.info_of(ping, pings.generation(ping))}, text), ping


class Resolver:
    """Finds the definitions of one ping after another in a Cache; each revision is looked up once."""

    def __init__(self, cache):
        self.cache, self._known = cache, {}

    def revision(self, ping):
        """The record's `revision` for a parsed ping: what was found, or None for one without histograms.

        Raises BadData `definitions_not_found`.
        """
        generation = pings.generation(ping)
        if not pings.carries_histograms(ping, generation):
            return None
        url = pings.at(ping, pings.REVISION[generation])
        if not isinstance(url, str):
            raise BadData("definitions_not_found", "the ping names no revision, so its definitions are not known")
        found = self._known.get(url)
        if found is None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            found = self._known[url] = self._find(url)
        return found

    def _find(self, url):
        named = revisions.parse_url(url)
        if named is None:
            raise BadData("definitions_not_found", f"not the URL of a revision: {url[:200]}")
        version = self.cache.find(*named)
        if version is None:
            raise BadData(
                "definitions_not_found",
                f"no definitions of {'/'.join(named)} in {self.cache.directory}",
                cure="put its Histograms.json there as <repository>/<node>/Histograms.json",
            )
        return {"repository": named[0], "node": version.node, "sha256": version.sha256, "by": "revision"}


class Seen:
    """How many raw lines and records have been read: raw lines alone mean that the stream starts here."""

    def __init__(self):
        self.raw = self.records = 0

    def raw_only(self):
        """Whether there were raw lines, and nothing else."""
        return self.raw > 0 and self.records == 0


def resolve(lines, resolver, rejects, date, make_ids=False, seen=None, replace=False):
    """Yield a Record with its `revision` for each (where, line) of raw input or records; the others are rejected.

    `replace` puts U+FFFD in the place of bytes that are not UTF-8, as the 2013 server did.
    """
    seen = seen or Seen()
    for where, line in lines:
        try:
            whole = streams.held(line)
            text = whole.decode(errors="replace").encode() if replace else whole
            record, ping, raw = parse_raw(text, date, make_ids)
            revision = resolver.revision(ping)
        except BadData as error:
            seen.raw += 1
            rejects.line(error, where, line, _id_of(line))
            continue
        seen.raw += raw
        seen.records += not raw
        record.where, record.original = where, line
        yield record.with_fields(revision=revision)


def _id_of(line):
    """The document id of a rejected export line, or None.

    >>> _id_of(b"ab\\t{")
    'ab'
    """
    if line.__class__ is not bytes:
        return None
    id, tab, _ = line[:300].partition(b"\t")
    return id.decode(errors="replace") if tab and not id.lstrip().startswith(b"{") else None
