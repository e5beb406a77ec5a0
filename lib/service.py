"""A service of some processes: listening sockets, workers, signals, and what systemd is told.

The last as in sd_listen_fds(3) and sd_notify(3).
"""

import contextlib
import os
import re
import resource
import signal
import socket
import stat
import time

from tel.errors import IOFailed, UsageError

FIRST_FD = 3  # of those that systemd hands over
AGAIN = 1.0  # seconds before a worker that died is replaced


def listen(addresses, unix):
    """Listening sockets of `HOST:PORT` texts and of one path; those that systemd handed over, if it did.

    Raises UsageError for what is no address, IOFailed.
    """
    given = _inherited()
    if given:
        return given
    return [_tcp(address) for address in addresses] + ([_unix(unix)] if unix else [])


def _inherited():
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    number = int(os.environ.get("LISTEN_FDS", "0"))
    sockets = [socket.socket(fileno=fd) for fd in range(FIRST_FD, FIRST_FD + number)]
    for one in sockets:
        one.setblocking(False)
        os.set_inheritable(one.fileno(), False)
    return sockets


def _tcp(address):
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]*)):(\d{1,5})", address)
    if not match or int(match[3]) > 65535:
        raise UsageError(f"--listen takes HOST:PORT, not {address[:80]!r}")
    host, port = match[1] or match[2] or None, int(match[3])
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen(1024)
    except OSError as error:
        raise IOFailed(f"cannot be listened on: {error.strerror}", address) from None
    listening.setblocking(False)
    return listening


def _unix(path):
    """A socket at a path, in the place of one that nobody listens on any more."""
    try:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.lstat(path).st_mode) and not _answers(path):
                os.unlink(path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(path)
        listening.listen(1024)
    except OSError as error:
        raise IOFailed(f"cannot be listened on: {error.strerror or error}", path) from None
    listening.setblocking(False)
    return listening


def _answers(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        return trial.connect_ex(path) == 0


def names(sockets):
    """What the sockets listen on, for people: `127.0.0.1:8080`, `/run/tel.sock`."""
    return ", ".join(_name(one.getsockname()) for one in sockets)


def _name(address):
    if not isinstance(address, tuple):
        return str(address)
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def notify(message):
    """Tell systemd, if it wants to be told."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(message.encode(), f"\0{path[1:]}" if path.startswith("@") else path)


def prepare():
    """Let a service have all the files it may, and not die of a client that is gone."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Crew:
    """Workers, each a process that runs `work(row)` until it is told to stop; one that dies is replaced."""

    def __init__(self, number, work, say):
        self._work, self._say = work, say
        self._rows, self._stopping = {}, False
        self._number = number

    def run(self, ready):
        """Start all, call `ready()`, and wait until all have ended after a SIGTERM or SIGINT; SIGHUP is handed on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, lambda *_: self._tell(signal.SIGHUP))
        for row in range(self._number):
            self._start(row)
        ready()
        failed = False
        while self._rows:
            try:
                pid, status = os.wait()
            except ChildProcessError:
                break
            row = self._rows.pop(pid, None)
            failed = failed or (self._stopping and status != 0)
            if row is not None and not self._stopping:
                self._say(
                    f"worker {pid} has ended with status {os.waitstatus_to_exitcode(status)}: another one is started"
                )
                time.sleep(AGAIN)
                if not self._stopping:
                    self._start(row)
        return failed

    def _start(self, row):
        parent, pid = os.getpid(), os.fork()
        if pid:
            self._rows[pid] = row
            if self._stopping:  # it came before there was anybody to tell
                self._tell(signal.SIGTERM)
            return
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        _die_with(parent)
        status = 70
        try:
            status = self._work(row)
        except Exception as error:
            self._say(f"worker {os.getpid()} has failed: {error!r}")
        finally:
            os._exit(status)

    def _stop(self, *_):
        self._stopping = True
        self._tell(signal.SIGTERM)

    def _tell(self, number):
        for pid in list(self._rows):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _die_with(parent):
    """Have the system send SIGTERM to this process when its parent dies (PR_SET_PDEATHSIG of prctl(2), on Linux)."""
    with contextlib.suppress(Exception):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(75)
