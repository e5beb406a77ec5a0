"""The definitions of every revision, from the history of real repositories, and what is asked of a server for it."""

import calendar
import gzip
import http.server
import json
import os
import subprocess
import threading
import time
import urllib.request
from datetime import datetime

import pytest

from repositories import DAY, OLD_PATH, PATH, Git, Hg, definitions, more, tell
from tel import fetch, resolve, revisions, server
from tel.errors import NotWhole

STARTS = {
    "mozilla-central": calendar.timegm((2012, 6, 1, 0, 0, 0)),
    "releases/mozilla-aurora": calendar.timegm((2012, 9, 1, 0, 0, 0)),
    "releases/mozilla-beta": calendar.timegm((2013, 1, 1, 0, 0, 0)),
    "firefox": calendar.timegm((2025, 5, 1, 0, 0, 0)),
}
PATHS = ("--path", PATH, "--path", OLD_PATH)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("history")


@pytest.fixture(scope="module")
def repositories(place):
    """{name: repository}: two told to Mercurial, two to git, at different times."""
    makers = dict(zip(STARTS, (Hg, Hg, Git, Git)))
    return {name: tell(makers[name](place / name), STARTS[name]) for name in STARTS}


def take(run_tool, repository, name, cache, *more):
    return run_tool("tel-history", "--repo", name, repository.kind, repository.place, "--to", str(cache), *PATHS, *more)


@pytest.fixture(scope="module")
def cache(place, repositories, run_tool):
    """The definitions cache that holds all four histories."""
    for name, repository in repositories.items():
        done = take(run_tool, repository, name, place / "cache")
        assert done.returncode == 0, done.stderr
    return place / "cache"


def content(repository, node):
    """What the source itself says of the definitions at a revision (asked once)."""
    if node not in repository.said:
        found = repository.cat(node, PATH)
        repository.said[node] = repository.cat(node, OLD_PATH) if found is None else found
    return repository.said[node]


def assert_exact(cache, name, repository):
    """Every revision, in both lengths, has exactly the source's content; returns by what each was found."""
    found = []
    for node in repository.nodes:
        for asked in (node, node[:12]):
            version = revisions.Cache(str(cache)).find(name, asked)
            expected = content(repository, node)
            assert (open(version.path, "rb").read() if version else None) == expected, (name, node)
            found.append(version and version.exact)
    return found


@pytest.mark.parametrize("name", STARTS)
def test_every_revision_has_the_definitions_that_its_source_prints(cache, repositories, name):
    found = assert_exact(cache, name, repositories[name])
    assert {None, True, False} == set(found)


def test_versions_say_when_each_was_in_effect(cache, repositories, run_tool):
    listed = [json.loads(line) for line in run_tool("tel-history", "--list", "--to", str(cache)).stdout.splitlines()]
    for name, start in STARTS.items():
        versions = [version for version in listed if version["repository"] == name and version["sha256"]]
        days = [(date_of(version["from"]) - start) // DAY for version in versions]
        assert days == [1, 3, 5, 8, 9, 9], name  # the late clock's revision is as late as its parent
        assert [version["to"] for version in versions[:-1]] == [version["from"] for version in versions[1:]]
        assert versions[-1]["to"] is None
        assert versions[2]["sha256"] == versions[4]["sha256"]  # in effect twice
        assert [version["version"] for version in versions] == [
            "18.0a1",
            "18.0a1",
            "19.0a1",
            "19.0a1",
            "20.0a1",
            "20.0a1",
        ]
        assert versions[-1]["versions"] == ["20.0a1", "20.0a2"]


def date_of(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def test_contents_are_stored_once_and_verified(cache, run_tool, tmp_path):
    contents = sorted(os.listdir(cache / "contents"))
    assert len(contents) == 5  # four repositories tell the same story
    assert run_tool("tel-history", "--verify", "--to", str(cache)).returncode == 0
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(cache), str(copy)], check=True)
    subprocess.run(["rm", "-rf", str(copy / "tables")], check=True)  # what is parsed already need not be read again
    (copy / "contents" / contents[0]).write_bytes(b"{}")
    os.unlink(copy / "contents" / contents[1])
    done = run_tool("tel-history", "--verify", "--to", str(copy))
    assert done.returncode == 1
    assert {os.path.basename(json.loads(line)["path"]) for line in done.stdout.splitlines()} == set(contents[:2])
    node = json.loads((copy / "history/mozilla-central/versions.ndjson").read_text().splitlines()[2])["node"]
    record = {
        "id": "a",
        "date": "20130901",
        "info": {},
        "ping": {"ver": 1, "info": {"revision": f"http://h/mozilla-central/rev/{node}"}, "histograms": {"A": 1}},
    }
    done = run_tool("tel-resolve", "--histograms", str(copy), stdin=json.dumps(record).encode())
    assert done.returncode != 0 and done.stdout == b""


