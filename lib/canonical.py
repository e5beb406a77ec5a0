"""The plain and the typed tier: canonical text of classic pings to storage arrays, digits copied, no objects built.

A client of one age writes the members of a histogram always in the same order and without white space. So a histogram
is a text that begins with one of a few thousand known heads, which are looked up whole: name, range, number of buckets
and type are right if the head is known. What is not written so is not judged here.
"""

import os
import re

from tel import document, jsonl, parted, pings
from tel.errors import BadData
from tel.proof import MOST_BRACKETS, strict

__all__ = ["Heads", "Outline", "look", "strict"]  # `strict` is what tel.tiers asks for

LONGEST_VALUES = 4000  # characters: no count in them has more digits than the reference reads
ONCE = '"bucket_count"'  # which every histogram has
MOST_DOUBTS = 64  # histograms that are left to be judged alone
LONGEST_KEPT, MOST_KEPT = 40, 4096  # of the texts whose conversion is remembered
_NUMBER = r"(?:-(?!0(?![.0-9])))?(?:0|[1-9][0-9]{0,19})(?:\.[0-9]{1,30})?"
_STATISTICS = (
    f'sum":{_NUMBER}(?:,"log_sum":{_NUMBER},"log_sum_squares":{_NUMBER})?'
    f'(?:,"sum_squares_lo":{_NUMBER},"sum_squares_hi":{_NUMBER})?'
)
_ALL_STATISTICS = re.compile(f"{_STATISTICS}(?:\n{_STATISTICS})*").fullmatch
_DIGITS, _LETTERS = b"0123456789.-", b'abcdefghijklmnopqrstuvwxyz_":'
_LOGARITHMS, _SQUARES = b',"log_sum":,"log_sum_squares":', b',"sum_squares_lo":,"sum_squares_hi":'
_ABSENT = ",-1,-1"
_LACKING = {  # the names of statistics that may follow the values: what stands for those that lack
    b'sum":': _ABSENT * 2,
    b'sum":' + _LOGARITHMS: _ABSENT,
    b'sum":' + _SQUARES: None,  # is to be put between
    b'sum":' + _LOGARITHMS + _SQUARES: "",
}
_LEADING_ZERO = re.compile(":0[0-9]").search
_PLAIN, _VER, _VERSION = f'"{pings.PLAIN}"', '"ver"', '"version"'
_OTHERS = {kind: f'"{kind}"' for kind in (pings.KEYED, pings.ADDON)}
_MARK = f"cut out {os.urandom(16).hex()}"


class Layout:
    """What is asked of the values of one layout: their text as an object's members, to the counts of all buckets."""

    def __init__(self, layout):
        self.zeros, self.kept = ["0"] * layout.n_buckets, {}
        self.position = {f'"{key}"': at for key, at in layout.position.items()}

    def keep(self, values, counts):
        """Remember the counts (text) of a short text."""
        if len(self.kept) < MOST_KEPT:
            self.kept[values] = counts

    def counts(self, values):
        """The counts as text for `"0":2,"7":1`; None in doubt."""
        return self.placed(values) if not values or are_counts([values]) else None

    def placed(self, values):
        """The same for what is known to be keys and counts; None if a key is unknown."""
        row, position = self.zeros[:], self.position
        if values:
            pairs = values.replace(',"', ':"').split(":")
            if len(pairs) % 2:  # a comma has no key behind it
                return None
            try:
                for key, count in zip(pairs[::2], pairs[1::2]):
                    row[position[key]] = count
            except KeyError:
                return None
        return ",".join(row)


def are_counts(texts):
    """Whether texts are all like `"0":2,"7":1`, if what stands before each colon is a key; False in doubt.

    >>> are_counts(['"0":2,"7":1', '"x":0']), are_counts(['"0":02']), are_counts(['"0":2,,3']), are_counts(['"0":'])
    (False, False, False, False)
    >>> are_counts(['"0":2,"7":1', '"1":0'])
    True
    """
    joined = "\n".join(texts)
    if max(map(len, texts)) > LONGEST_VALUES or ":," in joined or ":\n" in f"{joined}\n" or _LEADING_ZERO(joined):
        return False
    signs = joined.encode().translate(None, b"0123456789")
    return signs.replace(b'"":,', b"") == b'"":\n' * (len(texts) - 1) + b'"":'


