"""tel-submit sends what it reads until it is taken, and says what is not."""

import gzip
import http.server
import json
import threading
import time

import pytest
from receiving import lines, receiving, stored_bytes


class Moody(http.server.BaseHTTPRequestHandler):
    """Answers each request as the next of `server.answers` says: a status, or "cut"; then 200."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.seen.append((self.path, dict(self.headers), body, time.monotonic()))
            answer = self.server.answers.pop(0) if self.server.answers else 200
        if answer == "cut":
            self.close_connection = True
            return
        self.send_response(answer)
        self.send_header("Content-Length", "3")
        if answer == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(b"so\n")

    def log_message(self, *words):
        pass


@pytest.fixture
def moody():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Moody)
    server.daemon_threads = True
    server.answers, server.seen, server.lock = [], [], threading.Lock()
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


PINGS = b"".join(b'p-%d\t{"n":%d}\n' % (n, n) for n in range(5))


def test_it_is_tried_again(moody, run_tool):
    moody.answers = [503, "cut", 200, 429, 500]
    done = run_tool("tel-submit", moody.url + "/prefix", stdin=PINGS)
    assert (done.returncode, done.stderr) == (0, b"") and b'"records":5' in done.stdout.splitlines()[-1]
    said = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    assert [(row["id"], row["status"], row["tries"]) for row in said] == [
        ("p-0", 200, 3), ("p-1", 200, 3), ("p-2", 200, 1), ("p-3", 200, 1), ("p-4", 200, 1),
    ]  # fmt: skip
    paths = [path for path, *_ in moody.seen]
    assert paths == [f"/prefix/submit/telemetry/p-{n}" for n in (0, 0, 0, 1, 1, 1, 2, 3, 4)]
    assert moody.seen[4][3] - moody.seen[3][3] >= 1  # as Retry-After said
    assert gzip.decompress(moody.seen[0][2]) == b'{"n":0}' and moody.seen[0][1]["Content-Encoding"] == "gzip"


def test_what_is_refused_is_bad_data(moody, run_tool, tmp_path):
    moody.answers = [200, 400, 301, 404]
    done = run_tool("tel-submit", "--plain", "--rejects", tmp_path / "bad", "--max-bad", "3", moody.url, stdin=PINGS)
    assert done.returncode == 0 and done.stdout.count(b"\n") == 3
    kept = [json.loads(line) for line in (tmp_path / "bad").read_bytes().splitlines()]
    assert [(row["id"], row["error_type"], row["line"]) for row in kept] == [
        (f"p-{n}", "refused", PINGS.decode().splitlines()[n]) for n in (1, 2, 3)
    ]
    assert moody.seen[0][2] == b'{"n":0}'
    moody.answers = [200, 400]
    done = run_tool("tel-submit", moody.url, stdin=PINGS)
    assert done.returncode == 65 and b"standard input:2: the server answered 400: so" in done.stderr


def test_in_vain(moody, run_tool):
    moody.answers = [503] * 9
    done = run_tool("tel-submit", "--tries", "2", moody.url, stdin=PINGS)
    assert (done.returncode, done.stdout) == (75, b"") and b"it answered 503" in done.stderr
    done = run_tool("tel-submit", "--tries", "1", "--timeout", "1", "http://127.0.0.1:1", stdin=PINGS)
    assert done.returncode == 75 and b"refused" in done.stderr


def test_an_input_that_is_not_whole(moody, run_tool):
    record = b'{"id":"a","date":"20130901","info":{},"ping":{}}\n'
    done = run_tool("tel-submit", moody.url, stdin=record)
    assert done.returncode == 75 and b"--partial" in done.stderr and len(moody.seen) == 1
    assert run_tool("tel-submit", "--partial", moody.url, stdin=record).returncode == 0


def test_a_rate(moody, run_tool):
    assert run_tool("tel-submit", "--rate", "10", "-j", "3", moody.url, stdin=PINGS * 2).returncode == 0
    moments = sorted(moment for *_, moment in moody.seen)
    assert len(moments) == 10 and 0.7 < moments[-1] - moments[0] < 3


@pytest.mark.parametrize("words", [(), ("-j", "4"), ("--plain",)])
def test_pings_that_were_sampled_arrive_as_they_are(words, tmp_path, run_tool):
    made = run_tool("tel-sample", "-n", "50", "--small").stdout
    with receiving(tmp_path / "spool") as receiver:
        done = run_tool("tel-submit", *words, f"http://127.0.0.1:{receiver.port}", stdin=made)
        assert done.returncode == 0 and done.stdout.count(b"\n") == 51, done.stderr
        receiver.end()
        sent = dict(line.split(b"\t", 1) for line in made.splitlines()[:-1])
        assert stored_bytes(receiver.spool) == {id.decode(): [ping] for id, ping in sent.items()}
        (path,) = receiver.spool.glob("[0-9]*.ndjson")
    with receiving(tmp_path / "again") as receiver:  # and what was received is received again
        done = run_tool("tel-submit", f"http://127.0.0.1:{receiver.port}", path)
        assert done.returncode == 0 and done.stdout.count(b"\n") == 51
        receiver.end()
    first, second = (
        [(row["http"]["path"], row["info"], row["ping"]) for row in lines(tmp_path / name)]
        for name in ("spool", "again")
    )
    assert first == second


def test_real_requests_are_stored_once_each_byte_for_byte(corpus, tmp_path, run_tool):
    captured, records = gzip.decompress((corpus / "pings" / "firefox-153.ndjson.gz").read_bytes()).splitlines(), []
    bodies = {}
    for line in captured:
        head, body = line.split(b',"body":', 1)
        head, body = json.loads(head + b"}"), body[:-1]
        id = head["path"].split("/")[3]
        bodies.setdefault(id, []).append(body)
        small = {"id": id, "date": "20261124", "http": head, "info": {}}
        records.append(json.dumps(small).encode()[:-1] + b',"ping":' + body + b"}\n")
    assert len(captured) == 371
    (tmp_path / "records").write_bytes(b"".join(records))
    with receiving(tmp_path / "spool") as receiver:
        done = run_tool("tel-submit", "-j", "4", f"http://127.0.0.1:{receiver.port}", tmp_path / "records")
        assert done.returncode == 0, done.stderr
        answers = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
        assert len(answers) == 371 and {(row["status"], row["tries"]) for row in answers} == {(200, 1)}
        receiver.end()
        found = stored_bytes(receiver.spool)
        assert {id: sorted(pings) for id, pings in found.items()} == {id: sorted(pings) for id, pings in bodies.items()}
        assert lines(receiver.spool, rejects=True) == []
    kept = {row["http"]["path"]: row["http"]["headers"] for row in lines(tmp_path / "spool")}
    assert any("X-PingSender-Version" in headers for headers in kept.values())
