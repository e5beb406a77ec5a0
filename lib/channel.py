"""A two-way channel between a process and one forked from it: objects, pickled, each behind its size."""

import os
import pickle
import socket

HEAD = 8  # bytes of a size, the lowest first


class Channel:
    """One of two ends, by its descriptor. What is sent waits, as much as a socket holds, until it is received."""

    def __init__(self, end):
        self.fd = end.detach()

    def send(self, item):
        """Send an object. Raises OSError; BrokenPipeError where nobody is left to read and the signal is ignored."""
        self.send_bytes(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))

    def receive(self):
        """The object that comes next. Raises EOFError once the other end is closed, OSError."""
        return pickle.loads(self.receive_bytes())

    def send_bytes(self, data):
        """The same for bytes, which are not pickled."""
        left = memoryview(len(data).to_bytes(HEAD, "little") + data)
        while left:
            left = left[os.write(self.fd, left) :]

    def receive_bytes(self):
        """The bytes that come next."""
        return self._exactly(int.from_bytes(self._exactly(HEAD), "little"))

    def _exactly(self, size):
        pieces = []
        while size > 0:
            piece = os.read(self.fd, size)
            if not piece:
                raise EOFError
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def close(self):
        """Close this end."""
        os.close(self.fd)


def pair():
    """Two Channels, the ends of one."""
    return tuple(map(Channel, socket.socketpair()))
