"""What ill-meant or unlucky input must not do: crash a tool, fill the memory, reach outside, or pass unseen."""

import gzip
import json
import os
import pathlib
import sys

import pytest

from tel import answer, compress, definitions, ends, jsonl, lookup, manifest, memory, pairs, rejects, revisions, streams
from tel.errors import BadData, IOFailed, UsageError

PEAK = pathlib.Path(__file__).with_name("peak.py")
RECORD = {"id": "a", "date": "20130901", "info": {}, "revision": None, "ping": {"ver": 2, "info": {"OS": "L"}}}


def stream(*values):
    """Records, or raw lines, with their end record."""
    lines = [value if isinstance(value, bytes) else jsonl.dumps(value) for value in values]
    return b"".join(line + b"\n" for line in (*lines, ends.line("test", len(lines))))


@pytest.fixture
def stored(run_tool, tmp_path):
    """A store with one batch, and the words that store it again."""
    command = ("tel-persist", "--store", tmp_path / "s", "--batch", "b")
    assert run_tool(*command, stdin=stream(RECORD)).returncode == 0
    return tmp_path / "s", command


def test_a_lost_commit_record_costs_no_stored_file(stored, run_tool):
    store, command = stored
    (store / ".tel/commits/b.json").unlink()
    (file,) = store.rglob("*.zst")
    before = file.read_bytes()
    done = run_tool(*command, stdin=stream({**RECORD, "ping": {"ver": 2, "info": {"OS": "other"}}}))
    assert done.returncode == 74 and file.read_bytes() == before and not list((store / ".tel/staging").iterdir())


def test_an_id_behind_the_ping_is_checked_too(run_tool, tmp_path):
    line = b'{"id":"a","date":"20130901","info":{},"ping":{"ver":2,"info":{}},"id":"b\\tX\\nfake","info":{}}'
    for command in (("tel-persist", "--store", tmp_path / "s"), ("tel-validate",), ("tel-convert",), ("tel-resolve",)):
        done = run_tool(*command, "--rejects", tmp_path / "bad", stdin=stream(line))
        assert done.returncode == 0 and json.loads((tmp_path / "bad").read_text())["error_type"] == "bad_id"


def test_a_record_with_fields_behind_the_ping_is_mapped_as_it_is(run_tool):
    line = b'{"id":"a","date":"20130901","info":{},"ping":{"ver":2,"info":{"OS":"L"}},"date":"20990101","info":{}}'
    assert run_tool("tel-map", "os-count", stdin=stream(line)).stdout.startswith(b'["L",1]')
    assert b"20990101" in run_tool("tel-map", "count submission_date", stdin=stream(line)).stdout


def test_a_schema_half_made_by_a_killed_writer_goes(run_tool, tmp_path):
    (tmp_path / "s/.tel").mkdir(parents=True)
    (tmp_path / "s/.tel/schema.json.4711.new").write_text("{")
    assert run_tool("tel-persist", "--store", tmp_path / "s", "--batch", "b", stdin=stream(RECORD)).returncode == 0
    assert sorted(path.name for path in (tmp_path / "s/.tel").iterdir()) == ["commits", "schema.json", "staging"]


@pytest.mark.parametrize("tier", ["", "plain"])
def test_long_infos_do_not_fill_the_memory(tier, run_tool, tmp_path):
    ping = b'%d\t{"ver":1,"info":{"OS":"%s%d"},"histograms":{}}'
    lines = b"".join(ping % (number, b"x" * 500_000, number) + b"\n" for number in range(200))
    words = (sys.executable, PEAK, tmp_path / "peak", "tel-resolve")
    done = run_tool(*words, stdin=lines, env={**os.environ, "TEL_TIER": tier})
    assert done.returncode == 0 and len(done.stdout) > len(lines)
    assert int((tmp_path / "peak").read_text()) < 80 << 10


