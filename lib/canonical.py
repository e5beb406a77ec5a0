"""The plain tier, and what the typed one shares with it: a classic ping's text is cut around its histograms, which are
converted as text where they are written as clients do; all else is parsed.
"""

import os

from tel import document, parted, pings
from tel.errors import BadData
from tel.heads import ONCE, Heads
from tel.proof import MOST_BRACKETS, strict

__all__ = ["Outline", "look", "strict"]  # `strict` is what tel.tiers asks for

_PLAIN, _VER, _VERSION = f'"{pings.PLAIN}"', '"ver"', '"version"'
_OTHERS = {kind: f'"{kind}"' for kind in (pings.KEYED, pings.ADDON)}
_MARK = f"cut out {os.urandom(16).hex()}"


class Outline(pings.TextOutline):
    """What the tools ask of a ping, and its text cut around its histograms, which `heads` (a class) converts."""

    proven = False  # nobody has looked at the text of the histograms yet

    def __init__(self, known, data, source, spans, heads):
        self.generation, self.stored, self.id, self.info, self.revision, _ = known
        self._data, self._source, self._spans, self._heads = data, source, spans, heads
        start, end = spans[_PLAIN]
        self.carries = end - start > 2

    def is_sound(self, strict):
        """Whether the ping is strict JSON by what `strict` says of its histograms; the rest has been parsed."""
        return not self.carries or strict(self._histograms().encode())

    def _converted(self, version):
        arrays, doubts = b"{}", ()
        if self.carries:
            found = version and version.made_by(self._heads).arrays(self._histograms())
            if found is None:
                return None
            arrays, doubts = found
        if doubts:
            return self._parted(doubts, arrays)
        source, edits = self._source, sorted([(*self._spans[_PLAIN], arrays), (*self._spans[_VER], b"2")])
        (a, b, first), (c, d, second) = edits
        return b"".join((source[:a].encode(), first, source[b:c].encode(), second, source[d:].encode()))

    def _fitting(self, version):
        if not self.carries:
            return True
        doubts = version and version.made_by(self._heads).doubts(self._histograms())
        if doubts is None:
            return None
        return self._parted(doubts) if doubts else True

    def _histograms(self):
        start, end = self._spans[_PLAIN]
        return self._source[start:end]

    def _parted(self, doubts, arrays=None):
        if not self._source.isascii():
            return None  # places in the text are not those in its bytes
        start, end = self._spans[_PLAIN]
        doubts = [(start + begin, start + to, at) for begin, to, at in doubts]
        container = parted.Container(start, end, arrays, doubts)
        return parted.Parted(self._data, [(*self._spans[_VER], b"2")], [container], pings.PLAIN)


def look(data, version=None, heads=Heads, parsed=document.parsed):
    """The Outline of a classic ping's text; None where only the reference way can tell.

    `parsed` gives the value of what is there beside the histograms, a str of strict JSON. Raises BadData.
    """
    try:
        source = data.decode()
    except UnicodeDecodeError:
        return None
    spans = _cuts(source)
    if spans is None:
        return None
    rest = _marked(source, spans)
    if rest.count("[") + rest.count("{") > MOST_BRACKETS:
        return None
    try:
        value = parsed(rest)
        if value.get(pings.PLAIN) != _MARK or value.get("ver") != _MARK:
            return None
        value[pings.PLAIN], value["ver"] = {}, pings.RAW
        outline = pings.outline(value)
        found = [not holder[kind] and kind for holder, kind, _ in pings.places(value, outline.generation)]
    except (BadData, AttributeError):
        return None
    if False in found or found != [pings.PLAIN, *_empty(rest)]:
        return None
    return Outline(outline, data, source, spans, heads)


def _empty(rest):
    """The other kinds of histograms that a text has, each once and empty, as clients write it; False for more."""
    for kind, name in _OTHERS.items():
        at = rest.find(name)
        if at >= 0:
            yield rest.startswith(":{}", at + len(name)) and rest.find(name, at + 1) < 0 and kind


def _cuts(source):
    """{"histograms" or "ver": (start, end) of its value}; None unless each stands there once, as clients write it.

    What the text of the histograms itself may hold is not looked at: no head that is known has such a name. They are
    taken to end with the last histogram of all; if that is another's, they are no JSON object.
    """
    at = source.find(_PLAIN)
    start = at + len(_PLAIN) + 1
    if at < 0 or source[start - 1 : start + 1] != ":{":
        return None
    end = start + 2 if source.startswith("{}", start) else source.find("}}", source.rfind(ONCE, start)) + 2
    if end < start + 2 or source.find(_PLAIN, end) >= 0:
        return None
    ver, version = _first(source, _VER, start, end), _first(source, _VERSION, start, end)
    if ver < 0 or -1 < version < ver:
        return None
    ver += len(_VER) + 1
    return {_PLAIN: (start, end), _VER: (ver, ver + 1)} if source[ver - 1 : ver + 1] == ":1" else None


def _first(source, name, start, end):
    """Where a name first stands outside a span, or -1."""
    at = source.find(name, 0, start)
    return at if at >= 0 else source.find(name, end)


def _marked(source, spans):
    (a, b), (c, d) = sorted(spans.values())
    return f'{source[:a]}"{_MARK}"{source[b:c]}"{_MARK}"{source[d:]}'
