"""Canonical text of plain histograms to storage arrays, digits copied, no objects built.

A client of one age writes the members of a histogram always in the same order and without white space. So a histogram
is a text that begins with one of a few thousand known heads, which are looked up whole: name, range, number of buckets
and type are right if the head is known. What is not written so is not judged here.
"""

import re
import sys
from itertools import repeat

from tel import document, jsonl, pings, proof
from tel.errors import BadData
from tel.proof import MOST_BRACKETS

LONGEST_VALUES = 4000  # characters: no count in them has more digits than the reference reads
LONGEST_TAIL = 300  # no number in it is beyond a double
ONCE = '"bucket_count"'  # which every histogram has
MOST_DOUBTS = 64  # histograms that are left to be judged alone
LONGEST_KEPT, MOST_KEPT = 40, 4096  # of the texts whose conversion is remembered
_DIGITS, _LETTERS = b"0123456789.-", b'abcdefghijklmnopqrstuvwxyz_":'
_LOGARITHMS, _SQUARES = b',"log_sum":,"log_sum_squares":', b',"sum_squares_lo":,"sum_squares_hi":'
_ABSENT = ",-1,-1"
_LACKING = {  # the names of statistics that may follow the values: what stands for those that lack
    b',"sum":': _ABSENT * 2,
    b',"sum":' + _LOGARITHMS: _ABSENT,
    b',"sum":' + _SQUARES: None,  # is to be put between
    b',"sum":' + _LOGARITHMS + _SQUARES: "",
}
_LEADING_ZERO = re.compile(":0[0-9]").search
# What a tail looks like with all that a number is made of a zero, and all else but colons an `a`.
_NUMBERS = bytes(ord("0") if c in b"0123456789.-" else c if c == ord(":") else ord("a") for c in range(256))


class Values:
    """The values that a layout allows: from their text, the members of an object, to the counts of all buckets."""

    def __init__(self, layout):
        self.zeros = ["0"] * layout.n_buckets
        self.kept = {"": ",".join(self.zeros)}
        self.position = {sys.intern(f'"{key}"'): at for key, at in layout.position.items()}
        self._keys = frozenset(self.position)

    def keep(self, values, counts):
        """Remember the counts (text) of a short text."""
        if len(self.kept) < MOST_KEPT:
            self.kept[values] = counts

    def counts(self, values):
        """The counts as text for `"0":2,"7":1`; None in doubt."""
        return self.placed(values) if are_counts([values]) else None

    def placed(self, values):
        """The same for what `are_counts` accepts; None if what stands for a key is none."""
        row, position = self.zeros[:], self.position
        pairs = values.replace(',"', ':"').split(":")
        if len(pairs) % 2:  # behind a comma there was no key
            return None
        try:
            each = iter(pairs)
            for key, count in zip(each, each):
                row[position[key]] = count
        except KeyError:
            return None
        return ",".join(row)

    def has_keys(self, values):
        """Whether what stands for keys is known, in what `are_counts` accepts.

        Where behind a comma there is no key, a count stands for the next one.
        """
        return self._keys.issuperset(values.replace(',"', ':"').split(":")[::2])


