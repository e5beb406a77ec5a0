"""The plain and the typed tier: canonical text of classic pings to storage arrays, digits copied, no objects built.

A client of one age writes the members of a histogram always in the same order and without white space. So a histogram
is a text that begins with one of a few thousand known heads, which are looked up whole: name, range, number of buckets
and type are right if the head is known. What is not written so is not judged here.
"""

import os
import re

from tel import document, jsonl, pings
from tel.errors import BadData

LONGEST_VALUES = 4000  # characters: no count in them has more digits than the reference reads
LONGEST_KEPT, MOST_KEPT = 40, 512  # of the texts whose conversion is remembered
_NUMBER = r"((?:-(?!0(?![.0-9])))?(?:0|[1-9][0-9]{0,19})(?:\.[0-9]{1,30})?)"
_STATISTICS = re.compile(
    rf'sum":{_NUMBER}(?:,"log_sum":{_NUMBER},"log_sum_squares":{_NUMBER})?'
    rf'(?:,"sum_squares_lo":{_NUMBER},"sum_squares_hi":{_NUMBER})?'
).fullmatch
_LEADING_ZERO = re.compile(":0[0-9]").search
_PLAIN, _VER, _VERSION = f'"{pings.PLAIN}"', '"ver"', '"version"'
_OTHERS = {kind: f'"{kind}"' for kind in (pings.KEYED, pings.ADDON)}
_MARK = f"cut out {os.urandom(16).hex()}"


class Layout:
    """What is asked of the values of one layout: their text as an object's members, to the counts of all buckets."""

    def __init__(self, layout):
        self.zeros, self.kept = ["0"] * layout.n_buckets, {}
        self.position = {f'"{key}"': at for key, at in layout.position.items()}

    def counts(self, values):
        """The counts as text for members such as `"0":2,"7":1`; None in doubt. Short ones are remembered."""
        found = self._counts(values) if values else ",".join(self.zeros)
        if found is not None and len(values) < LONGEST_KEPT and len(self.kept) < MOST_KEPT:
            self.kept[values] = found
        return found

    def _counts(self, values):
        row, position = self.zeros[:], self.position
        pairs = values.replace(',"', ':"').split(":")
        found = pairs[1::2]
        if len(pairs) != 2 * values.count(",") + 2 or len(values) > LONGEST_VALUES:
            return None
        try:
            for key, count in zip(pairs[::2], found):
                row[position[key]] = count
        except KeyError:
            return None
        digits = "".join(found)
        if "" in found or not digits.isdigit() or not digits.isascii() or _LEADING_ZERO(values):
            return None
        return ",".join(row)


class Heads:
    """Every text that a canonical histogram of some definitions can begin with, and what follows from it."""

    def __init__(self, known, layout_class=Layout):
        self._entries, self._statistics = {}, {}
        layouts = {}
        for name, definition in known.items():
            if definition.keyed:
                continue
            for layout in reversed(definition.layouts):
                made = layouts.get(layout) or layouts.setdefault(layout, layout_class(layout))
                for twin in (name, f"STARTUP_{name}"):
                    if twin == name or twin not in known:
                        self._add(twin, layout, made)

    def _add(self, name, layout, made):
        quoted = jsonl.dumps(name).decode()[1:]
        for type in layout.types:
            head = (
                f'{quoted}:{{"range":[{layout.low},{layout.high}],"bucket_count":{layout.n_buckets},'
                f'"histogram_type":{type},"values":{{'
            )
            self._entries[head] = made, f"{quoted}:["

    def arrays(self, text):
        """The text of `{name: histogram}` as that of `{name: array}`; None in doubt."""
        if text == "{}":
            return text
        find, statistics = self._entries.get, self._statistics.get
        pieces, out, names = text[2:-2].split('},"'), [], set()
        if len(pieces) % 2 or len(pieces) > 2 * pings.MOST_HISTOGRAMS or not text.startswith('{"'):
            return None
        for head, tail in zip(pieces[::2], pieces[1::2]):
            at = head.rfind("{") + 1
            entry = find(head[:at])
            if entry is None:
                return None
            layout, name = entry
            values = head[at:]
            counts = layout.kept.get(values) or layout.counts(values)
            rest = statistics(tail) or self._numbers(tail)
            if counts is None or rest is None:
                return None
            names.add(name)
            out.append(f"{name}{counts},{rest}]")
        return None if len(names) < len(out) else '{"' + ',"'.join(out) + "}"

    def _numbers(self, tail):
        """The five statistics as text, from what follows the values; None in doubt. Short ones are remembered."""
        match = _STATISTICS(tail)
        if match is None:
            return None
        found = ",".join(match.groups("-1"))
        if len(tail) < LONGEST_KEPT and len(self._statistics) < MOST_KEPT:
            self._statistics[tail] = found
        return found


