"""The history of a definitions file in a source repository: every version, and when it was in effect.

A source (a git clone, a Mercurial clone, a Mercurial web server) tells its Revisions, parents first, and the file's
content at each. From these follow the content in effect at every revision, and the line of versions of the main line:
the head's first parents. A revision's date is its own, or its parents' if that is later, since the clocks of
committers differ: so the dates along a line never go back.
"""

import fcntl
import hashlib
import os
import re
import subprocess
import time
from collections import namedtuple

from tel import fetch, jsonl, revisions, streams
from tel.errors import BadData, NoInput, NotWhole, UsageError
from tel.revisions import REPOSITORY, Table

PATH = "toolkit/components/telemetry/Histograms.json"
MILESTONE = "config/milestone.txt"

# One revision: its node, its parents' nodes (the main line's first), its date and push date (seconds since 1970, UTC;
# `pushed` None where the source does not know).
Revision = namedtuple("Revision", "node parents date pushed")


def milestone_of(text):
    """The product version in the text of config/milestone.txt (bytes, or None): its last line that is no comment.

    >>> milestone_of(b"# Holds the current milestone.\\n\\n23.0a1\\n")
    '23.0a1'
    """
    lines = [line.strip() for line in (text or b"").decode(errors="replace").splitlines()]
    words = [line for line in lines if line and not line.startswith("#")]
    return words[-1] if words and re.fullmatch(r"[0-9A-Za-z.]{1,30}", words[-1]) else None


