"""A tel-receive of a test's own, and what lies in its spool."""

import contextlib
import gzip
import http.client
import json
import pathlib
import re
import signal
import subprocess
import time

import pytest

pytest.importorskip("aiohttp", reason="aiohttp missing (tel[http]): tel-receive is not run")

PATH = "/submit/telemetry/{}/main/Firefox/45.0/beta/20160101000000?v=4"


class Receiver:
    """A receiver that runs: `port`, `said` (its stderr so far), `spool` (a path)."""

    def __init__(self, spool, *words, listen=("--listen", "127.0.0.1:0"), **more):
        self.spool, self._said = pathlib.Path(spool), b""
        command = ["tel-receive", "--spool", str(spool), *listen, *map(str, words)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        self.port = None
        while b"listening on" not in self._said:
            line = self.process.stderr.readline()
            self._said += line
            assert line, f"tel-receive has ended: {self._said}"
        match = re.search(rb"127\.0\.0\.1:(\d+)", self._said)
        self.port = int(match[1]) if match else None

    def connection(self, timeout=30):
        """A connection to it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def send(self, method, path, body=None, **headers):
        """(status, body, headers) of the answer to one request."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(self.connection()) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers

    def post(self, id, body, **headers):
        """The status of a document's submission."""
        return self.send("POST", PATH.format(id), body, **headers)[0]

    def end(self, number=signal.SIGTERM):
        """Its exit status, and all that it said, after a signal."""
        self.process.send_signal(number)
        self._said += self.process.communicate(timeout=60)[1]
        return self.process.returncode, self._said.decode()

    @property
    def memory(self):
        """Its resident memory in MiB, and the most it ever was."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return tuple(int(re.search(rf"{name}:\s+(\d+)", text)[1]) >> 10 for name in ("VmRSS", "VmHWM"))


@contextlib.contextmanager
def receiving(spool, *words, **more):
    """A Receiver, killed at the end if it still runs."""
    receiver = Receiver(spool, *words, **more)
    try:
        yield receiver
    finally:
        if receiver.process.poll() is None:
            receiver.process.kill()
            receiver.process.communicate()


def lines(spool, pattern="[0-9]*.ndjson*", rejects=False):
    """The parsed lines of all closed files of records, or of rejects, end records left out but looked at."""
    found = []
    for path in sorted(pathlib.Path(spool).glob(pattern)):
        if path.name.endswith(".rejects.ndjson") != rejects or path.name.endswith(".torn"):
            continue
        data = path.read_bytes()
        if path.name.endswith(".zst"):
            data = subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
        rows = [json.loads(line) for line in data.splitlines()]
        if not rejects:
            assert rows.pop() == {"end": {"tool": "tel-receive", "records": len(rows)}}, path
        found += rows
    return found


def stored_bytes(spool):
    """{document id: the bytes of each of its pings} of all closed files of records that are not compressed."""
    found = {}
    for path in sorted(pathlib.Path(spool).glob("[0-9]*.ndjson")):
        for line in path.read_bytes().splitlines()[:-1]:
            if not path.name.endswith(".rejects.ndjson"):
                found.setdefault(json.loads(line)["id"], []).append(line.split(b',"ping":', 1)[1][:-1])
    return found


def until(condition, seconds=20):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.02)


def ping(number, size=2000):
    """A ping of about that size, gzipped, and plain."""
    plain = json.dumps(
        {"version": 4, "type": "main", "id": f"ping-{number}", "n": number, "filler": "x" * size}
    ).encode()
    return gzip.compress(plain, 1), plain
