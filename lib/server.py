"""Asking a Mercurial web server for the definitions at a revision that the cache does not know."""

import time

from tel import definitions, fetch
from tel.errors import BadData, NotWhole

MISSING_FOR = 24 * 3600  # seconds for which a server's "no such revision" is believed


class Server:
    """A Mercurial web server, asked for the file at a revision that the cache does not know; each is asked for once.

    What it says is kept in the cache, also that it has no such revision, for MISSING_FOR seconds.
    """

    def __init__(self, cache, url, path, timeout):
        self.cache, self.url, self.path, self.timeout = cache, url.rstrip("/"), path, timeout
        self._missing = set()

    def version(self, repository, node):
        """The Version at a revision, loaded, or None if there is none. Raises NotWhole where no answer can be had."""
        if node in self._missing:
            return None
        if self.cache.said_of(repository, node):  # perhaps by another process, since the cache was looked at
            return self.cache.find(repository, node)
        data = fetch.get(f"{self.url}/{repository}/raw-file/{node}/{self.path}", self.timeout)
        if data is None:
            self._missing.add(node)
            self.cache.keep_said(repository, node, {"missing_until": int(time.time()) + MISSING_FOR})
            return None
        self._check(data, repository, node)
        self.cache.keep_said(repository, node, {"sha256": self.cache.keep_content(data)})
        return self.cache.find(repository, node)

    def _check(self, data, repository, node):
        try:
            definitions.load(data)
        except BadData as error:
            raise NotWhole(
                f"the answer is no Histograms.json: {error.reason}", f"{self.url}/{repository} at {node}"
            ) from None
