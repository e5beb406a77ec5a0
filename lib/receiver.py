"""The HTTP interface of tel-receive, whatever the server library: which request gets which answer."""

import re
import threading
import time
from collections import namedtuple

from tel import __version__, encodings, jsonl, spool, submission
from tel.errors import TelError
from tel.submission import Refused

SUBMIT, BATCH, ASK = "submit", "batch", "ask"
RETRY = {"Retry-After": "30"}  # seconds
ALLOWED = {SUBMIT: ("POST", "PUT"), BATCH: ("POST", "PUT"), ASK: ("GET", "HEAD")}
JSON, TEXT, LINES = "application/json", "text/plain; charset=utf-8", "application/x-ndjson"
METRICS = "text/plain; version=0.0.4; charset=utf-8"
_DEFINITIONS = re.compile(r"/histograms/([A-Za-z0-9_./-]{1,200})/([0-9a-f]{12,40})")

Answer = namedtuple("Answer", "status body type headers", defaults=(TEXT, {}))
# `find` makes the Answer of a question, `target` is what is submitted
Route = namedtuple("Route", "kind target find", defaults=(None, None))
# `max_body` and `max_plain` bound a body as it comes and decompressed, `created` answers 201
Settings = namedtuple("Settings", "directory max_body max_plain created keep_ip proxies schema")


def full():
    """The refusal of what may be taken later."""
    return Refused(503, "the spool is full or slow: try again later", RETRY)


class Receiver:
    """Answers requests: `route`, `check_head`, `check_size`, `take` are asked in this order.

    `cache` is a revisions.Cache, `counters` are Counters, `committer` has `check`.
    """

    def __init__(self, settings, cache, counters, committer):
        self.settings, self.cache, self.counters, self.committer = settings, cache, counters, committer
        self.started, self._looked = time.time(), 0.0
        self._reading = threading.Lock()
        self._questions = {
            "/": self._front,
            "/status": self._status,
            "/__lbheartbeat__": lambda: Answer(200, b"OK\n"),
            "/__heartbeat__": self._heartbeat,
            "/__version__": lambda: self._json({"name": "tel-receive", "version": __version__}),
            "/metrics": lambda: Answer(200, self.counters.prometheus().encode(), METRICS),
            "/telemetry_schema": lambda: self._json(self.settings.schema),
        }

    def route(self, method, path):
        """The Route of a request. Raises Refused 400, 404, 405, 414."""
        if len(path) > submission.LONGEST_PATH:
            raise Refused(414, f"a path of more than {submission.LONGEST_PATH} bytes")
        path = path.partition("?")[0]
        found = self._routed(path)
        if found is None:
            raise Refused(404, "there is no such path here")
        if method not in ALLOWED[found.kind]:
            raise Refused(405, f"{method} is not for this path", {"Allow": ", ".join(ALLOWED[found.kind])})
        return found._replace(target=submission.target(path)) if found.kind == SUBMIT else found

    def _routed(self, path):
        if path == "/submit" or path.startswith("/submit/"):
            return Route(SUBMIT)
        if path == "/batch/telemetry":
            return Route(BATCH)
        match = _DEFINITIONS.fullmatch(path)
        find = (lambda: self._definitions(*match.groups())) if match else self._questions.get(path)
        return Route(ASK, None, find) if find else None

    def check_head(self, headers):
        """Raise Refused for a body that is not to be read: 400, 411, 413, 415 or 503."""
        length = headers.get("Content-Length")
        if length is None and "chunked" not in headers.get("Transfer-Encoding", "").lower():
            raise Refused(411, "no Content-Length")
        if length is not None and (not length.isascii() or not length.isdigit()):
            raise Refused(400, "the Content-Length is no number")
        if length is not None and (len(length) > 18 or int(length) > self.settings.max_body):
            raise self._too_large()
        try:
            encodings.check(headers.get("Content-Encoding", ""))
        except encodings.Unsupported as error:
            raise Refused(415, str(error)) from None
        self.committer.check()

    def check_size(self, size):
        """Raise Refused 413 if a body has more bytes than it may."""
        if size > self.settings.max_body:
            raise self._too_large()

    def _too_large(self):
        return Refused(413, f"a body of more than {self.settings.max_body} bytes")

    def take(self, route, path, headers, remote, body):
        """([Item, ...], the Answer when these are on disk) of a submission. Raises Refused 400, 413, 415."""
        self.counters.add("bytes", len(body))
        arrival = submission.Arrival(path, headers, remote if self.settings.keep_ip else None)
        encoding = headers.get("Content-Encoding", "")
        if route.kind == BATCH:
            items, said = submission.batch(arrival, body, encoding, self.settings.max_plain)
            answer = Answer(200, b"".join(jsonl.dumps(line) + b"\n" for line in said), LINES)
        else:
            items, error = submission.single(route.target, arrival, body, encoding, self.settings.max_plain)
            answer = refusal(error) if error else Answer(201 if self.settings.created else 200, b"OK\n")
        self.counters.add("plain_bytes", sum(len(item.before) + len(item.after) for item in items))
        return items, answer

    def _front(self):
        return Answer(200, f"tel-receive {__version__}\n".encode())

    def _status(self):
        totals = self.counters.totals()
        answers = {str(name): count for name, count in totals.items() if isinstance(name, int)}
        counts = {name: count for name, count in totals.items() if not isinstance(name, int)}
        return self._json({"seconds": int(time.time() - self.started), **counts, "answers": answers})

    def _heartbeat(self):
        try:
            spool.probe(self.settings.directory)
        except OSError as error:
            return Answer(503, f"the spool cannot be written: {error.strerror}\n".encode(), TEXT, RETRY)
        return Answer(200, b"OK\n")

    def _definitions(self, repository, node):
        try:
            with self._reading:
                version = self._known(repository, node)
            if version is None:
                return Answer(404, b"no such revision in the definitions cache\n")
            with open(version.path, "rb") as file:
                return Answer(200, file.read(), JSON)
        except (TelError, OSError):
            return Answer(503, b"the definitions cache cannot be read\n", TEXT, RETRY)

    def _known(self, repository, node):
        """The Version; the cache is read anew for one that it does not know, once a second at most."""
        version = self.cache.find(repository, node)
        if version is None and time.monotonic() > self._looked + 1:
            self._looked = time.monotonic()
            self.cache.forget()
            version = self.cache.find(repository, node)
        return version

    @staticmethod
    def _json(value):
        return Answer(200, jsonl.dumps(value) + b"\n", JSON)


def refusal(refused):
    """The Answer that a Refused is."""
    return Answer(refused.status, f"{refused.reason}\n".encode(), TEXT, refused.headers)


def client(peer, forwarded, proxies):
    """The address of a client: the peer's, or, of a trusted proxy, the last that it forwarded and that is not trusted.

    `peer` is an address or "unix", `forwarded` the X-Forwarded-For or None, `proxies` are what `networks` makes.

    >>> client("10.0.0.1", "6.6.6.6, 1.2.3.4", ())
    '10.0.0.1'
    """
    for address in [*reversed((forwarded or "").split(",")), ""]:
        if not _trusted(peer, proxies) or not address.strip():
            return peer
        peer = address.strip()[:100]
    return peer


def _trusted(peer, proxies):
    import ipaddress

    if peer == "unix":
        return "unix" in proxies
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return any(address in network for network in proxies if network != "unix")


def networks(words):
    """The trusted proxies that words name: addresses, networks, or `unix`. Raises ValueError."""
    import ipaddress

    return [word if word == "unix" else ipaddress.ip_network(word) for word in words]
