"""The generations of ping, and where each keeps the few fields that every tool asks for.

classic   `ver` 1 (as sent) and 2 (as stored): info, histograms at top level; Firefox to 38. `ver` 5: a unified
          saved-session ping that was stored in this form
device    `ver` 3: Firefox OS 1.3, dotted names at top level
unified   `version` 4 (as sent) and 5 (as stored): application, environment, payload; Firefox from 39
"""

import functools
import re
from collections import namedtuple

from tel.errors import BadData
from tel.jsonl import Real

CLASSIC, DEVICE, UNIFIED = "classic", "device", "unified"
RAW, STORED, HOISTED = 1, 2, 5  # the classic `ver` numbers
DEVICE_RAW = 3
UNIFIED_RAW, UNIFIED_STORED = 4, 5  # the unified `version` numbers

PLAIN, KEYED, ADDON = "histograms", "keyedHistograms", "addonHistograms"
MOST_HISTOGRAMS = 50_000  # of one ping; real ones have at most some thousand

# Each field of a record's info: the places it is taken from, the first that holds a string, number or boolean; or,
# as one string, what it always is.
FIELDS = {
    CLASSIC: {
        "reason": (("info", "reason"),),
        "appName": (("info", "appName"),),
        "appUpdateChannel": (("info", "appUpdateChannel"),),
        "appVersion": (("info", "appVersion"),),
        "appBuildID": (("info", "appBuildID"),),
        "OS": (("info", "OS"),),
        "version": (("info", "version"),),
        "arch": (("info", "arch"),),
        "locale": (("info", "locale"),),
    },
    DEVICE: {
        "reason": "ftu",
        "appName": "FirefoxOS",
        "appUpdateChannel": (("deviceinfo.update_channel",),),
        "appVersion": (("deviceinfo.platform_version",),),
        "appBuildID": (("deviceinfo.platform_build_id",),),
        "version": (("deviceinfo.os",),),
        "locale": (("locale",),),
    },
    UNIFIED: {
        "reason": (("type",),),
        "appName": (("application", "name"),),
        "appUpdateChannel": (("application", "channel"),),
        "appVersion": (("application", "version"),),
        "appBuildID": (("application", "buildId"),),
        "OS": (("environment", "system", "os", "name"), ("payload", "os", "name")),
        "version": (("environment", "system", "os", "version"), ("payload", "os", "version")),
        "arch": (("application", "architecture"),),
        "locale": (("environment", "settings", "locale"),),
    },
}
REVISION = {CLASSIC: ("info", "revision"), DEVICE: ("revision",), UNIFIED: ("payload", "info", "revision")}
CLIENT = (("clientId",), ("clientID",), ("payload", "clientId"), ("payload", "clientID"))  # where a client's id may be
_ID = re.compile(r"(?!\{)[^\x00-\x20\x7f]{1,255}")


def generation(ping):
    """The generation of a parsed ping. Raises BadData `unknown_version`.

    >>> generation({"ver": 1})
    'classic'
    """
    ver, version = ping.get("ver"), ping.get("version")
    if ver.__class__ is int and ver in (RAW, STORED, HOISTED):
        return CLASSIC
    if ver.__class__ is int and ver == DEVICE_RAW:
        return DEVICE
    if "ver" not in ping and version.__class__ is int and version in (UNIFIED_RAW, UNIFIED_STORED):
        return UNIFIED
    shown = f"ver {ver!r:.40}" if "ver" in ping or "version" not in ping else f"version {version!r:.40}"
    raise BadData("unknown_version", f"not a known generation of ping: {shown.replace('None', 'missing')}")


def at(ping, way):
    """The value at a way of names into nested objects, or None.

    >>> at({"a": {"b": 1}}, ("a", "b"))
    1
    """
    for name in way:
        if not isinstance(ping, dict):
            return None
        ping = ping.get(name)
    return ping


def info_of(ping, generation):
    """The small info of a record from a ping: the FIELDS that it has.

    Raises BadData `missing_info` for a classic ping without an info object.
    """
    if generation == CLASSIC and not isinstance(ping.get("info"), dict):
        raise BadData("missing_info", "the ping has no info object")
    found = {name: _first(ping, ways) for name, ways in FIELDS[generation].items()}
    return {name: value for name, value in found.items() if value is not None}


def _first(ping, ways):
    if isinstance(ways, str):
        return ways
    for way in ways:
        value = at(ping, way)
        if isinstance(value, (str, int, float, Real)):
            return float(value) if value.__class__ is Real else value
    return None


