"""Programs in any language as maps: fed stored lines, their lines taken as pairs, their end checked."""

import fcntl
import os
import signal
import struct
import subprocess
import termios
import threading

from tel import records, streams
from tel.errors import BadData, IOFailed
from tel.pairs import parse_pair, parse_tab


def pairs(command, lines, name, dims=None, seen=None):
    """Yield the (key, value) pairs that a shell command prints, fed the (where, line) pairs of the file `name`.

    `dims` ({name: value}) are in its environment as TEL_<name>; `seen` (a stats.Seen) is told which lines there were.
    Raises BadData `job_failed` for a command that fails, is killed or leaves some of its input, `not_a_pair` for what
    it prints.
    """
    input, to = os.pipe()
    try:
        process = _started(command, input, {f"TEL_{name}": value for name, value in (dims or {}).items()})
        feeder = _Feeder(to, lines, seen)
        feeder.start()
        try:
            printed = streams.lines(iter(lambda: process.stdout.read1(streams.BLOCK), b""))
            for at, line in enumerate(printed, 1):
                yield pair_of(line, f"{name}: line {at} of {command}")
            status, left = process.wait(), _waiting(input)
        finally:
            process.terminate()
    finally:
        os.close(input)  # a feeder that still waits for a reader now learns that there is none
    feeder.join()
    _judge(command, name, status, bool(left) or feeder.early, feeder.error)


def _started(command, input, variables):
    words = ["bash", "-o", "pipefail", "-c", command]
    try:
        return subprocess.Popen(words, stdin=input, stdout=subprocess.PIPE, env={**os.environ, **variables})
    except OSError as error:
        raise IOFailed(f"bash, which runs the command, cannot be run: {error.strerror}") from None


def _waiting(pipe):
    """How many bytes of a pipe nobody has read."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]


def _judge(command, name, status, early, error):
    """Raise what went wrong: with the input before all, which no command could have mended."""
    if error:
        raise error
    if status:
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        raise BadData("job_failed", f"the command {how}: {command}", name)
    if early:
        raise BadData("job_failed", f"the command did not read its input to the end: {command}", name)


class _Feeder(threading.Thread):
    """Writes stored lines to a descriptor; `early`: nobody read them to the end, `error`: what they ended with."""

    def __init__(self, to, lines, seen):
        super().__init__(daemon=True)
        self._to, self._lines, self._seen = to, lines, seen
        self.early, self.error = False, None

    def run(self):
        """Write until there are no more lines, or nobody reads them."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})  # of this thread's writes alone
        try:
            with open(self._to, "wb", streams.BLOCK) as file:
                for where, line in self._lines:
                    file.write(self._stored(where, streams.held(line)) + b"\n")
        except BrokenPipeError:
            self.early = True
        except Exception as error:  # it is raised in the other thread
            self.error = error

    def _stored(self, where, line):
        """A line, or a record, as `<id> TAB <json>`."""
        record = records.parse(line, where) if line.startswith(b"{") else None
        if self._seen is not None:
            self._seen.raw += record is None
            self._seen.records += record is not None
        return line if record is None else b"%s\t%s" % (record.id.encode(), record.ping)


def pair_of(line, where=None):
    """(key, value) of a line `["key",value]` or `key TAB value`; the key a string unless it begins like JSON.

    >>> pair_of(b'["a",1]'), pair_of(b"20130901\\t1"), pair_of(b'["a","b"]\\t[1]')
    (['a', 1], ('20130901', 1), (['a', 'b'], [1]))
    """
    line = streams.held(line)
    return parse_tab(where, line, _is_json) if b"\t" in line else parse_pair(where, line)


def _is_json(key):
    return key.startswith(('"', "[", "{"))