@pytest.mark.parametrize("code", ["raise SystemExit(0)", "import sys; sys.exit(0)", "raise GeneratorExit"])
def test_a_job_cannot_end_the_tool(code, run_tool, tmp_path):
    (tmp_path / "job.py").write_text(f"def map(k, d, v, c):\n    {code}\ndef reduce(k, vs, c):\n    {code}\n")
    done = run_tool("tel-map", tmp_path / "job.py", stdin=stream(RECORD))
    assert done.returncode == 65 and b'"end"' not in done.stdout
    assert run_tool("tel-reduce", tmp_path / "job.py", stdin=stream(b'["a",1]')).returncode == 65


@pytest.mark.parametrize("setting, kind", [("", "str"), ("READS = 'bytes'", "bytes"), ("READS = 'text'", "str")])
def test_a_job_gets_text_or_bytes(setting, kind, run_tool, tmp_path):
    (tmp_path / "job.py").write_text(f"{setting}\ndef map(k, d, v, c):\n    c.write(type(v).__name__, len(v))\n")
    line = jsonl.dumps({**RECORD, "ping": {"ver": 2, "info": {"OS": "é"}}})
    size = len('{"ver":2,"info":{"OS":"é"}}'.encode() if kind == "bytes" else '{"ver":2,"info":{"OS":"é"}}')
    assert run_tool("tel-map", tmp_path / "job.py", stdin=stream(line)).stdout.startswith(
        b'["%s",%d]' % (kind.encode(), size)
    )
    bad = b"a\t" + b'{"ver":2,"info":{"OS":"\xff"}}'
    done = run_tool("tel-map", "os-count", stdin=stream(bad))
    assert done.returncode == 65 and b"UTF-8" in done.stderr


def test_what_a_job_prints_is_no_part_of_the_answer(run_tool, tmp_path):
    code = "print('loaded')\ndef map(k, d, v, c):\n    print('said')\n    c.write('a', 1)\n"
    (tmp_path / "job.py").write_text(code)
    done = run_tool("tel-map", tmp_path / "job.py", stdin=stream(RECORD))
    assert done.stdout.splitlines()[0] == b'["a",1]' and done.stderr.split() == [b"loaded", b"said"]


@pytest.mark.parametrize(
    "command",
    [
        ("tel-persist", "--store", "s", "--batch", ""), ("tel-persist", "--store="), ("tel-reduce", "--inputs", "", "count"),
        ("tel-map", "--files-from=", "count"), ("tel-validate", "--rejects", ""), ("tel-validate", "--max-bad", "nan%"),
        ("tel-validate", "--max-bad", "9" * 400), ("tel-validate", "--max-line", "9" * 5000), ("tel-reduce", "--expect", "1" * 5000, "count"),
        ("tel-resolve", "--fetch", "file:///etc"), ("tel-resolve", "--fetch", "http://[x"), ("tel-resolve", "--fetch", "http://h", "--timeout", "9" * 12),
    ],
)  # fmt: skip
def test_values_that_cannot_be_meant_are_usage_errors(command, run_tool, tmp_path):
    done = run_tool(*command, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == b"" and not list(tmp_path.iterdir()), done.stderr


def test_an_input_is_never_overwritten(run_tool, tmp_path):
    (tmp_path / "r").write_bytes(stream(RECORD))
    for option in ("--rejects", "--metrics"):
        done = run_tool("tel-validate", option, "r", "./r", cwd=tmp_path)
        assert done.returncode == 2 and (tmp_path / "r").read_bytes() == stream(RECORD)


def test_a_list_that_names_a_file_twice_is_refused(run_tool, tmp_path):
    (tmp_path / "list").write_text("x\nx\n")
    assert run_tool("tel-map", "--files-from", tmp_path / "list", "count").returncode == 2
    assert run_tool("tel-reduce", "--inputs", tmp_path / "list", "count").returncode == 2


@pytest.mark.parametrize("where", ["date=2013-9-1", "channel=", "date=20130830 date=20130831..", "=x"])
def test_a_condition_that_selects_nothing_by_mistake_is_refused(where, stored, run_tool):
    words = [word for condition in where.split() for word in ("--where", condition)]
    assert run_tool("tel-ls", *words, stored[0]).returncode == 2


def test_ranges_do_not_take_in_what_is_unknown(stored, run_tool):
    assert run_tool("tel-ls", "--where", "version=24..", stored[0]).stdout == b""
    assert run_tool("tel-ls", "--where", "version=UNKNOWN", stored[0]).stdout != b""


@pytest.mark.parametrize("place", [".tel", ".tel/commits", ".tel/staging", ".tel/schema.json", ".tel/commits/b.json"])
def test_a_link_in_place_of_a_part_of_the_store_is_refused(place, stored, run_tool, tmp_path):
    store, command = stored
    os.rename(store / place, tmp_path / "moved")
    os.symlink(tmp_path / "moved", store / place)
    before = sorted(tmp_path.joinpath("moved").rglob("*"))
    assert run_tool(*command[:-1], "other", stdin=stream(RECORD)).returncode == (0 if place.endswith("b.json") else 74)
    assert run_tool("tel-ls", store).returncode == 74
    assert sorted(tmp_path.joinpath("moved").rglob("*")) == before


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path)])
@pytest.mark.parametrize("name", ["commit.json", "1.part"])
def test_something_else_among_staged_files_is_named(make, name, stored, run_tool):
    store, command = stored
    os.mkdir(store / ".tel/staging/dead")
    make(store / ".tel/staging/dead" / name)
    done = run_tool(*command[:-1], "other", stdin=stream(RECORD), timeout=20)
    assert done.returncode == 74 and name.encode() in done.stderr and b"remove it" in done.stderr


