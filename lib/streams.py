"""Bytes in and out: files and standard input to lines, lines to standard output.

Lines are bytes, split on `\\n` only, so that the locale cannot matter. Standard output is opened, flushed and closed
here, so that a disk that fills up with the last byte is still an error.
"""

import errno
import fcntl
import io
import itertools
import os
import stat

from tel import compress
from tel.errors import BadData, IOFailed, NoInput, naming

BLOCK = 1 << 19  # larger ones leave the processor's cache before they are used; with smaller ones tools wait more often
LONG = 4096  # bytes of a line that is handled with care for the cost of copies
COMPRESSED_BLOCK = 1 << 16
MAX_LINE = 32 << 20
STDIN = "-"
FAILURES = {errno.EIO, errno.ENOSPC, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ESTALE}  # not the path's fault
PIPE, F_SETPIPE_SZ = 1 << 20, 1031  # bytes that a pipe holds, and how Linux is told (fcntl has the name from 3.10)


class Input:
    """One named source of bytes: a file, or standard input for `-`; compressed data comes out plain.

    `name` is for messages, `size` its bytes on disk (None where that says nothing), `consumed` those read so far.
    `check(file, size)` may look at a regular file before it is read, and give the (compressed, plain) sizes of the zstd
    frames that it consists of. `digest` (of hashlib) is fed with all bytes that are read. Raises NoInput where it
    cannot be opened.
    """

    def __init__(self, path, check=None, digest=None):
        self.path, self.consumed, self._digest = path, 0, digest
        self.name = "standard input" if path == STDIN else path
        self._file = _open(path)
        status = os.fstat(self._file.fileno())
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else None
        self.identity = status.st_dev, status.st_ino
        self._frames = self._checked(check) if check else None

    def _checked(self, check):
        if self.size is None:
            raise NoInput("is not a regular file", self.name)
        try:
            with naming(self.name):
                frames = check(self._file, self.size)
        except BadData as error:
            error.where = error.where or self.name
            raise
        self._file.seek(0)
        return frames

    def _exactly(self, size):
        """The next `size` bytes, or what is left."""
        self.consumed += size
        data = self._read(size)
        while len(data) < size:
            more = self._read(size - len(data))
            if not more:
                break
            data += more
        return data

    def _raw(self, head, size):
        while head:
            self.consumed += len(head)
            yield head
            head = self._read(size)

    def _read(self, size):
        try:
            data = self._file.read(size)
        except OSError as error:
            raise IOFailed(f"cannot read: {error.strerror}", self.name) from None
        if self._digest:
            self._digest.update(data)
        return data

    def is_plain(self):
        """Whether this is a regular file, not compressed."""
        return (
            self.size is not None
            and self._frames is None
            and not compress.codec_of(self.peek(0, compress.MAGIC_LENGTH))
        )

    def peek(self, at, size):
        """At most `size` bytes at a place of a regular file, wherever it is being read. Raises IOFailed."""
        try:
            return os.pread(self._file.fileno(), size, at)
        except OSError as error:
            raise IOFailed(f"cannot read: {error.strerror}", self.name) from None

    def blocks(self, start=None):
        """Yield the plain bytes, in blocks of any size; the file is closed at the end.

        Those of a plain file may `start` at another place than its beginning; what lies before counts as read.
        """
        with naming(self.name), self._file:
            try:
                yield from self._plain() if start is None else self._behind(start)
            except BadData as error:
                error.where = error.where or self.name
                raise

    def _plain(self):
        """The plain bytes of known frames, or of what the first bytes say it is."""
        if self._frames is not None:
            return self._framed()
        head = self._read(COMPRESSED_BLOCK)
        while 0 < len(head) < compress.MAGIC_LENGTH:
            more = self._read(COMPRESSED_BLOCK)
            if not more:
                break
            head += more
        codec = compress.codec_of(head)
        if codec is None:
            return self._raw(head, BLOCK)
        return compress.decompress(codec, self._raw(head, COMPRESSED_BLOCK))

    def _behind(self, start):
        """The bytes behind a place."""
        self.consumed = self._file.seek(start)
        return self._raw(self._read(BLOCK), BLOCK)

    def _framed(self):
        """The plain bytes of known frames; what follows these is read where it belongs to the digest."""
        yield from compress.frames(self._exactly, self._frames)
        while self._digest and self._read(BLOCK):
            pass


def _widen(fd):
    """Let a pipe hold more, so that its ends wait for each other less often; what is no pipe, or may not, stays."""
    try:
        fcntl.fcntl(fd, F_SETPIPE_SZ, PIPE)
    except (OSError, ValueError):
        pass


def _open(path):
    try:
        if path == STDIN:
            _widen(0)
            return io.FileIO(0, "rb", closefd=False)
        file = io.FileIO(path, "rb")
    except IsADirectoryError:
        raise NoInput("is a directory, not a file", path) from None
    except (OSError, ValueError) as error:
        kind = IOFailed if getattr(error, "errno", None) in FAILURES else NoInput
        raise kind(f"cannot be opened: {getattr(error, 'strerror', None) or error}", path) from None
    return file


