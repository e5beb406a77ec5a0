"""Source positions: which offsets of which partitions a stream holds, and which the store has already.

An end record's `positions` are a list, one object for each partition that its source read:

    {"topic":"pings","partition":0,"first":17,"next":42,"records":20,"rejected":1,"empty":1,"absent":1,"gaps":[[17,19]]}

Of the offsets from `first` to before `next`, `records` were handed on, `rejected` were bad, `empty` had no value,
`absent` held no message (compaction, the control records of transactions), and those of `gaps` had been removed before
they could be read. The five add up.
"""

import hashlib
import re

from tel.errors import BadData, NotWhole

FIELD = "positions"
COUNTS = ("records", "rejected", "empty", "absent")
_ID = re.compile(r"(kafka-.+)\.[0-9]{20}")


class Position:
    """How far one partition has been read, and what became of its offsets."""

    def __init__(self, topic, partition, first):
        self.topic, self.partition, self.first, self.next = topic, partition, first, first
        self.records = self.rejected = self.empty = self.absent = 0
        self.gaps = []

    def reach(self, offset):
        """Say that no message is left before an offset."""
        self.absent += max(offset - self.next, 0)
        self.next = max(self.next, offset)

    def take(self, offset, kind):
        """Count the message at an offset, which is not behind `next`, as one of COUNTS."""
        self.reach(offset)
        self.next += 1
        setattr(self, kind, getattr(self, kind) + 1)

    def skip(self, offset):
        """Say that what lies before an offset is lost."""
        self.gaps.append([self.next, offset])
        self.next = offset

    def told(self):
        """The position as it stands in an end record.

        >>> position = Position("pings", 0, 5)
        >>> position.take(7, "records")
        >>> position.told()["next"], position.told()["absent"]
        (8, 2)
        """
        names = ("topic", "partition", "first", "next", *COUNTS, "gaps")
        return {name: getattr(self, name) for name in names}


def of(ends):
    """The positions of some end records, those of one partition joined, sorted; an empty list if they have none.

    Raises BadData `bad_positions` for what are no positions, for those that overlap or leave something out between
    them, and for streams of which only some have any.
    """
    having = [end for end in ends if FIELD in end]
    if having and len(having) < len(ends):
        raise _bad("only some of the streams have positions", "store the others as a batch of their own")
    found = [_checked(position) for end in having for position in _listed(end[FIELD])]
    joined = []
    for position in sorted(found, key=lambda position: (*_key(position), position["first"], position["next"])):
        if joined and _key(joined[-1]) == _key(position):
            joined[-1] = _joined(joined[-1], position)
        else:
            joined.append(position)
    return joined


def _listed(value):
    if not isinstance(value, list):
        raise _bad("they are no list")
    return value


def _key(position):
    return position["topic"], position["partition"]


def _bad(reason, cure=None):
    return BadData("bad_positions", f"the positions of the end records cannot be used: {reason}", cure=cure)


def _is_count(value):
    return value.__class__ is int and value >= 0


def _checked(position):
    """A position that adds up."""
    try:
        gaps, numbers = position["gaps"], [position[name] for name in ("partition", "first", "next", *COUNTS)]
        sound = position["topic"].__class__ is str and all(map(_is_count, numbers))
        lost = sum(end - start for start, end in gaps)
    except (TypeError, KeyError, ValueError):
        sound = False
    if not sound or position["next"] - position["first"] != sum(position[name] for name in COUNTS) + lost:
        raise _bad(f"not a position, or one that does not add up: {position!r:.200}")
    return position


def _joined(one, other):
    """Two positions of one partition, of which the second begins where the first ends."""
    if other["first"] != one["next"]:
        what = "twice" if other["first"] < one["next"] else "not"
        low, high = sorted((other["first"], one["next"]))
        raise _bad(f"they hold the offsets {low} to {high} of {place(one)} {what}", "store the streams one by one")
    sums = {name: one[name] + other[name] for name in COUNTS}
    return {**one, **sums, "next": other["next"], "gaps": one["gaps"] + other["gaps"]}


def place(position):
    """The partition of a position, for messages.

    >>> place({"topic": "pings", "partition": 3})
    'pings/3'
    """
    return f"{position['topic']}/{position['partition']}"


def moved(positions):
    """Whether they hold any offset."""
    return any(position["next"] > position["first"] for position in positions)


def batch_id(positions):
    """The id of a batch: of its topics and partitions, then the sum of the offsets it reached.

    Each batch of the same partitions so has a later name than those before it.

    >>> batch_id([{"topic": "pings", "partition": 0, "next": 42}])
    'kafka-pings-0-c01ff2b51c.00000000000000000042'
    """
    named = "".join(f"{place(position)}\0" for position in positions)
    topic, partition = _key(positions[0])
    shown = f"{topic[:40]}-{partition}" + (f"-and-{len(positions) - 1}" if len(positions) > 1 else "")
    shown = re.sub(r"[^A-Za-z0-9._-]", "_", shown)
    digits = hashlib.sha256(named.encode()).hexdigest()[:10]
    return f"kafka-{shown}-{digits}.{sum(position['next'] for position in positions):020}"


def _held(store, batch):
    """The positions of a stored batch."""
    return of((store.commit(batch) or {}).get("ends", ()))


def stored(store):
    """{(topic, partition): the offset that a Store is to get next}: what its newest batches reached.

    Of the batches of the same partitions the one with the last name is the newest, so that few records are read.
    """
    found, known = {}, set()
    for name in reversed(store.names()):
        match = _ID.fullmatch(name)
        if match and match[1] not in known:
            positions = _held(store, name)
            known.update([match[1]] if positions else ())
            for position in positions:
                key = _key(position)
                found[key] = max(found.get(key, 0), position["next"])
    return found


def faults(store):
    """Yield (batch, reason) for each batch of a Store that does not begin where those before it of a partition end."""
    spans = {}
    for name in filter(_ID.fullmatch, store.names()):
        for position in _held(store, name):
            spans.setdefault(_key(position), []).append((position["first"], position["next"], name, place(position)))
    for key in sorted(spans):
        found = sorted(spans[key])
        for (_, end, *_), (first, _, name, partition) in zip(found, found[1:]):
            if first != end:
                low, high = sorted((first, end))
                where = "no batch" if first > end else "more than one"
                yield name, f"of {partition} the offsets {low} to {high - 1} are in {where}"


def demand_next(positions, has, where):
    """Raise NotWhole unless each position begins where the store, which `has` what `stored` tells, ends."""
    for position in positions:
        expected = has.get(_key(position), position["first"])
        if position["first"] != expected:
            raise NotWhole(
                f"the store goes on at offset {expected} of {place(position)}, and this stream begins at "
                f"{position['first']}",
                where,
                "let tel-kafka --resume the store; another process may be storing the same partition",
            )
