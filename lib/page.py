"""The dashboard's own page: the files beside a published tree that show it in a browser, from any static server.

The charts are drawn by Plotly: of the well-kept chart libraries that PyPI carries it needs the fewest other packages
and draws SVG, which is sharp on every screen. Its script is large (5 MB), so that the page fetches it after the tables
are shown. It is copied from the installed package, so that nothing is ever fetched from elsewhere.
"""

import os

from tel import streams
from tel.errors import IOFailed, UsageError

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "dashboard")
PARTS = ("numbers", "tree", "state", "model", "view", "charts", "main")  # of the script, each using those before it
LIBRARY = "plotly.min.js"


def write(directory):
    """Write index.html, dashboard.js, dashboard.css and the chart library's script into a directory that is there.

    Raises UsageError where the chart library is not installed, IOFailed where a file cannot be written.
    """
    for name, data in files().items():
        streams.replace(os.path.join(directory, name), data)


def files():
    """{name: bytes} of the page's files. Raises UsageError where the chart library is not installed."""
    return {
        LIBRARY: _read(_library()),
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
    """The path of the chart library's script in the installed package."""
    try:
        import plotly
    except ImportError:
        raise UsageError("the page needs the package plotly", cure="pip install 'tel[dashboard]'") from None
    path = os.path.join(os.path.dirname(plotly.__file__), "package_data", LIBRARY)
    if not os.path.isfile(path):
        raise UsageError(f"the package plotly has no {LIBRARY}", cure="pip install --upgrade 'tel[dashboard]'")
    return path


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise IOFailed(f"cannot be read: {error.strerror}", path) from None