def _run(command, stdin=None):
    """The finished process of a command, whatever its status. Raises NoInput if it cannot be run."""
    environment = {**os.environ, "HGPLAIN": "1", "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(command, input=stdin, capture_output=True, env=environment)
    except OSError as error:
        raise NoInput(f"{command[0]} cannot be run: {error.strerror}", cure=f"install {command[0]}") from None


def _output(command, stdin=None):
    """The stdout of a command. Raises NoInput with its last words if it fails."""
    done = _run(command, stdin)
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines() or [f"it ended with status {done.returncode}"]
        raise NoInput(f"{command[0]}: {words[-1]}")
    return done.stdout


class GitClone:
    """A local git clone, asked through `git`; `ref` is the branch that is one repository's main line."""

    kind = "git"

    def __init__(self, place, ref):
        self.place = place
        self.head = self._git("rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}").decode().strip()

    def _git(self, *words, stdin=None):
        return _output(["git", "-C", self.place, *words], stdin)

    def has(self, node):
        """Whether a node is (still) there."""
        return _run(["git", "-C", self.place, "cat-file", "-e", f"{node}^{{commit}}"]).returncode == 0

    def revisions(self, known):
        """The Revisions that lead to the head, parents first, but for the known node and what led to it."""
        range_ = [self.head, *([f"^{known}"] if known else [])]
        listed = self._git("log", "--topo-order", "--reverse", "--format=%H %ct %P", *range_).decode()
        words = (line.split() for line in listed.splitlines())
        return [Revision(node, parents, int(date), None) for node, date, *parents in words]

    def contents(self, asked, paths, _known):
        """{node: key of the content of the first of the paths that is there, or None}, for `read`."""
        places = [(revision.node, path) for revision in asked for path in paths]
        names = "".join(f"{node}:{path}\n" for node, path in places).encode()
        answers = self._git("cat-file", "--batch-check=%(objecttype) %(objectname)", stdin=names).decode().splitlines()
        found = dict.fromkeys(revision.node for revision in asked)
        for (node, _), answer in zip(places, answers):
            kind, _, blob = answer.partition(" ")
            if kind == "blob" and found[node] is None:
                found[node] = blob
        return found

    def read(self, key):
        """The bytes of a content."""
        return self._git("cat-file", "blob", key)


class HgClone:
    """A local Mercurial clone, asked through `hg`; `ref` is the head of the main line.

    Mercurial tells which revisions touch a file; the others have their parents' content, and a merge whose parents
    differ is asked for its own.
    """

    kind = "hg"

    def __init__(self, place, ref):
        self.place = place
        self.head = self._log(ref, "{node}").decode().split("\n")[-1]
        self._read = {}

    def _log(self, revset, template):
        return _output(["hg", "-R", self.place, "log", "-r", revset, "-T", template])

    def has(self, node):
        """Whether a node is (still) there."""
        return _run(["hg", "-R", self.place, "log", "-r", node, "-T", "."]).returncode == 0

    def revisions(self, known):
        """The Revisions that lead to the head, parents first, but for the known node and what led to it."""
        revset = f"sort(::{self.head}{f' - ::{known}' if known else ''}, rev)"
        listed = self._log(revset, "{node} {date|hgdate} {p1node} {p2node}\n").decode()
        rows = (line.split() for line in listed.splitlines())
        return [Revision(node, [p for p in parents if p.strip("0")], int(date), None) for node, date, _, *parents in rows]

    def contents(self, asked, paths, known):
        """{node: key of the content of the first of the paths that is there, or None}; `known` is that of earlier ones."""
        found, touched = {}, self._touching(asked, paths)
        for revision in asked:
            inherited = {found.get(parent, known.get(parent, self)) for parent in revision.parents}
            if revision.node in touched or len(inherited) != 1 or self in inherited:
                found[revision.node] = self._content(revision.node, paths)
            else:
                found[revision.node] = inherited.pop()
        return found

    def _touching(self, asked, paths):
        if not asked:
            return set()
        files = " or ".join(f"file({jsonl.dumps('path:' + path).decode()})" for path in paths)
        first, last = asked[0].node, asked[-1].node
        return set(self._log(f"({first}:{last}) and ({files})", "{node}\n").decode().split())

    def _content(self, node, paths):
        """The key (SHA-256) of the content at a node, which is kept until it is asked for."""
        for path in paths:
            done = _run(["hg", "-R", self.place, "cat", "-r", node, os.path.join(self.place, path)])
            if done.returncode == 0:
                key = hashlib.sha256(done.stdout).hexdigest()
                self._read[key] = done.stdout
                return key
        return None

    def read(self, key):
        """The bytes of a content that `contents` found now."""
        return self._read[key]


class HgServer:
    """A Mercurial web server (hgweb), asked for its JSON log of the file and for the file at those revisions.

    It tells the revisions that touch the file only, which are taken as one line in the order of the log.
    """

    kind = "hgweb"

    def __init__(self, url, paths, timeout):
        self.url, self.timeout = url.rstrip("/"), timeout
        self._entries, self._read = self._log(paths), {}
        self.head = self._entries[-1]["node"] if self._entries else None

    def _log(self, paths):
        """The entries of the file logs of all paths, oldest first."""
        entries = {}
        for path in reversed(paths):
            answer = fetch.get(f"{self.url}/json-filelog/tip/{path}", self.timeout)
            for entry in reversed(_entries(answer, self.url) if answer else []):
                entries.setdefault(entry["node"], entry)
        if not entries:
            raise NoInput("the server has no log of the file", self.url, f"--path names it; asked for {', '.join(paths)}")
        return list(entries.values())

    def has(self, node):
        """Whether a node is (still) in the log."""
        return any(entry["node"] == node for entry in self._entries)

    def revisions(self, known):
        """The Revisions of the file's log after the known node, oldest first, each the child of the one before."""
        nodes = [entry["node"] for entry in self._entries]
        start = nodes.index(known) + 1 if known else 0
        parents = [[node] for node in nodes[:-1]]
        rows = list(zip(self._entries, [[], *parents]))[start:]
        return [Revision(entry["node"], before, int(entry["date"][0]), self._pushed(entry["node"])) for entry, before in rows]

    def _pushed(self, node):
        """When a revision was pushed, where the server keeps such a log."""
        answer = fetch.get(f"{self.url}/json-rev/{node}", self.timeout)
        try:
            return int(jsonl.loads(answer)["pushdate"][0])
        except (BadData, TypeError, KeyError, IndexError, ValueError):
            return None

    def contents(self, asked, paths, _known):
        """{node: key (SHA-256) of the content of the first of the paths that is there, or None}."""
        return {revision.node: self._content(revision.node, paths) for revision in asked}

    def _content(self, node, paths):
        for path in paths:
            data = fetch.get(f"{self.url}/raw-file/{node}/{path}", self.timeout)
            if data is not None:
                key = hashlib.sha256(data).hexdigest()
                self._read[key] = data
                return key
        return None

    def read(self, key):
        """The bytes of a content that `contents` found now."""
        return self._read[key]


def _entries(answer, url):
    """The entries of a JSON file log. Raises NoInput for what is none."""
    try:
        entries = jsonl.loads(answer)["entries"]
        if all(re.fullmatch("[0-9a-f]{40}", entry["node"]) and entry["date"][0] >= 0 for entry in entries):
            return entries
    except (BadData, TypeError, KeyError, IndexError):
        pass
    raise NoInput("the answer is no JSON log of a file", url, "is this the address of a repository of an hgweb server?")


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


def source(hg, git, ref, paths, timeout):
    """The source that the words of the command line name: a git clone, a Mercurial clone or server."""
    if git:
        return GitClone(git, ref or "HEAD")
    if re.match("https?://", hg):
        return HgServer(hg, paths, timeout)
    return HgClone(hg, ref or "default")


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
        version.load()
        with open(version.path, "rb") as file:
            cache.keep_said(version.repository, version.node, {"sha256": cache.keep_content(file.read())})
        yield version


def damage(cache):
    """Yield (path, reason) of every content in the cache that is missing or is not what its SHA-256 says."""
    folder = cache.path("contents")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            if f"{revisions.digest(file.read())}.json" != name:
                yield os.path.join(folder, name), "its content does not have its SHA-256"
    for repository in cache.repositories():
        for sha256 in sorted({version["sha256"] for version in cache.versions(repository)} - {""}):
            if f"{sha256}.json" not in names:
                yield cache.content_path(sha256), f"missing, and {repository} needs it"