# What the tools ask of a ping: its generation, whether it is in the storage format, its own id, its small info, the
# revision it names (all as they are in the ping, None where missing), and whether it carries histograms.
Outline = namedtuple("Outline", "generation stored id info revision carries")


class TextOutline:
    """The same for a ping's text, as a tier sees it, and that text in the storage format."""

    _sha256 = _converted_text = None  # what was asked for last

    def converted(self, version):
        """The ping's bytes in the storage format, its histograms being those of a Version (None: it has none).

        A parted.Parted where some of these are in doubt, None where only the reference way can tell. Remembered:
        several stages ask for it.
        """
        if not self._knows(version):
            self._sha256, self._converted_text = version and version.sha256, self._converted(version)
        return self._converted_text

    def fitting(self, version):
        """The same, where nobody asks for the bytes: True will do in their place."""
        return self._converted_text if self._knows(version) else self._fitting(version)

    def _knows(self, version):
        return self._converted_text is not None and self._sha256 == (version and version.sha256)

    def _fitting(self, version):
        return self.converted(version)


def outline(ping):
    """The Outline of a parsed ping. Raises BadData `unknown_version` or `missing_info`.

    >>> outline({"ver": 1, "info": {"OS": "Linux", "revision": "x"}})[2:]
    (None, {'OS': 'Linux'}, 'x', False)
    """
    kind = generation(ping)
    info, revision = info_of(ping, kind), at(ping, REVISION[kind])
    return Outline(kind, is_stored(ping), ping.get("id"), info, revision, carries_histograms(ping, kind))


def is_stored(ping):
    """Whether a ping of a known generation is in the storage format.

    >>> is_stored({"ver": 2}), is_stored({"version": 4})
    (True, False)
    """
    return ping["ver"] in (STORED, HOISTED) if "ver" in ping else ping["version"] == UNIFIED_STORED


def is_device(ping):
    """Whether a stored ping came from Firefox OS 1.3.

    >>> is_device({"ver": 2, "info": {"reason": "ftu"}, "deviceinfo.os": "1.3"})
    True
    """
    return at(ping, ("info", "reason")) == "ftu" and any(name.startswith("deviceinfo.") for name in ping)


def holders(ping, generation):
    """Yield (object, way) of every object of a ping that may hold histograms: the ping itself or its payload, the
    processes, the child payloads.

    >>> [way for _, way in holders({"payload": {"processes": {"gpu": {}}}}, "unified")]
    [('payload',), ('payload', 'processes', 'gpu')]
    """
    root, way = (ping.get("payload"), ("payload",)) if generation == UNIFIED else (ping, ())
    if isinstance(root, dict):
        yield root, way
        for name in ("processes", "childPayloads"):
            for step, holder in _members(root.get(name)):
                if isinstance(holder, dict):
                    yield holder, (*way, name, step)


def _members(value):
    if isinstance(value, dict):
        return value.items()
    return ((str(at), item) for at, item in enumerate(value)) if isinstance(value, list) else ()


def places(ping, generation, kinds=(PLAIN, KEYED, ADDON)):
    """Yield (holder, kind, way) of every set of histograms that a ping has: `holder[kind]` lies at `way`.

    Raises BadData `missing_histograms` for one that is not an object.
    """
    for holder, way in holders(ping, generation):
        for kind in kinds:
            if kind in holder:
                if holder[kind].__class__ is not dict:
                    raise BadData("missing_histograms", f"{'.'.join((*way, kind))} is not an object")
                yield holder, kind, (*way, kind)


def carries_histograms(ping, generation):
    """Whether a ping holds histograms, so that its definitions are needed.

    >>> carries_histograms({"ver": 1, "info": {}, "histograms": {}}, "classic")
    False
    """
    return any(holder.get(PLAIN) or holder.get(KEYED) for holder, _ in holders(ping, generation))


@functools.lru_cache(maxsize=8)  # the stages of a chain ask one after another
def check_id(id):
    """The document id itself. Raises BadData `no_id` or, for one that could not stand in a stored line, `bad_id`.

    >>> check_id("cba4d7a6")
    'cba4d7a6'
    """
    if not id:
        raise BadData("no_id", "no document id")
    if not _ID.fullmatch(id):
        raise BadData(
            "bad_id", "the document id begins with {, holds white space or control characters, or is longer than 255"
        )
    return id
