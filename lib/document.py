"""One JSON object whose parts can be exchanged while all other bytes stay as they are."""

import os
from json.decoder import scanstring
from operator import itemgetter

from tel import jsonl

WHITESPACE = " \t\n\r"
REMOVED = object()  # for `Document.set`: the member goes
MARK = f"opened elsewhere {os.urandom(16).hex()} "
_DECODER = jsonl.decoder(jsonl.Real)


class Document:
    """A parsed JSON object, `value`, and its text.

    The values of all members of certain `names`, and that of the first member outside them that has one of the names
    in `first`, are cut out of the text before the rest is parsed, with marks in their place that no input can hold.
    `holders(value)` tells the objects that may have such members; a part is spliced only if its mark came back in one
    of these (a `first` in the outermost). Where that fails, or a name is written with escapes or twice, the whole
    object is printed anew when something changes. Numbers keep their digits either way (jsonl.Real). Raises BadData
    for what is not strict JSON.

    >>> document = Document(b'{"ver": 1, "x": 1e5}', first=("ver",))
    >>> document.set(document.value, "ver", 2)
    >>> document.bytes()
    b'{"ver": 2, "x": 1e5}'
    """

    def __init__(self, data, names=(), first=(), holders=lambda value: (value,)):
        source = jsonl.text(data)
        self._places, self._texts, self._pieces = {}, [], None
        self._changed, self._added = {}, {}
        self.value = self._open(source, names, first, holders)
        if self.value is None and first:
            self.value = self._open(source, names, (), holders)
        if self.value is None:
            self.value = jsonl.strict(_DECODER.decode, source)
        jsonl.check_surrogates(source, self.value)

    def _open(self, source, names, first, holders):
        """The object, its text cut up; None where that cannot be done safely."""
        pieces, texts, opened, start, found = [], [], [], 0, False
        try:
            for at, is_first in cuts(source, names, first):
                if at >= start and not (is_first and found):
                    found = found or is_first
                    pieces.append(source[start:at])
                    value, start = _DECODER.scan_once(source, at)
                    opened.append(value)
                    texts.append(source[at:start])
            pieces.append(source[start:])
            value = _DECODER.decode("".join(_marked(pieces)))
        except (ValueError, StopIteration, RecursionError):
            return None
        if not isinstance(value, dict):
            return None
        places = {}
        for holder in holders(value):
            for name in (*names, *(first if holder is value else ())):
                mark = holder.get(name)
                if isinstance(mark, str) and mark.startswith(MARK):
                    places[id(holder), name] = at = int(mark[len(MARK) :])
                    holder[name] = opened[at]
        if len(places) < len(opened):
            return None
        self._pieces, self._texts, self._places = pieces, texts, places
        return value

    def set(self, holder, name, value):
        """Give a member of an object inside the document another value, add it, or take it away (REMOVED)."""
        at = self._places.get((id(holder), name))
        if value is REMOVED:
            if holder.pop(name, REMOVED) is not REMOVED:
                self._pieces = None
            return
        if at is not None:
            self._changed[at] = value
        elif holder is self.value and (name not in holder or name in self._added):
            self._added[name] = value
        else:
            self._pieces = None
        holder[name] = value

    def lessen(self, holder, name, kept, depth=1):
        """Take away what `kept` has not of a member of an object inside the document, as `lessened` does."""
        at = self._places.get((id(holder), name))
        if at is None:
            self._pieces = None
        else:
            self._texts[at] = lessened(self._texts[at], kept, depth)
        holder[name] = kept

    def bytes(self):
        """The object as it is now."""
        if self._pieces is None:
            return jsonl.dumps(self.value)
        out = [self._pieces[0].encode()]
        for at, (text, piece) in enumerate(zip(self._texts, self._pieces[1:])):
            out.append(jsonl.dumps(self._changed[at]) if at in self._changed else text.encode())
            out.append(piece.encode())
        return extended(b"".join(out), self._added)


