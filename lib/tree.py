"""A store as the 2013 server laid it out: a tree of compressed files whose paths are all that is known of them.

    <root>/<reason>/<appName>/<appUpdateChannel>/<appVersion>/<appBuildID>.<submission_date>.v2.log.<hash>.lzma

Or .xz, or .gz. Names had all but [a-zA-Z0-9_/.] replaced by `_`, so a reason reads idle_daily, and a version may be
several directories. There are no commit records: which files belong to it is what lies there.
"""

import os
import re

from tel import compress, query, retrieve, streams
from tel.errors import BadData, IOFailed, NoInput
from tel.schema import DEFAULT, SUBMISSION_DATE, Schema

NAMES = ("reason", "appName", "appUpdateChannel", "appVersion", "appBuildID", SUBMISSION_DATE)
CHANNELS = {"nightly", "aurora", "beta", "release", "esr", "default", "OTHER"}
_FILE = re.compile(r"(.+?)\.(\d{8})\.v2\.log(?:\.[^/]+)?\.(?:lzma|xz|gz)", re.ASCII)
_REASONS = {
    re.sub(r"[^a-zA-Z0-9_/.]", "_", reason): reason
    for dimension in Schema(DEFAULT).dimensions
    if dimension.name == "reason"
    for reason in dimension.allowed
}


def dims_of(path):
    """The dimensions of a file in the order of NAMES. Raises IOFailed for a path that is none of this layout.

    >>> dims_of("tree/idle_daily/Firefox/beta/24.0/20130823.20130901.v2.log.0a1b.lzma")
    ['idle-daily', 'Firefox', 'beta', '24.0', '20130823', '20130901']
    """
    *directories, name = path.split("/")
    match = _FILE.fullmatch(name)
    if not match or len(directories) < 4:
        raise IOFailed("no file of the 2013 layout by its path", path, "tell what it is, or move it away")
    at = _channel(directories)
    reason, app, channel = directories[at - 2 : at + 1]
    return [_REASONS.get(reason, reason), app, channel, "/".join(directories[at + 1 :]), match[1], match[2]]


def _channel(directories):
    """Where the channel stands: before the version, which is one directory unless the names say otherwise."""
    before = range(len(directories) - 2, 1, -1)
    return next((at for at in before if directories[at] in CHANNELS), len(directories) - 2)


def check(file, _size):
    """Raise BadData `corrupt` for an open file that does not begin like compressed data; an empty one does not."""
    if compress.codec_of(file.read(compress.MAGIC_LENGTH)) is None:
        raise BadData("corrupt", "not compressed by lzma, xz or gzip, as its name says")


class Tree:
    """The tree at a root. Raises NoInput if there is none."""

    def __init__(self, root):
        self.root = os.path.normpath(root)
        if not os.path.isdir(self.root):
            raise NoInput("is not a directory", root)

    def selection(self, conditions):
        """What selects the files that meet all conditions, by their dimensions."""
        return query.Selection(NAMES, conditions)

    def files(self, selects=lambda directory: True):
        """The sorted (path, dims) of all files that are selected by their dimensions, joined by slashes.

        Raises IOFailed if any file is there, selected or not, that is none of this layout.
        """
        found = []
        for folder, _, names in os.walk(self.root, onerror=_raise):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    dims = dims_of(path[len(self.root.rstrip("/")) + 1 :])
                except IOFailed as error:
                    error.where = path
                    raise
                if selects("/".join(dim.replace("/", "_") for dim in dims)):
                    found.append((path, dims))
        return sorted(found)

    def records(self, files, max_line):
        """Yield the Records of (path, dims) pairs; raises BadData with the place for a damaged file."""
        for path, dims in files:
            lines = streams.lines(streams.Input(path, check).blocks(), max_line)
            yield from retrieve.placed(lines, path, dict(zip(NAMES, dims)))


def _raise(error):
    raise error
