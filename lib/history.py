"""The history of a definitions file in a source repository: every version, and when it was in effect.

A source tells its Revisions, parents first, and the file's content at each. From these follow the content in effect
at every revision, and the line of versions of the main line: the head's first parents. A revision's date is its own,
or its parents' if that is later, since the clocks of committers differ: so the dates along a line never go back.
"""

import fcntl
import os
import re
import time

from tel import jsonl, revisions, streams
from tel.errors import NotWhole, UsageError
from tel.lookup import Table
from tel.revisions import REPOSITORY

PATH = "toolkit/components/telemetry/Histograms.json"
MILESTONE = "config/milestone.txt"


def milestone_of(text):
    """The product version in the text of config/milestone.txt (bytes, or None): its last line that is no comment.

    >>> milestone_of(b"# Holds the current milestone.\\n\\n23.0a1\\n")
    '23.0a1'
    """
    lines = [line.strip() for line in (text or b"").decode(errors="replace").splitlines()]
    words = [line for line in lines if line and not line.startswith("#")]
    return words[-1] if words and re.fullmatch(r"[0-9A-Za-z.]{1,30}", words[-1]) else None


class History:
    """What is known of one repository's definitions: its head, `nodes` and `versions`.

    `nodes` is {node: (SHA-256 of the content or "" for none, date in effect, whether it changed its first parent's)}.

    A version is a dict: repository, node, sha256, `from` and `to` (seconds since 1970, UTC; `to` None while in effect),
    pushed, `version` (the product's at that revision) and `versions` (all it had while this was in effect).
    """

    def __init__(self, repository, head=None, nodes=None, versions=None):
        self.repository, self.head = repository, head
        self.nodes, self.versions = nodes or {}, versions or []

    def update(self, source, paths, milestones, keep):
        """Take in what a source has beyond the head; `keep(bytes)` stores a content and returns its SHA-256.

        Returns the number of revisions that were new. A head that is gone, or no longer on the main line, means that
        the source's history was rewritten: all of it is taken in anew.
        """
        fresh = self._new(source)
        known = {node: sha256 or None for node, (sha256, _, _) in self.nodes.items()} if source.kind == "hg" else {}
        keys, stored = source.contents(fresh, paths, known), set(known.values())
        digests = {key: key if key in stored else keep(source.read(key)) for key in set(keys.values()) if key}
        for revision in fresh:
            self._take(revision, digests.get(keys[revision.node], ""))
        self._extend(source, self._main_line(source.head, fresh), milestones)
        self.head = source.head
        return len(fresh)

    def _new(self, source):
        """The revisions to take in: those beyond the head if it is still on the main line, else all."""
        if self.head is not None and source.has(self.head):
            fresh = source.revisions(self.head)
            line = self._main_line(source.head, fresh)
            if (line[0].parents[:1] if line else [source.head]) == [self.head]:
                return fresh
        self.head, self.nodes, self.versions = None, {}, []
        return source.revisions(None)

    def _take(self, revision, sha256):
        """Note a revision's content, its date in effect, and whether it changed what its first parent had."""
        date = revision.date if revision.pushed is None else revision.pushed
        parents = [self.nodes[parent] for parent in revision.parents if parent in self.nodes]
        changed = not parents or parents[0][0] != sha256
        self.nodes[revision.node] = (sha256, max([date, *(parent[1] for parent in parents)]), changed)

    @staticmethod
    def _main_line(head, fresh):
        """The new Revisions of the main line, oldest first."""
        by_node = {revision.node: revision for revision in fresh}
        line = []
        while head in by_node:
            line.append(by_node[head])
            head = line[-1].parents[0] if line[-1].parents else None
        return line[::-1]

    def _extend(self, source, line, milestones):
        """Add the versions of the main line's next revisions."""
        keys, texts = source.contents(line, milestones, {}), {}
        for revision in line:
            sha256, date, _ = self.nodes[revision.node]
            key = keys[revision.node]
            if key not in texts:
                texts[key] = milestone_of(source.read(key)) if key else None
            if (self.versions[-1]["sha256"] if self.versions else "") != sha256:
                self._begin(revision, sha256, date, texts[key])
            if self.versions and texts[key] and texts[key] not in self.versions[-1]["versions"]:
                self.versions[-1]["versions"].append(texts[key])

    def _begin(self, revision, sha256, date, milestone):
        """Begin a version, which ends the one before; an empty digest is a time without the file."""
        if self.versions:
            self.versions[-1]["to"] = date
        self.versions.append(
            {
                "repository": self.repository,
                "node": revision.node,
                "sha256": sha256,
                "from": date,
                "to": None,
                "pushed": revision.pushed,
                "version": milestone,
                "versions": [],
            }
        )


def load(cache, repository):
    """The History of a repository as the cache has it; an empty one if it has none."""
    if repository not in cache.repositories():
        return History(repository)
    head, versions = cache.read_versions(repository)
    return History(repository, head["head"], cache.table(repository).load(), versions)


def save(cache, history, kind):
    """Put a History into the cache: the revisions first, so that whoever sees the versions finds them."""
    folder = cache.path("history", history.repository)
    streams.replace(os.path.join(folder, "revisions"), Table.dump(history.nodes))
    lines = [{"repository": history.repository, "head": history.head, "source": kind}, *history.versions]
    streams.replace(os.path.join(folder, "versions.ndjson"), b"".join(jsonl.dumps(line) + b"\n" for line in lines))
    cache.forget()


def claim(cache, repository):
    """Lock a repository's history, making its folder; the lock lasts as long as the descriptor returned.

    Raises UsageError for a name that is none, NotWhole where another process has the lock.
    """
    if not re.fullmatch(REPOSITORY, repository):
        raise UsageError(f"--repo takes a name like releases/mozilla-beta, not {repository!r}")
    folder = cache.path("history", repository)
    os.makedirs(folder, exist_ok=True)
    fd = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise NotWhole("another process is taking in this history", folder, "wait until it has ended") from None
    return fd


def release(lock):
    """Give a repository's history free."""
    os.close(lock)


def told(version):
    """A version as tel-history prints it: dates in ISO 8601.

    >>> told({"node": "a", "from": 0, "to": None, "pushed": None})
    {'node': 'a', 'from': '1970-01-01T00:00:00Z', 'to': None, 'pushed': None}
    """
    dates = {name: _iso(version[name]) for name in ("from", "to", "pushed")}
    return {**version, **dates}


def _iso(seconds):
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def import_tree(source, cache):
    """Take over the plain trees `<repository>/<node>/Histograms.json` below a directory; yields each Version."""
    for version in revisions.Cache(source).trees():
        version.load(revisions.Tables())
        with open(version.path, "rb") as file:
            cache.keep_said(version.repository, version.node, {"sha256": cache.keep_content(file.read())})
        yield version


def damage(cache):
    """Yield (path, reason) of every content in the cache that is missing or is not what its SHA-256 says."""
    folder = cache.path("contents")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in names:
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            yield path, "not a file"
            continue
        with open(path, "rb") as file:
            if f"{revisions.digest(file.read())}.json" != name:
                yield path, "its content does not have its SHA-256"
    for repository in cache.repositories():
        for sha256 in sorted({version["sha256"] for version in cache.versions(repository)} - {""}):
            if f"{sha256}.json" not in names:
                yield cache.content_path(sha256), f"missing, and {repository} needs it"
