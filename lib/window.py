"""The ids of the last seconds, in memory that the processes of a service share."""

import mmap
import time

WAYS = 8  # places where an id may be
MOST_IDS = 1 << 20


class Window:
    """The ids that were added in the last seconds, by this process or one forked from it; 0 seconds: none.

    About `most` are remembered: in a full set of WAYS places the oldest is forgotten. An id is known by a hash of
    64 bits, whose key is this process's own.
    """

    def __init__(self, seconds, most=MOST_IDS, clock=time.monotonic):
        self.seconds, self._clock, self._sets = seconds, clock, max(1, most // WAYS)
        self._words = memoryview(mmap.mmap(-1, self._sets * WAYS * 16)).cast("Q") if seconds else None

    def _place(self, id):
        """(the id's hash, where its set begins): the hashes and then the milliseconds of WAYS ids, 0 in free places."""
        key = hash(id) & 0xFFFFFFFFFFFFFFFF or 1
        return key, key % self._sets * 2 * WAYS

    def _now(self):
        return int(self._clock() * 1000) + 1

    def __contains__(self, id):
        if not self.seconds:
            return False
        key, at = self._place(id)
        since = self._now() - int(self.seconds * 1000)
        words = self._words[at : at + 2 * WAYS].tolist()
        return any(words[n] == key and words[n + WAYS] > since for n in range(WAYS))

    def add(self, ids):
        """Remember ids from now on."""
        if not self.seconds:
            return
        now = self._now()
        for id in ids:
            key, at = self._place(id)
            words = self._words[at : at + 2 * WAYS].tolist()
            place = words.index(key, 0, WAYS) if key in words[:WAYS] else words.index(min(words[WAYS:]), WAYS) - WAYS
            self._words[at + place + WAYS] = now
            self._words[at + place] = key
