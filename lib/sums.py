"""Sums of the histograms of many stored pings, by group and name: from their text where a tier can, else one by one."""

from tel import arrays, jsonl, tiers

BUFFERED = 64  # arrays of one key that are kept until they are added up
MOST = 100_000  # sums at once, after which they should be handed on
_WAYS = (("payload",), ("payload", "histograms"), ("histograms",))


class Sums:
    """Running sums of the plain histograms of pings' main process.

    >>> sums = Sums()
    >>> sums.add(("nightly",), b'{"ver":2,"histograms":{"A":[1,0,1,-1,-1,-1,-1]}}')
    >>> list(sums.take())
    [(['nightly', 'A', 2], [1, 0, 1, -1, -1, -1, -1])]
    """

    def __init__(self):
        self._find = tiers.finder(_WAYS)
        self._quick, self._slow = {}, {}

    def add(self, group, data):
        """Add the histograms of a stored ping's bytes to those of a group (a tuple). Raises BadData `not_stored`.

        All of them or none are added.
        """
        if not self._added_quickly(group, data):
            for name, array in arrays.of_ping(jsonl.loads(data)).items():
                held = self._slow.setdefault((*group, name, len(array) - arrays.STATISTICS), [])
                held.append(array)
                if len(held) > BUFFERED:
                    held[:] = [arrays.add_all(held)]

    def _added_quickly(self, group, data):
        if self._find is None:
            return False
        spans = self._find(data)
        if spans is None:
            return False
        payload, inner, outer = spans
        span = outer if payload is None else inner
        if span is None:
            return payload is None or data[payload[0]] == ord("{")
        quick = self._quick.get(group) or self._quick.setdefault(group, tiers.sums())
        return data[span[0]] == ord("{") and quick.add(data, *span)

    @property
    def full(self):
        """Whether there are so many sums that they should be taken."""
        return len(self._slow) + 1000 * len(self._quick) > MOST

    def take(self):
        """Yield ([*group, name, number of buckets], the sum as arrays.add_all gives it); nothing is left."""
        quick, slow, self._quick, self._slow = self._quick, self._slow, {}, {}
        for group, sums in quick.items():
            for name, counts, statistics in sums.items():
                array = [*counts, *(arrays.ABSENT if parts is None else _parts(parts) for parts in statistics)]
                slow.setdefault((*group, name, len(counts)), []).append(array)
        for key, held in slow.items():
            yield list(key), arrays.add_all(held)


def _parts(parts):
    """The parts of a statistic: an integer or None, then floats."""
    return [part for part in parts if part is not None]
