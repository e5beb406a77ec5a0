"""Envelopes of Bagheera: what is put into one comes out, and of a damaged one nothing does."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tools
from tel import bagheera
from tel.errors import BadData

tools.put_on_path()
PING = b'{"ver":1,"info":{"reason":"idle-daily"}}'


def varint(number):
    found = b""
    while number > 0x7F:
        found, number = found + bytes([number & 0x7F | 0x80]), number >> 7
    return found + bytes([number])


def packed(number, value):
    """A field of a protocol buffer: a number, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def envelope(id, payload, time, operation=None, more=b""):
    """A message as its definition says: the time as sint64, which puts the sign last."""
    fields = [(2, b"telemetry"), (3, id), (4, b"\x7f\0\0\1"), (5, payload), (6, time << 1 ^ time >> 63)]
    fields += [(7, operation)] if operation is not None else []
    return b"".join(packed(*field) for field in fields) + more


@given(st.binary(max_size=300), st.binary(max_size=400), st.integers(-(2**62), 2**62))
def test_what_is_put_in_comes_out(id, payload, time):
    later = packed(9, b"p") + packed(9, b"q") + b"\x61" + bytes(8) + b"\x6d" + bytes(4)  # fields that are not known
    value = envelope(id, payload, time, 0, later)
    assert bagheera.is_one(value) and bagheera.opened(value) == (id, payload, time)


@given(st.data())
def test_of_a_damaged_one_nothing_comes_out_that_is_longer(data):
    value = envelope(b"id", PING, 1378000000000)
    cut = value[: data.draw(st.integers(1, len(value) - 1))]
    try:
        assert bagheera.opened(cut).payload == PING  # only its last fields are gone
    except BadData as error:
        assert error.error_type == "bad_envelope"


@given(st.binary(min_size=1, max_size=60))
def test_no_bytes_are_more_than_bad_data(value):
    try:
        bagheera.opened(b"\x12" + value)
    except BadData:
        pass


@pytest.mark.parametrize(
    "value",
    [b'{"ver":1}', b' {"ver":1}', b"id\t{}", gzip.compress(PING), b"\x28\xb5\x2f\xfd", b"BZh9", b"\xfd7zXZ", b""],
)
def test_nothing_else_is_taken_for_one(value):
    assert not bagheera.is_one(value)


def test_messages_in_envelopes_become_records(run_tool, tmp_path):
    peer = tools.cluster()
    topic = peer.topic("bagheera", 1)
    id = b"3f0c6a3e-2a4e-4f0f-9d9e-000000000001"
    values = [
        envelope(id, PING, 1378000000000),
        envelope(b"in-gzip", gzip.compress(PING), 1378000000000, 0),
        envelope(b"gone", b"", 1378000000000, 1),
        envelope(b"cut", PING, 0)[:-9],
    ]
    peer.send(topic, [(0, None, value) for value in values])
    bad = tmp_path / "bad"
    done = run_tool("tel-kafka", *peer.words, "--topic", topic, "--until-end", "--rejects", bad)
    assert done.returncode == 0, done.stderr
    *lines, _ = map(json.loads, done.stdout.splitlines())
    assert [(line["id"], line["date"]) for line in lines] == [(id.decode(), "20130901"), ("in-gzip", "20130901")]
    assert all(line["ping"] == json.loads(PING) for line in lines) and b"127" not in done.stdout
    assert [json.loads(line)["error_type"] for line in bad.read_text().splitlines()] == ["deletion", "bad_envelope"]
