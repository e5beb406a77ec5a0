"""tel-receive: 200 means that it is on disk, whatever happens; anything else that it is not, whoever asks."""

import concurrent.futures
import contextlib
import gzip
import http.client
import json
import os
import random
import resource
import select
import signal
import socket
import subprocess
import threading
import time
import zlib

import pytest
from receiving import PATH, lines, ping, receiving, stored_bytes, until
from test_limits import mounted

KILLS = int(os.environ.get("TEL_KILLS", "20"))


@pytest.fixture
def receiver(tmp_path):
    with receiving(tmp_path / "spool") as receiver:
        yield receiver


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One for all tests after which its spool must be empty."""
    with receiving(tmp_path_factory.mktemp("shared") / "spool") as receiver:
        yield receiver


def raw(receiver, request, timeout=20):
    """What comes back for bytes that need not be HTTP, until the server closes or the client has been silent."""
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=timeout) as connection:
        connection.sendall(request)
        answer = b""
        while block := connection.recv(65536):
            answer += block
    return answer


def statuses(answer):
    """The statuses of all answers in some bytes."""
    return [int(part[1:4]) for part in answer.split(b"HTTP/1.1")[1:]]


# What is stored.


def test_a_document_becomes_a_record(receiver):
    body = b' {"ver": 1,\r\n "info": {"OS": "Linux", "reason": "x\\n"},\n"n":1e5}\n'
    headers = {"User-Agent": "t/1", "Date": "d", "DNT": "1", "X-PingSender-Version": "1.0", "Cookie": "secret"}
    assert receiver.send("POST", PATH.format("a-1"), body, **headers)[:2] == (200, b"OK\n")
    status, said = receiver.end()
    (path,) = receiver.spool.glob("[0-9]*.ndjson")
    line = path.read_bytes().splitlines()[0]
    assert line.endswith(b',"ping":{"ver": 1,   "info": {"OS": "Linux", "reason": "x\\n"}, "n":1e5}}')
    record = json.loads(line)
    assert list(record) == ["id", "date", "received", "http", "info", "ping"]
    assert (record["id"], record["http"]["path"]) == ("a-1", PATH.format("a-1"))
    assert record["http"]["headers"] == {
        **{n: headers[n] for n in headers if n != "Cookie"},
        "Content-Length": str(len(body)),
    }
    assert record["info"] == {
        "reason": "x\n", "appName": "Firefox", "appVersion": "45.0", "appUpdateChannel": "beta",
        "appBuildID": "20160101000000", "OS": "Linux",
    }  # fmt: skip
    assert record["received"].endswith("Z") and record["received"][:10].replace("-", "") == record["date"]
    assert (status, said.count("\n")) == (0, 1) and "127.0.0.1" not in path.read_text()


@pytest.mark.parametrize("encoding, pack", [
    ("gzip", gzip.compress), ("x-gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
    ("deflate", zlib.compress), ("deflate", lambda data: zlib.compress(data)[2:-4]), ("identity", bytes),
])  # fmt: skip
def test_encodings(encoding, pack, receiver):
    _, plain = ping(1)
    assert receiver.post("a", pack(plain), Content_Encoding=encoding) == 200
    assert receiver.post("b", pack(plain)[:-9], Content_Encoding=encoding) == 400
    receiver.end()
    assert stored_bytes(receiver.spool) == {"a": [plain]}
    (reject,) = lines(receiver.spool, rejects=True)
    assert reject["error_type"] in ("truncated", "corrupt", "not_json") and reject["id"] == "b"


def test_brotli(receiver):
    brotli = pytest.importorskip("brotli", reason="brotli missing: br bodies are not tried")
    _, plain = ping(1)
    assert receiver.post("a", brotli.compress(plain), Content_Encoding="br") == 200
    assert receiver.post("b", brotli.compress(plain)[:-3], Content_Encoding="br") == 400
    assert receiver.post("c", brotli.compress(bytes(9 << 20)), Content_Encoding="br") == 413
    receiver.end()
    assert stored_bytes(receiver.spool) == {"a": [plain]}


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("chunked", [True, False])
def test_methods_and_framings(method, chunked, receiver):
    packed, plain = ping(1)
    body = iter([packed[:10], packed[10:]]) if chunked else packed
    more = {"Transfer_Encoding": "chunked"} if chunked else {}
    form = "application/x-www-form-urlencoded"
    connection = receiver.connection()
    headers = {"Content-Encoding": "gzip", "Content-Type": form, **{n.replace("_", "-"): v for n, v in more.items()}}
    for number in range(3):  # over one connection
        body = iter([packed[:10], packed[10:]]) if chunked else packed
        connection.request(method, PATH.format(f"a-{number}"), body, headers, encode_chunked=chunked)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"OK\n")
    receiver.end()
    assert stored_bytes(receiver.spool) == {f"a-{number}": [plain] for number in range(3)}


def test_http_1_0_and_expect(receiver):
    head = b"POST /submit/telemetry/%s HTTP/1.%d\r\nHost: x\r\nContent-Length: 2\r\n%s\r\n"
    assert raw(receiver, head % (b"a", 0, b"") + b"{}").startswith(b"HTTP/1.0 200 OK")
    answer = raw(receiver, head % (b"b", 1, b"Expect: 100-continue\r\nConnection: close\r\n") + b"{}")
    assert statuses(answer) == [100, 200]
    answer = raw(receiver, head % (b"c", 1, b"Expect: 200-ok\r\nConnection: close\r\n") + b"{}")
    assert statuses(answer) == [417]
    receiver.end()
    assert set(stored_bytes(receiver.spool)) == {"a", "b"}


def test_a_target_that_is_a_whole_url(receiver):
    answer = raw(receiver, b"POST http://x:1/submit/telemetry/a HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
    assert answer.startswith(b"HTTP/1.0 200 ")
    receiver.end()
    assert lines(receiver.spool)[0]["http"]["path"] == "/submit/telemetry/a"


def test_a_batch_is_answered_by_line(receiver):
    body = b'a\t{"x": 1}\n\n{"id":"b"}\r\n{"x":1}\nno json\nc d\t{}\ne\t[1]'
    status, answer, _ = receiver.send("POST", "/batch/telemetry", gzip.compress(body), Content_Encoding="gzip")
    said = [json.loads(line) for line in answer.splitlines()]
    assert status == 200 and [(row["line"], row["id"], row["status"]) for row in said] == [
        (1, "a", 200), (3, "b", 200), (4, None, 400), (5, None, 400), (6, None, 400), (7, "e", 400),
    ]  # fmt: skip
    assert receiver.send("POST", "/batch/telemetry", b"x", Content_Encoding="gzip")[0] == 400
    receiver.end()
    assert stored_bytes(receiver.spool) == {"a": [b'{"x": 1}'], "b": [b'{"id":"b"}']}
    kept = lines(receiver.spool, rejects=True)
    assert [row["error_type"] for row in kept] == ["no_id", "not_json", "bad_id", "not_an_object"]
    assert [row["line"] for row in kept] == ['{"x":1}', "no json", "c d\t{}", "[1]"]


@pytest.mark.parametrize("body, error", [
    (b"", "not_json"), (b"{", "not_json"), (b'{"a":NaN}', "not_json"), (b"[]", "not_an_object"),
    (b'{"a":"\xff"}', "not_utf8"), (b'{"a":"\\ud800"}', "lone_surrogate"), (b"[" * 200_000, "too_deep"),
    (b'{"a":1}x', "not_json"), (b'{"a":"\n"}', "not_json"),
])  # fmt: skip
def test_what_is_no_json_is_kept_as_a_reject(body, error, receiver):
    assert receiver.post("a", body) == 400
    receiver.end()
    (reject,) = lines(receiver.spool, rejects=True)
    assert (reject["tool"], reject["id"], reject["where"]) == ("tel-receive", "a", PATH.format("a"))
    assert error == reject["error_type"] and reject["http"]["path"] == PATH.format("a")
    if error == "not_utf8":
        assert reject["line_base64"] == "eyJhIjoi/yJ9"
    else:
        assert reject["line"].encode() == body
    assert lines(receiver.spool) == []


def test_other_namespaces(receiver):
    assert receiver.send("POST", "/submit/org-mozilla-fenix/baseline/1/a%2Fb", b'{"ping_info":{}}')[0] == 200
    receiver.end()
    (record,) = lines(receiver.spool)
    assert (record["id"], record["info"]) == ("a/b", {"reason": "baseline", "appName": "org-mozilla-fenix"})


@pytest.mark.parametrize("method, path, expected", [
    ("POST", "/submit/telemetry", 400), ("POST", "/submit/", 400), ("POST", "/submit/telemetry/a/b/c/d/e/f/g", 400),
    ("POST", "/submit/x/y/z", 400), ("POST", "/submit/telemetry/a%20b", 400), ("POST", "/submit/telemetry/%ff", 400),
    ("POST", "/submit/telemetry/" + "a" * 256, 400), ("POST", "/submit/telemetry/" + "a/" * 2000, 414),
    ("POST", "/elsewhere", 404), ("GET", "/nothing", 404), ("GET", "/submit/telemetry/a", 405), ("POST", "/status", 405),
    ("DELETE", "/submit/telemetry/a", 405), ("POST", "/submit/telemetry/%7Ba", 400), ("PUT", "/submit/-/a/1/b", 400),
])  # fmt: skip
def test_requests_that_are_wrong(method, path, expected, shared):
    status, _, headers = shared.send(method, path, b"{}" if method != "GET" else None)
    assert status == expected and "Location" not in headers
    assert list(shared.spool.iterdir()) == []


def test_lengths(tmp_path):
    with receiving(tmp_path / "spool", "--max-body", "1000", "--max-plain", "5000") as receiver:
        head = b"POST /submit/telemetry/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n"
        assert statuses(raw(receiver, head % b"")) == [411]
        assert statuses(raw(receiver, head % b"Content-Length: 1001\r\n" + b"x" * 1001)) == [413]
        assert statuses(raw(receiver, head % b"Content-Length: 99999999999999999\r\n")) == [413]
        assert b" 400 " in raw(receiver, head % b"Content-Length: 99999999999999999999999999\r\n")
        assert b" 400 " in raw(receiver, head % b"Content-Length: +2\r\n" + b"{}")
        chunks = b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"
        assert statuses(raw(receiver, head % b"Transfer-Encoding: chunked\r\n" + chunks)) == [413]
        assert receiver.post("a", gzip.compress(b"x" * 5001), Content_Encoding="gzip") == 413
        assert receiver.post("a", b"x", Content_Encoding="zstd") == 415
        receiver.end()
        assert list(receiver.spool.glob("*.ndjson")) == []


def test_a_body_that_is_cut_short_is_not_stored(receiver):
    for framing in (
        b"Content-Length: 9\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx",
    ):
        with socket.create_connection(("127.0.0.1", receiver.port)) as connection:
            connection.sendall(b"POST /submit/telemetry/a HTTP/1.1\r\nHost: x\r\n" + framing)
            connection.shutdown(socket.SHUT_WR)
            assert 200 not in statuses(connection.recv(1000))
    receiver.end()
    assert list(receiver.spool.glob("*.ndjson")) == []


def test_duplicates_are_marked(tmp_path):
    with receiving(tmp_path / "spool", "--dedup-window", "2", "--created") as receiver:
        assert [receiver.post(id, b"{}") for id in ("a", "a", "b")] == [201] * 3
        time.sleep(2.2)
        assert receiver.post("a", b"{}") == 201
        assert b"tel_receive_duplicates_total 1\n" in receiver.send("GET", "/metrics")[1]
        receiver.end()
    assert [(row["id"], row.get("duplicate")) for row in lines(tmp_path / "spool")] == [
        ("a", None), ("a", True), ("b", None), ("a", None),
    ]  # fmt: skip


def test_workers_know_each_others_duplicates(tmp_path):
    with receiving(tmp_path / "spool", "-j", "2") as receiver:
        assert [receiver.post(f"a-{number % 20}", b"{}") for number in range(60)] == [200] * 60
        assert len(list(receiver.spool.glob("current-*"))) == 2
        receiver.end()
    marks = [row.get("duplicate", False) for row in lines(tmp_path / "spool")]
    assert sorted(marks) == [False] * 20 + [True] * 40


@pytest.mark.parametrize("words, kept", [
    ([], None), (["--keep-ip"], "127.0.0.1"), (["--keep-ip", "--trusted-proxy", "127.0.0.0/8"], "192.0.2.7"),
    (["--keep-ip", "--trusted-proxy", "10.0.0.0/8"], "127.0.0.1"),
    (["--keep-ip", "--trusted-proxy", "127.0.0.1", "--trusted-proxy", "192.0.2.7"], "203.0.113.9"),
])  # fmt: skip
def test_addresses(words, kept, tmp_path):
    with receiving(tmp_path / "spool", *words) as receiver:
        assert receiver.post("a", b"{}", X_Forwarded_For="203.0.113.9, 192.0.2.7") == 200
        assert receiver.post("b", b"{", X_Forwarded_For="203.0.113.9, 192.0.2.7") == 400
        _, said = receiver.end()
    (record,), (reject,) = lines(tmp_path / "spool"), lines(tmp_path / "spool", rejects=True)
    assert record["http"].get("remote") == reject["http"].get("remote") == kept
    everything = b"".join(path.read_bytes() for path in (tmp_path / "spool").iterdir()).decode()
    for address in ("203.0.113.9", "192.0.2.7", "127.0.0.1"):
        assert (address in everything) == (address == kept)
    assert said.count("\n") == 1


# What is told.


def test_questions(tmp_path, run_tool):
    assert run_tool("tel-sample", "--definitions", tmp_path / "h").returncode == 0
    content = next((tmp_path / "h").rglob("Histograms.json"))
    node = content.parent.name
    repository = str(content.parent.parent.relative_to(tmp_path / "h"))
    with receiving(tmp_path / "spool", "--histograms", tmp_path / "h") as receiver:
        assert receiver.send("GET", "/")[1].startswith(b"tel-receive ")
        assert receiver.send("GET", "/__lbheartbeat__")[0] == receiver.send("GET", "/__heartbeat__")[0] == 200
        assert json.loads(receiver.send("GET", "/__version__")[1])["name"] == "tel-receive"
        assert json.loads(receiver.send("GET", "/telemetry_schema")[1])["version"] == 1
        assert receiver.send("GET", f"/histograms/{repository}/{node}")[1] == content.read_bytes()
        assert receiver.send("GET", f"/histograms/{repository}/{'0' * 12}")[0] == 404
        assert receiver.send("GET", "/histograms/../../etc/passwd")[0] == 404
        status = json.loads(receiver.send("GET", "/status")[1])
        assert status["answers"]["200"] == 6 and status["answers"]["404"] == 2
        assert receiver.send("HEAD", "/")[:2] == (200, b"")
        assert list(receiver.spool.iterdir()) == []


def test_a_schema_of_its_own(tmp_path):
    (tmp_path / "schema").write_text('{"version":1,"dimensions":[{"field_name":"OS","allowed_values":"*"}]}')
    with receiving(tmp_path / "spool", "--schema", tmp_path / "schema") as receiver:
        assert json.loads(receiver.send("GET", "/telemetry_schema")[1])["dimensions"][0]["field_name"] == "OS"


# Files.


def test_a_file_that_is_removed_under_it(receiver):
    assert receiver.post("a", b"{}") == 200
    (current,) = receiver.spool.glob("current-*")
    os.unlink(current)
    assert receiver.post("b", b"{}") == 503 and receiver.post("c", b"{}") == 200
    for path in receiver.spool.iterdir():
        os.unlink(path)
    os.rmdir(receiver.spool)
    assert receiver.post("d", b"{}") == 503 and receiver.send("GET", "/__heartbeat__")[0] == 503
    receiver.spool.mkdir()
    assert receiver.post("e", b"{}") == 200
    status, said = receiver.end()
    assert status == 0 and set(stored_bytes(receiver.spool)) == {"e"} and "removed" in said


def test_what_was_counted_is_told_at_the_end(tmp_path):
    with receiving(tmp_path / "spool", "-j", "2", "--summary=json", "--metrics", tmp_path / "m.prom") as receiver:
        assert [receiver.post("a", body) for body in (b"{}", b"{", b"{}")] == [200, 400, 200]
        counted = json.loads(receiver.end()[1].splitlines()[-1])
    assert (counted["read"], counted["written"], counted["rejected"], counted["requests"]) == (3, 2, 1, 3)
    assert 'tel_records_written_total{tool="tel-receive"} 2' in (tmp_path / "m.prom").read_text()


def test_files_are_closed_by_size_age_and_signal(tmp_path):
    with receiving(tmp_path / "spool", "--roll-size", "10K", "--roll-age", "1") as receiver:
        for number in range(4):
            assert receiver.post(f"a-{number}", ping(number, 4000)[1]) == 200
        closed = list(receiver.spool.glob("[0-9]*.ndjson"))
        assert len(closed) == 1
        until(lambda: len(list(receiver.spool.glob("[0-9]*.ndjson"))) == 2)
    with receiving(tmp_path / "other") as receiver:
        receiver.post("a", b"{}")
        receiver.process.send_signal(signal.SIGHUP)
        until(lambda: list(receiver.spool.glob("[0-9]*.ndjson")))
        receiver.post("b", b"{}")
        receiver.end()
        assert len(list(receiver.spool.glob("[0-9]*.ndjson"))) == 2 and len(lines(receiver.spool)) == 2


def test_a_compressed_spool(tmp_path, run_tool):
    with receiving(tmp_path / "spool", "--zstd") as receiver:
        for number in range(20):
            assert receiver.post(f"a-{number}", ping(number)[0], Content_Encoding="gzip") == 200
        receiver.end(signal.SIGKILL)
    (current,) = receiver.spool.glob("current-*.zst")
    whole = current.read_bytes()
    for cut in (len(whole) - 7, len(whole) // 2, 3):
        current.write_bytes(whole[:cut])
        done = run_tool("tel-receive", "--drain", "--spool", receiver.spool)
        (path,) = done.stdout.decode().split()
        assert done.returncode == 0 and b"torn tail" in done.stderr
        rows = lines(receiver.spool)
        assert [row["id"] for row in rows] == [f"a-{n}" for n in range(len(rows))] and len(rows) < 20
        (torn,) = receiver.spool.glob("*.torn")
        kept = receiver.spool.joinpath(path).read_bytes()
        assert (
            whole[:cut].endswith(torn.read_bytes())
            and kept[: cut - torn.stat().st_size] == whole[:cut][: -torn.stat().st_size]
        )
        os.unlink(torn)
        os.unlink(path)


def test_drain_leaves_what_is_in_use(receiver, run_tool):
    assert receiver.post("a", b"{}") == 200
    done = run_tool("tel-receive", "--drain", "--spool", receiver.spool)
    assert (done.returncode, done.stdout) == (75, b"") and b"still in use" in done.stderr
    receiver.end()
    done = run_tool("tel-receive", "--drain", "--spool", receiver.spool)
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout.count(b"\n") == 1


def test_a_record_goes_through_the_pipeline(receiver, run_tool, tmp_path):
    assert (
        receiver.post("a", b'{"version":4,"type":"event","id":"a","application":{"name":"Firefox"},"payload":{}}')
        == 200
    )
    receiver.end()
    (path,) = receiver.spool.glob("[0-9]*.ndjson")
    words = "tel-resolve {} | tel-validate | tel-convert | tel-persist --store {}".format(path, tmp_path / "store")
    assert run_tool("bash", "-c", words).returncode == 0
    record = json.loads(run_tool("tel-convert", path).stdout.splitlines()[0])
    assert record["http"]["path"] == PATH.format("a") and record["received"]


# Crashes.


class Load(threading.Thread):
    """Sends documents over a connection until it is gone; `acknowledged` are those that were answered 200."""

    def __init__(self, receiver, name):
        super().__init__(daemon=True)
        self.receiver, self.tag, self.acknowledged, self.sent = receiver, name, {}, {}

    def run(self):
        number = 0
        try:
            connection = self.receiver.connection()
            while True:
                packed, plain = ping(f"{self.tag}-{number}", 3000)
                id = f"{self.tag}-{number}"
                self.sent[id] = plain
                connection.request("POST", PATH.format(id), packed, {"Content-Encoding": "gzip"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    self.acknowledged[id] = plain
                number += 1
        except (OSError, http.client.HTTPException):
            pass


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("--zstd",), ("-j", "2")], ids=["plain", "zstd", "workers"])
def test_killed_at_any_moment_what_was_answered_200_is_there(words, tmp_path, run_tool):
    """TEL_KILLS says how often."""
    spool, moments, acknowledged, sent = tmp_path / "spool", random.Random(str(words)), {}, {}
    for number in range(KILLS):
        with receiving(spool, *words, "--roll-size", "100K", start_new_session=True) as receiver:
            loads = [Load(receiver, f"{number}-{n}") for n in range(4)]
            for load in loads:
                load.start()
            time.sleep(moments.uniform(0.01, 0.4))
            os.killpg(receiver.process.pid, signal.SIGKILL)
            receiver.process.wait()
            for load in loads:
                load.join(30)
                acknowledged.update(load.acknowledged)
                sent.update(load.sent)
    done = run_tool("tel-receive", "--drain", "--spool", spool)
    assert done.returncode == 0 and not list(spool.glob("current-*"))
    rows = {row["id"]: row for row in lines(spool)}
    assert len(acknowledged) > 5 * KILLS and set(acknowledged) <= set(rows) <= set(sent)
    assert all(row["ping"] == json.loads(sent[id]) for id, row in rows.items())
    if "--zstd" not in words:
        found = stored_bytes(spool)
        assert all(found[id] == [plain] for id, plain in acknowledged.items())


def test_a_torn_tail_is_cut_off(tmp_path, run_tool):
    with receiving(tmp_path / "spool") as receiver:
        for id in "abc":
            receiver.post(id, b"{}")
            receiver.post(id, b"{")
        receiver.end(signal.SIGKILL)
    (current,) = [path for path in receiver.spool.glob("current-*") if ".rejects." not in path.name]
    (rejects,) = receiver.spool.glob("current-*.rejects.*")
    whole = current.read_bytes()
    rejects.write_bytes(rejects.read_bytes()[:-5])
    for tail in (b'{"id":"d', b"\0" * 5000, b'{"id":"d","ping":{}}\n', whole[:300] + b"\n" + whole):
        current.write_bytes(whole + tail)
        done = run_tool("tel-receive", "--drain", "--spool", receiver.spool)
        assert done.returncode == 0 and b"a torn tail of %d bytes" % len(tail) in done.stderr
        assert [row["id"] for row in lines(receiver.spool)] == ["a", "b", "c"]
        assert len(lines(receiver.spool, rejects=True)) == 2
        (path,) = done.stdout.decode().split()
        assert (receiver.spool / (os.path.basename(path) + ".torn")).read_bytes() == tail
        os.unlink(path)


def test_a_full_disk(tmp_path):
    with mounted(tmp_path / "full", "-t", "tmpfs", "-o", "size=300k", "tmpfs") as disk:
        with receiving(disk / "spool") as receiver:
            filler, acknowledged, number = disk / "filler", {}, 0
            filler.write_bytes(bytes(100_000))
            while True:
                _, plain = ping(number, 7000)
                status, _, headers = receiver.send("POST", PATH.format(f"a-{number}"), plain)
                if status != 200:
                    break
                acknowledged[f"a-{number}"] = [plain]
                number += 1
            assert status == 503 and headers["Retry-After"] and 10 < number < 50
            assert receiver.send("POST", PATH.format("z"), b"{" + b"x" * 9000)[0] == 503
            with open(disk / "rest", "wb", buffering=0) as rest:
                try:
                    while rest.write(b"x" * 512):
                        pass
                except OSError:
                    pass
            assert (
                receiver.send("GET", "/__heartbeat__")[0] == 503 and receiver.send("GET", "/__lbheartbeat__")[0] == 200
            )
            os.unlink(disk / "rest")
            os.unlink(filler)
            assert receiver.send("GET", "/__heartbeat__")[0] == 200
            for number in range(100, 105):
                _, plain = ping(number, 7000)
                assert receiver.post(f"a-{number}", plain) == 200
                acknowledged[f"a-{number}"] = [plain]
            status, said = receiver.end()
            assert status == 0 and "No space left" in said and said.count("\n") < 5
            assert stored_bytes(receiver.spool) == acknowledged and lines(receiver.spool, rejects=True) == []


def test_a_disk_that_is_full_at_the_end(tmp_path, run_tool):
    with mounted(tmp_path / "full", "-t", "tmpfs", "-o", "size=100k", "tmpfs") as disk:
        with receiving(disk / "spool") as receiver:
            _, plain = ping(1, 4050 - 330)
            assert receiver.post("a", plain) == 200
            with open(disk / "rest", "wb", buffering=0) as rest:
                try:
                    while rest.write(b"x" * 4096):
                        pass
                except OSError:
                    pass
            while receiver.post("b", b"{}") == 200:
                pass
            receiver.end()
        left = list(receiver.spool.glob("current-*"))
        os.unlink(disk / "rest")
        done = run_tool("tel-receive", "--drain", "--spool", receiver.spool)
        assert done.returncode == 0 and len(left) <= 1 and not list(receiver.spool.glob("current-*"))
        assert stored_bytes(receiver.spool)["a"] == [plain]


# Signals and sockets.


def test_sigterm_finishes_what_is_in_flight(receiver):
    packed, plain = ping(1)
    connection = receiver.connection()
    connection.putrequest("POST", PATH.format("a"))
    connection.putheader("Content-Length", str(len(packed)))
    connection.putheader("Content-Encoding", "gzip")
    connection.endheaders(packed[:50])
    idle = receiver.connection()
    idle.connect()
    time.sleep(0.3)
    receiver.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", receiver.port), timeout=2).close()
    connection.send(packed[50:])
    assert connection.getresponse().status == 200
    assert receiver.process.wait(20) == 0 and stored_bytes(receiver.spool) == {"a": [plain]}


@pytest.mark.parametrize("words", [(), ("-j", "2")])
def test_a_unix_socket(words, tmp_path):
    path = tmp_path / "socket"
    for number in range(2):  # also where one was left behind
        with receiving(tmp_path / "spool", "--unix", path, *words, listen=()) as receiver:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
                connection.sendall(
                    b"POST /submit/telemetry/a%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" % number
                )
                assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
            assert receiver.end()[0] == 0
    assert set(stored_bytes(tmp_path / "spool")) == {"a0", "a1"}


def test_workers_share_the_work_and_are_replaced(tmp_path):
    with receiving(tmp_path / "spool", "-j", "3") as receiver:
        for number in range(60):
            assert receiver.post(f"a-{number}", b"{}") == 200
        pids = {path.name.split("-")[-2] for path in receiver.spool.glob("current-*")}
        assert 1 < len(pids) <= 3
        os.kill(int(pids.pop()), signal.SIGKILL)
        until(lambda: b"listening" in receiver._said)
        time.sleep(1.5)
        assert b"tel_receive_records_total 60\n" in receiver.send("GET", "/metrics")[1]
        receiver.process.send_signal(signal.SIGHUP)
        for number in range(60, 90):
            assert receiver.post(f"a-{number}", b"{}") == 200
        status, said = receiver.end()
        assert status == 0 and "another one is started" in said
    assert sorted(stored_bytes(tmp_path / "spool")) == sorted(f"a-{number}" for number in range(90))


def test_workers_end_well_when_their_parent_is_killed(tmp_path):
    with receiving(tmp_path / "spool", "-j", "2") as receiver:
        for number in range(20):
            assert receiver.post(f"a-{number}", b"{}") == 200
        receiver.process.kill()
        until(lambda: not list(receiver.spool.glob("current-*")))
    assert len(lines(tmp_path / "spool")) == 20


def test_sockets_from_systemd_and_notify(tmp_path):
    with socket.socket() as listening, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        told.bind(str(tmp_path / "notify"))
        told.settimeout(20)
        code = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True)\n"
        code += "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); os.execvp(sys.argv[2], sys.argv[2:])"
        words = ["python3", "-c", code, str(listening.fileno()), "tel-receive", "--spool", str(tmp_path / "spool")]
        process = subprocess.Popen(
            words, pass_fds=[listening.fileno()], env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        )
        assert told.recv(100) == b"READY=1"
        connection = http.client.HTTPConnection(*listening.getsockname())
        connection.request("POST", "/submit/telemetry/a", b"{}")
        assert connection.getresponse().status == 200
        process.terminate()
        assert told.recv(100) == b"STOPPING=1" and process.wait(20) == 0


@pytest.mark.parametrize("words, status, said", [
    (["--listen", "here"], 2, b"--listen takes HOST:PORT, not 'here'"), (["--listen", "1.2.3.4:99999"], 2, b"HOST:PORT"),
    (["--listen", "192.0.2.1:1"], 74, b"192.0.2.1:1: cannot be listened on"),
    (["--unix", "/dev/null/x"], 74, b"/dev/null/x: cannot be listened on"),
    (["--spool", "/dev/null/x"], 74, b"/dev/null/x: cannot be made"),
])  # fmt: skip
def test_where_it_cannot_listen_or_write(words, status, said, run_tool, tmp_path):
    words = words if "--spool" in words else ["--spool", tmp_path / "spool", *words]
    done = run_tool("tel-receive", *words)
    assert done.returncode == status and said in done.stderr and done.stderr.count(b"\n") == 1


def test_a_port_that_is_taken(receiver, run_tool):
    done = run_tool("tel-receive", "--spool", receiver.spool, "--listen", f"127.0.0.1:{receiver.port}")
    assert done.returncode == 74 and b"Address already in use" in done.stderr


def test_ipv6(tmp_path):
    with socket.socket(socket.AF_INET6) as trial:
        try:
            trial.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here: it is not tried")
        port = trial.getsockname()[1]
    with receiving(tmp_path / "spool", listen=("--listen", f"[::1]:{port}")) as receiver:
        assert f"listening on [::1]:{port}" in receiver._said.decode()
        with socket.create_connection(("::1", port)) as connection:
            connection.sendall(b"GET /__lbheartbeat__ HTTP/1.0\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.0 200")


# Those who mean no good.


@pytest.mark.slow
def test_idle_connections_do_not_keep_others_out(tmp_path):
    with receiving(tmp_path / "spool", "--patience", "3") as receiver:
        before = receiver.memory[0]
        idle = [socket.create_connection(("127.0.0.1", receiver.port)) for _ in range(500)]
        for number, one in enumerate(idle):
            one.sendall(
                (
                    b"",
                    b"POST /submit/tel",
                    b"POST /submit/telemetry/a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
                )[number % 3]
            )
        assert receiver.post("a", b"{}") == 200
        assert receiver.memory[1] < before + 100
        for one in idle:
            one.settimeout(10)
            try:
                while one.recv(1000):
                    pass
            except ConnectionResetError:
                pass
            one.close()
        assert receiver.post("b", b"{}") == 200
        receiver.end()
    assert set(stored_bytes(tmp_path / "spool")) == {"a", "b"}


def test_on_a_slow_disk_what_is_refused_is_not_stored(tmp_path):
    """A request whose patience ends while it waits is refused; one that is being written is told what became of it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, time\nsync = os.fdatasync\nos.fdatasync = lambda fd: (time.sleep(4), sync(fd))[1]\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with receiving(tmp_path / "spool", "--patience", "2", env=environment) as receiver:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            first = pool.submit(receiver.post, "written", b"{}")
            time.sleep(1)
            others = [pool.submit(receiver.post, f"waits{n}", b"{}") for n in range(5)]
            assert [other.result() for other in others] == [503] * 5 and not first.done() and first.result() == 200
        receiver.end()
    assert set(stored_bytes(tmp_path / "spool")) == {"written"}


