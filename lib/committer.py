"""Group commit: what came while the last sync ran is written and synced at once, by a thread of its own."""

import threading
import time
from collections import namedtuple

from tel import recovery
from tel.errors import TelError

MOST_WAITING = 32 << 20  # bytes that wait to be written

# One line for the spool: for a record `before` and `after` are its text around the mark of a duplicate, `id` is not
# None; for a reject `before` is all.
Item = namedtuple("Item", "id before after", defaults=(b"",))
MARK = b',"duplicate":true'


class Busy(Exception):
    """Nothing more can be taken now."""


class Committer:
    """Writes Items into a spool.Spool, in groups.

    `counted(name, number)` is told what is done. `put` takes the Items of one request, which are on disk, or none of
    them is acknowledged, when its `done(error or None)` is called, by the thread.
    """

    def __init__(self, spool, window, counted):
        self.spool, self._window, self._counted = spool, window, counted
        self._changed = threading.Condition()
        self._waiting, self._bytes = [], 0
        self._roll = self._stop = False
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)

    def start(self):
        """Begin to write."""
        self._thread.start()

    def check(self):
        """Raise Busy if too much waits to be written."""
        if self._bytes >= MOST_WAITING or self._stop:
            raise Busy

    def put(self, items, done):
        """Have Items written; returns what `withdraw` takes. Raises Busy."""
        self.check()
        request = (items, done)
        with self._changed:
            self._waiting.append(request)
            self._bytes += _size(items)
            self._changed.notify()
        return request

    def withdraw(self, request):
        """Whether the Items of a `put` will never be written: not if that has begun, and `done` tells how it ends."""
        with self._changed:
            waits = request in self._waiting
            if waits:
                self._waiting.remove(request)
                self._bytes -= _size(request[0])
        return waits

    def roll(self):
        """Close the current file."""
        with self._changed:
            self._roll = True
            self._changed.notify()

    def stop(self):
        """Write what waits, close the current file, and end."""
        with self._changed:
            self._stop = True
            self._changed.notify()
        self._thread.join()

    def _run(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._roll or self._stop, self.spool.seconds_left())
                group, self._waiting, self._bytes = self._waiting, [], 0
                roll, self._roll = self._roll, False
                stop = self._stop
            if group:
                self._write(group)
            if roll or stop or self.spool.due():
                self._close()
            if stop and not group:
                return

    def _close(self):
        try:
            self._counted("files", self.spool.roll())
            self._counted("files", len(recovery.recover(self.spool.directory, self.spool.say)))
        except (OSError, TelError) as error:
            self.spool.say(f"the files cannot be closed now: {error}")

    def _write(self, group):
        ids, lines, rejects = {}, [], []
        for items, _ in group:
            for item in items:
                (rejects if item.id is None else lines).append(item.before + self._mark(item, ids) + item.after)
        error = None
        try:
            self.spool.add(lines, rejects)
        except Exception as failure:  # whatever it is, nobody may be left waiting
            error = failure
            self._failed(failure)
        else:
            self._window.add(ids)
            self._counted("groups", 1)
            self._counted("records", len(lines))
            self._counted("rejects", len(rejects))
        for _, done in group:
            done(error)

    def _mark(self, item, ids):
        """The mark of an id that was written lately, or that this group has already."""
        if item.id is None or not self._window.seconds:
            return b""
        known = item.id in self._window or item.id in ids
        ids[item.id] = True
        if known:
            self._counted("duplicates", 1)
        return MARK if known else b""

    def _failed(self, error):
        self._counted("failures", 1)
        now = time.monotonic()
        if now >= self._quiet:
            self._quiet = now + 10
            self.spool.say(f"{self.spool.directory}: cannot be written: {_reason(error)}; submissions are refused")

    _quiet = 0.0  # until when nothing more is said of failures


def _size(items):
    return sum(len(item.before) + len(item.after) for item in items)


def _reason(error):
    return getattr(error, "strerror", None) or f"a bug: {error!r}"