@pytest.mark.parametrize("maker", [Hg, Git])
def test_a_second_run_takes_what_is_new(maker, run_tool, tmp_path):
    repository = tell(maker(tmp_path / "source"), 10**9)
    done = take(run_tool, repository, "r", tmp_path / "cache")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 6
    before = (tmp_path / "cache/history/r/versions.ndjson").read_bytes()
    assert take(run_tool, repository, "r", tmp_path / "cache").returncode == 0
    assert (tmp_path / "cache/history/r/versions.ndjson").read_bytes() == before
    more(repository, 10**9)
    for place in ("cache", "anew"):
        assert take(run_tool, repository, "r", tmp_path / place).returncode == 0
        assert_exact(tmp_path / place, "r", repository)
    for file in ("versions.ndjson", "revisions"):
        assert (tmp_path / "cache/history/r" / file).read_bytes() == (tmp_path / "anew/history/r" / file).read_bytes()


def test_a_rewritten_history_is_taken_anew(run_tool, tmp_path):
    repository = Git(tmp_path / "source")
    first = repository.commit(1000, defined=definitions("A"))
    repository.commit(2000, defined=definitions("B"))
    take(run_tool, repository, "r", tmp_path / "cache")
    repository.run("git", "reset", "-q", "--hard", first)
    repository.nodes = [first]
    repository.commit(3000, defined=definitions("C"))
    assert take(run_tool, repository, "r", tmp_path / "cache").returncode == 0
    assert len((tmp_path / "cache/history/r/versions.ndjson").read_text().splitlines()) == 3
    assert_exact(tmp_path / "cache", "r", repository)


def test_a_tree_is_imported(run_tool, tmp_path):
    node = "ab" * 20
    (tmp_path / "tree/releases/x" / node).mkdir(parents=True)
    (tmp_path / "tree/releases/x" / node / "Histograms.json").write_text(definitions("A"))
    done = run_tool("tel-history", "--import", str(tmp_path / "tree"), "--to", str(tmp_path / "cache"))
    assert done.returncode == 0 and json.loads(done.stdout)["node"] == node
    assert revisions.Cache(str(tmp_path / "cache")).find("releases/x", node).definitions.keys() == {"A"}


@pytest.mark.parametrize("name", ["../x", "/etc", "a//b", "", "a/../b", "a b", "x" * 300])
def test_a_repository_name_cannot_leave_the_cache(name, run_tool, tmp_path, repositories):
    done = take(run_tool, repositories["firefox"], name, tmp_path / "cache")
    assert done.returncode == 2 and not list(tmp_path.rglob("versions.ndjson"))


@pytest.mark.parametrize("source", [("--git", "/nowhere"), ("--hg", "/nowhere"), ("--hg", "http://127.0.0.1:1/x")])
def test_a_source_that_is_not_there_is_an_error(source, run_tool, tmp_path):
    done = run_tool("tel-history", "--repo", "r", *source, "--to", str(tmp_path), "--timeout", "1")
    assert done.returncode in (66, 75) and done.stdout == b"" and b"tel-history: " in done.stderr


