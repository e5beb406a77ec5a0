"""Asking a web server for a small file: bounded in time, size and patience, and never led to another host."""

import time

from tel.errors import BadData, NotWhole

MOST = 16 << 20
TRIES, PAUSE = 3, 0.5  # the pause doubles with each try
AGENT = "tel (definitions cache)"


def get(url, timeout, tries=TRIES, pause=PAUSE):
    """The body of a URL, or None where the server says that there is no such thing (404, 410).

    Raises NotWhole where no answer can be had now (no connection, silence for `timeout` seconds, an answer cut short,
    5xx or another refusal, each tried again), BadData `too_large` beyond MOST bytes.
    """
    problem = None
    for number in range(tries):
        if number:
            time.sleep(pause * 2 ** (number - 1))
        try:
            return _once(url, timeout)
        except _Refused as refused:
            problem = refused
            if not refused.again:
                break
    raise NotWhole(f"no answer: {problem}", url, "try again later, or leave out --fetch")


class _Refused(Exception):
    """An answer that is none; `again` tells whether it may be another the next time."""

    def __init__(self, reason, again):
        super().__init__(reason)
        self.again = again


def _once(url, timeout):
    import http.client
    import urllib.error
    import urllib.request

    opener = urllib.request.build_opener(_no_redirects())
    request = urllib.request.Request(url, headers={"User-Agent": AGENT})
    try:
        with opener.open(request, timeout=timeout) as answer:
            return _body(answer, url, time.monotonic() + 4 * timeout)
    except urllib.error.HTTPError as error:
        if error.code in (404, 410):
            return None
        raise _Refused(f"HTTP {error.code}", error.code >= 500 or error.code == 429) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Refused(getattr(error, "reason", None) or str(error) or error.__class__.__name__, True) from None


def _body(answer, url, deadline):
    """All of an answer's body, within the size and the deadline: a server may also be slow one byte at a time."""
    parts, size = [], 0
    while True:
        part = answer.read1(1 << 16)
        if not part:
            break
        parts.append(part)
        size += len(part)
        if size > MOST:
            raise BadData("too_large", f"an answer of more than {MOST} bytes", url)
        if time.monotonic() > deadline:
            raise _Refused("too slow", True)
    if answer.length:
        raise _Refused("the answer was cut short", True)
    return b"".join(parts)


def _no_redirects():
    """A handler that follows no redirect: the host that was configured is the only one to be asked."""
    import urllib.request

    class Handler(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *arguments):
            return None

    return Handler()
