"""All tiers accept and refuse the same, with the same bytes out: whatever a tier is sure of, the reference says too."""

import gzip
import json
import os
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import json_values, raw_pings
from tel import convert, jsonl, pings, records, resolve, sample, tiers, validate
from tel.definitions import load
from tel.errors import BadData
from test_properties import Kept, OneVersion

MUTATIONS = int(os.environ.get("TEL_MUTATIONS", "20000")) // 8
QUICK = [name for name in tiers.TIERS if tiers.is_there(name)]
SIEVES = ({}, {}, {}, {"whole": True}, {"unknown": "keep"}, {"unknown": "drop"}, {"keyed": False})

FIELDS = {
    "A": {"kind": "boolean"},
    "STARTUP_A": {"kind": "flag"},
    "B": {"kind": "exponential", "high": "100", "n_buckets": 5},
    "W": {"kind": "linear", "high": 5, "n_buckets": 20},  # wide: bounds repeat
    "E": {"kind": "enumerated", "n_values": "JS::gcreason::NUM_TELEMETRY_REASONS"},
    "C": {"kind": "categorical", "labels": ["a", "b"]},
    "K": {"kind": "count", "keyed": True},
    "L": {"kind": "boolean", "keyed": True, "keys": ["x", "é"]},
}
PLAIN = '{"range":[1,2],"bucket_count":3,"histogram_type":2,"values":{"0":5,"1":2},"sum":2}'
FLAG = PLAIN.replace('type":2', 'type":3').replace('"sum":2', '"sum":2,"sum_squares_lo":-5,"sum_squares_hi":0')
SPREAD = (
    '{"bucket_count":5,"histogram_type":0,"log_sum":3.25,"log_sum_squares":1e1,"range":[1,100],"sum":66,'
    '"values":{"0":1,"22":3,"100":0}}'
)
SMALL = [
    f'{{"ver":1,"info":{{"OS":"L"}},"histograms":{{"A":{PLAIN},"STARTUP_A":{FLAG},"B":{SPREAD}}},'
    f'"keyedHistograms":{{"K":{{}},"L":{{"x":{PLAIN},"é":{PLAIN}}}}}}}',
    f'{{"type":"main","id":"i","version":4,"application":{{"name":"F","buildId":"1"}},"payload":{{"ver":4,'
    f'"info":{{"revision":"u"}},"histograms":{{"A":{PLAIN}}},"processes":{{"content":{{"histograms":{{"A":{PLAIN}}},'
    f'"keyedHistograms":{{}}}},"gpu":{{}}}}}}}}',
    f'{{"ver":1,"info":{{}},"histograms":{{"A":{PLAIN},"STARTUP_A":{FLAG}}},"addonHistograms":{{}},"keyedHistograms":{{}},'
    '"x":"\\"histograms\\":","y":{"a\\"histograms":1}}',
    f'{{"histograms":{{"A":{PLAIN}}},"simple":{{"version":"x","ver":2}},"ver":1,"info":{{}}}}',
    f'{{"ver":1,"info":{{}},"childPayloads":[{{"histograms":{{"A":{PLAIN}}}}},5],"histograms":{{"A":{PLAIN}}}}}',
]
NUMBERS = ("0", "1", "01", "-0", "-", "1.", "1.0", "1e400", "1e5", "NaN", "9" * 20, "9" * 250, "9" * 5000)
MEMBERS = (
    '"histograms":{},', ',"histograms":{}', '"ver":1,', '"version":4,', ',"ver":2', f'"A":{PLAIN},', ',"A":1', '"sum":3,',
    ',"sum":3', '"0":1,', ',"1":1', '"values":{},', '"range":[1,2],', '"info":{},', '"processes":{},', '"\\u0041":1,',
    '"keyedHistograms":{},', '"addonHistograms":{"x":{"A":1}},', '"type":"saved-session",',
)  # fmt: skip
CHARACTERS = (
    '"',
    "\\",
    "-",
    ".",
    "e",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\t",
    "\0",
    "\x1f",
    "\x7f",
    "é",
    "\u2028",
    "STARTUP_",
)
ESCAPES = ("\\u00e9", "\\ud800", "\\ud83d\\ude00", "\\x", "null", "true", "{}", "[]", '},"', "}}")
NESTED = tuple(f'"x":{"[" * depth}{"]" * depth},' for depth in (190, 199, 200, 201, 260, 5000))
BYTES = (b"\x80", b"\xed\xa0\x80", b"\xff", b"\xc0\x80")
INSERTED = [text.encode() for text in (*NUMBERS, *MEMBERS, *CHARACTERS, *ESCAPES, *NESTED)] + [*BYTES]


@pytest.fixture(autouse=True)
def _the_tier_stays():
    chosen = tiers.active()
    yield
    tiers.use(chosen)


def outcome(tier, text, cache, options):
    """All that the stages make of a ping's text in a tier."""
    tiers.use(tier)
    return [_resolved(text, cache), *(_passed(stage, text, cache, options) for stage in (validate, convert))]


def _resolved(text, cache):
    try:
        record, outline, raw = resolve.parse_raw(b"id\t" + text, "20260901", looking(cache))
    except BadData as error:
        return error.error_type, error.reason
    named = outline.revision if isinstance(outline.revision, str) else None
    return record.line(), named, outline.carries, outline.generation, raw