class Front:
    """An HTTP server before an `hg serve`, which counts, and answers badly when it is told to."""

    def __init__(self, target):
        front, self.target, self.asked, self.how = self, target, [], "well"

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                front.asked.append(self.path)
                front.answer(self)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, handler):
        how = (
            self.how.pop(0)
            if isinstance(self.how, list) and self.how
            else self.how
            if isinstance(self.how, str)
            else "well"
        )
        if how in ("404", "500"):
            return handler.send_error(int(how))
        if how == "redirect":
            handler.send_response(302)
            handler.send_header("Location", "http://127.0.0.1:1/elsewhere")
            return handler.end_headers()
        data = (
            b"rubbish " * (10 << 17)
            if how == "rubbish"
            else b"x" * (17 << 20)
            if how == "huge"
            else self._real(handler)
        )
        if data is None:
            return None
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if how == "slow":
            time.sleep(3)
        try:
            handler.wfile.write(data[: len(data) // 2] if how == "half" else data)
        except OSError:
            pass
        handler.close_connection = True

    def _real(self, handler):
        try:
            with urllib.request.urlopen(self.target + handler.path.replace("/mozilla-central", "", 1)) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            handler.send_error(error.code)


@pytest.fixture(scope="module")
def front(repositories):
    """A Front before a real `hg serve` of the first repository."""
    command = ["hg", "serve", "-R", repositories["mozilla-central"].place, "-a", "127.0.0.1", "-p", "0", "--print-url"]
    served = subprocess.Popen(command, stdout=subprocess.PIPE)
    front = Front(served.stdout.readline().decode().split()[-1].rstrip("/"))
    yield front
    front.server.shutdown()
    served.terminate()
    served.wait()


@pytest.fixture
def asking(front):
    """The Front, answering well again."""
    front.asked.clear()
    front.how = "well"
    return front


def export(repository, nodes):
    """Export lines of pings built at revisions."""
    ping = '{"ver":1,"info":{"revision":"https://hg.mozilla.org/mozilla-central/rev/%s"},"histograms":{"A":1}}'
    return "".join(f"id{number}\t{ping % node}\n" for number, node in enumerate(nodes)).encode()


def with_content(repository):
    return [node for node in repository.nodes[2:] if content(repository, node) is not None]


def test_a_server_is_asked_for_its_log_and_for_what_is_new_only(asking, repositories, run_tool, tmp_path):
    command = (
        "tel-history",
        "--repo",
        "mozilla-central",
        "--hg",
        asking.url + "/mozilla-central",
        "--to",
        str(tmp_path),
        *PATHS,
    )
    done = run_tool(*command)
    assert done.returncode == 0, done.stderr
    repository = repositories["mozilla-central"]
    cache = revisions.Cache(str(tmp_path))
    for line in done.stdout.splitlines():
        version = json.loads(line)
        if version["sha256"]:
            assert open(cache.content_path(version["sha256"]), "rb").read() == content(repository, version["node"])
    asking.asked.clear()
    again = run_tool(*command)
    assert again.stdout == done.stdout, again.stderr
    assert all("json-filelog" in path for path in asking.asked) and len(asking.asked) == 2


def test_every_revision_can_be_fetched(asking, repositories, run_tool, tmp_path):
    repository = repositories["mozilla-central"]
    nodes = with_content(repository)
    command = ("tel-resolve", "--histograms", str(tmp_path), "--fetch", asking.url)
    (tmp_path / "x").mkdir()
    done = run_tool(*command, stdin=export(repository, nodes + nodes))
    assert done.returncode == 0, done.stderr
    found = [json.loads(line)["revision"] for line in done.stdout.splitlines()[:-1]]
    for node, revision in zip(nodes + nodes, found):
        assert revision["by"] == "revision" and revision["node"] == node
        assert open(revisions.Cache(str(tmp_path)).content_path(revision["sha256"]), "rb").read() == content(
            repository, node
        )
    assert len(asking.asked) == len(nodes)
    asking.asked.clear()
    assert run_tool(*command, stdin=export(repository, nodes)).returncode == 0 and not asking.asked


def test_a_missing_revision_is_asked_for_once(asking, repositories, run_tool, tmp_path):
    lines = export(None, ["e" * 40] * 5)
    for _ in range(2):
        command = (
            "tel-resolve",
            "--histograms",
            str(tmp_path),
            "--fetch",
            asking.url,
            "--rejects",
            str(tmp_path / "bad"),
        )
        done = run_tool(*command, stdin=lines)
        assert done.returncode == 0 and len((tmp_path / "bad").read_text().splitlines()) == 5
    assert len(asking.asked) == 1
    (said,) = (tmp_path / "fetched/mozilla-central").iterdir()
    expired = {**json.loads(said.read_text()), "missing_until": 0}
    said.write_text(json.dumps(expired))
    run_tool(*command, stdin=lines)
    assert len(asking.asked) == 2


@pytest.mark.parametrize("how", ["500", "half", "rubbish", "huge", "slow", "redirect"])
def test_a_server_that_answers_badly_stops_the_run_and_leaves_nothing_wrong(
    how, asking, repositories, run_tool, tmp_path
):
    asking.how = how
    repository = repositories["mozilla-central"]
    lines = export(repository, with_content(repository)[:1])
    command = ("tel-resolve", "--histograms", str(tmp_path), "--fetch", asking.url, "--timeout", "1")
    done = run_tool(*command, stdin=lines)
    assert done.returncode in (65, 75) and done.stdout == b"", done
    assert not list(tmp_path.rglob("*.json"))
    asking.how = "well"
    assert run_tool(*command, stdin=lines).returncode == 0


def test_an_answer_that_fails_at_first_is_asked_for_again(asking, repositories, run_tool, tmp_path):
    asking.how = ["500", "half"]
    repository = repositories["mozilla-central"]
    done = run_tool(
        "tel-resolve",
        "--histograms",
        str(tmp_path),
        "--fetch",
        asking.url,
        stdin=export(repository, with_content(repository)[:1]),
    )
    assert done.returncode == 0 and len(asking.asked) == 3


def test_patience_has_an_end(asking):
    asking.how = "500"
    with pytest.raises(NotWhole):
        fetch.get(asking.url + "/x", 1, tries=2, pause=0)
    assert len(asking.asked) == 2


def test_offline_asks_nothing_and_needs_no_writing(asking, cache, repositories, run_tool):
    nodes = repositories["mozilla-central"].nodes[4:]
    arguments = ("--histograms", str(cache), "--fetch", asking.url, "--offline")
    done = run_tool("tel-resolve", *arguments, stdin=export(None, nodes))
    assert done.returncode == 0 and not asking.asked
    assert {json.loads(line)["revision"]["by"] for line in done.stdout.splitlines()[:-1]} == {"revision", "ancestor"}


def test_twenty_processes_share_an_empty_cache(asking, repositories, run_tool, tmp_path):
    repository = repositories["mozilla-central"]
    nodes = with_content(repository)
    (tmp_path / "export").write_bytes(export(repository, nodes * 3))
    command = [
        *run_tool.command("tel-resolve"),
        "--histograms",
        str(tmp_path / "cache"),
        "--fetch",
        asking.url,
        str(tmp_path / "export"),
    ]
    (tmp_path / "cache").mkdir()
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(20)]
    outputs = [process.communicate() for process in processes]
    assert {process.returncode for process in processes} == {0}, outputs[0][1]
    assert len({out for out, _ in outputs}) == 1
    for node in nodes:
        assert 1 <= sum(node in path for path in asking.asked) <= 20
    asking.asked.clear()
    assert subprocess.run(command, stdout=subprocess.PIPE).returncode == 0 and not asking.asked
    assert not [path for path in (tmp_path / "cache").rglob("*.new")]


def test_what_another_process_fetched_meanwhile_is_found(asking, repositories, tmp_path):
    repository = repositories["mozilla-central"]
    asked = "mozilla-central", with_content(repository)[0]
    mine, other = (server.Server(revisions.Cache(str(tmp_path)), asking.url, PATH, 10) for _ in range(2))
    assert mine.cache.find(*asked) is None
    assert other.version(*asked).sha256 == mine.version(*asked).sha256
    assert len(asking.asked) == 1


HOSTILE = [
    "../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "https://hg.mozilla.org/../../rev/aaaaaaaaaaaa",
    "https://hg.mozilla.org/a/../b/rev/aaaaaaaaaaaa", "https://hg.mozilla.org//rev/aaaaaaaaaaaa", "ftp://h/x/rev/aaaaaaaaaaaa",
    "https://hg.mozilla.org/x/rev/" + "a" * 10**6, "https://evil.example/" + "x/" * 50 + "rev/aaaaaaaaaaaa",
    "https://h/x/rev/aaaaaaaaaaaa\n", "https://h/x/rev/AAAAAAAAAAAA", "https://h/x/rev/aaaaaaaaaaaa/../../y", "https://h/x%2f../rev/aaaaaaaaaaaa",
    "https://h@evil/x\0/rev/aaaaaaaaaaaa", "https://h/.hidden/rev/aaaaaaaaaaaa",
]  # fmt: skip


@pytest.mark.parametrize("url", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_revision_asks_nothing_and_writes_nothing(url, asking, run_tool, tmp_path):
    ping = {"ver": 1, "info": {"revision": url}, "histograms": {"A": 1}}
    (tmp_path / "cache").mkdir()
    arguments = ("--histograms", str(tmp_path / "cache"), "--fetch", asking.url, "--rejects", str(tmp_path / "bad"))
    done = run_tool("tel-resolve", *arguments, stdin=f"a\t{json.dumps(ping)}\n".encode())
    assert done.returncode == 0 and json.loads((tmp_path / "bad").read_text())["error_type"] == "definitions_not_found"
    assert not asking.asked and not list((tmp_path / "cache").iterdir())


def test_another_host_in_a_revision_is_not_asked(asking, repositories, run_tool, tmp_path):
    repository = repositories["mozilla-central"]
    lines = export(repository, with_content(repository)[:1]).replace(b"hg.mozilla.org", b"127.0.0.1:1")
    done = run_tool("tel-resolve", "--histograms", str(tmp_path), "--fetch", asking.url, stdin=lines)
    assert done.returncode == 0 and len(asking.asked) == 1


def classic(**info):
    return {"ver": 1, "info": info, "histograms": {"A": 1}}


def by_of(run_tool, cache, ping, *options):
    """(the record's revision, its ping) of one ping."""
    done = run_tool(
        "tel-resolve", "--histograms", str(cache), "--make-ids", *options, stdin=json.dumps(ping).encode() + b"\n"
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout.splitlines()[0])
    return record["revision"], record["ping"]


def test_a_ping_without_a_revision_goes_by_its_build_id(cache, repositories, run_tool):
    start = STARTS["releases/mozilla-beta"]
    for day, index in ((0.5, 1), (1, 1), (2.9, 1), (4, 3), (5.5, 5), (8.5, 9), (30, 11)):
        build = time.strftime("%Y%m%d%H%M%S", time.gmtime(start + day * DAY))
        revision, ping = by_of(run_tool, cache, classic(appUpdateChannel="beta", appBuildID=build, appVersion="99.0"))
        node = repositories["releases/mozilla-beta"].nodes[index]
        assert (revision["by"], revision["repository"], revision["node"]) == (
            "buildid",
            "releases/mozilla-beta",
            node,
        ), day
        assert ping["info"]["revision"] == f"https://hg.mozilla.org/releases/mozilla-beta/rev/{node}"


def test_a_ping_without_a_build_id_goes_by_its_version(cache, repositories, run_tool):
    nodes = repositories["mozilla-central"].nodes
    for version, index in (("19.0a1", -4), ("20.0a2", -2), ("18.0a1", 3), ("17.0", 1), ("33.1.1", -2)):
        revision, _ = by_of(run_tool, cache, classic(appUpdateChannel="nightly", appVersion=version))
        assert (revision["by"], revision["node"]) == ("version", nodes[index]), version


def test_an_unknown_revision_falls_back_unless_forbidden(cache, run_tool):
    ping = classic(revision="https://h/x/rev/" + "e" * 12, appUpdateChannel="nightly", appBuildID="20120701000000")
    revision, after = by_of(run_tool, cache, ping)
    assert revision["by"] == "buildid" and after["info"]["revision"] == ping["info"]["revision"]
    done = run_tool(
        "tel-resolve", "--histograms", str(cache), "--make-ids", "--only", "revision", stdin=json.dumps(ping).encode()
    )
    assert done.returncode == 65 and b"definitions" in done.stderr


def test_the_channel_table_can_be_overridden(cache, run_tool, tmp_path):
    (tmp_path / "channels").write_text('{"mine": "firefox", "esr": "firefox{major}"}')
    ping = classic(appUpdateChannel="mine", appBuildID="20250601000000")
    revision, _ = by_of(run_tool, cache, ping, "--channels", str(tmp_path / "channels"))
    assert revision["repository"] == "firefox"
    assert resolve.repository_of({"esr": "firefox{major}"}, "esr", "17.0.5") == "firefox17"


def test_a_unified_ping_gets_its_revision_in_its_payload(cache, run_tool):
    ping = {"version": 4, "type": "main", "id": "i", "application": {"channel": "nightly", "buildId": "20120701000000"}}
    _, after = by_of(run_tool, cache, {**ping, "payload": {"info": {"x": 1}, "histograms": {"A": 1}}})
    assert after["payload"]["info"]["revision"].startswith("https://hg.mozilla.org/mozilla-central/rev/")


def test_a_stream_over_a_thousand_revisions_keeps_few_in_memory(tmp_path):
    for number in range(1000):
        folder = tmp_path / "r" / f"{number:040x}"
        folder.mkdir(parents=True)
        (folder / "Histograms.json").write_text(definitions(f"H{number}"))
    cache = revisions.Cache(str(tmp_path))
    for number in [*range(1000), *range(1000)]:
        assert cache.find("r", f"{number:040x}").definitions.keys() == {f"H{number}"}
    assert len(cache._loaded) == revisions.MOST_LOADED


def real_history(corpus):
    """(seconds since 1970, product version, text) of each real definitions file, oldest first; forks left out."""
    with open(corpus / "histograms" / "INDEX.tsv", encoding="utf-8") as file:
        rows = [line.split("\t") for line in file.readlines()[1:]]
    for name, version, date in sorted((row[:3] for row in rows), key=lambda row: datetime.fromisoformat(row[2])):
        path = corpus / "histograms" / f"{name}.gz"
        if path.exists() and not name.startswith("fork"):
            text = gzip.decompress(path.read_bytes()).decode()
            yield int(datetime.fromisoformat(date).timestamp()), version, text


def real_pings(corpus):
    """(a main or saved-session ping, the major version whose definitions are nearest) of five ages."""
    pings = corpus / "pings"
    with gzip.open(pings / "firefox-153.ndjson.gz") as file:
        today = next(body for body in (json.loads(line)["body"] for line in file) if body["type"] == "main")
    old = (pings / "test_invalid_utf8.submission.raw.json").read_bytes().decode(errors="replace")
    yield json.loads(old), "23"  # of Firefox 18, and the oldest definitions are 23's
    yield json.loads((pings / "unicode.v1.ndjson").read_text().splitlines()[0]), "38"  # of 39
    yield json.loads((pings / "main.4.sample.pass.json").read_text()), "45"
    yield json.loads((pings / "test_main.snappy.heka.ndjson").read_text()), "47"  # of 48
    yield today, "115"  # of 153


def test_real_pings_of_all_ages_find_the_nearest_version(corpus, run_tool, tmp_path):
    repository, versions = Git(tmp_path / "source"), list(real_history(corpus))
    for seconds, version, text in versions:
        repository.commit(seconds, defined=text, milestone=version)
    for name in ("mozilla-central", "releases/mozilla-beta", "releases/mozilla-release", "releases/mozilla-esr153"):
        assert take(run_tool, repository, name, tmp_path / "cache").returncode == 0
    for ping, major in real_pings(corpus):
        info = ping.get("info") or ping["application"]
        built = resolve.build_time(info.get("appBuildID") or info["buildId"])
        in_effect = max(sum(seconds <= built for seconds, _, _ in versions) - 1, 0)
        revision, _ = by_of(run_tool, tmp_path / "cache", ping)
        assert (revision["by"], revision["node"]) == ("buildid", repository.nodes[in_effect])
        info.pop("appBuildID", None), info.pop("buildId", None)
        revision, _ = by_of(run_tool, tmp_path / "cache", ping)
        version = versions[repository.nodes.index(revision["node"])][1]
        assert (revision["by"], version.split(".")[0]) == ("version", major)


def test_cron_keeps_the_cache_current(repositories, run_tool, tmp_path):
    pipeline = os.path.join(os.path.dirname(__file__), "..", "pipelines", "update-definitions")
    clone = Git(tmp_path / "clone")
    clone.commit(1000, defined=definitions("A"))
    (tmp_path / "list").write_text(f"# comment\n\nmine {clone.place} main\nfirefox {repositories['firefox'].place}\n")
    cache = tmp_path / "cache"
    assert run_tool(pipeline, tmp_path / "list", cache).returncode == 0
    clone.commit(2000, defined=definitions("B"))
    done = run_tool(pipeline, tmp_path / "list", cache)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert revisions.Cache(str(cache)).find("mine", clone.nodes[1]).definitions.keys() == {"B"}
    with open(tmp_path / "list", "a") as file:
        file.write("gone /nowhere/at/all\n")
    done = run_tool(pipeline, tmp_path / "list", cache)
    assert done.returncode == 75 and b"not brought up to date: gone" in done.stderr


def test_parsed_tables_are_kept_and_may_be_lost_or_damaged(tmp_path):
    cache = revisions.Cache(str(tmp_path))
    sha256 = cache.keep_content(definitions("A").encode())
    revision = {"repository": "r", "node": "a" * 40, "sha256": sha256}

    def names():
        return revisions.Cache(str(tmp_path)).of_record(revision).definitions.keys()

    assert names() == {"A"}
    (table,) = (tmp_path / "tables").iterdir()
    whole = table.read_bytes()
    for damage in (whole[:-1], b"", b"x" * 100, whole[:20] + b"y" + whole[21:]):
        table.write_bytes(damage)
        assert names() == {"A"} and table.read_bytes() == whole
