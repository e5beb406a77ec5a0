"""Real pings, and real lines with what the 2013 server's converter made of them."""

import gzip
import json
from collections import Counter

import pytest

from repositories import plant

NODES = {"a55c55edf302": "23.0-2013", "8d3810543edc": "24.0-2013", "ad0ae007aa9e": "25.0-2013"}
DIFFERENT = {"non_numeric_bucket_key", "missing_histograms"}  # deliberate: see tel-validate(1)


@pytest.fixture(scope="module")
def definitions_cache(corpus, tmp_path_factory):
    """A definitions cache of the three revisions that the lines name."""
    return str(plant(corpus, NODES, tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def outcomes(corpus):
    with gzip.open(corpus / "oracle" / "outcome.ndjson.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module")
def stored_stream(corpus, definitions_cache, run_tool, tmp_path_factory):
    """(the converted stream of the oracle's lines, the folder of the three tools' rejects)."""
    folder = tmp_path_factory.mktemp("oracle")
    stream = b""
    for tool, *arguments in (
        ("tel-resolve", "--date", "20130910", str(corpus / "oracle" / "raw.tsv.gz")),
        ("tel-validate", "--whole", "--keyed=no"),
        ("tel-convert", "--keyed=no"),
    ):
        done = run_tool(
            tool, "--histograms", definitions_cache, "--rejects", str(folder / tool), *arguments, stdin=stream
        )
        assert done.returncode == 0, done.stderr
        stream = done.stdout
    return stream, folder


def records_of(stream):
    *lines, end = stream.splitlines()
    assert json.loads(end)["end"]["records"] == len(lines)
    return [json.loads(line) for line in lines]


def rejects_of(folder, tool):
    return [json.loads(line) for line in (folder / tool).read_text(encoding="utf-8").splitlines()]


def test_every_good_line_converts_as_the_original_did(stored_stream, outcomes):
    converted = {record["id"]: record["ping"] for record in records_of(stored_stream[0])}
    kinds = Counter()
    for outcome in outcomes:
        ours = converted.get(outcome["id"])
        same = ours == outcome["converted"] if outcome["outcome"] == "converted" else ours is None
        assert same or outcome["kind"] in DIFFERENT, outcome["line"]
        kinds[outcome["kind"], same] += 1
    assert kinds["good", True] == 671 and kinds["unknown_histogram", True] == 9


def test_what_differs_from_the_original_is_what_the_manual_says(stored_stream, outcomes):
    rejected = {reject["id"]: reject for reject in rejects_of(stored_stream[1], "tel-validate") if "line" in reject}
    converted = {record["id"]: record["ping"] for record in records_of(stored_stream[0])}
    for outcome in outcomes:
        if outcome["kind"] == "non_numeric_bucket_key":
            assert rejected[outcome["id"]]["error_type"] == "unknown_bucket"
        elif outcome["kind"] == "missing_histograms" and outcome["id"] in converted:
            assert "histograms" not in converted[outcome["id"]]


def test_nothing_is_lost(corpus, stored_stream, outcomes):
    stream, folder = stored_stream
    raw = Counter(gzip.decompress((corpus / "oracle" / "raw.tsv.gz").read_bytes()).splitlines())
    whole = [
        reject
        for tool in ("tel-resolve", "tel-validate", "tel-convert")
        for reject in rejects_of(folder, tool)
        if "line" in reject
    ]
    assert len(records_of(stream)) + len(whole) == sum(raw.values()) == len(outcomes)
    resolved = [reject["line"].encode() for reject in rejects_of(folder, "tel-resolve")]
    assert not Counter(resolved) - raw


def test_partitions_are_those_of_the_original(stored_stream, outcomes, run_tool, tmp_path):
    good = [outcome for outcome in outcomes if outcome["outcome"] == "converted" and outcome["kind"] not in DIFFERENT]
    names = ["reason", "appName", "appUpdateChannel", "appVersion", "appBuildID", "submission_date"]
    schema = {
        "version": 1,
        "dimensions": [{"field_name": n, "allowed_values": kept_values(good, i)} for i, n in enumerate(names)],
    }
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    arguments = ("--store", str(tmp_path / "store"), "--schema", str(tmp_path / "schema.json"), "--batch", "b")
    done = run_tool("tel-persist", *arguments, stdin=stored_stream[0])
    assert done.returncode == 0, done.stderr
    where = {}
    for path in done.stdout.decode().splitlines():
        for line in run_tool("zstd", "-dcq", path).stdout.splitlines():
            where[line.split(b"\t")[0].decode()] = path[len(str(tmp_path / "store")) + 1 :].rsplit("/", 1)[0]
    for outcome in good:
        theirs = outcome["path"].replace(".v2.log", "").rsplit(".", 1)
        # the server made "_" of "-", and let a "/" in a value begin another directory
        plain = str.maketrans("-/", "__")
        assert where[outcome["id"]].translate(plain) == "/".join(theirs).translate(plain)


def kept_values(outcomes, level):
    """The values of one dimension that the original gave a directory of their own, or "*" where it did to all."""
    kept, others = set(), False
    for outcome in outcomes:
        parts = outcome["path"].replace(".v2.log", "").rsplit(".", 1)
        name = (parts[0].split("/") + parts[1:])[level]
        others |= name == "OTHER"
        if name != "OTHER":
            kept.add(outcome["dims"][level])
    return sorted(kept) if others else "*"


def test_the_real_firefox_23_ping(corpus, definitions_cache, run_tool, tmp_path):
    arguments = ("--histograms", definitions_cache)
    ping = (corpus / "pings" / "telemetry1.ndjson").read_bytes()
    stream = run_tool(
        "tel-resolve", "--make-ids", "--date", "20130910", *arguments, str(corpus / "pings" / "telemetry1.ndjson")
    ).stdout
    done = run_tool("tel-validate", "--rejects", str(tmp_path / "bad"), *arguments, stdin=stream)
    done = run_tool("tel-convert", *arguments, stdin=done.stdout)
    (record,) = records_of(done.stdout)
    before = json.loads(ping.splitlines()[0])
    assert len(before["histograms"]) == 328 and len(record["ping"]["histograms"]) == 326
    assert len(record["ping"]["histograms"]["GC_REASON_2"]) == 101 + 5
    dropped = [reject["name"] for reject in rejects_of(tmp_path, "bad")]
    assert sorted(dropped) == ["HTTP_OFFLINE_CACHE_DOCUMENT_LOAD", "MIXED_CONTENT_PAGE_LOAD"]
    others = {name: value for name, value in before.items() if name not in ("ver", "histograms")}
    assert others == {name: value for name, value in record["ping"].items() if name not in ("ver", "histograms")}


def test_expanding_the_real_ping_gives_it_back(corpus, definitions_cache, run_tool):
    arguments = ("--histograms", definitions_cache)
    source = str(corpus / "pings" / "telemetry1.ndjson")
    stream = run_tool("tel-resolve", "--make-ids", "--date", "20130910", *arguments, source).stdout
    for tool in (("tel-validate", "--rejects", "/dev/null"), ("tel-convert",), ("tel-convert", "--expand")):
        stream = run_tool(*tool, *arguments, stdin=stream).stdout
    (record,) = records_of(stream)
    with open(source, encoding="utf-8") as file:
        before = json.loads(file.readline())
    for name, histogram in record["ping"].pop("histograms").items():
        original = before["histograms"][name]
        original["values"] = {key: count for key, count in original["values"].items() if count}
        assert histogram == original
    before.pop("histograms")
    assert record["ping"] == before


def test_a_record_stored_in_2013_is_mapped(corpus, run_tool):
    done = run_tool("tel-map", "histograms", str(corpus / "converted" / "ss-ff-n-22.lzma"))
    assert done.returncode == 0, done.stderr
    *lines, end = [json.loads(line) for line in done.stdout.splitlines()]
    stored = json.loads((corpus / "converted" / "ss-ff-n-22.tsv").read_bytes().split(b"\t", 1)[1])
    assert len(lines) == len(stored["histograms"]) and end["end"]["files"] == 1
    assert sorted(value for _, value in lines) == sorted(stored["histograms"].values())


def test_a_damaged_file_of_2013_is_an_error(corpus, run_tool):
    done = run_tool("tel-map", "histograms", str(corpus / "converted" / "corrupted.lzma"))
    assert done.returncode == 65 and b"lzma" in done.stderr
