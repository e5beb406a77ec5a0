"""What a client submitted: the path that says which document it is, its body, and the lines that these become.

The paths are those that Firefox sends to (https://docs.telemetry.mozilla.org, "HTTP edge server specification"):
`/submit/telemetry/<id>[/<reason>/<appName>/<appVersion>/<channel>/<buildID>]` and, for other namespaces,
`/submit/<namespace>/<type>/<version>/<id>`.
"""

import re
import time
from collections import namedtuple
from urllib.parse import unquote_to_bytes

from tel import encodings, jsonl, pings, rejects, tiers
from tel.committer import Item
from tel.errors import BadData, printable
from tel.records import SPLIT

TELEMETRY = "telemetry"
LONGEST_PATH = 2000
DIMENSIONS = ("reason", "appName", "appVersion", "appUpdateChannel", "appBuildID")  # behind the id, in this order
KEPT = ("Date", "User-Agent", "X-PingSender-Version", "DNT", "Content-Length")  # of the headers
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)

Target = namedtuple("Target", "namespace id info")  # info: what the path says of a record's info


class Refused(Exception):
    """An answer that means: not stored. `status` is that of HTTP, `headers` go with it."""

    def __init__(self, status, reason, headers=()):
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, dict(headers)


def target(path):
    """The Target of a path below /submit/, without its query. Raises Refused 400.

    >>> target("/submit/telemetry/ab-1/main/Firefox/45.0/beta/20160101000000").info["appUpdateChannel"]
    'beta'
    """
    if not re.fullmatch("[!-~]+", path):
        raise Refused(400, "a path of other than visible ASCII characters")
    namespace, *parts = [_decoded(part) for part in path.rstrip("/").split("/")[2:]] or [""]
    if not _NAMESPACE.fullmatch(namespace):
        raise Refused(400, "no namespace behind /submit/")
    if namespace == TELEMETRY:
        if not 1 <= len(parts) <= 1 + len(DIMENSIONS):
            raise Refused(400, "not /submit/telemetry/<id>[/<reason>/<appName>/<appVersion>/<channel>/<buildID>]")
        return Target(namespace, _id(parts[0]), {name: part for name, part in zip(DIMENSIONS, parts[1:]) if part})
    if len(parts) != 3:
        raise Refused(400, "not /submit/<namespace>/<type>/<version>/<id>")
    return Target(namespace, _id(parts[2]), {"reason": parts[0], "appName": namespace})


def _decoded(part):
    try:
        return unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        raise Refused(400, "a path that is not UTF-8") from None


def _id(text):
    try:
        return pings.check_id(text)
    except BadData as error:
        raise Refused(400, error.reason) from None


def origin(target):
    """The path, with its query, of a request's target, which a proxy may be sent as a whole URL.

    >>> origin("http://localhost:8080/status?x")
    '/status?x'
    """
    match = re.match(r"https?://[^/?]*", target, re.IGNORECASE)
    return (target[match.end() :] or "/") if match else target


class Arrival:
    """What goes with all lines of one request: when it came, and what of its head is kept.

    `path` is as it came, with the query; `headers` has a `get`; `remote` is the client's address, to be kept, or None.
    """

    def __init__(self, path, headers, remote=None, now=None):
        now = time.time() if now is None else now
        day = time.gmtime(now)
        self.date = time.strftime("%Y%m%d", day)
        self.received = f"{time.strftime('%Y-%m-%dT%H:%M:%S', day)}.{int(now * 1000) % 1000:03d}Z"
        self.path = path
        kept = {name: _text(headers.get(name)) for name in KEPT if headers.get(name) is not None}
        self.http = {"path": _text(path), "headers": kept, **({"remote": _text(remote)} if remote else {})}

    def record(self, id, body, hint=()):
        """The Item of a document: what is JSON is a record, anything else a reject; (Item, BadData or None).

        `hint` is what the path says of the info, for what the ping does not say itself.
        """
        ping = body.strip(b" \t\r\n")
        try:
            info = {**dict(hint), **info_of(ping)}
        except BadData as error:
            return self.reject(error, id, body), error
        ping = ping.replace(b"\n", b" ").replace(b"\r", b" ")  # which stand between tokens, the JSON being good
        before = jsonl.dumps({"id": id, "date": self.date, "received": self.received})[:-1]
        after = b"," + jsonl.dumps({"http": self.http, "info": info})[1:-1] + SPLIT + ping + b"}"
        return Item(id, before, after), None

    def reject(self, error, id, body):
        """The Item of bytes that are no document, for a BadData."""
        entry = rejects.entry("tel-receive", error, self.path, id)
        more = {"received": self.received, "http": self.http}
        return Item(None, jsonl.dumps({**entry, **more, **rejects.original(body)}))


def _text(value):
    """Text from a head, whatever its bytes were, as text that is UTF-8."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def info_of(ping):
    """The info of a ping's bytes, empty for one of no known generation. Raises BadData for what is no JSON object."""
    outline = tiers.proven(ping)
    if outline:
        return outline.info
    value = jsonl.loads(ping)
    if not isinstance(value, dict):
        raise BadData("not_an_object", "the ping is not a JSON object")
    try:
        return pings.outline(value).info
    except BadData:
        return {}


def unfolded(body, encoding, limit):
    """The plain bytes of a body. Raises Refused 413 or 415, BadData."""
    try:
        return encodings.plain(body, encoding, limit)
    except encodings.TooLarge as error:
        raise Refused(413, str(error)) from None
    except encodings.Unsupported as error:
        raise Refused(415, str(error)) from None


def single(target, arrival, body, encoding, limit):
    """([Item], None or the Refused 400 that is the answer) of a request with one document. Raises Refused 413, 415."""
    try:
        item, error = arrival.record(target.id, unfolded(body, encoding, limit), target.info)
    except BadData as failure:
        item, error = arrival.reject(failure, target.id, body), failure
    return [item], error and Refused(400, error.reason)


def batch(arrival, body, encoding, limit):
    """([Item, ...], [what is answered of each line, ...]) of many documents, one per line.

    A line is `<id> TAB <json>`, or a ping that says its id. Raises Refused, BadData where the body is not to be read.
    """
    items, answers = [], []
    try:
        lines = unfolded(body, encoding, limit).split(b"\n")
    except BadData as error:
        raise Refused(400, error.reason) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        id, item, error = _of_line(arrival, line)
        said = {"line": number, "id": id, "status": 400 if error else 200}
        items.append(item)
        answers.append({**said, **({"error": printable(error.reason)} if error else {})})
    return items, answers


def _of_line(arrival, line):
    """(id or None, Item, None or the BadData that its line is) of one line of a batch."""
    id = None
    try:
        text, tab, ping = line.partition(b"\t")
        if line.lstrip().startswith(b"{") or not tab:
            text, ping = _own_id(line), line
        id = pings.check_id(jsonl.text(text))
    except BadData as error:
        return id, arrival.reject(error, None, line), error
    return (id, *arrival.record(id, ping))


def _own_id(line):
    value = jsonl.loads(line)
    id = value.get("id") if isinstance(value, dict) else None
    return id.encode() if isinstance(id, str) else b""