def parse(data):
    """The value of a JSON text, its numbers as in a Document. Raises BadData.

    >>> float(parse(b"[1.0]")[0])
    1.0
    """
    return parsed(jsonl.text(data))


def parsed(source):
    """The same of a text that is a str."""
    return jsonl.check_surrogates(source, jsonl.strict(_DECODER.decode, source))


def lessened(text, kept, depth=1):
    """The text of an object without the members that `kept` has not; `depth` 2: so are its members that are objects.

    All else stays as it is written; the comma goes that followed a member, or, behind the last one left, that between.
    Where a name comes twice, that object is printed anew.

    >>> lessened('{"a":{"b": 1e5,"c":2},"d":3}', {"a": {"b": 1e5}}, 2)
    '{"a":{"b": 1e5}}'
    """
    members = list(_members(text))
    if len({name for name, *_ in members}) < len(members):
        return jsonl.dumps(kept).decode()
    edits, stays = [], None
    for at, (name, start, value, end, comma) in enumerate(members):
        if name not in kept:
            edits.append((start, end if comma is None else comma + 1, ""))
            continue
        stays = at
        if depth > 1 and isinstance(kept[name], dict):
            edits.append((value, end, lessened(text[value:end], kept[name], depth - 1)))
    if stays is not None and stays < len(members) - 1:
        comma = members[stays][-1]
        edits.append((comma, comma + 1, ""))
    return edited(text, edits)


def _members(text):
    """Yield (name, where it starts, where its value does, where that ends, where a comma follows or None) of an object.

    The text is known to be JSON.
    """
    at, comma = _behind_space(text, 1), 0
    while comma is not None and text[at] != "}":
        name, end = scanstring(text, at + 1)
        value = _behind_space(text, _behind_space(text, end) + 1)
        _, end = _DECODER.scan_once(text, value)
        comma = _behind_space(text, end)
        comma = comma if text[comma] == "," else None
        yield name, at, value, end, comma
        at = comma and _behind_space(text, comma + 1)


def edited(data, edits):
    """Bytes, or a str, with what stands at each (start, end, new) replaced.

    >>> edited(b"abcd", [(3, 3, b"-"), (0, 2, b"x")]), edited("abc", [(1, 2, "")])
    (b'xc-d', 'ac')
    """
    view, pieces, at = data if data.__class__ is str else memoryview(data), [], 0
    for start, end, new in sorted(edits, key=itemgetter(0)):
        pieces += view[at:start], new
        at = end
    return data[:0].join((*pieces, view[at:]))


def extended(data, members):
    """An object's bytes with members added at its end.

    >>> extended(b'{"a":1} ', {"b": 2})
    b'{"a":1,"b":2}'
    """
    if not members:
        return data
    head = data.rstrip(WHITESPACE.encode())[:-1].rstrip(WHITESPACE.encode())
    return head + (b"" if head.endswith(b"{") else b",") + jsonl.dumps(members)[1:]


def cuts(source, names, first):
    """Where the values of all `"name":` of a text begin, and whether the name is one of `first`, in order.

    >>> cuts('{"v":1,"a": {"v":3}}', ("a",), ("v", "w"))
    [(5, True), (12, False), (17, True)]
    """
    return sorted((at, name in first) for name in (*names, *first) for at in _values(source, name))


def _values(source, name):
    """Yield where the values behind each `"name"` and a colon begin."""
    token = f'"{name}"'
    at = source.find(token)
    while at >= 0:
        colon = _behind_space(source, at + len(token))
        if source[colon : colon + 1] == ":":
            yield _behind_space(source, colon + 1)
        at = source.find(token, at + 1)


def _behind_space(source, at):
    while source[at : at + 1] and source[at] in WHITESPACE:
        at += 1
    return at


def _marked(pieces):
    """Yield the pieces with the marks 0, 1 ... between them."""
    yield pieces[0]
    for number, piece in enumerate(pieces[1:]):
        yield f'"{MARK}{number}"'
        yield piece
