"""Lines sorted by the system's sort, in temporary files where they are more than memory may hold."""

import os
import signal
import subprocess

from tel import streams
from tel.errors import IOFailed

LEAST = 1 << 20  # bytes of memory below which sort only gets slow


class Sorter:
    """Takes lines `<key> TAB <rest>`, gives them back by the bytes of their keys, those of one key as they came.

    Raises IOFailed where sort is missing, fails or is killed: nothing of an order that is not whole is taken for one.
    """

    def __init__(self, memory):
        words = ["sort", "-s", "-t", "\t", "-k", "1,1", "-S", f"{max(memory, LEAST) >> 10}K"]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        try:
            self._process = subprocess.Popen(words, env={**os.environ, "LC_ALL": "C"}, **pipes)
        except OSError as error:
            cure = "install it, or give more --memory"
            reason = f"what memory cannot hold goes to sort, which cannot be run: {error.strerror}"
            raise IOFailed(reason, cure=cure) from None
        self._deadly = signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a sort that dies is an error to be told

    def write(self, lines):
        """Take in lines."""
        try:
            for line in lines:
                self._process.stdin.write(line + b"\n")
        except OSError:
            self._end()
            raise

    def sorted(self):
        """Yield all lines; there can be no more."""
        try:
            self._process.stdin.close()
        except OSError:
            self._end()
            raise
        yield from streams.lines(iter(lambda: self._process.stdout.read(streams.BLOCK), b""), limit=float("inf"))
        self._end()

    def _end(self):
        """Wait for sort. Raises IOFailed with what it said if it failed."""
        self._let_go()
        said = self._process.stderr.read(1000).decode(errors="replace").strip().partition("\n")[0]
        status = self._process.wait()
        if status:
            reason = said or (f"sort was killed by signal {-status}" if status < 0 else f"sort ended with {status}")
            raise IOFailed(reason, cure="TMPDIR names the folder of its temporary files")

    def _let_go(self):
        self._process.stdin.raw.close()  # what is buffered still would be written, in vain, when Python ends
        signal.signal(signal.SIGPIPE, self._deadly)

    def close(self):
        """Stop sort, which removes its temporary files."""
        self._process.terminate()
        self._let_go()
        self._process.wait()
