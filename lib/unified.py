"""Pings of other generations made like classic ones, as the telemetry server stored them, and back.

Version 4 becomes 5: an `info` made from `application` says what a classic ping's info said. A saved-session ping is
made to look like a classic one altogether: its payload is hoisted to the top level, and its environment goes into
`info` under the classic names. `ver` 3 (Firefox OS 1.3) becomes 2 with an `info` made from its `deviceinfo.*`.
Values that would meet one already there keep their own place under a prefixed name, so that nothing is lost.
"""

from tel import pings
from tel.document import REMOVED
from tel.errors import BadData

# info's name: the way to its value below `application`
APPLICATION = {
    "appName": ("name",),
    "appUpdateChannel": ("channel",),
    "appVersion": ("version",),
    "appBuildID": ("buildId",),
    "arch": ("architecture",),
    "platformVersion": ("platformVersion",),
    "xpcomAbi": ("xpcomAbi",),
    "vendor": ("vendor",),
}

# info's name: the way to its value below `environment`
ENVIRONMENT = {
    "appID": ("build", "applicationId"),
    "platformBuildID": ("build", "buildId"),
    "cpucount": ("system", "cpu", "count"),
    "memsize": ("system", "memoryMB"),
    "isWow64": ("system", "isWow64"),
    "device": ("system", "device", "model"),
    "manufacturer": ("system", "device", "manufacturer"),
    "hardware": ("system", "device", "hardware"),
    "tablet": ("system", "device", "isTablet"),
    "locale": ("settings", "locale"),
    "OS": ("system", "os", "name"),
    "version": ("system", "os", "version"),
    "kernel_version": ("system", "os", "kernelVersion"),
    "D2DEnabled": ("system", "gfx", "D2DEnabled"),
    "DWriteEnabled": ("system", "gfx", "DWriteEnabled"),
    "DWriteVersion": ("system", "gfx", "DWriteVersion"),
    "profileHDDModel": ("system", "hdd", "profile", "model"),
    "profileHDDRevision": ("system", "hdd", "profile", "revision"),
    "binHDDModel": ("system", "hdd", "binary", "model"),
    "binHDDRevision": ("system", "hdd", "binary", "revision"),
    "winHDDModel": ("system", "hdd", "system", "model"),
    "winHDDRevision": ("system", "hdd", "system", "revision"),
    "activeExperiment": ("addons", "activeExperiment", "id"),
    "activeExperimentBranch": ("addons", "activeExperiment", "branch"),
    "persona": ("addons", "theme", "id"),
}

# info's name, with "2" appended for the second: the member of one of `environment.system.gfx.adapters`
ADAPTER = {
    "adapterDescription": "description",
    "adapterVendorID": "vendorID",
    "adapterDeviceID": "deviceID",
    "adapterSubsysID": "subsysID",
    "adapterRAM": "RAM",
    "adapterDriver": "driver",
    "adapterDriverVersion": "driverVersion",
    "adapterDriverDate": "driverDate",
}
ADAPTERS = ("system", "gfx", "adapters")

TOP_LEVEL = frozenset(  # what a saved-session ping has beside its payload
    ("type", "id", "creationDate", "version", "application", "clientId", "profileGroupId", "environment", "info", "ver")
)
PAYLOAD, ENVIRONMENT_PREFIX = "payload.", "environment."


def to_stored(ping):
    """The members to change in a raw unified ping, its histograms done, to make it `version` 5.

    Raises BadData `missing_member`, `missing_info`, or `name_clash` for a ping that has what is to be made.
    """
    for name, kind in (("type", str), ("application", dict), ("payload", dict)):
        if not isinstance(ping.get(name), kind):
            raise BadData("missing_member", f"a version 4 ping without {name}")
    if "info" in ping:
        raise BadData("name_clash", "a version 4 ping with an info of its own")
    info = info_of(ping["application"], ping["type"])
    changes = {"version": pings.UNIFIED_STORED, "info": info}
    return {**changes, **_classic(ping, info)} if ping["type"] == "saved-session" else changes


def info_of(application, type):
    """The info that a stored ping is given, from its application and type.

    >>> info_of({"name": "Firefox"}, "main")
    {'appName': 'Firefox', 'reason': 'main'}
    """
    return {**_picked(application, APPLICATION), "reason": type}


def _picked(source, ways):
    values = ((name, pings.at(source, way)) for name, way in ways.items())
    return {name: value for name, value in values if value is not None}


