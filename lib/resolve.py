"""Raw input to records: the id, date and info of each ping, and the definitions it was built with."""

import re
from collections import namedtuple

from tel import jsonl, message, pings, records, revisions, stats, streams, tiers
from tel.document import Document
from tel.errors import BadData, NoInput, UsageError
from tel.memory import remembered
from tel.records import Record

# The repository that the builds of each update channel are made from.
CHANNELS = {
    "nightly": "mozilla-central",
    "default": "mozilla-central",
    "aurora": "releases/mozilla-aurora",
    "beta": "releases/mozilla-beta",
    "release": "releases/mozilla-release",
    "esr": "releases/mozilla-esr{major}",
}
REVISION_URL = (
    "https://hg.mozilla.org/{repository}/rev/{node}"  # how a ping that names none is made to name its revision
)


def parse_raw(line, date, look, make_ids=False):
    """(Record, Outline of its ping, whether the line was raw) of a line: a record, a bare ping, or `<id> TAB <json>`.

    One of these may lie in a message of Kafka as `kcat -J` prints it.

    `look` is a Resolver's, which sees the Outline of most pings without parsing them. A bare ping needs an id of its
    own (`version` 4 has one) unless `make_ids`. Raises BadData: `no_tab`, `no_id`, `bad_id`, `not_json`,
    `not_an_object`, `missing_info`, `unknown_version`.
    """
    text = line.strip(b" \r")
    if text.startswith(b"{"):
        return _parse_object(text, date, look, make_ids)
    id, tab, text = line.partition(b"\t")
    if not tab:
        raise BadData("no_tab", "neither JSON nor <id> TAB <json>: no tab in the line")
    text = text.strip(b" \t\r")
    return (*_record(pings.check_id(jsonl.text(id)), date, text, look(text) or pings.outline(_ping(text))), True)


def _parse_object(text, date, look, make_ids):
    if message.is_record(text):
        try:
            record = records.parse(text)
        except BadData:
            pass
        else:
            return _checked(record, look)
    outline = look(text)
    if not outline:
        ping = _ping(text)
        if "ver" not in ping and "version" not in ping and "ping" in ping:
            return _checked(records.parse(text), look)
        if message.is_kcat(ping):
            return _parse_message(ping, date, look, make_ids)
        outline = pings.outline(ping)
    id = outline.id
    if not isinstance(id, str):
        id = content_id(text) if make_ids else ""
    if not id:
        raise BadData("no_id", "a bare ping without an id", cure="--make-ids gives it one made from its content")
    return (*_record(pings.check_id(id), date, text, outline), True)


def _parse_message(value, date, look, make_ids):
    line, day, source = message.of_kcat(value)
    record, outline, _ = parse_raw(line, day or date, look, make_ids)
    return record.put(source=source), outline, True


def _checked(record, look):
    outline = record.outline = look(record.ping) or False
    if not outline:
        outline = pings.outline(
            record.document().value
        )  # first: it may find that the line has to be read in another way
    pings.check_id(record.id)
    return record, outline, False


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


def _record(id, date, text, outline):
    record = Record({"id": id, "date": date, "info": outline.info}, text, sound=True)
    record.outline = outline.__class__ is not pings.Outline and outline
    return record, outline


class Resolver:
    """Finds the definitions of one ping after another in a Cache; each revision is looked up once.

    `server` (a server.Server, or None) is asked for a revision that the cache does not know. Where the ping names
    none that can be found, its channel says the repository (`channels`) and its build id the time, or else its version
    the product, for which definitions were in effect; `only_revision` forbids that. `alone` says that no other stage
    makes use of what was found out about a ping.
    """

    def __init__(self, cache, server=None, channels=CHANNELS, only_revision=False, alone=False):
        self.cache, self.server, self.channels, self.only_revision = cache, server, channels, only_revision
        self._alone = alone
        self._revisions, self._builds = {}, {}

    def look(self, ping):
        """A tier's Outline of a ping's bytes; None in doubt, and where the text of its histograms may be no JSON."""
        if self._alone:  # converting is worth the while only if others make use of it
            return tiers.proven(ping)
        outline = tiers.look(ping)
        if not outline or outline.proven:
            return outline
        try:
            version = self.cache.of_record(self.revision(outline, outline.info))
        except BadData:  # which may not be the first thing that is wrong
            return None
        return outline if outline.converted(version) else None

    def revision(self, outline, info):
        """The record's `revision` for the outline of its ping and its info: what was found, or None without histograms.

        Raises BadData `definitions_not_found`.
        """
        if not outline.carries:
            return None
        url = outline.revision
        found = remembered(self._revisions, url, self._by_revision) if isinstance(url, str) else None
        if found is None and not self.only_revision:
            build = Build(*(info.get(name) for name in ("appUpdateChannel", "appBuildID", "appVersion")))
            found = remembered(self._builds, build, self._by_build)
        if found is None:
            raise self._not_found(url)
        return found

    def _by_revision(self, url):
        named = revisions.parse_url(url)
        version = named and (self.cache.find(*named) or (self.server and self.server.version(*named)))
        return _result(version, "revision" if version.exact else "ancestor", named[0]) if version else None

    def _by_build(self, build):
        repository = repository_of(self.channels, build.channel, build.version)
        seconds = build_time(build.id)
        if repository is None:
            return None
        if seconds is not None:
            return _result(self.cache.in_effect(repository, seconds), "buildid")
        return _result(self.cache.of_product(repository, build.version), "version")

    def _not_found(self, url):
        if not isinstance(url, str):
            reason = "the ping names no revision"
            reason += "" if self.only_revision else ", and its channel and build say nothing that the cache knows"
        elif revisions.parse_url(url) is None:
            reason = f"not the URL of a revision: {url[:200]}"
        else:
            reason = f"no definitions of {'/'.join(revisions.parse_url(url))} in {self.cache.directory}"
        cure = "tel-history or --fetch bring them there" if revisions.parse_url(url) else None
        return BadData("definitions_not_found", reason, cure=cure)


