"""What a process and one forked from it say to each other."""

import os

import pytest

from tel import channel

SIZES = [0, 1, 7, 8, 9, 65535, 65536, 65537, 3 << 20]  # around what a pipe holds


@pytest.fixture
def other():
    """Our end of a channel, whose other end a child answers on: what comes comes back, until a None."""
    ours, theirs = channel.pair()
    child = os.fork()
    if not child:
        try:
            ours.close()
            while (item := theirs.receive()) is not None:
                theirs.send(item)
        finally:
            os._exit(0)
    theirs.close()
    yield ours
    os.waitpid(child, 0)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_sent_comes(size, other):
    item = {"bytes": bytes(size), "number": 2**70, "list": [None, (1.5, "é")]}
    other.send(item)
    assert other.receive() == item
    other.send(None)
    with pytest.raises(EOFError):
        other.receive()
    other.close()


def test_items_keep_their_order(other):
    for number in range(100):
        other.send(number)
    assert [other.receive() for _ in range(100)] == list(range(100))
    other.send(None)
    other.close()


def test_nobody_waits_until_a_few_blocks_have_come():
    ours, theirs = channel.pair()
    for _ in range(4):
        for end in (ours, theirs):
            end.send_bytes(bytes(16 << 10))
    assert [len(theirs.receive_bytes()) for _ in range(4)] == [16 << 10] * 4
    ours.close()
    theirs.close()


def test_bytes_need_no_pickle():
    ours, theirs = channel.pair()
    for data in (b"", b"abc"):
        ours.send_bytes(data)
        assert theirs.receive_bytes() == data
    ours.close()
    with pytest.raises(EOFError):
        theirs.receive()
    theirs.close()