class Overlong:
    """A line longer than the limit: `chunks()` yields its bytes, so that it can be kept without being held."""

    def __init__(self, limit, chunks):
        self.limit, self._chunks = limit, chunks

    def chunks(self):
        """Yield the rest of the line's bytes; what is not asked for is skipped."""
        return self._chunks

    def error(self):
        """The BadData that such a line is."""
        return BadData(
            "line_too_long", f"a line of more than {self.limit} bytes", cure="raise --max-line if it is a real one"
        )


def held(line):
    """The line itself; BadData `line_too_long` if it is an Overlong."""
    if line.__class__ is not bytes:
        raise line.error()
    return line


def lines(blocks, limit=MAX_LINE):
    """Yield the lines of an iterable of byte blocks without their `\\n`; a line over `limit` as an Overlong.

    >>> list(lines([b"a\\nb", b"c\\n", b"d"]))
    [b'a', b'bc', b'd']
    """
    blocks, rest, held, few = iter(blocks), [], 0, False
    while True:
        block = next(blocks, None)
        if block is None:
            break
        head, *whole = _cut(block) if few else block.split(b"\n")
        few = len(whole) * LONG < len(block)
        if not whole:
            rest.append(block)
            held += len(block)
            if held > limit:
                after = []
                yield from overlong(limit, rest, blocks, after)
                blocks, rest, held = itertools.chain(after, blocks), [], 0
            continue
        rest.append(head)
        last = whole.pop()
        for line in (b"".join(rest), *whole):
            yield line if len(line) <= limit else Overlong(limit, iter((line,)))
        rest, held = ([last], len(last)) if last else ([], 0)
    if held:
        last = b"".join(rest)
        yield last if len(last) <= limit else Overlong(limit, iter((last,)))


def _cut(block):
    """The same as `block.split(b"\\n")`, in less time where lines are long."""
    pieces, at = [], 0
    to = block.find(b"\n")
    while to >= 0:
        pieces.append(block[at:to])
        at = to + 1
        to = block.find(b"\n", at)
    pieces.append(block[at:])
    return pieces


def overlong(limit, held, blocks, after):
    """Yield one Overlong that starts with `held` and reads `blocks` to the line's end; `after` gets what follows it."""

    def chunks():
        yield from held
        held.clear()
        for block in blocks:
            head, newline, tail = block.partition(b"\n")
            yield head
            if newline:
                after.append(tail)
                return

    reading = chunks()
    yield Overlong(limit, reading)
    for _ in reading:
        pass


class Output:
    """Standard output, or a file of ours: buffered, counted, and closed with every error seen.

    `unbuffered` hands each write to the system at once. Raises IOFailed; SIGPIPE is left to kill the process.
    """

    def __init__(self, fd=1, name="standard output", unbuffered=False):
        self.name, self.written = name, 0
        _widen(fd)
        self._file = io.BufferedWriter(io.FileIO(fd, "wb"), BLOCK)
        self._write, self._unbuffered = self._file.write, unbuffered

    def write(self, data):
        """Write bytes, all of them."""
        try:
            self._write(data)
            if self._unbuffered:
                self._file.flush()
        except OSError as error:
            raise self._failed(error) from None
        self.written += len(data)

    def line(self, data):
        """Write one line, adding its `\\n`."""
        if self._unbuffered or len(data) < LONG:
            self.write(data + b"\n")
        else:  # a long one is not copied for that
            self.write(data)
            self.write(b"\n")

    def close(self):
        """Flush and close; the last bytes may fail too. What failed before is not tried again."""
        try:
            if not self._file.raw.closed:
                self._file.close()
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error):
        try:
            self._file.raw.close()  # what is buffered cannot be written: a later close must not try again
        except OSError:
            pass
        return IOFailed(f"cannot write: {error.strerror}", self.name)


def create(path):
    """A new file as an Output, replacing what is there. Raises IOFailed.

    Written as it comes, not by rename: what a killed tool had found out stays readable.
    """
    try:
        return Output(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666), path)
    except OSError as error:
        raise IOFailed(f"cannot be created: {error.strerror}", path) from None


def replace(path, data):
    """Write a whole file at once: a reader sees the old one or the new one, never half. Raises IOFailed."""
    staged = f"{path}.{os.getpid()}.new"
    try:
        try:
            with open(staged, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(staged, path)
        except OSError:
            if os.path.exists(staged):
                os.unlink(staged)
            raise
    except OSError as error:
        raise IOFailed(f"cannot be written: {error.strerror}", path) from None


def check_replaceable(path):
    """Raise IOFailed, before any work is done, for a path that `replace` could not or should not write."""
    if os.path.lexists(path) and (os.path.islink(path) or not os.path.isfile(path)):
        raise IOFailed("is there and not a regular file, which would be replaced", path)
    folder = os.path.dirname(path) or "."
    if not os.access(folder, os.W_OK | os.X_OK):
        raise IOFailed("its folder is missing or may not be written", path)
