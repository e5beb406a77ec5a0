"""Real source repositories for tests, the same story told to Mercurial and to git, and trees of real definitions."""

import gzip
import os
import subprocess

PATH = "toolkit/components/telemetry/Histograms.json"
OLD_PATH = "toolkit/components/telemetry/TelemetryHistograms.json"
MILESTONE = "config/milestone.txt"


def definitions(*names):
    """The text of a Histograms.json that defines these names."""
    return "{%s}" % ", ".join(f'"{name}": {{"kind": "flag", "description": "{name}"}}' for name in names)


class Repository:
    """A working copy under `place`; subclasses say how to commit, go back and merge."""

    def __init__(self, place):
        self.place = str(place)
        os.makedirs(self.place, exist_ok=True)
        self.nodes, self.said = [], {}

    def run(self, *command, date=None):
        stamp = f"@{date or 0} +0000"
        environment = {
            **os.environ,
            "HGUSER": "t",
            "HGPLAIN": "1",
            "HGRCPATH": os.devnull,
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        environment.update({f"GIT_{who}_{what}": "t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")})
        environment.update(GIT_AUTHOR_DATE=stamp, GIT_COMMITTER_DATE=stamp)
        done = subprocess.run(command, cwd=self.place, env=environment, capture_output=True)
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout.decode()

    def write(self, path, text):
        """Write a file of the working copy (None removes it)."""
        full = os.path.join(self.place, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if text is None:
            os.unlink(full)
        else:
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)

    def commit(self, date, **files):
        """Commit with some files changed: defined=text of the definitions, milestone=version, other=text."""
        for name, text in files.items():
            path = {"defined": PATH, "old": OLD_PATH, "milestone": MILESTONE}.get(name, name)
            self.write(path, f"# comment\n\n{text}\n" if name == "milestone" else text)
        self.record(date)
        self.nodes.append(self.head())
        return self.nodes[-1]


class Hg(Repository):
    """A Mercurial repository."""

    kind = "--hg"

    def __init__(self, place):
        super().__init__(place)
        self.run("hg", "init")

    def record(self, date):
        self.run("hg", "addremove", "-q")
        self.run("hg", "commit", "-q", "-m", "change", "-d", f"{date} 0")

    def head(self):
        return self.run("hg", "log", "-r", ".", "-T", "{node}")

    def goto(self, node):
        self.run("hg", "update", "-q", "-C", node)

    def merge(self, node, date, ours):
        self.run("hg", "merge", "-q", "-r", node, "--tool", "internal:local" if ours else "internal:other")
        self.run("hg", "commit", "-q", "-m", "merge", "-d", f"{date} 0")
        self.nodes.append(self.head())

    def cat(self, node, path):
        done = subprocess.run(
            ["hg", "cat", "-r", node, path], cwd=self.place, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        return done.stdout if done.returncode == 0 else None


class Git(Repository):
    """A git repository."""

    kind = "--git"

    def __init__(self, place):
        super().__init__(place)
        self.run("git", "init", "-q", "-b", "main")

    def record(self, date):
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "change", date=date)

    def head(self):
        return self.run("git", "rev-parse", "HEAD").strip()

    def goto(self, node):
        self.run("git", "checkout", "-q", node)

    def merge(self, node, date, ours):
        self.run("git", "merge", "-q", "--no-edit", "-X", "ours" if ours else "theirs", node, date=date)
        self.nodes.append(self.head())

    def cat(self, node, path):
        done = subprocess.run(
            ["git", "show", f"{node}:{path}"], cwd=self.place, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        return done.stdout if done.returncode == 0 else None


DAY = 24 * 3600


def tell(repository, start):
    """The story, from a day (seconds since 1970) on: a rename, a side line, two merges, a backout, a late clock."""
    commit = repository.commit
    commit(start, other="no definitions yet", milestone="18.0a1")
    commit(start + DAY, old=definitions("A"))
    commit(start + 2 * DAY, old=None, defined=definitions("A"))
    base = commit(start + 3 * DAY, defined=definitions("A", "B"))
    commit(start + 4 * DAY, other="nothing to do with it", milestone="19.0a1")
    main = commit(start + 5 * DAY, defined=definitions("A", "B", "C"))
    repository.goto(base)
    side = commit(start + 4 * DAY, side="a side line")
    changed = commit(start + 6 * DAY, defined=definitions("A", "B", "SIDE"))
    repository.goto(main)
    repository.merge(side, start + 7 * DAY, ours=True)
    middle = repository.nodes[-1]
    repository.merge(changed, start + 8 * DAY, ours=False)
    assert repository.nodes[-1] != middle
    commit(start + 9 * DAY, defined=definitions("A", "B", "C"), milestone="20.0a1")
    commit(start + 3 * DAY, defined=definitions("A", "B", "C", "LATE"))
    commit(start + 10 * DAY, other="and so on", milestone="20.0a2")
    return repository


def more(repository, start):
    """What happens after the story: one version more, and a revision that does not touch it."""
    repository.commit(start + 20 * DAY, defined=definitions("Z"), milestone="21.0")
    repository.commit(start + 21 * DAY, other="the end")


def plant(corpus, nodes, place):
    """A plain tree at `place` with a real file of definitions, named by how it begins, for each node; returns `place`."""
    for node, prefix in nodes.items():
        (path,) = corpus.glob(f"histograms/{prefix}*.json.gz")
        folder = place / "mozilla-central" / node
        folder.mkdir(parents=True)
        (folder / "Histograms.json").write_bytes(gzip.decompress(path.read_bytes()))
    return place