def test_metrics_replace_only_files(run_tool, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    os.symlink("x", tmp_path / "link")
    for name in ("fifo", "link", ".", "none/x"):
        done = run_tool("tel-persist", "--store", tmp_path / "s", "--metrics", tmp_path / name, stdin=stream(RECORD))
        assert done.returncode == 74 and not (tmp_path / "s").exists()
    assert sorted(os.listdir(tmp_path)) == ["fifo", "link"]


@pytest.mark.parametrize("name", ["gz", "bz2", "xz", "zst"])
def test_a_bomb_unfolds_in_pieces(name):
    import bz2
    import lzma

    import zstandard

    squeeze = {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zst": zstandard.ZstdCompressor().compress,
    }[name]
    data = squeeze(bytes(64 << 20))
    codec = compress.codec_of(data)
    sizes = [len(plain) for plain in compress.decompress(codec, [data])]
    assert sum(sizes) == 64 << 20 and max(sizes) <= 20 << 20


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "enumerated", "n_values": "*".join(["mozilla::StartupTimeline::MAX_EVENT_ID"] * 25)},
        {"kind": "flag", "keys": "abc"}, {"kind": "flag", "keys": 5}, {"kind": "categorical", "labels": "abc"},
    ],
)  # fmt: skip
def test_definitions_of_the_wrong_form_are_refused(fields):
    with pytest.raises(BadData):
        definitions.load(jsonl.dumps({"A": fields}))


@pytest.mark.parametrize("repository", [5, None, [], "../x", "/etc"])
def test_a_revision_of_the_wrong_form_is_not_found(repository, run_tool, tmp_path):
    revision = {"repository": repository, "node": "a" * 12}
    ping = {"ver": 1, "info": {}, "histograms": {"A": 1}}
    line = {**RECORD, "revision": revision, "ping": ping}
    done = run_tool("tel-validate", "--histograms", tmp_path, "--rejects", tmp_path / "bad", stdin=stream(line))
    assert done.returncode == 0 and json.loads((tmp_path / "bad").read_text())["error_type"] == "definitions_not_found"