def are_counts(texts):
    """Whether texts are all like `"0":2,"7":1`, if what stands before each colon is a key; False in doubt.

    >>> are_counts(['"0":2,"7":1', '"x":0']), are_counts(['"0":02']), are_counts(['"0":2,,3']), are_counts(['"0":'])
    (False, False, False, False)
    >>> are_counts(['"0":2,"7":1', '"1":0'])
    True
    """
    joined = f"{','.join(texts)},"
    if max(map(len, texts)) > LONGEST_VALUES or joined.rfind(":,") >= 0 or _LEADING_ZERO(joined):
        return False
    signs = joined.encode().translate(None, b"0123456789")
    return signs == b'"":,' * (len(signs) // 4)


def _doubtful(_values):
    """Stands for `kept.get` of a head that nobody knows: what follows it is in doubt, but need not be looked at."""
    return ""


_UNKNOWN = None, _doubtful, None  # the entry of such a head


class Heads:
    """Every text that a canonical histogram of some definitions can begin with, and what follows from it."""

    def __init__(self, known):
        self._entries, layouts = {}, {}
        for name, definition in known.items():
            if definition.keyed:
                continue
            for layout in reversed(definition.layouts):
                values = layouts.get(layout) or layouts.setdefault(layout, Values(layout))
                for twin in (name, f"STARTUP_{name}"):
                    if twin == name or twin not in known:
                        self._add(twin, layout, values)

    def _add(self, name, layout, values):
        quoted = f",{jsonl.dumps(name).decode()}"
        for type in layout.types:
            head = (
                f'{quoted}:{{"range":[{layout.low},{layout.high}],"bucket_count":{layout.n_buckets},'
                f'"histogram_type":{type},"values":'
            )
            self._entries[head] = f"{quoted}:[", values.kept.get, values

    def arrays(self, text):
        """(the text of `{name: histogram}` as that of `{name: array}`, in bytes, the doubts of a parted.Container).

        What is in doubt is a member in strict JSON all the same. None in doubt of the whole.
        """
        members = _members(text)
        if members is None:
            return None
        heads, values, tails = members
        entries = self._entries_of(heads)
        counts = _counts(entries, values)
        rests = _rests(counts, tails)
        names = [name for name, _, _ in entries]
        doubtful = [place for place, rest in enumerate(rests) if rest is None]
        if doubtful and not _put_names(members, names, doubtful):
            return None
        if len(set(names)) < len(names):
            return None
        rows = [f"{name}{count}{rest}]" for name, count, rest in zip(names, counts, rests) if rest is not None]
        return _object(rows), [(*span, at) for span, at in zip(_spans(members, doubtful), _places(rows, doubtful))]

    def doubts(self, text):
        """The same without arrays: where each member in doubt is, (start, end, None); None in doubt of the whole."""
        members = _members(text)
        if members is None:
            return None
        heads, values, tails = members
        entries = self._entries_of(heads)
        names = [name for name, _, _ in entries]
        asked = [(entry[2], text, tail) for entry, text, tail in zip(entries, values, tails)]
        if _fit([each for each in asked if each[0]] if None in names else asked):
            doubtful = [place for place, name in enumerate(names) if name is None]
        else:
            doubtful = [place for place, each in enumerate(asked) if not each[0] or not _fit([each])]
        if doubtful and not _put_names(members, names, doubtful):
            return None
        return None if len(set(names)) < len(names) else [(*span, None) for span in _spans(members, doubtful)]

    def _entries_of(self, heads):
        return list(map(self._entries.get, heads, repeat(_UNKNOWN)))


def _members(text):
    """The members of a canonical `{name: histogram}` that is not empty: (heads, values, tails), as many of each.

    Each has a comma before it, and is cut at a brace behind the head and one behind the values. None for what is
    written otherwise.
    """
    pieces = f",{text[1:-2]}".split("}")
    if len(pieces) % 2 or len(pieces) > 2 * pings.MOST_HISTOGRAMS or "\n" in text:
        return None
    cut = [piece.rpartition("{") for piece in pieces[::2]]
    return [head for head, _, _ in cut], [values for _, _, values in cut], pieces[1::2]


def _counts(entries, values):
    """The counts of all buckets as text, by the entries of the heads; empty or None for those in doubt."""
    counts = [kept(text) for (_, kept, _), text in zip(entries, values)]
    missed = [place for place, found in enumerate(counts) if found is None]
    if missed:
        proven = are_counts([values[place] for place in missed])
        for place in missed:
            text, known = values[place], entries[place][2]
            found = counts[place] = known.placed(text) if proven else known.counts(text)
            if found and len(text) < LONGEST_KEPT:
                known.keep(text, found)
    return counts


def _fit(asked):
    """Whether (Values, text of the values, tail) of histograms have known buckets and statistics; False in doubt."""
    if not asked:
        return True
    texts = [values for _, values, _ in asked if values]
    if texts and not are_counts(texts):
        return False
    for known, values, _ in asked:
        if values and not known.has_keys(values):
            return False
    return _numbers([tail for _, _, tail in asked]) is not None


def _rests(counts, tails):
    """The five statistics as text behind each row of counts; None where one or the other is in doubt."""
    known = tails if all(counts) else [tail for tail, row in zip(tails, counts) if row]
    joint = _statistics(known) if known else []
    if joint is not None:
        found = iter(joint)
        return joint if known is tails else [next(found) if row else None for row in counts]
    alone = [row and _statistics([tail]) for row, tail in zip(counts, tails)]
    return [found[0] if found else None for found in alone]


def _statistics(tails):
    """For each text that follows the values of a histogram, the five statistics; None in doubt."""
    found = _numbers(tails)
    if found is None:
        return None
    numbers, lacking = found
    return [
        f",{number[1:].replace(',', f'{_ABSENT},', 1)}" if lack is None else number + lack
        for number, lack in zip(numbers.split("\n"), lacking)
    ]


def _numbers(tails):
    """(lines of the statistics in such texts, a comma before each, and what stands for those that lack in each line).

    None in doubt: names are those of a client, in its order, and what is left is numbers, each behind a colon.
    """
    if max(map(len, tails)) > LONGEST_TAIL:
        return None
    text = "\n".join(tails).encode()
    try:
        lacking = [_LACKING[names] for names in text.translate(None, _DIGITS).split(b"\n")]
    except KeyError:
        return None
    if text.translate(_NUMBERS).rfind(b"a0") >= 0:
        return None
    numbers = text.translate(None, _LETTERS).decode()
    if numbers.rfind("-0") >= 0 or not proof.grammatical(f"[0 {numbers}]"):
        return None
    return numbers, lacking


def _put_names(members, names, doubtful):
    """Put in place the names of members in doubt; False if they are too many, or no single ones in strict JSON."""
    if len(doubtful) > MOST_DOUBTS:
        return False
    for place in doubtful:
        head, values, tail = (each[place] for each in members)
        names[place] = _name_alone(f"{head}{{{values}}}{tail}}}")
    return None not in names


def _spans(members, doubtful):
    """Yield (start, end) of members, whose places go upward, in the text of their object."""
    at, done = 1, 0
    for place in doubtful:
        at += sum(len(piece) for pieces in members for piece in pieces[done:place]) + len("{}}") * (place - done)
        done = place
        yield at, at + sum(len(pieces[place]) for pieces in members) + len("{}}") - len(",")


def _places(rows, doubtful):
    """Yield where members would stand among rows that each have a comma before them, by their places in the whole."""
    at, done = 1, 0
    for skipped, place in enumerate(doubtful):
        at += sum(map(len, rows[done : place - skipped]))
        done = place - skipped
        yield at


def _object(members):
    """An object of members that each have a comma before them, in bytes."""
    return f"{{{''.join(members)[1:]}}}".encode()


def _name_alone(member):
    """The name, as a row has it, of one member in strict JSON, with a comma before it; None for anything else."""
    name, _, value = member[2:].partition('":')
    if not member.startswith(',"') or "\\" in name or value.count("[") + value.count("{") > MOST_BRACKETS:
        return None
    try:
        return f',"{name}":[' if len(document.parsed(f'["{name}",{value}]')) == 2 else None
    except BadData:
        return None