def test_bodies_that_never_end_do_not_keep_others_out(receiver):
    before, slow = receiver.memory[0], []
    for _ in range(100):
        slow.append(socket.create_connection(("127.0.0.1", receiver.port)))
        slow[-1].sendall(b"POST /submit/telemetry/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n")
        slow[-1].settimeout(1)
        with contextlib.suppress(OSError):
            slow[-1].sendall(bytes(1_000_000))
    time.sleep(2.2)
    assert receiver.post("b", ping(1, 500_000)[1]) == 200
    assert receiver.memory[1] < before + 160
    for one in slow:
        one.close()
    receiver.end()
    assert set(stored_bytes(receiver.spool)) == {"b"}


def test_more_connections_than_it_may_have(tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))

    with receiving(tmp_path / "spool", preexec_fn=limit) as receiver:
        crowd = [socket.create_connection(("127.0.0.1", receiver.port)) for _ in range(400)]
        assert [receiver.post(id, b"{}") for id in "abc"] == [200] * 3
        for one in crowd:
            one.close()
        assert receiver.end() == (0, receiver._said.decode()) and receiver._said.count(b"\n") == 1


def test_a_bomb(receiver):
    pack = zlib.compressobj(9, wbits=31)
    block = bytes(1 << 20)
    bomb = b"".join(pack.compress(block) for _ in range(1000)) + pack.flush()
    assert 900_000 < len(bomb) < 1 << 20
    before = receiver.memory[0]
    assert [receiver.post("a", bomb, Content_Encoding="gzip") for _ in range(5)] == [413] * 5
    members = gzip.compress(b"") * 40_000
    started = time.monotonic()
    assert receiver.post("a", members, Content_Encoding="gzip") == 400 and time.monotonic() < started + 2
    assert receiver.memory[1] < before + 60 and receiver.post("b", b"{}") == 200


