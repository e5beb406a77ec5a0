"""The compiled module by itself: what it says of a text, and that nobody can make it read or write outside of one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tel import document, tiers

if not tiers.is_there("compiled"):
    pytest.skip("tel was installed without a C compiler", allow_module_level=True)
from tel._skim import Table, Want, edited


@st.composite
def texts_and_edits(draw):
    """Bytes, and edits of them that do not overlap, in any order."""
    data = draw(st.binary(max_size=40))
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    pairs = zip(places[::2], places[1::2])
    return data, draw(st.permutations([(start, end, draw(st.binary(max_size=9))) for start, end in pairs]))


@given(texts_and_edits())
def test_a_text_is_edited(drawn):
    data, edits = drawn
    starts = [start for start, _, _ in edits]
    if len(set(starts)) < len(starts):
        return  # which of two comes first is not said
    assert edited(data, list(edits)) == document.edited(data, edits)


@pytest.mark.parametrize("edits", [
    [(3, 2, b"")], [(0, 7, b"")], [(7, 7, b"")], [(-1, 2, b"")], [(0, -1, b"")], [(0, 3, b""), (2, 4, b"")],
    [(0, 2, b""), (0, 1, b"")], [(2**70, 2**70, b"")], [(0, 2**70, b"")],
])  # fmt: skip
def test_what_lies_outside_a_text_is_not_edited(edits):
    with pytest.raises((ValueError, OverflowError)):
        edited(b"abcdef", edits)


@pytest.mark.parametrize("data, edits", [
    ("text", []), (b"abc", ()), (b"abc", [(0, 1)]), (b"abc", [(0, 1, "x")]), (b"abc", [[0, 1, b"x"]]),
    (b"abc", [("0", 1, b"x")]), (b"abc", [(0, None, b"x")]), (None, None),
])  # fmt: skip
def test_what_is_no_edit_is_refused(data, edits):
    with pytest.raises(TypeError):
        edited(data, edits)


def found(text):
    """What a look finds of `a` and `b.c`, slots 0 and 1, of three."""
    tree = {b"a": (0, -1, None), b"b": (-1, -1, {b"c": (1, -1, None)}), b"histograms": (-1, 0, None)}
    return Want(tree, 3, (b"histograms",), (b"ver", b"version")).look(text)


def test_what_was_found_is_told():
    text = b'{"b":{"c":[1, 2]},"ver":1,"a":"x","histograms":{"A":1}}'
    seen = found(text)
    assert [seen.text(slot) for slot in range(3)] == [b'"x"', b"[1, 2]", None]
    assert [span and text[slice(*span)] for span in seen] == [b'"x"', b"[1, 2]", None]
    assert (len(seen), seen[-1], seen.first, seen.held, seen.count, seen.arrays) == (3, None, 24, 1, 0, None)
    assert seen.texts((2, 0, 1, 0)) == b'\n"x"\n[1, 2]\n"x"\n'
    assert seen.texts(()) == b""


@pytest.mark.parametrize("slot", [3, -1, 2**62, 2**70])
def test_there_are_no_other_slots(slot):
    seen = found(b'{"a":1}')
    with pytest.raises((IndexError, OverflowError)):
        seen.text(slot)
    with pytest.raises((IndexError, OverflowError)):
        seen.texts((0, slot))


@pytest.mark.parametrize("slots", [None, [0], ("0",), (None,)])
def test_slots_are_numbers(slots):
    with pytest.raises(TypeError):
        found(b'{"a":1}').texts(slots)


def test_an_outline_outlives_what_made_it():
    seen = found(bytes(bytearray(b'{"a":"' + b"x" * 5000 + b'"}')))
    assert seen.text(0) == b'"' + b"x" * 5000 + b'"'


@pytest.mark.parametrize("words", [("text",), (bytearray(b"{}"),), (b"{}", 1), (b"{}", None, "many"), ()])
def test_what_is_no_text_is_not_looked_at(words):
    with pytest.raises(TypeError):
        Want({}, 0, (), ()).look(*words)


def test_a_look_without_definitions_makes_no_arrays():
    none = Table([], [])
    assert Want({b"h": (-1, 0, None)}, 0, (), ()).look(b'{"h":{}}', none, 9).arrays == []
    assert Want({b"h": (-1, 0, None)}, 0, (), ()).look(b'{"h":{"A":[]}}').arrays is None


@pytest.mark.parametrize("tree", [{b"a": (1, -1, None)}, {b"a": (0, 32, None)}])
def test_a_tree_names_slots_and_kinds_that_there_are(tree):
    with pytest.raises(ValueError, match="no such slot or kind"):
        Want(tree, 1, (), ())


def test_a_number_of_slots_is_none_below_0():
    with pytest.raises(ValueError, match="no number of slots"):
        Want({}, -1, (), ())
