"""The dashboard's own page: the files beside a published tree that show it in a browser, from any static server.

The charts are drawn by Bokeh: of the well-kept chart libraries that PyPI carries it has the smallest script (1.4 MB;
Plotly's has 4.8 MB and takes a browser seven times as long to start). It is copied from the installed package, so that
nothing is ever fetched from elsewhere; nothing else of the package is used.
"""

import importlib.util
import os

from tel import streams
from tel.errors import IOFailed, UsageError

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "dashboard")
PARTS = (
    "numbers",
    "tree",
    "state",
    "model",
    "view",
    "charts",
    "plots",
    "main",
)  # of the script, each using those before it
LIBRARY = ("bokeh.min.js", "bokeh-api.min.js")


def write(directory, files):
    """Write a page's files {name: bytes} into a directory that is there. Raises IOFailed."""
    for name, data in files.items():
        streams.replace(os.path.join(directory, name), data)


def files():
    """{name: bytes} of a page: index.html, dashboard.js, dashboard.css and the scripts of the chart library.

    Raises UsageError where that is not installed.
    """
    return {
        **_library(),
        "dashboard.css": _source("dashboard.css"),
        "dashboard.js": script(PARTS),
        "index.html": _source("index.html"),
    }


def script(parts):
    """Parts of the script as one, whose names are its own.

    >>> script(["numbers"]).splitlines()[0]
    b'"use strict";'
    """
    return b'"use strict";\n(() => {\n' + b"\n".join(_source(f"{part}.js") for part in parts) + b"})();\n"


def _source(name):
    return _read(os.path.join(SOURCES, name))


def _library():
    """{name: bytes} of the chart library's scripts, found in its package without running that."""
    found = importlib.util.find_spec("bokeh")
    if found is None:
        raise UsageError(
            "the page needs the package bokeh", cure="pip install --no-deps 'bokeh>=3' (the extra dashboard)"
        )
    folder = os.path.join(os.path.dirname(found.origin), "server", "static", "js")
    if not all(os.path.isfile(os.path.join(folder, name)) for name in LIBRARY):
        raise UsageError("the package bokeh lacks its scripts", cure="pip install --force-reinstall --no-deps bokeh")
    return {name: _read(os.path.join(folder, name)) for name in LIBRARY}


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise IOFailed(f"cannot be read: {error.strerror}", path) from None