def looking(cache):
    """A look as a Resolver's, for a cache of one version."""

    def look(text):
        outline = tiers.look(text)
        return outline if not outline or outline.proven or outline.stored_text(cache) else None

    return look


def _passed(stage, text, cache, options):
    kept, record = (
        Kept(),
        records.Record({"id": "i", "date": "20260901", "info": {}, "revision": {}}, text, original=b""),
    )
    run = stage.validate if stage is validate else stage.convert
    lines = [passed.line() for passed in run([record], cache, validate.Sieve(kept, **options))]
    return lines, kept.lines, [(reason, name, jsonl.dumps(value)) for reason, name, value in kept.histograms]


def check(text, cache, options=()):
    """All tiers that are there say of a ping what the reference says."""
    expected = outcome(tiers.REFERENCE, text, cache, dict(options))
    for tier in QUICK:
        assert outcome(tier, text, cache, dict(options)) == expected, (tier, text)


def mutated(source, data):
    """A ping's bytes with a few changed, taken out, put in or doubled."""
    data = bytearray(data)
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        at, way = source.randrange(len(data) + 1), source.random()
        if way < 0.4:
            data[at : at + source.choice((0, 0, 0, 1, 2, 4))] = source.choice(INSERTED)
        elif way < 0.6:
            del data[at : at + source.choice((1, 1, 2, 5, 20))]
        elif way < 0.8:
            data[at : at + 1] = bytes([source.randrange(256)])
        else:
            piece, to = data[at : at + source.randrange(1, 80)], source.randrange(len(data) + 1)
            data[to:to] = piece
    return bytes(data).replace(b"\n", b" ")


def thinned(source, ping, most=4):
    """A parsed ping with few histograms, so that a mutation meets them more often."""
    for holder, kind, _ in pings.places(ping, pings.generation(ping)):
        names = source.sample(list(holder[kind]), min(most, len(holder[kind])))
        holder[kind] = {name: value for name, value in holder[kind].items() if name in names}
    return json.dumps(ping, separators=(",", ":"), ensure_ascii=False).encode()


def generated(count):
    """The texts of some pings as tel-sample makes them."""
    lines = list(sample.pings(count, 5, sample.share("0%"), sample.FULL))
    return [line.split(b"\t", 1)[1] for line in lines if b"\t" in line]


@pytest.fixture(scope="module")
def known():
    """The definitions of the generated pings, as a cache of one version."""
    cache = OneVersion({})
    cache.definitions = load(sample.definitions_text())
    return cache


def test_small_pings_are_the_same_in_all_tiers():
    cache = OneVersion(FIELDS)
    for text in SMALL:
        check(text.encode(), cache)


@given(raw_pings(), st.sampled_from([(",", ":"), (", ", ": ")]), st.booleans(), st.sampled_from(SIEVES))
@settings(max_examples=300, deadline=None)
def test_any_ping_is_the_same_in_all_tiers(defined, separators, escaped, options):
    fields, ping = defined
    text = json.dumps(ping, separators=separators, ensure_ascii=escaped).encode()
    check(text, OneVersion(fields), options.items())


def test_mutated_pings_are_the_same_in_all_tiers(known):
    source, cache = random.Random(1), OneVersion(FIELDS)
    thin = [thinned(source, json.loads(text)) for text in generated(5)]
    for _ in range(MUTATIONS):
        options = source.choice(SIEVES).items()
        check(mutated(source, source.choice(SMALL).encode()), cache, options)
        check(mutated(source, source.choice(thin)), known, options)


def test_mutated_real_pings_are_the_same_in_all_tiers(corpus):
    source, cache = random.Random(2), OneVersion({})
    with gzip.open(next((corpus / "histograms").glob("153.7.0-reconstructed*.json.gz"))) as file:
        cache.definitions = load(file.read())
    with gzip.open(corpus / "pings" / "firefox-153.ndjson.gz") as file:
        bodies = [json.loads(line)["body"] for line in file]
    for body in bodies:
        check(json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(), cache)
    thin = [thinned(source, body) for body in bodies]
    for _ in range(MUTATIONS // 4):
        check(mutated(source, source.choice(thin)), cache)


@pytest.mark.parametrize("tier", tiers.TIERS)
def test_a_tier_is_sure_of_what_clients_write(tier, known):
    """Else it would be no faster than the reference, and nothing above would be tested."""
    if tier not in QUICK:
        pytest.skip(f"the {tier} tier is not to be had here")
    tiers.use(tier)
    for text in generated(10):
        assert tiers.look(text).stored_text(known), text[:300]
    unified, cache = SMALL[1].encode(), OneVersion(FIELDS)
    assert bool(tier == "compiled" and tiers.look(unified).stored_text(cache)) == (tier == "compiled")


@given(json_values, st.randoms(use_true_random=False))
@settings(max_examples=500)
def test_what_is_proven_is_strict_json(value, source):
    if "compiled" not in QUICK:
        pytest.skip("the compiled tier is not to be had here")
    tiers.use("compiled")
    text = json.dumps({"x": value}, ensure_ascii=False).encode()
    assert jsonl.loads(text) == {"x": value}
    assert tiers.proves(text) or re.search(rb"e[+-]?[0-9]{3}", text)  # of so large a number it is not sure
    for _ in range(10):
        broken = mutated(source, text)
        try:
            good = isinstance(jsonl.loads(broken), dict)
        except BadData:
            good = False
        assert good or not tiers.proves(broken), broken