class Outline:
    """What the tools ask of a ping (as pings.Outline), and its text cut around its histograms."""

    proven = False  # nobody has looked at the text of the histograms yet

    def __init__(self, known, source, spans, tier, heads):
        self.generation, self.stored, self.id, self.info, self.revision, _ = known
        self._source, self._spans, self._tier, self._heads = source, spans, tier, heads
        start, end = spans[_PLAIN]
        self.carries = end - start > 2
        self._sha256 = self._text = None

    def stored_text(self, version):
        """The ping's text in the storage format, its histograms being those of a Version (None: it has none).

        None where only the reference way can tell.
        """
        sha256 = version and version.sha256
        if self._text is None or self._sha256 != sha256:
            self._sha256, self._text = sha256, self._converted(version)
        return self._text

    def _converted(self, version):
        source, (start, end) = self._source, self._spans[_PLAIN]
        arrays = "{}"
        if self.carries:
            if version is None:
                return None
            if self._tier not in version.made:
                version.made[self._tier] = self._heads(version.definitions)
            arrays = version.made[self._tier].arrays(source[start:end])
        if arrays is None:
            return None
        edits = sorted([(start, end, arrays), (*self._spans[_VER], "2")])
        (a, b, first), (c, d, second) = edits
        return "".join((source[:a], first, source[b:c], second, source[d:])).encode()


def look(data, tier="plain", heads=Heads):
    """The Outline of a classic ping's text; None where only the reference way can tell."""
    try:
        source = data.decode()
    except UnicodeDecodeError:
        return None
    spans = _cuts(source)
    if spans is None:
        return None
    try:
        value = document.parse(_marked(source, spans).encode())
        if value.get(pings.PLAIN) != _MARK or value.get("ver") != _MARK:
            return None
        value[pings.PLAIN], value["ver"] = {}, pings.RAW
        outline = pings.outline(value)
        found = [None if holder[kind] else kind for holder, kind, _ in pings.places(value, outline.generation)]
        if found != [pings.PLAIN, *_empty(source)]:
            return None
    except (BadData, AttributeError):
        return None
    return Outline(outline, source, spans, tier, heads)


def _empty(source):
    """The other kinds of histograms that a text has, each once and empty, as clients write it; more is in doubt."""
    for kind, name in _OTHERS.items():
        at = source.find(name)
        if at >= 0:
            yield kind if source.startswith(":{}", at + len(name)) and source.find(name, at + 1) < 0 else None


def _cuts(source):
    """{"histograms" or "ver": (start, end) of its value}; None unless each stands there once, as clients write it."""
    at, ver, version = source.find(_PLAIN), source.find(_VER), source.find(_VERSION)
    if at < 0 or ver < 0 or -1 < version < ver or source.find(_PLAIN, at + 1) >= 0:
        return None
    start = at + len(_PLAIN) + 1
    end = start + 2 if source.startswith("{}", start) else source.find("}}", start) + 2
    ver += len(_VER) + 1
    if (
        end < start + 2
        or source[start - 1 : start + 1] != ":{"
        or source[ver - 1 : ver + 1] != ":1"
        or start < ver < end
    ):
        return None
    return {_PLAIN: (start, end), _VER: (ver, ver + 1)}


def _marked(source, spans):
    (a, b), (c, d) = sorted(spans.values())
    return f'{source[:a]}"{_MARK}"{source[b:c]}"{_MARK}"{source[d:]}'
