"""The definitions cache: which Histograms.json belongs to which revision of which repository, or to which time.

    contents/<sha256>.json                       every Histograms.json, once
    history/<repository>/versions.ndjson         the versions of a repository's main line, and when each was in effect
    history/<repository>/revisions               every revision: its node, its content, its date
    fetched/<repository>/<node>.json             what a server said of one revision
    tables/<sha256>.1                            a content parsed, for a quick start
    <repository>/<node>/Histograms.json          a plain tree, put there by hand

All are written by rename, so that any number of processes may read and write at once. A node is the hash that
Mercurial or git gives a revision: it names the same content in every repository.
"""

import bisect
import functools
import os
import re
import time
from collections import OrderedDict

from tel import definitions, jsonl, streams
from tel.errors import BadData, IOFailed, NoInput
from tel.lookup import Table

FILE = "Histograms.json"
DEPTH = 5  # of directories above a node: releases/mozilla-beta has two
MOST_LOADED = 64  # parsed versions kept in memory, least recently used dropped first

REPOSITORY = r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/){0,4}[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"
_URL = re.compile(rf"https?://[^/\s]{{1,255}}/({REPOSITORY})/(?:rev|commit)/([0-9a-f]{{12,40}})/?")
_NODE = re.compile(r"[0-9a-f]{12,40}")


def is_node(text):
    """Whether a text is a node, or the first digits of one.

    >>> is_node("8d3810543edc")
    True
    """
    return bool(_NODE.fullmatch(text))


def parse_url(url):
    """(repository, node) of a revision URL as pings name it, or None. http and https, 12 and 40 digits are the same.

    >>> parse_url("http://hg.mozilla.org/releases/mozilla-beta/rev/8d3810543edc/")
    ('releases/mozilla-beta', '8d3810543edc')
    """
    match = _URL.fullmatch(url) if isinstance(url, str) and len(url) < 1000 else None
    return (match[1], match[2]) if match else None


def usual_directory():
    """Where the definitions cache is, if nobody says otherwise."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("TEL_HISTOGRAMS") or os.path.join(cache, "tel", "histograms")


class Version:
    """One Histograms.json of the cache: repository, node, path, and, once loaded, `sha256` and `definitions`.

    `exact` tells whether the node itself brought this content, not an ancestor of it; `made` holds what tiers made
    of the definitions.
    """

    __slots__ = ("repository", "node", "path", "sha256", "definitions", "exact", "made")

    def __init__(self, repository, node, path, sha256=None, exact=True):
        self.repository, self.node, self.path, self.sha256, self.exact = repository, node, path, sha256, exact
        self.definitions, self.made = None, {}

    def made_by(self, make):
        """What a function or class makes of the definitions, made once."""
        found = self.made.get(make)
        if found is None:
            found = self.made[make] = make(self.definitions)
        return found

    def load(self, tables):
        """Read the file, or its parsed table among `tables`, which is kept there else.

        Raises NoInput, BadData `bad_definitions`, IOFailed for content that is not its SHA-256's.
        """
        self.definitions = tables.get(self.sha256)
        if self.definitions is not None:
            return
        data = _read(self.path)
        sha256 = digest(data)
        if self.sha256 not in (None, sha256):
            raise IOFailed(
                "damaged: its content does not have its SHA-256", self.path, "tel-history --verify tells more"
            )
        self.sha256, self.definitions = sha256, tables.get(sha256)
        if self.definitions is None:
            try:
                self.definitions = definitions.load(data)
            except BadData as error:
                raise BadData(error.error_type, error.reason, self.path) from None
            tables.keep(sha256, self.definitions)


class Tables:
    """Parsed definitions on disk, by the SHA-256 of their content; without a directory there are none.

    What cannot be read or written is not missed: it only saves time.
    """

    def __init__(self, directory=None):
        self.directory = directory

    def _path(self, sha256):
        return os.path.join(self.directory, f"{sha256}.1")

    def get(self, sha256):
        """The definitions of a content, or None."""
        if self.directory is None or sha256 is None:
            return None
        try:
            with open(self._path(sha256), "rb") as file:
                return definitions.undump(file.read())
        except (OSError, ValueError, EOFError, TypeError):
            return None

    def keep(self, sha256, known):
        """Keep the definitions of a content."""
        if self.directory is not None:
            try:
                os.makedirs(self.directory, exist_ok=True)
                streams.replace(self._path(sha256), definitions.dump(known))
            except (OSError, IOFailed):
                pass


def digest(data):
    """The SHA-256 of bytes in hexadecimal.

    >>> digest(b"")[:8]
    'e3b0c442'
    """
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise NoInput(f"cannot be read: {error.strerror}", path) from None


class Cache:
    """The definitions under a directory, listed and parsed when first asked for: a stream may need none."""

    def __init__(self, directory):
        self.directory, self._loaded = directory, OrderedDict()
        self._trees = self._lines = None
        self._tables, self._by_digest, self._last = {}, {}, None
        self._parsed = Tables(self.path("tables") if os.path.isdir(self.path("contents")) else None)

    def path(self, *parts):
        """A path inside the cache."""
        return os.path.join(self.directory, *parts)

    def content_path(self, sha256):
        """Where the content of a SHA-256 lies."""
        return self.path("contents", f"{sha256}.json")

    def find(self, repository, node):
        """The Version at a revision, loaded, or None: from the plain trees, what was fetched, or the histories.

        Raises NoInput if the directory cannot be listed or the file not be read, BadData `bad_definitions`.
        """
        version = (
            self._in_trees(repository, node) or self._fetched(repository, node) or self._in_histories(repository, node)
        )
        return self.load(version) if version else None

    def load(self, version):
        """A Version with its definitions, parsed once and dropped when MOST_LOADED others were used since."""
        loaded = self._loaded.get(version.path)
        if loaded is None:
            version.load(self._parsed)
            loaded = self._loaded[version.path] = version
            if len(self._loaded) > MOST_LOADED:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(version.path)
        version.sha256, version.definitions, version.made = loaded.sha256, loaded.definitions, loaded.made
        return version

    def of_record(self, revision):
        """The Version that a record's `revision` field names, or None if the cache has no such content."""
        if not isinstance(revision, dict):
            return None
        last = self._last
        if last is not None and last[0] is revision:
            return last[1]
        repository, node, sha256 = (revision.get(name) for name in ("repository", "node", "sha256"))
        key = (node, sha256)
        known = self._by_digest.get(key) if isinstance(node, str) and isinstance(sha256, (str, type(None))) else None
        if known is None:
            known = self._of_record(repository, node, sha256)
            if known is not None and len(self._by_digest) < 10_000:
                self._by_digest[key] = known
        version = self.load(known) if known else None
        self._last = (revision, version)
        return version

    def _of_record(self, repository, node, sha256):
        if (
            isinstance(sha256, str)
            and re.fullmatch("[0-9a-f]{64}", sha256)
            and os.path.exists(self.content_path(sha256))
        ):
            return Version(repository, node, self.content_path(sha256), sha256)
        if not isinstance(node, str) or not _NODE.fullmatch(node):
            return None
        if not isinstance(repository, str) or not re.fullmatch(REPOSITORY, repository):
            return None
        version = self.find(repository, node)
        return version if version and sha256 in (None, version.sha256) else None

    def trees(self):
        """The Versions of the plain trees, not loaded, in the order of their names."""
        return _walk(self.directory, "", DEPTH)

    def all(self):
        """Yield the Versions of all contents that are here, not loaded; those outside the plain trees have no node."""
        yield from self.trees()
        contents = self.path("contents")
        for name in sorted(os.listdir(contents)) if os.path.isdir(contents) else ():
            if re.fullmatch(r"[0-9a-f]{64}\.json", name):
                yield Version(None, None, os.path.join(contents, name), name[:64])

    def _in_trees(self, repository, node):
        if self._trees is None:
            self._trees = {}
            for version in self.trees():
                self._trees.setdefault(version.node[:12], []).append(version)
        versions = [v for v in self._trees.get(node[:12], ()) if v.node.startswith(node) or node.startswith(v.node)]
        return _choose(versions, repository)

    def _in_histories(self, repository, node):
        versions = []
        for name in self.repositories():
            row = self.table(name).find(node)
            if row:
                full, sha256, changed = row
                versions.append(Version(name, full, self.content_path(sha256), sha256, changed))
        return _choose(versions, repository)

    def _fetched(self, repository, node):
        said = self.said_of(repository, node)
        sha256 = said.get("sha256") if said else None
        return Version(repository, node, self.content_path(sha256), sha256) if sha256 else None

    def said_of(self, repository, node):
        """What a server said of a revision that still holds, a dict with `sha256` or `missing_until`, or None."""
        path = self._said_path(repository, node)
        if not os.path.exists(path):
            return None
        try:
            said = jsonl.loads(_read(path))
        except (BadData, NoInput):
            return None
        if not isinstance(said, dict) or not re.fullmatch("[0-9a-f]{64}", str(said.get("sha256", "0" * 64))):
            return None
        until = said.get("missing_until", 0)
        return said if "sha256" in said or (isinstance(until, int) and until > time.time()) else None

    def _said_path(self, repository, node):
        return self.path("fetched", repository, f"{node}.json")

    def keep_said(self, repository, node, said):
        """Keep what a server said of a revision."""
        path = self._said_path(repository, node)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        streams.replace(path, jsonl.dumps({"repository": repository, "node": node, **said}) + b"\n")

    def keep_content(self, data):
        """Store a Histograms.json, once, and return its SHA-256."""
        sha256 = digest(data)
        path = self.content_path(sha256)
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            streams.replace(path, data)
        return sha256

    def forget(self):
        """Look at the histories again: one has been written."""
        self._lines, self._tables = None, {}

    def repositories(self):
        """The names of the repositories whose history is here, sorted."""
        if self._lines is None:
            root = self.path("history")
            found = (os.path.relpath(folder, root) for folder, _, files in os.walk(root) if "versions.ndjson" in files)
            self._lines = {name: None for name in sorted(found)}
        return list(self._lines)

    def versions(self, repository):
        """The versions of a repository's main line, oldest first (dicts, see History); none if it is not known."""
        if repository not in self.repositories():
            return []
        if self._lines[repository] is None:
            self._lines[repository] = self.read_versions(repository)[1]
        return self._lines[repository]

    def read_versions(self, repository):
        """(the head dict, the version dicts) of a repository's versions.ndjson. Raises IOFailed if it is damaged."""
        path = self.path("history", repository, "versions.ndjson")
        try:
            head, *versions = [jsonl.loads(line) for line in _read(path).splitlines()]
        except (BadData, ValueError):
            head, versions = None, []
        if not isinstance(head, dict) or not isinstance(head.get("head"), str) or not all(map(_is_version, versions)):
            raise IOFailed("damaged", path, "remove it and run tel-history again")
        return head, versions

    def table(self, repository):
        """The Table of a repository's revisions."""
        if repository not in self._tables:
            names = os.listdir(self.path("contents")) if os.path.isdir(self.path("contents")) else ()
            self._tables[repository] = Table(self.path("history", repository, "revisions"), names)
        return self._tables[repository]

    def in_effect(self, repository, seconds):
        """The Version in effect in a repository at a time (seconds since 1970, UTC), or the first; None if unknown."""
        versions = [version for version in self.versions(repository) if version["sha256"]]
        at = bisect.bisect_right([version["from"] for version in versions], seconds)
        return self._of_line(versions[max(at - 1, 0)]) if versions else None

    def of_product(self, repository, product):
        """The last Version in effect while the repository made a product version; else of the nearest one, or None."""
        versions = [version for version in self.versions(repository) if version["sha256"]]
        made = [version for version in versions if product in version["versions"]]
        if not made and versions and _ordered(product):
            made = _nearest(versions, _ordered(product))
        return self._of_line(made[-1]) if made else None

    def _of_line(self, line):
        return self.load(Version(line["repository"], line["node"], self.content_path(line["sha256"]), line["sha256"]))


@functools.lru_cache(maxsize=8)
def shared(directory):
    """The Cache of a directory, one for all stages of a process."""
    return Cache(directory)


def _is_version(line):
    """Whether a value of versions.ndjson is what tel-history writes."""
    return (
        isinstance(line, dict)
        and all(isinstance(line.get(name), str) for name in ("repository", "node", "sha256"))
        and bool(re.fullmatch("([0-9a-f]{64})?", line["sha256"]))
        and all(
            line.get(name) is None or line[name].__class__ is int and line[name] < 1 << 40 for name in ("to", "pushed")
        )
        and line.get("from").__class__ is int
        and line["from"] < 1 << 40
        and isinstance(line.get("versions"), list)
        and all(isinstance(product, str) for product in line["versions"])
    )


def _choose(versions, repository):
    """The Version of the repository if there is one, else any; None where a short node stands for several revisions."""
    if len({version.node for version in versions if len(version.node) == 40}) > 1:
        return None
    return next(
        (version for version in versions if version.repository == repository), versions[0] if versions else None
    )


def _ordered(product):
    """A product version as integers that order it, or () if it is none.

    >>> _ordered("23.0.1"), _ordered("24.0a2")
    ((23, 0, 1), (24, 0))
    """
    match = re.match(r"\d{1,4}(?:\.\d{1,6}){0,3}", product) if isinstance(product, str) else None
    return tuple(map(int, match[0].split("."))) if match else ()


def _nearest(versions, wanted):
    """The versions of the nearest product version: in the same major if it is there, the latest not after, or first."""
    made = {order for version in versions for order in map(_ordered, version["versions"]) if order}
    made = {order for order in made if order[0] == wanted[0]} or made
    earlier = [order for order in made if order <= wanted]
    order = max(earlier) if earlier else min(made, default=())
    found = [version for version in versions if order in map(_ordered, version["versions"])]
    return found if earlier else (found or versions)[:1]


def _walk(directory, repository, depth):
    """Yield the Versions of the plain trees below a directory, in the order of their names."""
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
        elif depth and (repository or folder.name not in ("contents", "history", "fetched", "tables")):
            yield from _walk(folder.path, f"{repository}/{folder.name}" if repository else folder.name, depth - 1)
