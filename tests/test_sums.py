"""Sums of histograms straight from the text are those of the parsed values, and parts of a ping are what a parser says."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from strategies import json_values
from tel import arrays, jsonl, parts, pings, sums, tiers
from tel.errors import BadData

counts = st.sampled_from(["0", "0", "0", "1", "17", "12345678901234567", "1234567890123456789012"])
reals = st.floats(-1e18, 1e18).map(repr) | st.sampled_from(["-1.0", "0.0", "-0.0", "1e5", "2.5E-3", "1e299", "0.1"])
statistics = (
    st.sampled_from(["-1", "-1", "0", "7", "-2147483648", "5000000000000", "-0", "99999999999999999999"]) | reals
)
odd = st.sampled_from(["-3", "1.5", "null", '"1"', "01", "[]", "1 ", "-", "1.", "NaN", "1e400"])


@st.composite
def array_texts(draw):
    """The text of a stored array, now and then of something that is none."""
    buckets = draw(st.lists(counts, min_size=draw(st.sampled_from([0, 3, 20])), max_size=20))
    elements = buckets + draw(st.lists(statistics, min_size=5, max_size=5))
    if draw(st.integers(0, 19)) == 0:
        elements[draw(st.integers(0, len(elements) - 1))] = draw(odd)
    return f"[{','.join(elements)}]"


names = st.sampled_from(["A", "B", "AA", "é", "C\\u0041", 'q\\"', ""])
histograms = st.lists(st.tuples(names, array_texts()), max_size=4).map(
    lambda pairs: "{%s}" % ",".join(f'"{name}":{text}' for name, text in pairs)
)
forms = st.sampled_from(
    ['{"ver":2,"histograms":%s}', '{"version":5,"payload":{"ver":4,"histograms":%s}}', '{"histograms": %s,"x":1}']
)
pings_texts = st.tuples(forms, histograms).map(lambda pair: pair[0] % pair[1]) | st.sampled_from(
    [
        "{}",
        "[]",
        '{"payload":{}}',
        '{"payload":null}',
        '{"histograms":5}',
        '{"histograms":{"A":null}}',
        "{",
        '{"histograms":{}}',
    ]
)


def summed(texts, quickly):
    """({key: the finished sum}, the errors) of some pings."""
    running, errors = sums.Sums(), []
    if not quickly:
        running._find = None
    for at, text in enumerate(texts):
        try:
            running.add(("nightly", str(at % 2)), text.encode())
        except (BadData, TypeError, ValueError, AttributeError) as error:
            errors.append((at, error.__class__))
    found = {tuple(key): jsonl.dumps(arrays.finish(array)) for key, array in running.take()}
    assert not list(running.take())
    return found, errors


@given(st.lists(pings_texts, max_size=8))
@example(['{"histograms":{"A":[1,2,0.1,-1,-1,-1,-1]}}', '{"histograms":{"A":[1,2,0.2,-1,-1,-1,-1]}}'])
@settings(max_examples=500)
def test_sums_from_the_text_are_those_of_the_values(texts):
    assert summed(texts, True) == summed(texts, False)


def test_the_text_is_added_without_a_parser(monkeypatch):
    if tiers.active() != "compiled":
        pytest.skip("no compiled module: sums from the text are not tested")
    monkeypatch.setattr(arrays, "of_ping", None)
    text = '{"ver":2,"histograms":{"A":[9007199254740993,0,3,2.5,-1,-1,0]}}'
    found, errors = summed([text] * 4000, True)
    assert not errors and found["nightly", "0", "A", 2] == b"[18014398509481986000,0,6000,5000.0,-1,-1,0]"


@given(st.dictionaries(st.sampled_from(["info", "x", "é"]), st.dictionaries(st.sampled_from(["OS", "y"]), json_values)))
def test_parts_are_what_a_parser_says(ping):
    ways = (("info", "OS"), ("x",), ("é", "y"), ("info",))
    for text in (json.dumps(ping), json.dumps(ping, ensure_ascii=False, separators=(",", ":"))):
        assert parts.Reader(*ways)(text) == tuple(pings.at(jsonl.loads(text.encode()), way) for way in ways)


@pytest.mark.parametrize("text", ["{", "[]", '{"x":01}', '{"x":NaN}', '{"y":"\ud800"}', '{"y":"\\ud800"}'])
def test_parts_of_what_is_no_ping_are_an_error(text):
    with pytest.raises((BadData, UnicodeEncodeError)):
        parts.Reader(("x",))(text)
