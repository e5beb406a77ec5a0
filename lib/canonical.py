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
MOST_BRACKETS = 400  # opened beside the histograms: what is nested so deeply, the reference may refuse
LONGEST_KEPT, MOST_KEPT = 40, 4096  # of the texts whose conversion is remembered
_NUMBER = r"(?:-(?!0(?![.0-9])))?(?:0|[1-9][0-9]{0,19})(?:\.[0-9]{1,30})?"
_STATISTICS = re.compile(
    rf'(?:sum":{_NUMBER}(?:,"log_sum":{_NUMBER},"log_sum_squares":{_NUMBER})?'
    rf'(?:,"sum_squares_lo":{_NUMBER},"sum_squares_hi":{_NUMBER})?(?:\n|\Z))+'
).fullmatch
_MISSING = {0: ",-1,-1,-1,-1", 2: ",-1,-1", 4: ""}  # behind a text of so many commas: the statistics that it lacks
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
        """The counts as text for `{"0":2,"7":1`; None in doubt. Short ones are remembered."""
        found = self._counts(values[1:]) if len(values) > 1 else ",".join(self.zeros)
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
        if not digits.isdigit() or not digits.isascii() or "" in found or _LEADING_ZERO(values):
            return None
        return ",".join(row)


class Heads:
    """Every text that a canonical histogram of some definitions can begin with, and what follows from it."""

    layout_class = Layout

    def __init__(self, known):
        self._entries, layouts = {}, {}
        for name, definition in known.items():
            if definition.keyed:
                continue
            for layout in reversed(definition.layouts):
                made = layouts.get(layout) or layouts.setdefault(layout, self.layout_class(layout))
                for twin in (name, f"STARTUP_{name}"):
                    if twin == name or twin not in known:
                        self._add(twin, layout, made)

    def _add(self, name, layout, made):
        quoted = jsonl.dumps(name).decode()[1:]
        for type in layout.types:
            head = (
                f'{quoted}:{{"range":[{layout.low},{layout.high}],"bucket_count":{layout.n_buckets},'
                f'"histogram_type":{type},"values":'
            )
            self._entries[head] = f"{quoted}:[", made.kept.get, made.counts

    def arrays(self, text):
        """The text of `{name: histogram}` as that of `{name: array}`; None in doubt."""
        if text == "{}":
            return text
        pieces, out, names = text[2:-2].split('},"'), [], []
        if len(pieces) % 2 or len(pieces) > 2 * pings.MOST_HISTOGRAMS or not text.startswith('{"'):
            return None
        tails = pieces[1::2]
        statistics = self._statistics(tails)
        if statistics is None or len(statistics) != len(tails):
            return None
        find = self._entries.get
        for head, rest in zip(pieces[::2], statistics):
            at = head.rfind("{")
            entry = find(head[:at])
            if entry is None:
                return None
            name, kept, counts_of = entry
            values = head[at:]
            counts = kept(values) or counts_of(values)
            if counts is None:
                return None
            names.append(name)
            out.append(f"{name}{counts},{rest}]")
        return None if len(set(names)) < len(out) else '{"' + ',"'.join(out) + "}"

    def _statistics(self, tails):
        """For each text that follows the values of a histogram, the five statistics; None in doubt."""
        text = "\n".join(tails)
        if not self._are_numbers(tails, text):
            return None
        text = text.replace(',"log_sum":', ",").replace(',"log_sum_squares":', ",")
        text = text.replace(',"sum_squares_lo":', ",-1,-1,").replace(',"sum_squares_hi":', ",").replace('sum":', "")
        try:
            return None if '"' in text else [each + _MISSING[each.count(",")] for each in text.split("\n")]
        except KeyError:  # all five are there, or some in another order
            return None

    @staticmethod
    def _are_numbers(tails, text):
        """Whether texts, and the same joined by line ends, are numbers behind the names of statistics."""
        return _STATISTICS(text) is not None


class Outline(pings.TextOutline):
    """What the tools ask of a ping, and its text cut around its histograms, which `heads` (a class) converts."""

    proven = False  # nobody has looked at the text of the histograms yet

    def __init__(self, known, source, spans, heads):
        super().__init__()
        self.generation, self.stored, self.id, self.info, self.revision, _ = known
        self._source, self._spans, self._heads = source, spans, heads
        start, end = spans[_PLAIN]
        self.carries = end - start > 2

    def _converted(self, version):
        source, (start, end) = self._source, self._spans[_PLAIN]
        arrays = "{}"
        if self.carries:
            if version is None:
                return None
            arrays = version.made_by(self._heads).arrays(source[start:end])
        if arrays is None:
            return None
        edits = sorted([(start, end, arrays), (*self._spans[_VER], "2")])
        (a, b, first), (c, d, second) = edits
        return "".join((source[:a], first, source[b:c], second, source[d:])).encode()


def look(data, version=None, heads=Heads):
    """The Outline of a classic ping's text; None where only the reference way can tell."""
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
        value = document.parsed(rest)
        if value.get(pings.PLAIN) != _MARK or value.get("ver") != _MARK:
            return None
        value[pings.PLAIN], value["ver"] = {}, pings.RAW
        outline = pings.outline(value)
        found = [not holder[kind] and kind for holder, kind, _ in pings.places(value, outline.generation)]
    except (BadData, AttributeError):
        return None
    if False in found or found != [pings.PLAIN, *_empty(rest)]:
        return None
    return Outline(outline, source, spans, heads)


def _empty(rest):
    """The other kinds of histograms that a text has, each once and empty, as clients write it; False for more."""
    for kind, name in _OTHERS.items():
        at = rest.find(name)
        if at >= 0:
            yield rest.startswith(":{}", at + len(name)) and rest.find(name, at + 1) < 0 and kind


def _cuts(source):
    """{"histograms" or "ver": (start, end) of its value}; None unless each stands there once, as clients write it.

    What the text of the histograms itself may hold is not looked at: no head that is known has such a name.
    """
    at = source.find(_PLAIN)
    start = at + len(_PLAIN) + 1
    if at < 0 or source[start - 1 : start + 1] != ":{":
        return None
    end = start + 2 if source.startswith("{}", start) else source.find("}}", start) + 2
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