def test_floods_of_headers(receiver):
    before = receiver.memory[0]
    endless = b"POST /submit/telemetry/a HTTP/1.1\r\nHost: x\r\n" + b"".join(
        b"X-%d: %s\r\n" % (n, b"y" * 4000) for n in range(3000)
    )
    long = b"POST /submit/telemetry/a HTTP/1.1\r\nX: " + b"y" * 10_000_000
    for flood in [endless, long] * 5:
        try:
            answer = raw(receiver, flood)
            assert statuses(answer) == [400]
        except (ConnectionResetError, BrokenPipeError):
            pass
    assert receiver.memory[1] < before + 60 and receiver.post("b", b"{}") == 200


def fuzzed(moments):
    """Bytes that are nearly a request."""
    packed, plain = ping(1, 100)
    body = moments.choice([packed, plain, b"", b"\n", b"{}" * 50, moments.randbytes(50)])
    head = [
        b"%s %s HTTP/%s" % (
            moments.choice([b"POST", b"PUT", b"GET", b"post", b"\xff", b"OPTIONS", b"CONNECT"]),
            moments.choice([b"/submit/telemetry/a", b"/submit//", b"*", b"http://x/submit/telemetry/a", b"/batch/telemetry", b"/\0", b"//"]),
            moments.choice([b"1.1", b"1.0", b"0.9", b"2.0", b"x"]),
        ),
        b"Host: x",
        b"Content-Length: " + moments.choice([b"%d" % len(body), b"-1", b"1", b"99", b"0x10", b"1, 2", b"", b"9" * 30]),
        moments.choice([b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"X: y"]),
        b"Content-Encoding: " + moments.choice([b"gzip", b"deflate", b"br", b"identity", b"gzip, gzip", b"\xff", b""]),
        moments.choice([b"Expect: 100-continue", b"Upgrade: websocket", b"Connection: upgrade", b" folded", b"no colon", b"A:" * 99]),
    ]  # fmt: skip
    kept = [line for line in head if moments.random() < 0.85] or head
    request = b"\r\n".join(kept) + moments.choice([b"\r\n\r\n", b"\n\n", b"\r\n"]) + body
    return request[: moments.randrange(len(request))] if moments.random() < 0.2 else request


@pytest.mark.slow
def test_a_fuzzer(receiver):
    moments, before = random.Random(1), receiver.memory[0]
    for number in range(10_000):
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
            connection.sendall(fuzzed(moments))
            if select.select([connection], [], [], 0.01)[0]:  # some wait for more
                with contextlib.suppress(ConnectionResetError):
                    connection.recv(65536)
        if number % 500 == 0:
            assert receiver.post(f"good-{number}", b"{}") == 200
    assert receiver.memory[1] < before + 80
    answers = json.loads(receiver.send("GET", "/status")[1])["answers"]
    assert answers["500"] == 0 and answers["400"] > 0
    status, said = receiver.end()
    assert (status, said.count("\n")) == (0, 1), said
    assert {f"good-{number}" for number in range(0, 10_000, 500)} <= set(stored_bytes(receiver.spool))
    answered = sum(count for code, count in answers.items() if code == "200")
    assert len(lines(receiver.spool)) <= answered + 10_000
