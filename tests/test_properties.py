"""What must hold for every input: nothing crashes, nothing is lost, what goes out comes back."""

import bz2
import gzip
import json
import lzma
import os

import pytest
import zstandard
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from strategies import defined_histograms, json_values, texts
from tel import (
    compress,
    convert,
    definitions,
    document,
    jsonl,
    persist,
    pings,
    records,
    rejects,
    revisions,
    schema,
    stats,
    store,
    streams,
    validate,
)
from tel.errors import BadData


def parsed(data):
    """What the standard library makes of JSON bytes, floats and integers told apart."""
    return json.loads(data, parse_float=lambda text: ("float", float(text)), parse_int=lambda text: ("int", int(text)))


@given(json_values)
def test_json_comes_back_as_it_was(value):
    assert parsed(jsonl.dumps(value)) == parsed(json.dumps(value))
    assert jsonl.loads(jsonl.dumps(value)) == value


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"nul", b"NaN", b"[Infinity]", b"-Infinity", b"01", b"-", b"1.", b".5", b"+1", b"1e400", b"-1e999", b"'a'"]
    + [b'"\n"', b'"\x00"', b'"\\x41"', b'"\\ud800"', b'["\\udc00\\ud800"]', b'"\xed\xa0\x80"', b'"\xff"', b'"\xc0\x80"']
    + [b"[1,]", b'{"a":1,}', b'{"a" 1}', b"{} {}", b"\xef\xbb\xbf{}", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5000, b"{1:2}"],
)  # fmt: skip
def test_what_is_not_strict_json_is_bad_data(data):
    with pytest.raises(BadData):
        jsonl.loads(data)
    with pytest.raises(BadData):
        document.Document(b'{"histograms":{},"x":' + data + b"}", ("histograms",))
    with pytest.raises(BadData):
        document.Document(b'{"histograms":' + data + b"}", ("histograms",))


def test_an_astral_character_written_as_escapes_is_good():
    assert jsonl.loads(b'"\\ud83d\\ude00"') == "\U0001f600"


names = st.sampled_from(["ver", "histograms", "x", 'a"histograms', "a\\", "histo\\u0067rams"])


@st.composite
def documents(draw):
    """The text of a JSON object with odd, repeated and escaped names, and white space between tokens."""
    space = st.sampled_from(["", " ", "\t"])
    members = draw(st.lists(st.tuples(names, json_values | st.just({"histograms": {"ver": 1}})), max_size=5))
    written = []
    for name, value in members:
        key = json.dumps(name).replace("\\\\u0067", draw(st.sampled_from(["\\u0067", "g"])))
        written.append(f"{draw(space)}{key}{draw(space)}:{draw(space)}{json.dumps(value)}{draw(space)}")
    return ("{" + ",".join(written) + "}").encode()


@given(documents(), json_values)
@settings(max_examples=500)
def test_splicing_a_member_changes_that_member_alone(data, new):
    value = json.loads(data)
    assert json.loads(jsonl.dumps(document.Document(data, ("histograms",), ("ver", "x")).value)) == value
    for name in ("ver", "histograms", "x"):
        opened = document.Document(data, ("histograms",), ("ver", "x"))
        opened.set(opened.value, name, new)
        assert json.loads(opened.bytes()) == {**value, name: new}


def test_splicing_keeps_every_other_byte():
    data = b'{ "ver" : 1, "a":1.50, "histograms": {"x":1}, "b":"\\u00e9\\/", "c":1E5 }'
    opened = document.Document(data, ("histograms",), ("ver",))
    opened.set(opened.value, "histograms", [])
    opened.set(opened.value, "ver", 2)
    assert opened.bytes() == b'{ "ver" : 2, "a":1.50, "histograms": [], "b":"\\u00e9\\/", "c":1E5 }'


def some_of(source, value, depth):
    """A part of the members of an object, and of those of objects among them."""
    left = {name: inner for name, inner in value.items() if source.draw(st.booleans())}
    nested = depth > 1 and {name: some_of(source, inner, 1) for name, inner in left.items() if isinstance(inner, dict)}
    return {**left, **(nested or {})}


@given(documents().map(bytes.decode), st.integers(1, 2), st.data())
@settings(max_examples=500)
def test_what_is_lessened_has_what_was_kept(text, depth, source):
    kept = some_of(source, json.loads(text), depth)
    found = document.lessened(text, kept, depth)
    assert json.loads(found) == kept and list(json.loads(found)) == list(kept)
    assert document.lessened(text, json.loads(text), depth) in (text, jsonl.dumps(json.loads(text)).decode())


