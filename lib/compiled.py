"""The compiled tier: pings skimmed, their histograms converted and added up, without building objects.

Owns tel._skim and tel._sums.
"""

from tel import document, jsonl, parted, pings, unified
from tel._skim import Table, Want, edited, strict
from tel._sums import Sums as sums
from tel.memory import remembered

__all__ = ["finder", "look", "strict", "sums"]  # what tel.tiers asks for

BRACE = ord("{")
INSIDE, NESTED = 4, 8  # added to the kind of a container below the payload, and to one that lies deeper than others
HIGHEST, MOST_LAYOUTS = 2**63 - 1, 8  # of a bucket's lower bound, and of one definition
_KINDS = {pings.PLAIN: 0, pings.KEYED: 1, pings.ADDON: 2}
_OWN = 1 << _KINDS[pings.PLAIN]  # as `held` is if a ping's own histograms are all that it holds
_FITTING = {  # the same of all kinds of containers that are converted
    kind: sum(1 << each for each in (base, base + 1, base + NESTED, base + NESTED + 1))
    for kind, base in ((pings.CLASSIC, 0), (pings.UNIFIED, INSIDE))
}


def _tree(ways, below=()):
    """The tree of names in the form that a Want takes, from {way: (slot or -1, kind of container or -1)}."""
    steps = dict.fromkeys(way[len(below)] for way in ways if way[: len(below)] == below and len(way) > len(below))
    places = {step: (*below, step) for step in steps}
    return {step.encode(): (*ways.get(place, (-1, -1)), _tree(ways, place) or None) for step, place in places.items()}


def _containers():
    """{way: (-1, kind)} of all containers of histograms: of a ping itself and of its payload."""
    roots, inside = (
        (((), 0), (("payload",), INSIDE)),
        (((), 0), (("processes", "*"), NESTED), (("childPayloads", "*"), NESTED)),
    )
    return {
        (*root, *step, name): (-1, kind + base + depth)
        for root, base in roots
        for step, depth in inside
        for name, kind in _KINDS.items()
    }


_FIELDS = {
    kind: {name: ways for name, ways in pings.FIELDS[kind].items() if not isinstance(ways, str)}
    for kind in (pings.CLASSIC, pings.UNIFIED)
}
_WAYS = dict.fromkeys(
    [
        *(way for fields in _FIELDS.values() for ways in fields.values() for way in ways),
        *(pings.REVISION[kind] for kind in _FIELDS),
        *((name,) for name in ("ver", "version", "id", "type", "info", "application", "payload")),
    ]
)
_AT = {way: slot for slot, way in enumerate(_WAYS)}
_WANT = Want(
    _tree({**{way: (slot, -1) for way, slot in _AT.items()}, **_containers()}),
    len(_AT),
    tuple(name.encode() for name in _KINDS),
    (b"ver", b"version"),
)
_VER, _VERSION, _TYPE, _INFO, _PAYLOAD = (_AT[name,] for name in ("ver", "version", "type", "info", "payload"))
_APPLICATION, _ID = _AT["application",], _AT["id",]
_CLASSIC = {b"1": False, b"2": True, b"5": True}  # whether a `ver` is the storage format's
_UNIFIED = {b"4": False, b"5": True}


_FIELD_SLOTS = {
    kind: [(name, [_AT[way] for way in ways]) for name, ways in fields.items()] for kind, fields in _FIELDS.items()
}
_INFO_SLOTS = {kind: tuple(slot for _, slots in fields for slot in slots) for kind, fields in _FIELD_SLOTS.items()}
_REVISION_SLOT = {kind: _AT[pings.REVISION[kind]] for kind in _FIELDS}
_INFOS, _MADE = {kind: {} for kind in _FIELDS}, {}  # what was made of parts that come again and again


def _scalar(text):
    """The string, number or boolean that is a text; None for anything else."""
    first = text[:1]
    if first == b'"' and b"\\" not in text:
        return text[1:-1].decode()
    return None if first in b"{[n" else jsonl.loads(text)