class Heads:
    """Every text that a canonical histogram of some definitions can begin with, and what follows from it."""

    def __init__(self, known):
        self._entries, layouts = {}, {}
        for name, definition in known.items():
            if definition.keyed:
                continue
            for layout in reversed(definition.layouts):
                made = layouts.get(layout) or layouts.setdefault(layout, Layout(layout))
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
            self._entries[head] = f"{quoted}:[", made.kept.get, made

    def arrays(self, text):
        """(the text of `{name: histogram}` as that of `{name: array}`, in bytes, the doubts of a parted.Container).

        What is in doubt is a member in strict JSON all the same. None in doubt of the whole.
        """
        if text == "{}":
            return b"{}", ()
        pieces = text[2:-2].split('},"')
        heads, tails = pieces[::2], pieces[1::2]
        if len(pieces) % 2 or len(heads) > pings.MOST_HISTOGRAMS or not text.startswith('{"'):
            return None
        rows = self._rows(heads)
        rests = self._rests(rows, tails)
        if None in rests:
            return _with_doubts(heads, tails, rows, rests)
        names = {name for name, _ in rows}
        members = [f"{name}{counts},{rest}]" for (name, counts), rest in zip(rows, rests)]
        return None if len(names) < len(rows) else (_object(members), ())

    def _rows(self, heads):
        """(name with its quotes, colon and bracket, counts as text) of each head; None for one in doubt."""
        find, rows, missed = self._entries.get, [], []
        for head in heads:
            known, _, values = head.rpartition("{")
            entry = find(known)
            if entry is None:
                rows.append(None)
                continue
            name, kept, layout = entry
            counts = kept(values)
            if counts is None:
                missed.append((len(rows), layout, values))
            rows.append((name, counts))
        for (at, layout, values), counts in zip(missed, self._counts([each[1:] for each in missed])):
            rows[at] = counts and (rows[at][0], counts)
            if counts and len(values) < LONGEST_KEPT:
                layout.keep(values, counts)
        return rows

    @staticmethod
    def _counts(asked):
        """The counts as text for each (layout, values); None in doubt."""
        written = [values for _, values in asked if values]
        if written and not are_counts(written):
            return [layout.counts(values) for layout, values in asked]
        return [layout.placed(values) for layout, values in asked]

    def _rests(self, rows, tails):
        """The five statistics as text behind each row; None where one or the other is in doubt."""
        known = [tail for tail, row in zip(tails, rows) if row is not None]
        joint = self._statistics(known) if known else []
        if joint is not None and len(joint) == len(known):
            found = iter(joint)
            return [row and next(found) for row in rows]
        alone = [row and self._statistics([tail]) for row, tail in zip(rows, tails)]
        return [found[0] if found and len(found) == 1 else None for found in alone]

    def _statistics(self, tails):
        """For each text that follows the values of a histogram, the five statistics; None in doubt."""
        joined = "\n".join(tails)
        if not _ALL_STATISTICS(joined):
            return None
        text = joined.encode()
        lacking = map(_LACKING.__getitem__, text.translate(None, _DIGITS).split(b"\n"))
        numbers = text.translate(None, _LETTERS).decode().split("\n")
        return [
            number.replace(",", f"{_ABSENT},", 1) if lack is None else number + lack
            for number, lack in zip(numbers, lacking)
        ]


def _with_doubts(heads, tails, rows, rests):
    """The same as Heads.arrays where some rests are None."""
    places = [place for place, rest in enumerate(rests) if rest is None]
    if len(places) > MOST_DOUBTS:
        return None
    members = [f"{row[0]}{row[1]},{rest}]" for row, rest in zip(rows, rests) if rest is not None]
    names = {row[0] for row, rest in zip(rows, rests) if rest is not None}
    names.update(_name_alone(heads[place], tails[place]) for place in places)
    if None in names or len(names) < len(rows):
        return None
    doubts = []
    for before, place in enumerate(places):
        start = 1 + sum(map(len, heads[:place])) + sum(map(len, tails[:place])) + len('"},"},') * place
        end = start + len(heads[place]) + len(tails[place]) + len('"},"}')
        at = 1 + sum(map(len, members[: place - before])) + len('",') * (place - before)
        doubts.append((start, end, at))
    return _object(members), doubts


def _object(members):
    """An object of members that lack their first quote, in bytes."""
    return ('{"' + ',"'.join(members) + "}").encode() if members else b"{}"


def _name_alone(head, tail):
    """The name, as a row has it, of one member in strict JSON that was cut in two; None for anything else."""
    name, _, value = f'{head}}},"{tail}}}'.partition('":')
    if "\\" in name or value.count("[") + value.count("{") > MOST_BRACKETS:
        return None
    try:
        return f'{name}":[' if len(document.parsed(f'["{name}",{value}]')) == 2 else None
    except BadData:
        return None


class Outline(pings.TextOutline):
    """What the tools ask of a ping, and its text cut around its histograms, which `heads` (a class) converts."""

    proven = False  # nobody has looked at the text of the histograms yet

    def __init__(self, known, data, source, spans, heads):
        super().__init__()
        self.generation, self.stored, self.id, self.info, self.revision, _ = known
        self._data, self._source, self._spans, self._heads = data, source, spans, heads
        start, end = spans[_PLAIN]
        self.carries = end - start > 2

    def is_sound(self, strict):
        """Whether the ping is strict JSON by what `strict` says of its histograms; the rest has been parsed."""
        start, end = self._spans[_PLAIN]
        return not self.carries or strict(self._source[start:end].encode())

    def _converted(self, version):
        source, (start, end) = self._source, self._spans[_PLAIN]
        arrays, doubts = b"{}", ()
        if self.carries:
            found = version and version.made_by(self._heads).arrays(source[start:end])
            if found is None:
                return None
            arrays, doubts = found
        if doubts:
            return self._parted(arrays, doubts)
        edits = sorted([(start, end, arrays), (*self._spans[_VER], b"2")])
        (a, b, first), (c, d, second) = edits
        return b"".join((source[:a].encode(), first, source[b:c].encode(), second, source[d:].encode()))

    def _parted(self, arrays, doubts):
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