@pytest.mark.parametrize(
    ("kept", "left"),
    [
        ("abc", '{ "a" : 1.50 ,"b":{"x": 1e5 , "y":2}, "c":"\\u00e9" }'),
        ("bc", '{ "b":{"x": 1e5 , "y":2}, "c":"\\u00e9" }'),
        ("ac", '{ "a" : 1.50 , "c":"\\u00e9" }'),
        ("ab", '{ "a" : 1.50 ,"b":{"x": 1e5 , "y":2}  }'),
        ("a", '{ "a" : 1.50   }'),
        ("c", '{  "c":"\\u00e9" }'),
        ("", "{   }"),
    ],
)
def test_what_is_lessened_keeps_all_other_bytes(kept, left):
    text = '{ "a" : 1.50 ,"b":{"x": 1e5 , "y":2}, "c":"\\u00e9" }'
    assert document.lessened(text, dict.fromkeys(kept)) == left
    inner = document.lessened(text, {"a": 1.5, "b": {"y": 2}, "c": "é"}, 2)
    assert inner == text.replace('"x": 1e5 , ', " ")


@given(
    st.binary(max_size=300).map(lambda data: data.replace(b"x", b"\n")),
    st.lists(st.integers(0, 300)),
    st.integers(1, 40),
)
def test_lines_are_the_same_however_the_blocks_fall(data, cuts, limit):
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    blocks = [data[a:b] for a, b in zip(edges, edges[1:])]
    found = [
        b"".join(line.chunks()) if isinstance(line, streams.Overlong) else line for line in streams.lines(blocks, limit)
    ]
    expected = data.split(b"\n")
    assert found == (expected if expected[-1] else expected[:-1])


def test_a_long_line_is_not_held():
    endless = (b"a" * 1000 for _ in range(10**9))
    (line,) = [next(streams.lines(endless, 5000))]
    assert isinstance(line, streams.Overlong) and next(line.chunks()) == b"a" * 1000


COMPRESSORS = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zstd": zstandard.ZstdCompressor().compress,
}


def plain(data, size=7):
    codec = compress.codec_of(data[: compress.MAGIC_LENGTH])
    return b"".join(compress.decompress(codec, (data[i : i + size] for i in range(0, len(data), size))))


@pytest.mark.parametrize("codec", COMPRESSORS)
@given(parts=st.lists(st.binary(max_size=200), min_size=1, max_size=3))
def test_every_member_is_read(codec, parts):
    data = b"".join(map(COMPRESSORS[codec], parts))
    assert compress.codec_of(data).name == codec
    assert plain(data) == b"".join(parts)


@pytest.mark.parametrize("codec", COMPRESSORS)
def test_every_truncation_is_an_error(codec):
    data = COMPRESSORS[codec](bytes(range(256)) * 3)
    for length in range(compress.MAGIC_LENGTH, len(data)):
        if compress.codec_of(data[:length]):
            with pytest.raises(BadData):
                plain(data[:length])


@pytest.mark.parametrize("codec", ["gzip", "bzip2", "xz", "lzma", "zstd"])
def test_garbage_after_the_last_member_is_an_error(codec):
    with pytest.raises(BadData):
        plain(COMPRESSORS[codec](b"x" * 100) + b"garbage")


def test_padding_after_gzip_is_none():
    assert plain(gzip.compress(b"x") + b"\0" * 100) == b"x"


heads = st.fixed_dictionaries({"id": texts, "date": texts, "info": st.dictionaries(texts, json_values, max_size=3)})


@given(
    heads,
    st.dictionaries(texts, json_values, max_size=3),
    st.sampled_from(["canonical", "spaced", "ping first", "field last"]),
)
def test_a_record_is_read_however_its_fields_lie(head, ping, form):
    fields = {**head, "ping": ping}
    if form == "ping first":
        fields = {"ping": ping, **head}
    elif form == "field last":
        fields = {**head, "ping": ping, "more": {"ping": {}}}
    line = json.dumps(fields).encode() if form == "spaced" else jsonl.dumps(fields)
    record = records.parse(line)
    assert record.document().value == ping
    assert json.loads(record.line()) == fields
    assert record.line() == line or form != "canonical"


class Kept(rejects.Rejects):
    """Rejects kept in memory."""

    def __init__(self):
        super().__init__("test", stats.Stats("test"))
        self.lines, self.histograms = [], []

    def line(self, error, where, line, id=None, info=None):
        self.lines.append((error.error_type, line))

    def histogram(self, error, record, name, path, value, key=None):
        self.histograms.append((error.error_type, name, value))


class OneVersion:
    """A definitions cache of one version."""

    directory = "memory"
    made_by = revisions.Version.made_by

    def __init__(self, fields):
        self.definitions = {name: definitions.define(name, entry) for name, entry in fields.items()}
        self.made, self.sha256 = {}, id(self)

    def of_record(self, revision):
        """The one version."""
        return self


def record_of(ping):
    line = jsonl.dumps(ping)
    return records.Record({"id": "a", "date": "20130901", "info": {}, "revision": {}}, line, "here:1", None, line)


def ping_of(record):
    return json.loads(record.ping)


