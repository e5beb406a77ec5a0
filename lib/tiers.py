"""The tiers: faster ways to the same bytes. A tier looks at a ping's text, and hands over whatever it is not sure of.

plain      canonical text cut by Python's own string functions; always there
fast       the same, with the buckets of each layout decoded by msgspec
compiled   a compiled module that skims the text; any generation of ping, members in any order

The best one that can be imported is used; TEL_TIER names another, or `reference`, which is no tier at all.
"""

import os
from importlib.machinery import PathFinder

from tel.errors import UsageError

REFERENCE = "reference"
TIERS = ("compiled", "fast", "plain")  # the best first


def look(ping, version=None):
    """A tier's Outline of a ping's bytes, which has `stored_text` beside what a pings.Outline has; None in doubt.

    `version`, the one that the ping is likely to be converted by, may save work.
    """
    return _tier().look(ping, version)


def proves(ping):
    """Whether a tier can say at once that bytes are one object of strict JSON; False in doubt."""
    return _tier().strict(ping)


def finder(ways):
    """A function of a ping's bytes: a list that begins with the span, or None, of each of some ways; None in doubt.

    None, and no function, where the tier has none.
    """
    return _imported("compiled").finder(tuple(ways)) if active() == "compiled" else None


def sums():
    """An object that adds up histograms from their text (see sums.c), or None where the tier has none."""
    if active() != "compiled":
        return None
    from tel._sums import Sums

    return Sums()


def active():
    """The name of the tier in use. Raises UsageError if TEL_TIER names none that can be had here."""
    return _tier().name


def use(name):
    """Use another tier from now on. Raises UsageError for one that cannot be had here."""
    _CHOSEN[:] = [_choose(name)]


class _Reference:
    name = REFERENCE

    @staticmethod
    def look(ping, version=None):
        """Nothing is seen at once."""

    @staticmethod
    def strict(ping):
        """Nothing is known at once."""
        return False


class _Tier:
    """A tier whose module is imported when it is first asked something."""

    def __init__(self, name):
        self.name = name

    def look(self, ping, version=None):
        """Import the module, and be its functions from now on."""
        module = _imported(self.name)
        self.look, self.strict = module.look, getattr(module, "strict", _Reference.strict)
        return self.look(ping, version)

    def strict(self, ping):
        """The same."""
        self.look(b"")
        return self.strict(ping)


def _tier():
    if not _CHOSEN:
        _CHOSEN.append(_choose(os.environ.get("TEL_TIER")))
    return _CHOSEN[0]


_CHOSEN = []


def _choose(name):
    if name == REFERENCE:
        return _Reference
    if name and name not in TIERS:
        raise UsageError(f"TEL_TIER is {name[:40]!r}; there are {', '.join([*TIERS, REFERENCE])}")
    for tier in [name] if name else TIERS:
        if is_there(tier):
            return _Tier(tier)
    raise UsageError(f"TEL_TIER is {name}, which is not to be had here: {_WANTING[name]}")


_WANTING = {"compiled": "tel was installed without a C compiler", "fast": "msgspec is missing (the extra tel[fast])"}


def is_there(tier):
    """Whether a tier can be had, found out without importing more than must be."""
    if tier == "compiled":
        try:
            from tel import _skim, _sums  # noqa: F401
        except ImportError:
            return False
    return tier != "fast" or PathFinder.find_spec("msgspec") is not None


def _imported(tier):
    if tier == "compiled":
        from tel import compiled as module
    elif tier == "fast":
        from tel import typed as module
    else:
        from tel import canonical as module
    return module
