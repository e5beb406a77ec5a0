"""All tiers accept and refuse the same, with the same bytes out: whatever a tier is sure of, the reference says too."""

import functools
import gzip
import json
import os
import random
import re
import sqlite3
from collections import namedtuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_generations import MAIN_PINGS, NEAREST

from strategies import json_values, raw_pings
from tel import convert, jsonl, pings, proof, records, rejects, resolve, sample, stats, tiers, validate
from tel.definitions import find, load
from tel.errors import BadData
from tel.parted import Judged, Parted
from test_properties import OneVersion

MUTATIONS = int(os.environ.get("TEL_MUTATIONS", "20000")) // 10
QUICK = [name for name in tiers.TIERS if tiers.is_there(name)]

# How a ping comes: what stands around it in its line, and what is asked of the tools.
Way = namedtuple("Way", "head tail make_ids sieve", defaults=(b"id\t", b"", False, {}))
RECORD = b'{"id":"i","date":"20260901","info":{"OS":"x"},"revision":null,"ping":'
HEADS = [
    *[(b"id\t", b"")] * 6, (b"i d\t", b" "), (b"{}\t", b""), (b"", b""), (b" ", b"\r"), (RECORD, b"}"),
    (RECORD, b',"more":{"a":{"b":{}}}}'), (RECORD.replace(b'"i"', b'"i d"'), b"}"),
    (b'{"ping":', b',"id":"i","date":"","info":{}}'),
]  # fmt: skip
SIEVES = ({}, {}, {}, {"whole": True}, {"unknown": "keep"}, {"unknown": "drop"}, {"keyed": False})
WAYS = [Way(*around, make_ids, sieve) for around in HEADS for make_ids in (False, True) for sieve in SIEVES]
SOME_WAYS, USUAL = WAYS[::11], Way()

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
URL = "http://hg.mozilla.org/mozilla-central/rev/0123456789ab"
INFO = f'"info":{{"OS":"L","revision":"{URL}"}}'
PLAIN = '{"range":[1,2],"bucket_count":3,"histogram_type":2,"values":{"0":5,"1":2},"sum":2}'
COUNT = PLAIN.replace('type":2', 'type":4')
FLAG = PLAIN.replace('type":2', 'type":3').replace('"sum":2', '"sum":2,"sum_squares_lo":-5,"sum_squares_hi":0')
SPREAD = (
    '{"bucket_count":5,"histogram_type":0,"log_sum":3.25,"log_sum_squares":1e1,"range":[1,100],"sum":66,'
    '"values":{"0":1,"22":3,"100":0}}'
)
CLASSIC = f'{{"ver":1,{INFO},"histograms":{{"A":{PLAIN},"STARTUP_A":{FLAG}}}}}'
UNIFIED = (
    f'{{"type":"main","id":"i","version":4,"application":{{"name":"F","buildId":"1"}},"payload":{{"ver":4,{INFO},'
    f'"histograms":{{"A":{PLAIN}}},"processes":{{"content":{{"histograms":{{"A":{PLAIN}}},"keyedHistograms":{{}}}},'
    f'"gpu":{{"keyedHistograms":{{"K":{{"a":{COUNT},"b":{COUNT}}}}}}}}}}}}}'
)
SMALL = [
    CLASSIC,
    UNIFIED,
    UNIFIED.replace('"main"', '"saved-session","environment":{"system":{"os":{"name":"Windows_NT"}}}'),
    f'{{"ver":1,{INFO},"histograms":{{"A":{PLAIN},"STARTUP_A":{FLAG},"B":{SPREAD}}},'
    f'"keyedHistograms":{{"K":{{}},"L":{{"x":{PLAIN},"é":{PLAIN}}}}}}}',
    f'{{"ver":1,{INFO},"histograms":{{"A":{PLAIN},"STARTUP_A":{FLAG}}},"addonHistograms":{{}},"keyedHistograms":{{}},'
    '"x":"\\"histograms\\":","y":{"a\\"histograms":1}}',
    f'{{"histograms":{{"A":{PLAIN}}},"simple":{{"version":"x","ver":2}},"ver":1,{INFO}}}',
    f'{{"id":"i","ver":1,{INFO},"childPayloads":[{{"histograms":{{"A":{PLAIN}}}}},5],"histograms":{{"A":{PLAIN}}}}}',
    f'{{"ver":1,{INFO},"processes":[{{"histograms":{{"A":{PLAIN}}}}}],"histograms":{{"B":{SPREAD}}}}}',
    '{"ver":3,"deviceinfo.os":"1.3","locale":"de","pingID":"p"}',
]