def _classic(ping, info):
    """The changes that hoist a saved-session ping's payload, `info` being filled from it and from the environment."""
    payload, environment = ping["payload"], ping.get("environment")
    if not isinstance(payload.get("info"), dict):
        raise BadData("missing_info", "a saved-session ping without payload.info")
    if not isinstance(environment, dict):
        raise BadData("missing_member", "a saved-session ping without environment")
    if any(name.startswith((PAYLOAD, ENVIRONMENT_PREFIX)) for name in (*payload, *payload["info"])):
        raise BadData("name_clash", "a saved-session ping with names that the storage format makes")
    _merge(info, payload["info"], PAYLOAD)
    _merge(info, _environment_info(environment), ENVIRONMENT_PREFIX)
    changes = {"ver": pings.HOISTED, "payload": REMOVED}
    for name, value in payload.items():
        if name != "info":
            changes[PAYLOAD + name if name == "ver" or name in TOP_LEVEL or name == "clientID" else name] = value
    if "clientId" in ping:
        changes["clientID"] = ping["clientId"]
    return changes


def _merge(info, more, prefix):
    for name, value in more.items():
        info[prefix + name if name in info else name] = value


def _environment_info(environment):
    """What the environment says under the names of a classic info."""
    info = _picked(environment, ENVIRONMENT)
    if isinstance(info.get("OS"), str) and info["OS"].startswith("Windows_"):
        info["OS"] = "WINNT"
    adapters = pings.at(environment, ADAPTERS)
    for adapter, suffix in zip(adapters if isinstance(adapters, list) else (), ("", "2")):
        if isinstance(adapter, dict):
            info.update(
                (name + suffix, adapter[member]) for name, member in ADAPTER.items() if adapter.get(member) is not None
            )
            if suffix:
                info["isGPU2Active"] = bool(adapter.get("GPUActive"))
    return info


def to_raw(ping):
    """The members to change in a `version` 5 ping, its histograms undone, to make it 4 again.

    The inverse of `to_stored`. Raises BadData `missing_member` for a saved-session ping that lacks what it is made of.
    """
    changes = {"version": pings.UNIFIED_RAW, "info": REMOVED}
    if "ver" not in ping:
        return changes
    for name, kind in (("type", str), ("application", dict), ("environment", dict), ("info", dict)):
        if not isinstance(ping.get(name), kind):
            raise BadData("missing_member", f"a stored saved-session ping without {name}")
    payload = {}
    for name, value in ping.items():
        if name not in TOP_LEVEL and name != "clientID":
            changes[name] = REMOVED
            payload[name[len(PAYLOAD) :] if name.startswith(PAYLOAD) else name] = value
    payload["info"] = _payload_info(ping)
    return {**changes, "ver": REMOVED, "clientID": REMOVED, "payload": payload}


def _payload_info(ping):
    """The payload's info, separated from what was made of the application and the environment."""
    info, made = ping["info"], info_of(ping["application"], ping["type"])
    outside = _environment_info(ping["environment"])
    found = {}
    for name, value in info.items():
        prefixed = name.startswith(PAYLOAD) and name[len(PAYLOAD) :] in made
        if prefixed:
            found[name[len(PAYLOAD) :]] = value
        elif name in made or (name.startswith(ENVIRONMENT_PREFIX) and name[len(ENVIRONMENT_PREFIX) :] in outside):
            continue
        elif name not in outside or ENVIRONMENT_PREFIX + name in info:
            found[name] = value
    return found


def device_to_stored(ping):
    """The members to change in a Firefox OS 1.3 ping to make it `ver` 2; its pingID goes, as the format asks.

    Raises BadData `missing_member` for one that says nothing of its device, `name_clash` for one with an info.
    """
    if not any(name.startswith("deviceinfo.") for name in ping):
        raise BadData("missing_member", "a ver 3 ping without any deviceinfo")
    if "info" in ping:
        raise BadData("name_clash", "a ver 3 ping with an info of its own")
    changes = {"ver": pings.STORED, "info": pings.info_of(ping, pings.DEVICE)}
    return {**changes, "pingID": REMOVED} if "pingID" in ping else changes


def device_to_raw(ping):
    """The members to change in a stored Firefox OS 1.3 ping to make it `ver` 3 again; its pingID is gone."""
    return {"ver": pings.DEVICE_RAW, "info": REMOVED}
