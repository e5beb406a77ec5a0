"""The tiers: faster ways to the same bytes. A tier looks at a ping's text, and hands over whatever it is not sure of.

plain      canonical text cut by Python's own string functions; always there
fast       the same, with histograms decoded by msgspec
compiled   a compiled module that skims the text; any generation of ping, members in any order

The best one that can be imported is used; TEL_TIER names another, or `reference`, which is no tier at all.
"""

import functools
import os
from importlib.machinery import PathFinder

from tel.errors import UsageError

REFERENCE = "reference"
TIERS = ("compiled", "fast", "plain")  # the best first


def look(ping, version=None):
    """A tier's Outline of a ping's bytes (a pings.TextOutline with what a pings.Outline has); None in doubt.

    `version`, the one that the ping is likely to be converted by, may save work.
    """
    return _ask("look")(ping, version)


def proven(ping):
    """The same for a ping that is strict JSON as a whole; None in doubt of that, too."""
    outline = look(ping)
    return outline if outline and (outline.proven or outline.is_sound(proves)) else None


def proves(ping):
    """Whether a tier can say at once that bytes are one object of strict JSON; False in doubt."""
    return _ask("strict")(ping)


def finder(ways):
    """A function of a ping's bytes: the spans of what lies at some ways, whose `text(n)` says what; None in doubt.

    A span, or a text, is None where nothing lies. None, and no function, where the tier has none.
    """
    return _ask("finder")(tuple(ways))


def sums():
    """An object that adds up histograms from their text (see sums.c), or None where the tier has none."""
    return _ask("sums")()


def active():
    """The name of the tier in use. Raises UsageError if TEL_TIER names none that can be had here."""
    if not _CHOSEN:
        use(os.environ.get("TEL_TIER"))
    return _CHOSEN[0]


def use(name):
    """Use another tier from now on. Raises UsageError for one that cannot be had here; the best if there is no name."""
    _CHOSEN[:] = [_choose(name)]
    _ask.cache_clear()


_CHOSEN = []


class _Reference:
    """What a tier does that cannot do a thing: nothing is seen, known or found at once."""

    @staticmethod
    def look(ping, version=None):
        """No Outline."""

    @staticmethod
    def strict(ping):
        """No proof."""
        return False

    @staticmethod
    def finder(ways):
        """No function."""

    @staticmethod
    def sums():
        """No sums."""


@functools.cache
def _ask(name):
    """A function of the tier in use."""
    return getattr(_imported(active()), name, None) or getattr(_Reference, name)


def _choose(name):
    """The name of the tier that is asked for, or of the best one."""
    if name == REFERENCE:
        return name
    if name and name not in TIERS:
        raise UsageError(f"TEL_TIER is {name[:40]!r}; there are {', '.join([*TIERS, REFERENCE])}")
    for tier in [name] if name else TIERS:
        if is_there(tier):
            return tier
    raise UsageError(f"TEL_TIER is {name}, which is not to be had here: {_WANTING[name]}")


_WANTING = {
    "compiled": "tel was installed without a C compiler",
    "fast": "msgspec is missing: pip install msgspec (the extra fast)",
}


def is_there(tier):
    """Whether a tier can be had, found out without importing more than must be."""
    if tier == "compiled":
        try:
            from tel import _skim, _sums  # noqa: F401
        except ImportError:
            return False
    return tier != "fast" or PathFinder.find_spec("msgspec") is not None


@functools.cache
def _imported(tier):
    """The module of a tier, imported when it is first asked something."""
    if tier == REFERENCE:
        return _Reference
    if tier == "compiled":
        from tel import compiled as module
    elif tier == "fast":
        from tel import typed as module
    else:
        from tel import canonical as module
    return module
