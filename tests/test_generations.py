"""Every generation of ping: there and back again, real ones, and mutations of real ones."""

import gzip
import json
import os
import random
from collections import Counter

import pytest
from hypothesis import given, settings

from repositories import plant
from strategies import raw_pings
from tel import convert, jsonl, pings, resolve, revisions, validate
from tel.errors import BadData
from test_properties import Kept, OneVersion, ping_of, record_of

MUTATIONS = int(os.environ.get("TEL_MUTATIONS", "20000"))

# Where no definitions of the very revision are to be had, the nearest: revision -> file
NEAREST = {
    "bb4d614a0b09": "45.5.0",
    "919570891f1c8c8576be89f273f47fb9542c2a1f": "56.0a1",
    "5e14887312d4523ab59c3f6c6c94a679cf42b496": "49.0a1-2018-06-20-66a8fad1b607",
    "eab4a81e4457": "40.0",
    "26cb30a532a1": "25.0-2013",
    "a9effd9e521653405f0ffd311e8edf90bde92237": "153.7.0-reconstructed",
    "a55c55edf302": "23.0-2013",
}
MAIN_PINGS = ["main.4.sample.pass.json", "main.4.gc_sample.pass.json", "test_main.snappy.heka.ndjson"]


def without_zeros(value):
    """A ping with the buckets whose count is 0 left out, as the storage format does."""
    if isinstance(value, list):
        return [without_zeros(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "bucket_count" in value and isinstance(value.get("values"), dict):
        value = {**value, "values": {key: count for key, count in value["values"].items() if count}}
    return {name: without_zeros(item) for name, item in value.items()}


@given(raw_pings())
@settings(max_examples=400)
def test_there_and_back_again(defined):
    fields, ping = defined
    kept = Kept()
    cache, sieve = OneVersion(fields), validate.Sieve(kept)
    record = record_of(ping)
    (validated,) = validate.validate([record], cache, sieve)
    assert validated is record
    (converted,) = convert.convert([record], cache, sieve)
    assert (
        pings.is_stored(ping_of(converted))
        and pings.info_of(ping_of(converted), pings.generation(ping_of(converted))) is not None
    )
    (again,) = convert.convert([converted], cache, sieve)
    (validated,) = validate.validate([converted], cache, sieve)
    assert again is converted and validated is converted
    (expanded,) = convert.expand_all([converted], cache, sieve)
    assert ping_of(expanded) == without_zeros(ping) and not kept.lines and not kept.histograms


@given(raw_pings())
@settings(max_examples=100)
def test_nothing_but_plain_histograms_changes_without_keyed(defined):
    fields, ping = defined
    kept = Kept()
    (converted,) = convert.convert([record_of(ping)], OneVersion(fields), validate.Sieve(kept, keyed=False))
    root = ping_of(converted)["payload"] if "payload" in ping_of(converted) else ping_of(converted)
    before = ping.get("payload", ping)
    for name in ("keyedHistograms", "processes", "childPayloads"):
        assert root.get(name) == before.get(name)


@pytest.fixture(scope="module")
def cache(corpus, tmp_path_factory):
    """A definitions cache that has something for each revision of the real pings."""
    return revisions.Cache(str(plant(corpus, NEAREST, tmp_path_factory.mktemp("cache"))))


def passed(cache, lines):
    """(records resolved, records converted, what was kept of the rest) of raw lines."""
    kept = Kept()
    numbered = ((f"test:{number}", line) for number, line in enumerate(lines, 1))
    resolved = list(resolve.resolve(numbered, resolve.Resolver(cache), kept, "20260901", make_ids=True))
    sieve = validate.Sieve(kept)
    return resolved, list(convert.convert(validate.validate(resolved, cache, sieve), cache, sieve)), kept


def count_of(ping):
    """How many histograms, plain and keyed, a ping holds."""
    places = pings.places(ping, pings.generation(ping), (pings.PLAIN, pings.KEYED))
    return sum(
        len(holder[kind]) if kind == pings.PLAIN else sum(map(len, holder[kind].values())) for holder, kind, _ in places
    )


def names_of(ping):
    """How many names of histograms a ping has, in all its places."""
    return sum(len(holder[kind]) for holder, kind, _ in pings.places(ping, pings.generation(ping)))


def compact(path):
    return json.dumps(json.loads(path.read_bytes()), separators=(",", ":")).encode()


def test_real_main_pings_of_45_to_60_go_through(corpus, cache):
    for name in MAIN_PINGS:
        ((record,), (converted,), kept) = passed(cache, [compact(corpus / "pings" / name)])
        before, after = names_of(json.loads(record.ping)), names_of(ping_of(converted))
        assert before - after == len(kept.histograms) and after > 0.5 * before, name
        assert {kind for kind, _, _ in kept.histograms} <= {"unknown_histogram"}, name
        (back,) = convert.expand_all([converted], cache, validate.Sieve(kept))
        assert ping_of(back)["environment"] == json.loads(record.ping)["environment"]


def test_real_saved_session_pings_of_39_look_classic(corpus, cache):
    lines = (corpus / "pings" / "unicode.v1.ndjson").read_bytes().splitlines()
    resolved, converted, kept = passed(cache, lines)
    assert len(converted) == 2 and {kind for kind, _, _ in kept.histograms} <= {"unknown_histogram"}
    for record, stored in zip(resolved, map(ping_of, converted)):
        raw = json.loads(record.ping)
        assert stored["ver"] == stored["version"] == 5 and "payload" not in stored
        assert stored["info"]["revision"] == raw["payload"]["info"]["revision"]
        assert stored["info"]["reason"] == "saved-session" and stored["clientID"] == raw["clientId"]
        assert stored["info"]["OS"] == raw["environment"]["system"]["os"]["name"].replace("Windows_NT", "WINNT")
        assert stored["info"]["memsize"] == raw["environment"]["system"]["memoryMB"]
        assert all(isinstance(array, list) for array in stored["histograms"].values())


@pytest.fixture(scope="module")
def today(corpus):
    """The bodies of real requests of Firefox 153, as lines."""
    with gzip.open(corpus / "pings" / "firefox-153.ndjson.gz") as file:
        return [jsonl.dumps(json.loads(line)["body"]) for line in file]


def test_real_pings_of_153_convert_whole(today, cache):
    resolved, converted, kept = passed(cache, today)
    assert len(converted) == 371 and not kept.lines
    before = sum(count_of(json.loads(line)) for line in today)
    assert before > 9_000 and sum(count_of(ping_of(record)) for record in converted) >= 0.99 * before
    kinds = Counter(json.loads(line)["type"] for line in today)
    for record, line in zip(resolved, today):
        if json.loads(line)["type"] in ("health", "event", "deletion-request", "new-profile"):
            assert record.revision is None
    assert kinds["main"] == 310
    for record, line in zip(convert.expand_all(converted, cache, validate.Sieve(kept)), today):
        assert ping_of(record) == without_zeros(json.loads(line))


def test_payloads_with_known_results(corpus, cache):
    lines = (corpus / "pings" / "test_convert.ndjson").read_bytes().splitlines()
    _, (report, device, session), kept = passed(cache, lines)
    report, device, session = map(ping_of, (report, device, session))
    assert report["ver"] == 2 and report["info"]["reason"] == "android-anr-report"
    assert device["ver"] == 2 and "pingID" not in device
    assert (device["info"]["reason"], device["info"]["appName"], device["info"]["appVersion"]) == (
        "ftu",
        "FirefoxOS",
        "31.0a1",
    )
    assert session["ver"] == 2 and session["histograms"]["STARTUP_CRASH_DETECTED"] == [1, 0, 0, 0, -1, -1, 0, 0]
    timers = [0, 1232, 7, 2, 0, 0, 0, 1, 0, 0, 1279, 873.474196434021, 624.027626294358, -1, -1]
    assert session["histograms"]["DOM_TIMERS_FIRED_PER_NATIVE_TIMEOUT"] == timers
    lookup = session["histograms"]["STARTUP_DNS_LOOKUP_TIME"]
    assert (
        len(lookup) == 55
        and lookup[18] == 1
        and sum(lookup[:50]) == 1
        and lookup[50:] == [77, 4.356709003448486, 18.980913162231445, -1, -1]
    )
    assert not kept.lines and not kept.histograms


def mutated(random, data):
    """The bytes with one to three of them flipped, cut out, doubled, or a value put in the place of another."""
    data = bytearray(data)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(data))
        how = random.randrange(5)
        if how == 0:
            data[at] ^= 1 << random.randrange(8)
        elif how == 1:
            del data[at : at + random.randrange(1, 40)]
        elif how == 2:
            data[at:at] = data[at : at + random.randrange(1, 40)]
        elif how == 3:
            data[at] = random.randrange(256)
        else:
            end = min((i for i in (data.find(mark, at) for mark in (b",", b"}", b"]")) if i > 0), default=at + 1)
            start = max(data.rfind(b":", 0, at), data.rfind(b",", 0, at)) + 1
            data[start:end] = random.choice(
                [b"null", b"-1", b"true", b"[]", b"{}", b'"x"', b"1.5", b"1e400", b"NaN", b"01", b"9" * 40]
            )
    return bytes(data).replace(b"\n", b" ")


@pytest.mark.slow
def test_no_mutation_of_a_real_ping_crashes_or_passes_what_is_not_json(corpus, cache, today):
    source = random.Random(1)
    main = min((line for line in today if b'"type":"main"' in line and b'"content"' in line), key=len)
    classic = (corpus / "pings" / "telemetry1.ndjson").read_bytes().splitlines()[0]
    rejected = 0
    for number in range(MUTATIONS):
        line = mutated(source, classic if number % 20 == 0 else main)
        _, converted, kept = passed(cache, [line])
        assert len(converted) + len(kept.lines) == 1
        rejected += len(kept.lines)
        for record in converted:
            json.loads(record.line(), parse_constant=pytest.fail)
            record.line().decode()
    assert 0.1 * MUTATIONS < rejected < MUTATIONS


@pytest.mark.parametrize(
    "number",
    [
        "5000000000000",
        "-2147483648",
        "9007199254740993",
        "123456789012345678901234567890",
        "1e-7",
        "0.1",
        "82.3832015991211",
    ],
)
def test_numbers_are_kept(number):
    ping = '{"ver":1,"info":{},"x":%s,"histograms":{"A":{"range":[1,2],"bucket_count":3,"histogram_type":2,"values":{},"sum":%s}}}'
    record = record_of({})
    record = record.with_ping((ping % (number, number)).encode())
    (converted,) = convert.convert([record], OneVersion({"A": {"kind": "boolean"}}), validate.Sieve(Kept()))
    stored = json.loads(converted.ping, parse_float=str, parse_int=str)
    assert stored["x"] == number and type(json.loads(number)) is type(json.loads(converted.ping)["histograms"]["A"][3])
    assert json.loads(converted.ping)["histograms"]["A"][3] == json.loads(number)


@pytest.mark.parametrize(
    "ping, error_type",
    [
        ({"version": 4, "payload": {}, "application": {}}, "missing_member"),
        ({"version": 4, "type": "main", "application": {}}, "missing_member"),
        ({"version": 4, "type": "main", "payload": {}}, "missing_member"),
        ({"version": 4, "type": "main", "payload": {}, "application": {}, "info": {}}, "name_clash"),
        ({"version": 4, "type": "saved-session", "payload": {}, "application": {}, "environment": {}}, "missing_info"),
        ({"version": 4, "type": "saved-session", "payload": {"info": {}}, "application": {}}, "missing_member"),
        ({"version": 4, "type": "saved-session", "payload": {"info": {"payload.x": 1}}, "application": {}, "environment": {}}, "name_clash"),
        ({"version": 4, "type": "main", "application": {}, "payload": {"processes": {"gpu": {"histograms": [1]}}}}, "missing_histograms"),
        ({"ver": 1, "info": {}, "histograms": {str(n): {} for n in range(pings.MOST_HISTOGRAMS + 1)}}, "too_many_histograms"),
        ({"version": 6}, "unknown_version"),
        ({"ver": True, "info": {}}, "unknown_version"),
    ],
)  # fmt: skip
def test_pings_that_cannot_be_stored_are_rejected_whole(ping, error_type):
    kept = Kept()
    assert not list(convert.convert([record_of(ping)], OneVersion({}), validate.Sieve(kept)))
    assert [kind for kind, _ in kept.lines] == [error_type]


def raw(**changes):
    """A boolean histogram as a client sends it, with changes."""
    return {"range": [1, 2], "bucket_count": 3, "histogram_type": 2, "values": {"0": 1}, "sum": 0, **changes}


FIELDS = {
    "A": {"kind": "boolean"},
    "K": {"kind": "boolean", "keyed": True, "keys": ["a"]},
    "C": {"kind": "categorical", "labels": ["x", "y"]},
}


@pytest.mark.parametrize(
    "kind, name, value, error_type",
    [
        ("histograms", "A", 5, "not_an_object"),
        ("histograms", "A", raw(odd=1), "unknown_member"),
        ("histograms", "A", raw(bucket_count=4), "wrong_bucket_count"),
        ("histograms", "A", raw(bucket_count=[3]), "wrong_bucket_count"),
        ("histograms", "A", raw(histogram_type=True), "wrong_type"),
        ("histograms", "A", raw(range=[1, 3]), "wrong_range"),
        ("histograms", "A", raw(range=[True, 2]), "wrong_range"),
        ("histograms", "A", raw(values=[]), "missing_values"),
        ("histograms", "A", raw(values={"00": 1}), "unknown_bucket"),
        ("histograms", "A", raw(values={"0": 1.0}), "bad_count"),
        ("histograms", "A", raw(values={"0": True}), "bad_count"),
        ("histograms", "A", raw(values={"0": -1}), "bad_count"),
        ("histograms", "A", raw(sum="1"), "bad_statistic"),
        ("histograms", "A", raw(log_sum=None), "bad_statistic"),
        ("histograms", "B", raw(), "unknown_histogram"),
        ("histograms", "K", raw(), "wrong_place"),
        ("keyedHistograms", "A", {"a": raw()}, "wrong_place"),
        ("keyedHistograms", "K", {"b": raw()}, "unknown_key"),
        ("keyedHistograms", "K", [], "not_an_object"),
        ("keyedHistograms", "K", {"a": raw(sum=[])}, "bad_statistic"),
        ("keyedHistograms", "B", {}, "unknown_histogram"),
        ("addonHistograms", "addon", {"X": raw()}, "unknown_histogram"),
    ],
)
def test_each_reason_to_take_a_histogram_out(kind, name, value, error_type):
    kept = Kept()
    record = record_of({"ver": 1, "info": {}, kind: {name: value}})
    (validated,) = validate.validate([record], OneVersion(FIELDS), validate.Sieve(kept))
    assert [found for found, _, _ in kept.histograms] == [error_type]
    assert not any(ping_of(validated)[kind].values())


@pytest.mark.parametrize("type, count", [(1, 3), (5, 3), (1, 51), (5, 51)])
def test_categorical_histograms_come_in_two_types_and_two_sizes(type, count):
    value = {"range": [1, count - 1], "bucket_count": count, "histogram_type": type, "values": {"1": 4}, "sum": 4}
    record = record_of({"ver": 1, "info": {}, "histograms": {"C": value}})
    (converted,) = convert.convert([record], OneVersion(FIELDS), validate.Sieve(Kept()))
    assert ping_of(converted)["histograms"]["C"] == [0, 4] + [0] * (count - 2) + [4, -1, -1, -1, -1]


@pytest.mark.parametrize(
    "unknown, left, lines, dropped", [("reject", {}, 1, 0), ("drop", {}, 0, 1), ("keep", {"B": 1}, 0, 0)]
)
def test_unknown_names_are_rejected_dropped_or_kept(unknown, left, lines, dropped):
    kept = Kept()
    record = record_of({"ver": 1, "info": {}, "histograms": {"B": 1}})
    (converted,) = convert.convert([record], OneVersion(FIELDS), validate.Sieve(kept, unknown=unknown))
    assert ping_of(converted)["histograms"] == left
    assert len(kept.histograms) == lines and kept.stats.dropped["unknown_histogram"] == dropped


def test_a_stored_array_that_does_not_fit_is_taken_out():
    for array, error_type in [
        ([0] * 7, "wrong_bucket_count"), ({}, "not_an_array"), ([-1] + [0] * 7, "bad_count"), ([0] * 7 + ["x"], "bad_statistic"),
    ]:  # fmt: skip
        kept = Kept()
        list(
            validate.validate(
                [record_of({"ver": 2, "info": {}, "histograms": {"A": array}})],
                OneVersion(FIELDS),
                validate.Sieve(kept),
            )
        )
        assert [found for found, _, _ in kept.histograms] == [error_type]


def test_lone_surrogates_never_pass():
    with pytest.raises(BadData):
        jsonl.loads(b'{"a":"\\ud83d"}')