@pytest.mark.parametrize(
    "ping", [{"ver": 5}, {"ver": 5, "info": 5}, {"ver": 5, "info": {}, "type": "x"}, {"ver": 3, "info": {"x": 1}}]
)
def test_odd_stored_pings_are_rejected(ping, run_tool, tmp_path):
    for option in ((), ("--expand",)):
        done = run_tool("tel-convert", *option, "--rejects", tmp_path / "bad", stdin=stream({**RECORD, "ping": ping}))
        assert done.returncode == 0
        kept = [json.loads(line)["ping"] for line in done.stdout.splitlines()[:-1]]
        assert kept == [ping] or (tmp_path / "bad").read_text()


def test_names_that_are_not_utf8(run_tool, tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff"
    with open(path, "wb") as file:
        file.write(b"no record\n")
    for tool in (("tel-validate",), ("tel-resolve",), ("tel-map", "count")):
        done = run_tool(*tool, "--rejects", tmp_path / "bad", os.fsdecode(path))
        assert done.returncode == 0 and "udcff" in json.loads((tmp_path / "bad").read_text())["where"]
    done = run_tool("tel-persist", "--store", tmp_path / "s", "--batch", os.fsdecode(b"\xff"), stdin=stream(RECORD))
    assert done.returncode == 0


@pytest.mark.parametrize("records", [-1, True, "1", 1.0, 10**4000, None])
def test_an_end_record_that_cannot_be_one_is_a_line(records):
    assert (
        ends.parse(
            json.dumps({"end": {"tool": "t", "records": str(records) if records == 10**4000 else records}}).encode()
        )
        is None
    )


@pytest.mark.parametrize(
    "end", [{"files": -1}, {"files": "x"}, {"inputs": "zz"}, {"inputs": 5.5}, {"inputs": "f" * 40}]
)
def test_an_end_record_of_another_form_is_bad_data(end):
    with pytest.raises(BadData):
        manifest.Manifest.heard([{"tool": "t", "records": 1, **end}])


@pytest.mark.parametrize(
    "said", ["5", "[]", "null", '"sha256"', '{"missing_until":"x"}', '{"sha256":"../../../../etc/x"}', "{"]
)
def test_a_damaged_answer_in_the_cache_is_no_answer(said, tmp_path):
    folder = tmp_path / "fetched/r"
    folder.mkdir(parents=True)
    (folder / f"{'a' * 40}.json").write_text(said)
    assert revisions.Cache(str(tmp_path)).find("r", "a" * 40) is None


HEAD = '{"repository":"r","head":"a"}\n'


@pytest.mark.parametrize(
    "text", ["", "5\n", "{}\n", HEAD + "5\n", HEAD + "{}\n", HEAD + '{"repository":"r","node":"a","sha256":"zz"}\n']
)
def test_a_damaged_history_is_named(text, run_tool, tmp_path):
    (tmp_path / "history/r").mkdir(parents=True)
    (tmp_path / "history/r/versions.ndjson").write_text(text)
    done = run_tool("tel-history", "--list", "--to", tmp_path)
    assert done.returncode == 74 and b"versions.ndjson: damaged" in done.stderr


@pytest.mark.parametrize("data", [b"abc", b"x" * 73, b"\xff" * 73])
def test_a_damaged_table_of_revisions_is_named(data, tmp_path):
    (tmp_path / "revisions").write_bytes(data)
    with pytest.raises(IOFailed):
        lookup.Table(str(tmp_path / "revisions"), ()).find("a" * 12)


def test_different_keys_stay_different():
    keys = ["3", 3, "true", True, "null", None, "-1", -1, "", "[1]", [1], '"', "Linux"]
    assert len({pairs.tab_line(key, 1) for key in keys}) == len(keys)


def test_every_form_of_answer_refuses_the_same_values():
    for form in answer.FORMATS:
        assert list(answer.pieces([(("a", "b"), 1)], form)) == list(answer.pieces([(["a", "b"], 1)], form))
        with pytest.raises(BadData):
            list(answer.pieces([("a", float("nan"))], form))


def test_what_is_remembered_is_bounded():
    memo = {}
    for number in range(50):
        memory.remembered(memo, str(number) * 10_000, lambda key: None)
    assert not memo
    with pytest.raises(UsageError):
        rejects.Limit("nan%")
    assert streams.held(b"x") == b"x"


# Dimensions.

ODD = {
    "..": "_.", "/etc/passwd": "_etc_passwd", "": "UNKNOWN", ".": "_", ".tel": "_tel", "a\0b": "a_b", "a\nb": "a_b",
    "a b": "a_b", "a/../../b": "a_.._.._b", "Firefox": "Firefox", "firefox": "firefox", "é": "_", "-": "-",
}  # fmt: skip
VERSIONS = '{"version":1,"dimensions":[{"field_name":"appVersion","allowed_values":"*"}]}'


@pytest.fixture
def by_version(run_tool, tmp_path):
    """Stores records with these versions in a store of that one dimension; returns {version: its file}."""
    (tmp_path / "schema").write_text(VERSIONS)
    words = ("--store", tmp_path / "s", "--schema", tmp_path / "schema", "--batch", "b")

    def persist(versions):
        lines = [
            {**RECORD, "id": f"id{n}", "info": {"appVersion": version}, "ping": {"ver": 2, "info": {"appVersion": version}}}
            for n, version in enumerate(versions)
        ]  # fmt: skip
        done = run_tool("tel-persist", *words, stdin=stream(*lines))
        assert done.returncode == 0, done.stderr
        return tmp_path / "s"

    return persist


def test_odd_values_stay_inside_and_keep_their_pings(by_version, run_tool):
    """Values that clean to one name share its directory; what each ping says is stored with it."""
    store = by_version(ODD)
    assert {path.name for path in store.iterdir()} == {*ODD.values(), ".tel"}
    assert {path.name for path in store.parent.iterdir()} == {"s", "schema"}
    *records, _ = map(json.loads, run_tool("tel-cat", store).stdout.splitlines())
    assert {record["id"]: record["info"]["appVersion"] for record in records} == {
        f"id{n}": version for n, version in enumerate(ODD)
    }
    for version, folder in ODD.items():
        if ".." in folder:
            continue  # a condition with two dots is a range
        (found,) = run_tool("tel-ls", "--where", f"version={folder}", store).stdout.decode().splitlines()
        other_case = [each for each in list(ODD)[: list(ODD).index(version)] if each.lower() == version.lower()]
        assert found == f"{store}/{folder}/b-00{1 + len(other_case)}.v2.zst", version
    assert run_tool("tel-verify", store).returncode == 0


def test_names_that_are_too_long_for_a_directory_stay_different(by_version, run_tool):
    versions = ["x" * 10_000, "x" * 9_999 + "y", "x" * 256, "é" * 10_000, "/" * 300]
    store = by_version(versions)
    names = [path.name for path in store.iterdir() if path.name != ".tel"]
    assert len(names) == len(versions) and max(map(len, names)) <= 100
    assert run_tool("tel-verify", store).returncode == 0
    *records, _ = map(json.loads, run_tool("tel-cat", store).stdout.splitlines())
    assert sorted(record["info"]["appVersion"] for record in records) == sorted(versions)


@pytest.mark.parametrize("planted", ["x", "b-001.v2.zst"])
def test_a_link_where_a_directory_or_file_must_go_is_refused(planted, by_version, run_tool, tmp_path):
    store = by_version([])
    (store / ".tel/commits/b.json").unlink()
    (tmp_path / "elsewhere").mkdir()
    if planted == "x":
        (store / "x").symlink_to(tmp_path / "elsewhere")
    else:
        (store / "x").mkdir()
        (store / "x" / planted).symlink_to(tmp_path / "elsewhere/file")
    line = {**RECORD, "info": {"appVersion": "x"}, "ping": {"ver": 2, "info": {"appVersion": "x"}}}
    done = run_tool("tel-persist", "--store", store, "--batch", "b", stdin=stream(line))
    assert done.returncode == 74 and b"/x" in done.stderr and not list((tmp_path / "elsewhere").iterdir())
    assert run_tool("tel-ls", store).stdout == b"" and not list((store / ".tel/staging").iterdir())


@pytest.mark.parametrize("target", ["/etc/passwd", "/none/such", "."])
def test_a_link_in_place_of_a_staging_directory_is_refused(target, stored, run_tool):
    store, command = stored
    (store / ".tel/staging/other").symlink_to(target)
    done = run_tool(*command[:-1], "other", stdin=stream(RECORD))
    assert done.returncode == 74 and b"staging/other" in done.stderr and b"remove it" in done.stderr
    (store / ".tel/staging/other").unlink()
    assert run_tool(*command[:-1], "other", stdin=stream(RECORD)).returncode == 0


def test_a_commit_record_that_leads_outside_is_refused(stored, run_tool, tmp_path):
    store, _ = stored
    path = store / ".tel/commits/b.json"
    commit = json.loads(path.read_text())
    for outside in ("../x", "/etc/passwd", "a/../../x", "", "a//b", "a\nb", 5, None):
        commit["files"][0]["path"] = outside
        path.write_text(json.dumps(commit))
        for command in (("tel-ls", store), ("tel-cat", store), ("tel-verify", "--salvage", tmp_path / "saved", store)):
            done = run_tool(*command)
            assert done.returncode == 74 and done.stdout == b"" and b"damaged commit record" in done.stderr, outside
    assert not (tmp_path / "saved").exists()


def test_ids_that_differ_by_case_are_different_batches(stored, run_tool):
    store, command = stored
    for batch in ("Batch", "batch"):
        assert run_tool(*command[:-1], batch, stdin=stream({**RECORD, "id": batch})).returncode == 0
    *records, _ = map(json.loads, run_tool("tel-cat", store).stdout.splitlines())
    assert sorted(record["id"] for record in records) == ["Batch", "a", "batch"]


def test_what_follows_two_dashes_is_an_operand(stored, run_tool, tmp_path):
    store, _ = stored
    for command in (["tel-ls"], ["tel-verify", "--all"], ["tel-ls", "--where", "date=2013.."]):
        plain, behind = run_tool(*command, store), run_tool(*command, "--", store)
        assert behind.returncode == 0 and plain.stdout and behind.stdout == plain.stdout
    for name in ("-n", "--summary", "-", "--"):
        (tmp_path / name).write_bytes(stream({**RECORD, "id": f"in-{name}"}))
        done = run_tool("tel-convert", "--", name, cwd=tmp_path, stdin=stream({**RECORD, "id": "in--"}))
        assert done.returncode == 0 and f'"id":"in-{name}"'.encode() in done.stdout, done.stderr
    assert run_tool("tel-ls", "--", store, "--summary").returncode == 2


def test_nothing_meets_on_a_file_system_that_ignores_case(run_tool, tmp_path):
    store = tmp_path / "store"
    infos = [{"appVersion": version} for version in ("24.0A", "24.0a", "24.0A")]
    data = stream(*[{**RECORD, "id": f"id{n}", "info": info} for n, info in enumerate(infos)])
    command = ("tel-persist", "--store", store, "--memory", "1", "--roll-size", "1", "--batch")
    paths = run_tool(*command, "B", stdin=data).stdout.decode().split()
    assert len(paths) == 3 and len({path.lower() for path in paths}) == 3
    os.link(store / ".tel/commits/B.json", store / ".tel/commits/b.json")  # as both names would lead to one file
    done = run_tool(*command, "b", stdin=data)
    assert done.returncode == 74 and b"is the batch B" in done.stderr
    assert b"stored already" in run_tool(*command, "B", stdin=data).stderr