Build = namedtuple("Build", "channel id version")


def _result(version, by, repository=None):
    """The `revision` field of a record for a Version (None for none)."""
    if version is None:
        return None
    return {"repository": repository or version.repository, "node": version.node, "sha256": version.sha256, "by": by}


def repository_of(channels, channel, version):
    """The repository that a channel's builds are made from, or None; `{major}` in its name is the product's version.

    >>> repository_of(CHANNELS, "esr", "153.7.0")
    'releases/mozilla-esr153'
    """
    repository = channels.get(channel) if isinstance(channel, str) else None
    if repository and "{major}" in repository:
        major = version.split(".")[0] if isinstance(version, str) else ""
        repository = repository.replace("{major}", major) if major.isascii() and major.isdigit() else None
    return repository


def build_time(id):
    """The seconds since 1970 of a build id (YYYYMMDDHH[MMSS]) taken as UTC, or None for what is none.

    Build machines wrote their local time (Pacific) in old days, so that an old build may be given the version of up
    to eight hours before.

    >>> build_time("19700101000100")
    60
    """
    if not isinstance(id, str) or not re.fullmatch(r"\d{10}(\d{4})?", id, re.ASCII):
        return None
    from datetime import datetime, timezone  # slow to import, and few pings need it

    try:
        return int(datetime.strptime(id.ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc).timestamp())
    except ValueError:
        return None


def resolve(lines, resolver, rejects, date, make_ids=False, seen=None, replace=False):
    """Yield a Record with its `revision` for each (where, line) of raw input or records; the others are rejected.

    `replace` puts U+FFFD in the place of bytes that are not UTF-8, as the 2013 server did.
    """
    seen = seen or stats.Seen()
    for where, line in lines:
        try:
            whole = streams.held(line)
            text = whole.decode(errors="replace").encode() if replace else whole
            record, outline, raw = parse_raw(text, date, resolver.look, make_ids)
            revision = resolver.revision(outline, record.info)
            if revision and revision["by"] in ("buildid", "version"):
                record = with_revision(record, outline.generation, revision)
        except BadData as error:
            seen.raw += 1
            rejects.line(error, where, line, _id_of(line))
            continue
        seen.raw += raw
        seen.records += not raw
        record.came(where, line)
        yield record.put(revision=revision)


def with_revision(record, generation, revision):
    """The Record with the revision filled in where its ping names none, as the storage format asks."""
    document = Document(record.ping, ("info",), (), _info_holders)
    holder = document.value if generation == pings.CLASSIC else document.value.get("payload")
    if generation == pings.DEVICE or not isinstance(holder.get("info"), dict) or "revision" in holder["info"]:
        return record
    document.set(holder, "info", {**holder["info"], "revision": REVISION_URL.format(**revision)})
    return record.with_ping(document.bytes())


def _info_holders(ping):
    yield ping
    if isinstance(ping.get("payload"), dict):
        yield ping["payload"]


def read_channels(path):
    """The channel table of a JSON file {channel: repository} over the default one. Raises NoInput, UsageError."""
    try:
        with open(path, "rb") as file:
            table = jsonl.loads(file.read())
    except OSError as error:
        raise NoInput(f"cannot be read: {error.strerror}", path) from None
    except BadData as error:
        raise UsageError(error.reason, path) from None
    if not isinstance(table, dict) or not all(isinstance(name, str) for name in table.values()):
        raise UsageError('not a channel table: {"channel": "repository", ...} is expected', path)
    return {**CHANNELS, **table}


def _id_of(line):
    """The document id of a rejected export line, or None.

    >>> _id_of(b"ab\\t{")
    'ab'
    """
    if line.__class__ is not bytes:
        return None
    id, tab, _ = line[:300].partition(b"\t")
    return id.decode(errors="replace") if tab and not id.lstrip().startswith(b"{") else None
