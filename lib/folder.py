"""A folder that appears whole: made aside, named by its content, and shown by a pointer that changes at once."""

import fcntl
import hashlib
import os
import re
import shutil
import time

from tel import jsonl
from tel.errors import IOFailed, NotWhole, naming

_OURS = re.compile(r".+-[0-9a-f]{16}")
_STAGED = ".new-"
_UNFINISHED = re.compile(r".+\.(?:json|html|css|js)\.\d+\.new")  # how streams.replace calls a file that it writes


class Folder:
    """A new folder below a root for what has a name in two parts, a/b; its files, JSON, are seen after `appear`."""

    def __init__(self, root, name):
        self._root, self._name, self._digest = root, name.replace("/", "-"), hashlib.sha256()
        self._path = os.path.join(root, _STAGED + name.replace("/", "~~"))  # as no other name is
        os.makedirs(self._path)

    def write(self, name, value):
        """Write a value as the JSON file of a name, which may hold a slash."""
        data = jsonl.dumps(value)
        path = os.path.join(self._path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with naming(path), open(path, "wb") as file:
            file.write(data)
        self._digest.update(b"%s\0%d\0%s" % (name.encode(), len(data), data))

    def appear(self):
        """Give the folder its name, which is returned: the same content has the same one, and is kept if there."""
        name = f"{self._name}-{self._digest.hexdigest()[:16]}"
        path = os.path.join(self._root, name)
        if os.path.isdir(path):
            shutil.rmtree(self._path)
        else:
            os.rename(self._path, path)
        return name


class Lock:
    """Held while somebody writes in folders below a directory, which are made; what a killed writer left is removed.

    Raises NotWhole while another process holds it.
    """

    def __init__(self, directory, folders):
        self._folders = folders
        for path in folders:
            os.makedirs(path, exist_ok=True)
        self._file = open(os.path.join(directory, ".lock"), "ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotWhole("another process is writing there", directory, "try again when it is done") from None

    def __enter__(self):
        self.tidy()
        return self

    def __exit__(self, *_):
        self.tidy()
        self._file.close()

    def tidy(self):
        """Remove folders and files that never appeared."""
        for path in self._folders:
            for name in os.listdir(path):
                if name.startswith(_STAGED):
                    shutil.rmtree(os.path.join(path, name))
                elif _UNFINISHED.fullmatch(name):
                    os.unlink(os.path.join(path, name))


def expire(root, before, now, grace):
    """Remove the folders that are shown no longer, `grace` seconds after: they are dated when they are replaced.

    `before` and `now` are the names of those shown before and now.
    """
    for name in os.listdir(root):
        path = os.path.join(root, name)
        if name in now or not _OURS.fullmatch(name) or not os.path.isdir(path):
            continue
        if name in before:
            os.utime(path)
        if max(time.time() - os.stat(path).st_mtime, 0) >= grace:
            leaving = os.path.join(root, f"{_STAGED}{name}")  # killed halfway, it must not be taken for a whole one
            os.rename(path, leaving)
            shutil.rmtree(leaving)


def point(path, target):
    """Let a symbolic link point to a target, relative to its own folder, in place of the one that is there."""
    if os.path.lexists(path) and not os.path.islink(path):
        raise IOFailed("is there and not a symbolic link of ours", path, "move it away")
    parent, name = os.path.split(path)
    os.makedirs(parent, exist_ok=True)
    staged = os.path.join(parent, f"{_STAGED}{name}")
    if os.path.lexists(staged):
        os.unlink(staged)
    os.symlink(target, staged)
    os.replace(staged, path)


def unpoint(path):
    """Remove a symbolic link of ours, and its folder if nothing else is in it."""
    if os.path.islink(path):
        os.unlink(path)
        if not os.listdir(os.path.dirname(path)):
            os.rmdir(os.path.dirname(path))
