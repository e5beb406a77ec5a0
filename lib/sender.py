"""Submitting documents to a server over HTTP: what to send where, at which pace, and again where that may help."""

import collections
import signal
import threading
import time
import zlib
from collections import namedtuple
from urllib.parse import quote, urlsplit

from tel import jsonl, pings, records, streams, submission
from tel.errors import BadData, NotWhole

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds between tries
AHEAD = 4  # submissions for each connection that wait

# `where` and `line` are for a reject
Submission = namedtuple("Submission", "id path headers body where line")
Sent = namedtuple("Sent", "submission status tries error")


def submissions(lines, rejects, seen, plain=False):
    """Yield the Submission of each (where, line) of records, export lines or bare pings; the others are rejected."""
    for where, line in lines:
        try:
            id, path, headers, ping, raw = _parsed(streams.held(line))
        except BadData as error:
            rejects.line(error, where, line)
            continue
        seen.raw += raw
        seen.records += not raw
        packed = {} if plain else {"Content-Encoding": "gzip"}
        headers = {"Content-Type": "application/json; charset=UTF-8", **headers, **packed}
        yield Submission(id, path, headers, ping if plain else _gzipped(ping), where, line)


def _parsed(line):
    """(id, path, headers, the ping's bytes, whether it is raw) of a line."""
    text = line.strip(b" \r")
    if not text.startswith(b"{"):
        id, tab, ping = line.partition(b"\t")
        if not tab:
            raise BadData("no_tab", "neither JSON nor <id> TAB <json>: no tab in the line")
        id = pings.check_id(jsonl.text(id))
        return id, path_of(id, _info(ping)), {}, ping, True
    if records.SPLIT in text:
        record = records.parse(text)
        id, http = pings.check_id(record.id), record.small.get("http")
        path, headers = (http.get("path"), http.get("headers")) if isinstance(http, dict) else (None, None)
        return id, _path(path) or path_of(id, record.info), _headers(headers), record.ping, False
    ping = jsonl.loads(text)
    id = ping.get("id")
    id = pings.check_id(id if isinstance(id, str) else "")
    return id, path_of(id, _info(text)), {}, text, True


def _info(ping):
    try:
        return submission.info_of(ping)
    except BadData:  # the server may judge it
        return {}


def path_of(id, info):
    """The path that a document is submitted to, with what its info says of the dimensions if it says all.

    >>> path_of("a b", {})
    '/submit/telemetry/a%20b'
    """
    values = [info.get(name) for name in submission.DIMENSIONS]
    whole = all(isinstance(value, str) and value for value in values)
    return "/".join(["/submit/telemetry", *(quote(value, safe="") for value in (id, *(values if whole else ())))])


def _path(path):
    """The path of a record that was received, if it may be used."""
    good = isinstance(path, str) and path.startswith("/submit/") and path.isascii() and path.isprintable()
    return path if good and " " not in path else None


def _headers(headers):
    kept = headers.items() if isinstance(headers, dict) else ()
    return {
        name: value
        for name, value in kept
        if name in submission.KEPT and name != "Content-Length" and isinstance(value, str) and _is_plain(value)
    }


def _is_plain(value):
    return value.isascii() and value.isprintable()


def _gzipped(data):
    pack = zlib.compressobj(6, wbits=31)
    return pack.compress(data) + pack.flush()


def paced(items, rate):
    """Yield the items, at most `rate` of them a second; 0: as they come."""
    due = time.monotonic()
    for item in items:
        if rate:
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due + 1 / rate, time.monotonic() - 1)
        yield item


class Server:
    """The server at a URL; each thread that sends has a connection of its own, which is kept."""

    def __init__(self, url, timeout, tries):
        parts = urlsplit(url)
        self.url, self._secure, self._host, self._port = url, parts.scheme == "https", parts.hostname, parts.port
        self._prefix, self._timeout, self._tries = parts.path.rstrip("/"), timeout, tries
        self._own = threading.local()
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a connection that the server closes is tried again

    def send(self, submission):
        """What became of a Submission: Sent, its error BadData `refused` or None. Raises NotWhole."""
        for tries in range(1, self._tries + 1):
            status, said, pause = self._once(submission)
            if status is not None and 200 <= status < 300:
                return Sent(submission, status, tries, None)
            if status is not None and status < 500 and status != 429:
                error = BadData("refused", f"the server answered {status}: {said}")
                return Sent(submission, status, tries, error)
            if tries < self._tries:
                time.sleep(pause or min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (tries - 1)))
        reason = said if status is None else f"it answered {status}: {said}"
        raise NotWhole(f"cannot be submitted: {reason}", f"{self.url} ({submission.where})", "try again later")

    def _once(self, submission):
        """(status or None, what was said, seconds to wait or None) of one try."""
        import http.client

        connection = getattr(self._own, "connection", None) or self._connect()
        try:
            connection.request("POST", self._prefix + submission.path, submission.body, submission.headers)
            answer = connection.getresponse()
            said = answer.read(1 << 16).decode(errors="replace").strip()[:200]
            if answer.will_close or not answer.isclosed():
                self._drop()
            return answer.status, said, _seconds(answer.headers.get("Retry-After"))
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            return None, getattr(error, "strerror", None) or str(error) or error.__class__.__name__, None

    def _connect(self):
        import http.client

        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        self._own.connection = kind(self._host, self._port, timeout=self._timeout)
        return self._own.connection

    def _drop(self):
        self._own.connection.close()
        self._own.connection = None


def _seconds(text):
    """What a Retry-After in seconds says, up to LONGEST_PAUSE, or None."""
    return min(LONGEST_PAUSE, float(text)) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


def described(submission):
    """What would be sent, as if it had been."""
    return Sent(submission, None, 0, None)


def sent(submissions, send, number, rejects):
    """Yield a line for each Submission that was taken, in order, `number` sent at a time; the others are rejected."""
    for done in _results(submissions, send, number):
        if done.error:
            rejects.line(done.error, done.submission.where, done.submission.line, done.submission.id)
        elif done.status is None:
            one = done.submission
            yield jsonl.dumps({"id": one.id, "path": one.path, "bytes": len(one.body)})
        else:
            yield jsonl.dumps({"id": done.submission.id, "status": done.status, "tries": done.tries})


def _results(submissions, send, number):
    if number == 1:
        yield from map(send, submissions)
        return
    from concurrent.futures import ThreadPoolExecutor

    pool, waiting = ThreadPoolExecutor(number), collections.deque()
    try:
        for one in submissions:
            waiting.append(pool.submit(send, one))
            while len(waiting) >= AHEAD * number or waiting and waiting[0].done():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for one in waiting:
            one.cancel()
        pool.shutdown(wait=True)