@given(defined_histograms(), st.dictionaries(texts, json_values, max_size=3))
@settings(max_examples=300)
def test_convert_then_expand_gives_the_ping_back(defined, more):
    fields, histograms = defined
    assume(not more.keys() & {"ver", "histograms", "info", "version"})
    ping = {"ver": 1, **more, "histograms": histograms, "info": {}}
    cache, kept = OneVersion(fields), Kept()
    sieve = validate.Sieve(kept)
    (converted,) = convert.convert([record_of(ping)], cache, sieve)
    (again,) = convert.convert([converted], cache, sieve)
    assert again.ping == converted.ping and ping_of(converted)["ver"] == 2
    (validated,) = validate.validate([converted], cache, sieve)
    assert validated is converted
    (expanded,) = convert.expand_all([converted], cache, sieve)
    for histogram in histograms.values():
        histogram["values"] = {key: count for key, count in histogram["values"].items() if count}
    assert ping_of(expanded) == ping and not kept.lines and not kept.histograms


@given(defined_histograms(), st.data())
@settings(max_examples=300)
def test_nothing_that_validate_takes_out_is_lost(defined, data):
    fields, histograms = defined
    for name in histograms:
        if data.draw(st.booleans()):
            histograms[name] = {
                **histograms[name],
                data.draw(st.sampled_from(sorted(histograms[name]))): data.draw(json_values),
            }
    histograms["UNKNOWN_NAME"] = data.draw(json_values)
    kept = Kept()
    record = record_of({"ver": 1, "histograms": histograms, "info": {}})
    (validated,) = validate.validate([record], OneVersion(fields), validate.Sieve(kept))
    taken = {name: value for _, name, value in kept.histograms}
    assert {**ping_of(validated)["histograms"], **taken} == histograms
    (converted,) = convert.convert([record], OneVersion(fields), validate.Sieve(Kept()))
    assert ping_of(converted)["histograms"].keys() == ping_of(validated)["histograms"].keys()


@given(st.dictionaries(st.sampled_from(["ver", "version", "info", "histograms", "payload", "x"]), json_values))
@settings(max_examples=300)
def test_every_ping_passes_or_is_rejected(ping):
    kept, record = Kept(), record_of(ping)
    for stage in (validate.validate, convert.convert, convert.expand_all):
        kept.lines.clear()
        assert len(list(stage([record], OneVersion({}), validate.Sieve(kept)))) + len(kept.lines) == 1


@given(st.text(max_size=200))
def test_a_directory_name_is_always_safe(value):
    name = schema.safe_name(value)
    assert "/" not in name and not name.startswith(".") and len(name) <= schema.LONGEST_NAME and name.isascii()


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=150), st.text(max_size=3))
def test_different_batches_have_different_names(id, other):
    name = store.batch_name(id)
    assert "/" not in name and not name.startswith(".") and 0 < len(name) <= 120
    assert (store.batch_name(other) == name) == (other == id)


values = st.fixed_dictionaries({"reason": texts | st.sampled_from(["daily", "../..", "/etc/passwd"]), "appName": texts})


@given(st.lists(st.tuples(values, st.dictionaries(texts, json_values, max_size=2)), max_size=12), st.integers(1, 400))
@settings(max_examples=60, deadline=None)
def test_a_store_holds_what_went_in(tmp_path_factory, rows, memory):
    root = str(tmp_path_factory.mktemp("store") / "s")
    target = store.Store.create(root, schema.DEFAULT)
    batch = persist.Batch(target, "b", memory, 500)
    stream = [
        records.Record({"id": f"id{n}", "date": "20130901", "info": info}, jsonl.dumps(ping))
        for n, (info, ping) in enumerate(rows)
    ]
    kept = Kept()
    for directory, line in persist.placed(stream, target.schema, kept):
        batch.add(directory, line)
    paths = batch.publish([])
    assert paths == [path for path, _ in target.files()] and not kept.lines
    found = []
    for path in paths:
        assert os.path.realpath(path).startswith(os.path.realpath(root) + os.sep)
        source = streams.Input(path, check=compress.read_seek_table)
        found += streams.lines(source.blocks())
    assert sorted(found) == sorted(b"%s\t%s" % (record.id.encode(), record.ping) for record in stream)


@given(st.binary(max_size=60))
def test_a_seek_table_vouches_for_every_byte(tmp_path_factory, extra):
    frames = [compress.frame(data, 1) for data in (b"a" * 100, extra, b"b")]
    sizes = [(len(frame), size) for frame, size in zip(frames, (100, len(extra), 1))]
    whole = b"".join(frames) + compress.seek_table(sizes)
    path = tmp_path_factory.getbasetemp() / "cut.zst"
    for length in [len(whole), *range(0, len(whole), 7), len(frames[0]), len(frames[0] + frames[1]), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with open(path, "rb") as file:
            if length == len(whole):
                assert compress.read_seek_table(file, length) == sizes
            else:
                with pytest.raises(BadData):
                    compress.read_seek_table(file, length)
    assert plain(whole) == b"a" * 100 + extra + b"b"


def test_generations_without_histograms_need_no_definitions():
    for ping in ({"ver": 1, "info": {}}, {"version": 4, "type": "health", "payload": {}}, {"ver": 3}):
        assert not pings.carries_histograms(ping, pings.generation(ping))