NUMBERS = (
    "0", "1", "-1", "01", "00", "-0", "-", "1.", "1.0", "-0.0", "-01", ".5", "+1", "1.50", "1e400", "1e5", "1E+05",
    "1e", "1e99", "NaN", "Infinity", "true", "null", '"1"', "9" * 18, "9" * 19, "9" * 20, "9" * 199, "9" * 250,
    "9" * 5000, "0." + "1" * 31, "0." + "1" * 250, "1 ", " 1", "1\t2", "[]", "{}",
)  # fmt: skip
MEMBERS = (
    '"histograms":{},', ',"histograms":{}', ' "histograms" : {},', '"histo\\u0067rams":{},', '"histograms":5,',
    '"ver":1,', '"version":4,', ',"ver":2', '"v\\u0065r":2,', '"ver":1.0,', '"a\\"ver":1,',
    '"x":{"version":1,"ver":2},', f'"A":{PLAIN},', ',"A":1', f'"STARTUP_B":{SPREAD},', f'"STARTUP_STARTUP_A":{FLAG},',
    f'"\\u0041":{PLAIN},', f'"U":{PLAIN},', '"sum":3,', ',"sum":3', '"log_sum":1,', '"sum_squares_lo":-1,', '"odd":1,',
    '"0":1,', ',"1":1', '"00":1,', '"\\u0030":1,', '"values":{},', '"values":[],', '"range":[1,2],',
    '"range":[1.0,2],', '"bucket_count":4,', '"histogram_type":1,', '"info":{},', '"info":1,', '"processes":{},',
    '"processes":{"x":{"histograms":{}}},', '"processes":[[{"histograms":{}}]],',
    '"childPayloads":[{"addonHistograms":{"x":{}}}],', '"keyedHistograms":{},',
    f'"keyedHistograms":{{"K":{{"ver":{COUNT}}}}},', f'"keyedHistograms":{{"K":{{"a\\"histograms":{COUNT}}}}},',
    f'"keyedHistograms":{{"L":{{"y":{PLAIN}}}}},', f'"x":{PLAIN},', f'"é":{PLAIN},', f'"\\u00e9":{PLAIN},',
    f'"a":{COUNT},', '"addonHistograms":{"x":{"A":1}},', '"addonHistograms":{},', '"type":"saved-session",',
    '"type":7,', '"application":{"name":{"a":1.50,"b":[]}},', '"payload":{},', '"id":"","id":"j",', '"id":7,',
    '"x":{"\\ud83d":1},', f'"revision":"{URL}",', '"x":1,"x":2,', '"x":[1, 2 ,3],',
)  # fmt: skip
CHARACTERS = (*'"\\-.e{}[],: \t\r\0\x1f\x7fé\u2028😀0123456789', "STARTUP_", "ver", "histograms")
ESCAPES = (
    "\\u00e9", "\\ud800", "\\udc00", "\\ud83d\\ude00", "\\ud83d\\u0041", "\\uD83D", "\\x", "\\u12", '\\"', "\\\\",
    "\\/", "null", "true", "{}", "[]", "{ }", '},"', "}}", "} }", '"}', '":',
)  # fmt: skip
NESTED = tuple(f'"x":{"[" * depth}{"]" * depth},' for depth in (190, 198, 199, 200, 201, 260, 390, 410, 5000))
BYTES = (b"\x80", b"\xed\xa0\x80", b"\xff", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xc3", b"\xe2\x80", b"\xf0\x9f\x98")
INSERTED = [text.encode() for text in (*NUMBERS, *CHARACTERS, *ESCAPES, *NESTED)] + [*BYTES]
NAMED = [text.encode() for text in MEMBERS]


@pytest.fixture(autouse=True)
def _the_tier_stays():
    chosen = tiers.active()
    yield
    tiers.use(chosen)


def need(tier):
    """Skip, saying so, where a tier cannot be had."""
    if tier not in QUICK:
        pytest.skip(f"the {tier} tier is not to be had here")
    tiers.use(tier)


class Kept(rejects.Rejects):
    """Rejects kept in memory, with all that is told of them."""

    def __init__(self):
        super().__init__("test", stats.Stats("test"))
        self.all = []

    def line(self, error, where, line, id=None, info=None):
        self.all.append((error.error_type, error.reason, where, line, id, info))

    def histogram(self, error, record, name, path, value, key=None):
        self.all.append((error.error_type, error.reason, record.line(), name, path, jsonl.dumps(value), key))


class Definitions(OneVersion):
    """A definitions cache of one version, that of nearly all revisions."""

    repository, node, exact = "mozilla-central", "0123456789ab", True

    def find(self, repository, node):
        return None if node.startswith("f") else self

    def of_product(self, repository, version):
        return self

    def in_effect(self, repository, seconds):
        return self if seconds % 2 else None


def outcome(tier, text, cache, way):
    """All that the tools make of a line with a ping in a tier: one after another in one process, and each alone."""
    tiers.use(tier)
    kept, line = Kept(), way.head + text + way.tail
    sieve = validate.Sieve(kept, **way.sieve)
    resolver = resolve.Resolver(cache, only_revision=len(way.sieve) > 0)
    found = list(resolve.resolve([("here:1", line)], resolver, kept, "20260901", way.make_ids))
    lines = [record.line() for record in found]
    lonely = resolve.Resolver(cache, only_revision=len(way.sieve) > 0, alone=True)
    found_alone = resolve.resolve([("here:1", line)], lonely, kept, "20260901", way.make_ids)
    lines += [record.line() for record in found_alone]
    texts = list(lines)
    for stage in (validate.validate, functools.partial(validate.validate, alone=True), convert.convert):
        alone = [records.parse(each, "here:2") for each in texts]  # anew: a stage may have changed one that it rejected
        alone.append(fresh(text, "i" if way.make_ids else "i d"))
        lines += [record.line() for record in stage(alone, cache, sieve)]
        new = list(stage([fresh(text, "i")], cache, sieve))
        assert all(record.most >= len(record.ping) for record in new)
        lines += [record.line() for record in new]
    lines += [record.line() for record in convert.convert(found, cache, sieve)]
    return lines, kept.all, kept.stats.dropped


def fresh(text, id):
    """A record that nobody has looked at."""
    return records.Record({"id": id, "date": "20260901", "info": {}, "revision": {}}, text, "here:3", original=b"")


def check(text, cache, way=USUAL):
    """All tiers that are there say of a ping what the reference says; returns that."""
    expected = outcome(tiers.REFERENCE, text, cache, way)
    for tier in QUICK:
        assert outcome(tier, text, cache, way) == expected, (tier, way, text)
    return expected


def mutated(source, data):
    """A ping's bytes with a few changed, taken out, put in or doubled."""
    data = bytearray(data)
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        at, way = source.randrange(len(data) + 1), source.random()
        if way < 0.25:
            data[at : at + source.choice((0, 0, 0, 1, 2, 4))] = source.choice(INSERTED)
        elif way < 0.45:
            at = source.choice([0, *(found.end() for found in re.finditer(rb"[{,]", data))])
            data[at:at] = source.choice(NAMED)
        elif way < 0.55:
            spans = [found.span(1) for found in re.finditer(rb"[:\[,]([-0-9.e]+|\{\}|\[\]|\"[^\"]*\")", data)]
            start, to = source.choice(spans or [(at, at)])
            data[start:to] = source.choice(INSERTED[: len(NUMBERS)])
        elif way < 0.65:
            del data[at : at + source.choice((1, 1, 2, 5, 20))]
        elif way < 0.75:
            start = data.rfind(b'"', 0, at)  # a member, mostly
            del data[max(start, 0) : max(data.find(b",", at), at) + 1]
        elif way < 0.85:
            data[at : at + 1] = bytes([source.randrange(256)])
        else:
            piece, to = data[at : at + source.randrange(1, 80)], source.randrange(len(data) + 1)
            data[to:to] = piece
    return bytes(data).replace(b"\n", b" ")


def written(ping):
    """A parsed ping as clients write it."""
    return json.dumps(ping, separators=(",", ":"), ensure_ascii=False).encode()


def thinned(source, ping, most=4):
    """A parsed ping with few histograms, so that a mutation meets them more often."""
    for holder, kind, _ in pings.places(ping, pings.generation(ping)):
        names = source.sample(list(holder[kind]), min(most, len(holder[kind])))
        holder[kind] = {name: value for name, value in holder[kind].items() if name in names}
    return written(ping)


def generated(count):
    """The texts of some pings as tel-sample makes them."""
    lines = list(sample.pings(count, 5, sample.share("0%"), sample.FULL))
    return [line.split(b"\t", 1)[1] for line in lines if b"\t" in line]


@pytest.fixture(scope="module")
def known():
    """The definitions of the generated pings, as a cache of one version."""
    cache = Definitions({})
    cache.definitions = load(sample.definitions_text())
    return cache


def real_definitions(corpus, begin):
    """The definitions of a real file whose name begins so, as a cache of one version."""
    cache = Definitions({})
    (path,) = (corpus / "histograms").glob(f"{begin}*.json.gz")
    cache.definitions = load(gzip.decompress(path.read_bytes()))
    return cache


def test_small_pings_are_the_same_in_all_tiers():
    cache = Definitions(FIELDS)
    for text in SMALL:
        for way in SOME_WAYS:
            check(text.encode(), cache, way)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_is_judged_the_same_in_all_tiers(number):
    cache = Definitions(FIELDS)
    for text in (CLASSIC, SMALL[3]):
        for place in re.finditer(r'":(-?[0-9][0-9.e]*)|\[([0-9]+),', text):
            start, to = place.span(1 if place[1] else 2)
            check((text[:start] + number + text[to:]).encode(), cache)


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_more_is_judged_the_same_in_all_tiers(member):
    cache, source = Definitions(FIELDS), random.Random(member)
    for text in SMALL:
        for place in source.choices(list(re.finditer("{", text)), k=2):
            check((text[: place.end()] + member + text[place.end() :]).encode(), cache, source.choice(WAYS))


BIG = "mozilla::StartupTimeline::MAX_EVENT_ID * mozilla::StartupTimeline::MAX_EVENT_ID"


def test_after_many_pings_of_one_version_come_some_of_another():
    these, others = Definitions(FIELDS), Definitions({**FIELDS, "A": {"kind": "enumerated", "n_values": 9}})
    for text in (CLASSIC.encode(), UNIFIED.encode()):
        found = [check(text, cache) for cache in [these] * 20 + [others, these, *[others] * 20, these]]
        assert len(set(map(repr, found))) == 2


ODD_FIELDS = {
    "A": {"kind": "boolean"},
    "STARTUP_A": {"kind": "enumerated", "n_values": BIG},  # more layouts than the compiled tier can hold
    "ver": {"kind": "boolean"},
    "histograms": {"kind": "boolean"},
    "H": {"kind": "linear", "high": 10**20, "n_buckets": 3},  # no bound of 64 bits
    'Q"\\': {"kind": "boolean"},
    "K": {"kind": "boolean", "keyed": True},
    "ADDED": {"kind": "boolean", "keyed": True},
    "STARTUP_ADDED": {"kind": "boolean"},
    "a:b": {"kind": "boolean"},
}
SKEWED = PLAIN.replace(',"1"', ',9"1"')
BRIEF = '{"range":[1,2],"bucket_count":3,"histogram_type":2,"values":{},"sum":2}'
HIDING = BRIEF.replace(
    "{}", f'{{"x":"{"x" * 150}","a:b":{PLAIN},"ver":{{}},"y":"{"y" * 600}"}}'
)  # a good one, far behind
TWICE, TORN = BRIEF.replace("{}", '{"0":5,"0":2}'), BRIEF.replace("{}", '{1"0":"0":1,}')


@pytest.mark.parametrize(
    "text",
    [
        f'{{"histograms":{{"STARTUP_A":{PLAIN}}},"ver":1,{INFO}}}',
        f'{{"histograms":{{"ver":{PLAIN}}}, "ver":1,{INFO}}}',
        f'{{"keyedHistograms":{{"K":{{"ver":{PLAIN},"histograms":{PLAIN}}}}}, "ver":1,{INFO}}}',
        f'{{"histograms":{{"histograms":{PLAIN}}}, "ver":1,{INFO}}}',
        f'{{"histograms":{{"Q\\"\\\\":{PLAIN}}}, "ver":1,{INFO}}}',
        f'{{"ver":1, {INFO},"histograms":{{"H":{PLAIN.replace("[1,2]", "[1,100000000000000000000]")}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"STARTUP_ADDED":{PLAIN}}},"keyedHistograms":{{"ADDED":{{"a":{PLAIN}}}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{}},"keyedHistograms":{{"STARTUP_ADDED":{{"a":{PLAIN}}}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"A":{PLAIN.replace(""""sum":2""", "")}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"A":{PLAIN.replace("""sum":2""", "")}}}}}',
        *(CLASSIC.replace('},"sum"', f'}}{odd},"sum"', 1) for odd in (".5", "5", "-")),
        f'{{"ver":1,{INFO},"histograms":{{"A":{SKEWED}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"A":{SKEWED.replace("}", """,8"2":0}""", 1)}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"A":{BRIEF.replace("{}", """{"0":1,5"1":"2":3,4}""")}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"A":{BRIEF.replace("{}", """{"0":1,1"":"0":1,}""")}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"A":{PLAIN},"ver":{TORN},"a:b":{PLAIN}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"A":{PLAIN},"a:b":{HIDING},"ver":{PLAIN}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"A":1,"A":{PLAIN},"U":{PLAIN}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"A":{PLAIN},9STARTUP_A":{PLAIN}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"A":{TWICE},"U":1,"U":{PLAIN}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"a:b":{PLAIN},"a:b":{PLAIN.replace("1", "9")}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"a:b":{PLAIN},"a:\\u0062":{PLAIN.replace("1", "9")}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{ }},"id":"other","x":{{"y":{{}}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"A":{BRIEF}}} ,"id":"other","x":{{"y":{{}}}}}}',
        f'{{"ver":1,{INFO},"id":"i","histograms":{{"A":{PLAIN[:-1]},}}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"A":{PLAIN[:-1]},}}}}}}',
        f'{{"ver":1,{INFO.replace("0123", "ffff")},"histograms":{{"A":{PLAIN[:-1]},}}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{"A":1}} ,"more":{{"b":{{"c":{{}}}}}}',
        f'{{"ver":1,{INFO},"histograms":{{ }} ,"more":{{"b":{{"c":{{}}}}}}',
    ],
)  # fmt: skip
def test_what_could_mislead_a_tier_does_not(text):
    for way in SOME_WAYS:
        check(text.encode(), Definitions(ODD_FIELDS), way)


@pytest.mark.parametrize("depth", [150, 190, *range(195, 203), 260, 390, 400, 410, 700, 1000, 1100, 20_000])
def test_deep_nesting_is_judged_the_same_in_all_tiers(depth):
    for text in (CLASSIC, UNIFIED):
        for opened, closed in (("[", "]"), ('{"a":', "}")):
            nested = f'{{"x":{opened * depth}1{closed * depth},{text[1:]}'
            check(nested.encode(), Definitions(FIELDS))


def test_the_most_histograms_are_the_same_in_all_tiers(monkeypatch):
    text, judged = UNIFIED.replace('"A":{', '"B":1,"A":{').encode(), set()
    for most in range(8):
        monkeypatch.setattr(pings, "MOST_HISTOGRAMS", most)
        for text in SMALL:
            _, kept, _ = check(text.encode(), Definitions(FIELDS))
            judged.update(each[0] for each in kept)
    assert "too_many_histograms" in judged


spacing = st.sampled_from([(",", ":"), (", ", ": "), (" ,", ":\t")])


def reordered(draw, value):
    """A JSON value with the members of all its objects in another order."""
    if isinstance(value, list):
        return [reordered(draw, item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: reordered(draw, value[name]) for name in draw(st.permutations(list(value)))}


@st.composite
def written_pings(draw):
    """({name: fields of its definition}, the text of a ping that mostly names a revision, in one of many ways)."""
    fields, ping = draw(raw_pings())
    holder = ping.get("payload", ping).get("info")
    if holder is not None:
        holder["revision"] = draw(st.sampled_from([URL, URL, URL, URL.replace("0123", "ffff"), 7]))
    ping = draw(st.just(ping) | st.just({**ping, "id": "j"}))
    ping = reordered(draw, ping) if draw(st.booleans()) else ping
    return fields, json.dumps(ping, separators=draw(spacing), ensure_ascii=draw(st.booleans())).encode()


@given(written_pings(), st.sampled_from(WAYS))
@settings(max_examples=150, deadline=None)
def test_any_ping_is_the_same_in_all_tiers(defined, way):
    fields, text = defined
    cache = Definitions(fields)
    lines, _, _ = check(text, cache, way)
    for line in lines[-1:]:
        check(records.parse(line).ping, cache, way)  # stored


def test_mutated_pings_are_the_same_in_all_tiers(known):
    source, cache = random.Random(1), Definitions(FIELDS)
    thin = [thinned(source, json.loads(text)) for text in generated(5)]
    for _ in range(MUTATIONS):
        check(mutated(source, source.choice(SMALL).encode()), cache, source.choice(WAYS))
        check(mutated(source, source.choice(thin)), known, source.choice(WAYS))


def bodies(corpus):
    """The parsed bodies of real requests of Firefox 153."""
    with gzip.open(corpus / "pings" / "firefox-153.ndjson.gz") as file:
        return [json.loads(line)["body"] for line in file]


def test_mutated_pings_of_153_are_the_same_in_all_tiers(corpus):
    source, cache = random.Random(2), real_definitions(corpus, "153.7.0-reconstructed")
    for body in bodies(corpus)[::3]:
        check(written(body), cache)
    thin = [thinned(source, body) for body in bodies(corpus)[::2]]
    for _ in range(MUTATIONS // 5):
        check(mutated(source, source.choice(thin)), cache, source.choice(WAYS))


OLDER = ["telemetry1.ndjson", "unicode.v1.ndjson", "test_convert.ndjson", "PayloadFormat.md.ndjson", *MAIN_PINGS]
ALONE = ["crash.4.sample.pass.json", "event.4.sample.pass.json", "new-profile.4.sample.pass.json"]


def older_pings(corpus):
    """Yield (the lines of a file of real pings of Firefox 18 to 60, compact, the name of the definitions they need)."""
    for name in (*OLDER, *ALONE, "test_invalid_utf8.submission.raw.json"):
        data = (corpus / "pings" / name).read_bytes()
        lines = data.splitlines() if name not in (*MAIN_PINGS, *ALONE) else [data]
        begin = [begin for revision, begin in NEAREST.items() if revision.encode() in data]
        yield [line if b"\xff" in line else spaceless(line) for line in lines], (begin or ["23.0-2013"])[0]


def spaceless(line):
    try:
        return written(json.loads(line))
    except UnicodeDecodeError:
        return line


def test_mutated_older_pings_are_the_same_in_all_tiers(corpus):
    source, thin = random.Random(3), []
    for lines, begin in older_pings(corpus):
        cache = real_definitions(corpus, begin)
        for text in lines:
            check(text, cache)
            try:
                thin.append((thinned(source, jsonl.loads(text)), cache))
            except BadData:
                thin.append((text[:2000], cache))
    for _ in range(MUTATIONS // 8):
        text, cache = source.choice(thin)
        check(mutated(source, text), cache, source.choice(WAYS))


def is_sure(outline, version):
    """Whether a tier has converted a whole ping, with nothing left in doubt."""
    return isinstance(outline.converted(version), bytes)


@pytest.mark.parametrize("tier", tiers.TIERS)
def test_a_tier_is_sure_of_what_clients_write(tier, known):
    """Else it would be no faster than the reference, and nothing above would be tested."""
    need(tier)
    for text in generated(10):
        assert is_sure(tiers.look(text), known), text[:300]
    assert is_sure(tiers.look(CLASSIC.encode()), Definitions(FIELDS))


@pytest.mark.parametrize("tier", tiers.TIERS)
def test_a_tier_is_sure_of_what_old_firefoxes_wrote(tier, corpus):
    need(tier)
    text = (corpus / "pings" / "telemetry1.ndjson").read_bytes().splitlines()[0]
    outline, cache = tiers.look(text), real_definitions(corpus, "23.0-2013")
    assert outline and outline.carries and outline.info["appVersion"] == "23.0.1"
    ping = json.loads(text)
    unknown = [name for name in ping["histograms"] if not find(cache.definitions, name)]
    assert unknown and isinstance(outline.converted(cache), Parted)
    for name in unknown:
        del ping["histograms"][name]  # which the reference would take out
    assert is_sure(tiers.look(written(ping)), cache)


SPOILT = (
    '"U":1', f'"A":{PLAIN}', '"B":{}', f'"B":{PLAIN}', '"U":"},\\"sum"', '"U":"},"', f'"ver":{PLAIN}', '"histograms":{}',
    f'"B":{SPREAD[:-2]},"22":1}}}}', f'"B":{SPREAD}', f'"C":{PLAIN.replace(":2,", ": 2,")}', f'"K":{{"a":{COUNT}}}',
    '"U":{"ver":1}', '"U":{"a":{"histograms":{}}}', f'"STARTUP_C":{PLAIN}', '"U":[[{"sum":1}]]', '"\\u0041":1', '"É":{}',
    f'"C":{PLAIN.replace("sum", "log_sum")}', f'"E":{PLAIN.replace("3,", "12,")}', f'"W":{PLAIN[:-1]},"sum":3}}',
)  # fmt: skip


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_doubtful_histogram_is_judged_alone_or_with_all(spoilt):
    other, source = SPOILT[(SPOILT.index(spoilt) + 1) % len(SPOILT)], random.Random(spoilt)
    for text in SMALL[:-1]:
        for place in re.finditer('"(histograms|keyedHistograms|x)":{', text):
            for member in (
                f"{spoilt},",
                f"{spoilt},{other},",
                f"{spoilt},{spoilt},",
                spoilt.replace("},", "}, ") + ",",
            ):
                changed = text[: place.end()] + member + text[place.end() :]
                way = Way(sieve=source.choice(SIEVES[2:]))
                check(changed.replace(",}", "}").encode(), Definitions(FIELDS), way)
        check(text.replace(f":{PLAIN}}}", f":{PLAIN},{spoilt}}}").encode(), Definitions(FIELDS))


@pytest.mark.parametrize("tier", tiers.TIERS)
def test_a_tier_leaves_only_doubtful_histograms_to_the_reference(tier):
    need(tier)
    for name, histogram in (("U", PLAIN), ("B", PLAIN), ("C", PLAIN.replace("sum", "log_sum")), ("K", COUNT)):
        text = CLASSIC.replace('"A":', f'"{name}":{histogram},"A":').encode()
        assert isinstance(tiers.look(text).converted(Definitions(FIELDS)), Parted), name


@pytest.mark.parametrize("tier", tiers.TIERS)
def test_what_was_sent_is_made_anew_only_if_somebody_asks(tier, monkeypatch):
    """A chain hands a ping on from tel-validate to tel-convert, which knows already what it will be."""
    need(tier)
    cache, sieve = Definitions(FIELDS), validate.Sieve(Kept())
    text = CLASSIC.replace('"A":', f'"U":{PLAIN},"A":').encode()

    def validated():
        (record,) = validate.validate([fresh(text, "i")], cache, sieve)
        return record.came("there:1")

    expected = convert.convert([validated()], cache, sieve)
    expected, lessened = [record.line() for record in expected], validated()
    bound, changed = lessened.most, lessened.put(date="20260902")
    assert changed.ping == CLASSIC.encode()
    assert bound == validated().most > changed.most == len(changed.ping)
    monkeypatch.setattr(Judged, "text", None)
    assert [record.line() for record in convert.convert([validated()], cache, sieve)] == expected


@pytest.mark.parametrize("tier", tiers.TIERS)
@pytest.mark.parametrize("fields", [FIELDS, {**FIELDS, "A": {"kind": "enumerated", "n_values": 9}}])
def test_what_was_judged_is_judged_anew_by_other_definitions_alone(tier, fields):
    need(tier)
    first, text = Definitions(FIELDS), CLASSIC.replace('"A":', f'"U":{PLAIN},"A":').encode()
    second = first if fields is FIELDS else Definitions(fields)
    for stage in (convert.convert, validate.validate, functools.partial(validate.validate, alone=True)):
        found = []
        for used in (tier, tiers.REFERENCE):
            tiers.use(used)
            kept = Kept()
            judged = validate.validate([fresh(text, "i")], first, validate.Sieve(kept))
            found.append(([record.line() for record in stage(judged, second, validate.Sieve(kept))], kept.all))
        assert found[0] == found[1] and len(found[0][1]) == (1 if second is first else 2)


def test_many_doubtful_histograms_are_the_same_in_all_tiers():
    for count in (62, 63, 64, 65, 66, 130):
        unknown = ",".join(f'"U{n}":{PLAIN}' for n in range(count))
        check(CLASSIC.replace('"A":', f'{unknown},"A":').encode(), Definitions(FIELDS))


@pytest.mark.parametrize("guessed", [False, True])
def test_the_compiled_tier_is_sure_of_most_other_pings(guessed, corpus):
    need("compiled")
    cache = Definitions(FIELDS)
    for text in (SMALL[1], SMALL[3], SMALL[6], SMALL[7]):
        assert is_sure(tiers.look(text.encode(), cache if guessed else None), cache), text
    texts = [written(body) for body in bodies(corpus)]
    cache = real_definitions(corpus, "153.7.0-reconstructed")
    sure = [text for text in texts if is_sure(tiers.look(text, cache if guessed else None), cache)]
    assert len(sure) > 0.9 * len(texts)


GOOD = (
    "{}", " {} ", '\t{"a" : 1}\r', "{\n}", '{"a":[1, 2,3 , 4]}', '{"a":[]}', '{"a":[ ]}', '{"a":[0,0,0,0,0,0,0,0,1]}',
    '{"":""}', '{"a":-0}', '{"a":0.0}', '{"a":1e5}', '{"a":1E+05}', '{"a":-1.5e-07}', '{"a":true,"b":false,"c":null}',
    '{"a":1,"a":2}', '{"a":"\\u00e9\\n\\/\\\\\\""}', '{"a":"\\ud83d\\ude00"}', '{"a":"\\uD83D\\uDE00\\u0000"}',
    '{"é":"\u2028\x7f😀"}', '{"a":"' + "x" * 40 + '"}', '{"a":' + "9" * 200 + "}",
    '{"a":' + "[" * 199 + "]" * 199 + "}", '{"\\ud83d\\ude00":1}',
)  # fmt: skip
DOUBTFUL = (  # good, but the tier need not say so
    '{"a":' + "9" * 201 + "}", '{"a":0.' + "1" * 300 + "}", '{"a":1e100}', '{"a":1e-100}', '{"a":1e007}',
    '{"a":' + "[" * 200 + "]" * 200 + "}", '{"a":"\\ud800","a":1}',
)  # fmt: skip
BAD = (
    "", " ", "{", "}", "[]", "1", '"a"', "null", "{}}", "{} {}", "{}x", "{,}", '{"a"}', '{"a":}', '{"a" 1}',
    '{"a":1,}', '{,"a":1}', "{a:1}", "{'a':1}", "{1:1}", '{"a":1 "b":2}', '{"a":[1,]}', '{"a":[,1]}', '{"a":[1 2]}',
    '{"a":[1}', '{"a":[0,0,0,0,]}', '{"a":01}', '{"a":-}', '{"a":-01}', '{"a":1.}', '{"a":.5}', '{"a":+1}', '{"a":1e}',
    '{"a":1e+}', '{"a":1e400}', '{"a":-1e999}', '{"a":NaN}', '{"a":-Infinity}', '{"a":nul}', '{"a":truE}',
    '{"a":nulll}', '{"a":0x1}', '{"a":1_0}', '{"a":"}', '{"a":"\\"}', '{"a":"\n"}', '{"a":"\0"}', '{"a":"\x1f"}',
    '{"a":"\\x41"}', '{"a":"\\u12"}', '{"a":"\\u12g4"}', '{"a":"\\u 123"}', '{"a":"\\', '{"a":"\\ud800"}',
    '{"a":"\\udc00"}', '{"a":"\\udc00\\ud800"}', '{"a":"\\ud800\\ud800"}', '{"a":"\\ud800x\\udc00"}', '{"\\ud800":1}',
    '{"a":1}\0', "\ufeff{}", "{}\x0b", "{\xa0}", '{"a":' + "9" * 5000 + "}", '{"a":' + "[" * 5000 + "]" * 5000 + "}",
)  # fmt: skip
BAD_BYTES = [b'{"a":"%s"}' % data for data in BYTES] + [b"{}\xff"]


def is_object(data):
    """Whether bytes are one object in strict JSON, as the reference sees it."""
    try:
        return isinstance(jsonl.loads(data), dict)
    except BadData:
        return False


@pytest.mark.parametrize("tier", [*tiers.TIERS, tiers.REFERENCE])
def test_no_tier_proves_what_is_not_strict_json(tier):
    if tier != tiers.REFERENCE:
        need(tier)
    tiers.use(tier)
    for data in [text.encode() for text in BAD] + [*BAD_BYTES]:
        assert not is_object(data) and not tiers.proves(data) and not tiers.look(data), data[:100]
    for text in (CLASSIC, UNIFIED):
        for bad in [text.encode() for text in BAD] + [*BAD_BYTES]:
            data = text[:-1].encode() + b',"x":' + bad[5:-1] + b"}"
            assert is_object(data) or not tiers.proves(data) and not tiers.look(data), data


@pytest.mark.parametrize("tier", tiers.TIERS)
def test_a_tier_proves_what_clients_write_and_what_is_stored(tier, known, corpus):
    """Else tools that pass pings on would parse them."""
    need(tier)
    real = (corpus / "pings" / "telemetry1.ndjson").read_bytes().splitlines()[0]
    for text in (*generated(10), real):
        assert tiers.proves(text) or is_doubtful(tier, text)
        assert tiers.proven(text).info == pings.outline(json.loads(text)).info
    for text in generated(10):
        assert tiers.proves(tiers.look(text).converted(known)) or is_doubtful(tier, text)
    assert tiers.proves(real)


@pytest.mark.parametrize("tier", tiers.TIERS)
def test_a_ping_is_not_proven_by_a_histogram_that_hides_its_end(tier):
    need(tier)
    for begin in (
        '{"histograms":{"A":1},"x":{"b":{"c":1}},',
        '{"histograms":{"A":{"b":01}},',
        '{"histograms":{ },"x":{"y":{}},',
    ):
        text = f'{begin}"ver":1,{INFO}}}'.encode()
        found = tiers.proven(text)
        assert not found or is_object(text) and found.carries == bool(json.loads(text)["histograms"])


@pytest.mark.parametrize("checker", ["lets all pass", "refuses all", "fails"])
def test_a_checker_that_is_not_strict_is_not_trusted(checker, monkeypatch):
    def execute(_question, _texts):
        if checker == "fails":
            raise sqlite3.OperationalError("no such function: json_valid")
        return iter([(checker == "lets all pass",)])

    class Connection:
        def __init__(self, *_path, **_how):
            self.execute = lambda *asked: type("Cursor", (), {"fetchone": lambda _: next(execute(*asked))})()

    assert proof.strict(b"{}")
    monkeypatch.setattr(sqlite3, "connect", Connection)
    proof._checker.cache_clear()
    assert not proof.strict(b"{}")
    proof._checker.cache_clear()


@pytest.mark.parametrize("tier", tiers.TIERS)
def test_strict_json_is_proven(tier):
    need(tier)
    for text in GOOD:
        assert is_object(text.encode()) and tiers.proves(text.encode()) or is_doubtful(tier, text.encode()), text
    for text in DOUBTFUL:
        assert is_object(text.encode()) and (not tiers.proves(text.encode()) or tier != "compiled"), text


@given(json_values, spacing, st.randoms(use_true_random=False))
@pytest.mark.parametrize("tier", tiers.TIERS)
@settings(max_examples=500)
def test_what_is_proven_is_strict_json(tier, value, separators, source):
    need(tier)
    text = json.dumps({"x": value}, separators=separators, ensure_ascii=source.random() < 0.5).encode()
    assert jsonl.loads(text) == {"x": value}
    assert tiers.proves(text) or is_doubtful(tier, text)
    for _ in range(10):
        broken = mutated(source, text)
        assert is_object(broken) or not tiers.proves(broken), broken


IN_DOUBT = re.compile(rb"[eE][+-]?[0-9]{3}|[0-9.]{200}").search  # numbers that the tier does not judge
SURROGATE = re.compile(rb"\\ud", re.IGNORECASE).search  # an escape that the plain tier does not judge


def is_doubtful(tier, data):
    """Whether a tier may leave it open that bytes are strict JSON."""
    return bool(IN_DOUBT(data) or tier == "plain" and SURROGATE(data))


TOKENS = (
    *'{}[]:," \t\r\n0159-+.eE', '"a":', '"\\u00', '"\\ud83d\\ude00"', "\\ud83d", "\\u", "\\", "true", "null",
    "0,0,0,0,", '"a"', "é", "\0", "12.50",
)  # fmt: skip
tokens = st.lists(st.sampled_from([token.encode() for token in TOKENS] + [*BYTES]), max_size=14).map(b"".join)


@given(tokens, st.sampled_from([b'{"a":%s}', b'{"a":[%s]}', b'{"a":"%s"}', b"{%s}", b"%s", b'{"a":1%s}', b'{"%s":0}']))
@pytest.mark.parametrize("tier", tiers.TIERS)
@settings(max_examples=3000)
def test_any_text_is_proven_only_if_it_is_strict_json(tier, inside, around):
    need(tier)
    data = around % inside
    assert tiers.proves(data) == is_object(data) or is_object(data) and is_doubtful(tier, data), data


@pytest.mark.parametrize("tier", tiers.TIERS)
def test_arrays_of_numbers_are_proven_only_if_they_are_strict_json(tier):
    need(tier)
    source, elements = random.Random(4), ("0", "0", "1", "10", "-1", "123", "98765", "1" * 17, "1.5")
    for _ in range(MUTATIONS * 10):
        text = list(",".join(source.choices(elements, k=source.randrange(1, 50))))
        for _ in range(source.choice((0, 0, 1, 2))):
            text[source.randrange(len(text))] = source.choice(",0123-. ")
        data = f'{{"a":[{"".join(text)}]}}'.encode()
        assert tiers.proves(data) == is_object(data), data