class Outline(pings.TextOutline):
    """What the tools ask of a ping, from what was found in its text."""

    proven = True  # its text is strict JSON

    def __init__(self, data, found, generation, stored, table):
        self._data, self._found, self._table = data, found, table
        self.generation, self.stored, self.carries = generation, stored, found.held != 0

    def _value(self, slot):
        text = self._found.text(slot)
        return None if text is None else _scalar(text)

    @property
    def id(self):
        """The ping's own id, or None."""
        return self._value(_ID)

    @property
    def revision(self):
        """The revision that the ping names, or None."""
        return self._value(_REVISION_SLOT[self.generation])

    @property
    def info(self):
        """The small info of a record; pings that say the same share one dict."""
        key = self._found.texts(_INFO_SLOTS[self.generation])
        return remembered(_INFOS[self.generation], key, self._info)

    def _info(self, _):
        info = {}
        for name, slots in _FIELD_SLOTS[self.generation]:
            value = next((value for value in map(self._value, slots) if value is not None), None)
            if value is not None:
                info[name] = value
        return info

    def _converted(self, version):
        found, data = self._found, self._data
        if found.count or (self.carries and version is None):
            return None
        classic = self.generation == pings.CLASSIC
        start, end = found[_VER if classic else _VERSION]
        if start != found.first:
            return None
        edits = [(start, end, b"2" if classic else b"5")]
        if not classic:
            made = self._made_info()
            if made is None or data[-1:] != b"}" or data[-2] in b" \t\r\n":
                return None
            edits.append((len(data) - 1, len(data) - 1, made))
        containers = self._arrays(version) if self.carries else []
        if containers is None:
            return None
        for _, _, _, doubts in containers:
            if doubts:
                own = pings.PLAIN if found.held == _OWN else None
                return parted.Parted(data, edits, [parted.Container(*each) for each in containers], own)
        return edited(data, edits + containers)

    def _arrays(self, version):
        """What parted.Containers of a ping are made of by the definitions of a Version; None in doubt."""
        table = _table(version)
        _GUESSES.used(table, self._found.text(_REVISION_SLOT[self.generation]))
        found = self._found if self._table is table else _WANT.look(self._data, table, pings.MOST_HISTOGRAMS)
        return found.arrays

    def _made_info(self):
        """The member `info` that a stored unified ping gets, with its comma; None for one that is hoisted, too."""
        if self._found[_INFO] is not None:
            return None
        return remembered(_MADE, self._found.texts((_TYPE, _APPLICATION)), self._make_info)

    def _make_info(self, _):
        type, application = self._found.text(_TYPE), self._found.text(_APPLICATION)
        return None if type is None or application is None else _made_info(type, application)


def _made_info(type, application):
    kind = jsonl.loads(type)
    if not isinstance(kind, str) or kind == "saved-session" or not application.startswith(b"{"):
        return None
    return b',"info":' + jsonl.dumps(unified.info_of(document.parse(application), kind))


class _Guesses(dict):
    """Which Table a ping will need, to be made sure of afterwards: the one that all pings needed for a while, or else
    by the last revision that its text names.
    """

    NAME, LONGEST, MOST, WHILE = b'"revision":"', 200, 64, 16

    def __init__(self):
        self._last, self._times = None, 0  # the Table that was needed last, and how often on end

    def of(self, data):
        """The Table that a ping's text will most likely need, or None."""
        if self._times > self.WHILE:
            return self._last
        at = data.rfind(self.NAME)
        start = at + len(self.NAME)
        return None if at < 0 else self.get(data[start : data.find(b'"', start, start + self.LONGEST)])

    def used(self, table, revision):
        """Hear which Table a ping needed, and the text of the revision that it names, or None."""
        if table is self._last:
            self._times += 1
            if self._times > self.WHILE:
                return
        else:
            self._last, self._times = table, 0
        url = revision[1:-1] if revision else b""
        if 0 < len(url) < self.LONGEST and self.get(url) is not table:
            if len(self) >= self.MOST:
                self.clear()
            self[url] = table


_GUESSES = _Guesses()


def look(data, version=None):
    """The Outline of a ping's text, whose definitions may be known; None where only the reference way can tell."""
    table = _GUESSES.of(data) if version is None else _table(version)
    found = _WANT.look(data, table, pings.MOST_HISTOGRAMS)
    if found is None:
        return None
    ver, version = found.text(_VER), found.text(_VERSION)
    if ver is not None:
        generation, stored = pings.CLASSIC, _CLASSIC.get(ver)
        needed = found[_INFO]
    elif version is not None:
        generation, stored = pings.UNIFIED, _UNIFIED.get(version)
        needed = found[_PAYLOAD]
    else:
        return None
    if stored is None or needed is None or data[needed[0]] != BRACE:
        return None
    if found.held & ~_FITTING[generation]:
        return None  # those of add-ons, or in a place for another generation
    return Outline(data, found, generation, stored, table)


def _table(version):
    """The Table of a Version's definitions."""
    return version.made_by(_made)


def _made(known):
    layouts = dict.fromkeys(layout for definition in known.values() for layout in definition.layouts)
    layouts = [layout for layout in layouts if max(layout.high, *layout.bounds) <= HIGHEST]
    number = {layout: at for at, layout in enumerate(layouts)}
    entries = [
        (
            name.encode(errors="surrogatepass"),
            definition.keyed,
            None
            if definition.keys is None
            else frozenset(key.encode(errors="surrogatepass") for key in definition.keys),
            _numbers(definition.layouts, number),
        )
        for name, definition in known.items()
    ]
    return Table([(layout.types, layout.low, layout.high, layout.bounds) for layout in layouts], entries)


def _numbers(layouts, number):
    """The numbers of layouts; none at all, so that nothing fits, where the module cannot hold them."""
    fit = len(layouts) <= MOST_LAYOUTS and all(layout in number for layout in layouts)
    return tuple(number[layout] for layout in layouts) if fit else ()


def finder(ways):
    """A function of a ping's bytes: the Found that says what lies at some ways; None in doubt."""
    return Want(_tree({way: (slot, -1) for slot, way in enumerate(ways)}), len(ways), (), ()).look
