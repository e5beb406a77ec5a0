"""Where a history comes from: a git clone, a Mercurial clone, or a Mercurial web server.

A source has a `kind` and a `head`, tells whether it `has` a node, its `revisions` beyond a known one, parents first,
the `contents` of a file at them (as keys), and the bytes of a content by `read`.
"""

import hashlib
import os
import re
import subprocess
from collections import namedtuple

from tel import fetch, jsonl
from tel.errors import BadData, NoInput

# One revision: its node, its parents' nodes (the main line's first), its date and push date (seconds since 1970, UTC;
# `pushed` None where the source does not know).
Revision = namedtuple("Revision", "node parents date pushed")


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
        return [
            Revision(node, [p for p in parents if p.strip("0")], int(date), None) for node, date, _, *parents in rows
        ]

    def contents(self, asked, paths, known):
        """{node: key of the content of the first path that is there, or None}; `known` are those of earlier ones."""
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
            raise NoInput(
                "the server has no log of the file", self.url, f"--path names it; asked for {', '.join(paths)}"
            )
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
        return [
            Revision(entry["node"], before, int(entry["date"][0]), self._pushed(entry["node"]))
            for entry, before in rows
        ]

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


def source(hg, git, ref, paths, timeout):
    """The source that the words of the command line name: a git clone, a Mercurial clone or server."""
    if git:
        return GitClone(git, ref or "HEAD")
    if re.match("https?://", hg):
        return HgServer(hg, paths, timeout)
    return HgClone(hg, ref or "default")
