"""The generations of ping, and where each keeps the few fields that every tool asks for.

classic   `ver` 1 (as sent) and 2 (as stored): info, histograms at top level; Firefox to 38
device    `ver` 3: Firefox OS 1.3, dotted names at top level
unified   `version` 4: application, environment, payload; Firefox from 39
"""

import re

from tel.errors import BadData

CLASSIC, DEVICE, UNIFIED = "classic", "device", "unified"
RAW, STORED = 1, 2  # the classic `ver` numbers

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
HISTOGRAM_HOLDERS = ("histograms", "keyedHistograms")

_ID = re.compile(r"[^\x00-\x20\x7f]{1,255}")


def generation(ping):
    """The generation of a parsed ping. Raises BadData `unknown_version`.

    >>> generation({"ver": 1})
    'classic'
    """
    ver, version = ping.get("ver"), ping.get("version")
    if ver.__class__ is int and ver in (RAW, STORED):
        return CLASSIC
    if ver.__class__ is int and ver == 3:
        return DEVICE
    if "ver" not in ping and version.__class__ is int and version == 4:
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
    """The small info of a record from a ping: the FIELDS that it has. Raises BadData `missing_info` for a classic one without."""
    if generation == CLASSIC and not isinstance(ping.get("info"), dict):
        raise BadData("missing_info", "the ping has no info object")
    found = {name: _first(ping, ways) for name, ways in FIELDS[generation].items()}
    return {name: value for name, value in found.items() if value is not None}


def _first(ping, ways):
    if isinstance(ways, str):
        return ways
    values = (at(ping, way) for way in ways)
    return next((value for value in values if isinstance(value, (str, int, float))), None)


def carries_histograms(ping, generation):
    """Whether a ping holds histograms, so that its definitions are needed.

    >>> carries_histograms({"ver": 1, "info": {}, "histograms": {}}, "classic")
    False
    """
    if generation == UNIFIED:
        payload = ping.get("payload")
        processes = at(payload, ("processes",))
        holders = [payload, *(processes.values() if isinstance(processes, dict) else ())]
        children = at(payload, ("childPayloads",))
        holders += children if isinstance(children, list) else ()
    else:
        holders = [ping]
    return any(isinstance(holder, dict) and any(holder.get(name) for name in HISTOGRAM_HOLDERS) for holder in holders)


def check_id(id):
    """The document id itself. Raises BadData `no_id` or, for one that could not stand in a stored line, `bad_id`.

    >>> check_id("cba4d7a6")
    'cba4d7a6'
    """
    if not id:
        raise BadData("no_id", "no document id")
    if not _ID.fullmatch(id):
        raise BadData("bad_id", "the document id holds white space or control characters, or is longer than 255")
    return id
