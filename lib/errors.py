"""What a tool tells its user when it stops: the place, the reason, the cure, and the exit status."""

import contextlib

from tel import exits


def printable(text):
    """Text from anywhere as one line that a terminal shows and does not obey.

    >>> print(printable("a\\nb"))
    a\\nb
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextlib.contextmanager
def naming(path):
    """Let an error of the system within, which knows a descriptor only, name this path."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or path
        raise


class TelError(Exception):
    """An error meant for people; `str()` is `where: reason; cure` with the parts that are known."""

    status = exits.BUG

    def __init__(self, reason, where=None, cure=None):
        super().__init__(reason)
        self.reason, self.where, self.cure = reason, where, cure

    def __reduce__(self):
        return self.__class__, (self.reason, self.where, self.cure)

    def __str__(self):
        return printable(self._words())

    def _words(self):
        place = f"{self.where}: " if self.where else ""
        cure = f"; {self.cure}" if self.cure else ""
        return f"{place}{self.reason}{cure}"


class UsageError(TelError):
    """The command line, or a file the user wrote for us, asks for what cannot be."""

    status = exits.USAGE


class BadData(TelError):
    """A line, or a part of one, that is not what it should be; `error_type` is its reason in one word."""

    status = exits.BAD_DATA

    def __init__(self, error_type, reason, where=None, cure=None):
        super().__init__(reason, where, cure)
        self.error_type = error_type

    def __reduce__(self):
        return self.__class__, (self.error_type, self.reason, self.where, self.cure)


class NoInput(TelError):
    """An input that is not there, is a directory, or may not be read."""

    status = exits.NO_INPUT


class IOFailed(TelError):
    """The system could not read or write, or the store is not what it should be."""

    status = exits.IO


class NotWhole(TelError):
    """The stream is not whole, or somebody else is busy with the same thing: the same command may work later."""

    status = exits.TEMPORARY
