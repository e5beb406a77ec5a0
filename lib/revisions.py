"""The definitions cache: which Histograms.json belongs to which revision of which repository.

A cache is a directory that holds plain trees `<repository>/<node>/Histograms.json`. A node is the hash that
Mercurial or git gives a revision, so that it names the same content in every repository.
"""

import os
import re
from collections import OrderedDict

from tel import definitions
from tel.errors import BadData, NoInput

FILE = "Histograms.json"
DEPTH = 5  # of directories above a node: releases/mozilla-beta has two
MOST_LOADED = 64  # parsed versions kept in memory, least recently used dropped first

_URL = re.compile(r"https?://[^/\s]{1,255}/((?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/){1,5})(?:rev|commit)/([0-9a-f]{12,40})/?")
_NODE = re.compile(r"[0-9a-f]{12,40}")


def parse_url(url):
    """(repository, node) of a revision URL as pings name it, or None. http and https, 12 and 40 digits are the same.

    >>> parse_url("http://hg.mozilla.org/releases/mozilla-beta/rev/8d3810543edc/")
    ('releases/mozilla-beta', '8d3810543edc')
    """
    match = _URL.fullmatch(url) if isinstance(url, str) and len(url) < 1000 else None
    return (match[1][:-1], match[2]) if match else None


class Version:
    """One Histograms.json of the cache: its repository, node and path."""

    __slots__ = ("repository", "node", "path", "sha256", "definitions")

    def __init__(self, repository, node, path):
        self.repository, self.node, self.path = repository, node, path
        self.sha256 = self.definitions = None

    def load(self):
        """Read the file: set `sha256` (hex digits) and `definitions`. Raises NoInput, BadData `bad_definitions`."""
        import hashlib

        try:
            with open(self.path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise NoInput(f"cannot be read: {error.strerror}", self.path) from None
        self.sha256 = hashlib.sha256(data).hexdigest()
        try:
            self.definitions = definitions.load(data)
        except BadData as error:
            raise BadData(error.error_type, error.reason, self.path) from None


class Cache:
    """The definitions under a directory, listed and parsed when first asked for: a stream may need none."""

    def __init__(self, directory):
        self.directory, self._loaded = directory, OrderedDict()
        self._versions = None

    def _list(self):
        versions = {}
        for version in _walk(self.directory, "", DEPTH):
            versions.setdefault(version.node[:12], []).append(version)
        return versions

    def find(self, repository, node):
        """The Version of a node, loaded, or None. The repository decides only between equals.

        Raises NoInput if the directory cannot be listed or the file not be read, BadData `bad_definitions`.
        """
        if self._versions is None:
            self._versions = self._list()
        versions = [v for v in self._versions.get(node[:12], ()) if v.node.startswith(node) or node.startswith(v.node)]
        if len({v.node for v in versions if len(v.node) == 40}) > 1:
            return None  # a short node that stands for several revisions stands for none
        chosen = next((v for v in versions if v.repository == repository), versions[0] if versions else None)
        return self._load(chosen) if chosen else None

    def of_record(self, revision):
        """The Version that a record's `revision` field names, or None if the cache has no such content."""
        if not isinstance(revision, dict):
            return None
        repository, node = revision.get("repository"), revision.get("node")
        if not isinstance(node, str) or not _NODE.fullmatch(node):
            return None
        version = self.find(repository, node)
        return version if version and revision.get("sha256", version.sha256) == version.sha256 else None

    def _load(self, version):
        if version.path not in self._loaded:
            version.load()
            self._loaded[version.path] = version
            if len(self._loaded) > MOST_LOADED:
                self._loaded.popitem(last=False)[1].definitions = None
        self._loaded.move_to_end(version.path)
        return version


def _walk(directory, repository, depth):
    """Yield the Versions below a directory, in the order of their names."""
    try:
        with os.scandir(directory) as entries:
            folders = sorted((entry for entry in entries if entry.is_dir()), key=lambda entry: entry.name)
    except OSError as error:
        raise NoInput(
            f"cannot be listed: {error.strerror}",
            directory,
            "--histograms DIR names the definitions cache: <repository>/<node>/Histograms.json",
        ) from None
    for folder in folders:
        if repository and _NODE.fullmatch(folder.name):
            yield Version(repository, folder.name, os.path.join(folder.path, FILE))
        elif depth:
            yield from _walk(folder.path, f"{repository}/{folder.name}" if repository else folder.name, depth - 1)
