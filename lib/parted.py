"""Pings of which a tier could not judge every histogram: those few are judged alone, by the reference way.

Most real pings have one unknown name among hundreds. All other bytes of such a ping are known already.
"""

import os
from collections import namedtuple

from tel import jsonl, pings
from tel.document import Document, edited, lessened

MARK = f"number of a container {os.urandom(16).hex()}"  # a name that no input can hold

# A {name: histogram} or {name: {key: histogram}} object in a ping's text: its span, what it is in the storage format
# without the members in doubt, and for each of these (start, end, at): its span, and where it would stand in `stored`
# if a comma followed every member there. Where only what was sent is asked for, `stored` is None and `at` says nothing.
Container = namedtuple("Container", "start end stored doubts")


class Parted:
    """A ping's bytes, the edits (start, end, bytes) that its storage format asks for, and its Containers.

    `own` is the name of the only one, if it is a member of a classic ping itself.
    """

    def __init__(self, data, edits, containers, own=None):
        self._data, self._edits, self._containers, self._own = data, edits, containers, own

    def document(self):
        """A Document with the histograms in doubt in their places, behind the numbers of their containers."""
        edits = []
        for number, container in enumerate(self._containers):
            members = [self._data[start:end] for start, end, _ in container.doubts]
            text = b'{"%s":%d%s}' % (MARK.encode(), number, b"".join(b"," + member for member in members))
            edits.append((container.start, container.end, text))
        if self._own:
            return Document(b'{"ver":%d,"%s":%s}' % (pings.RAW, self._own.encode(), edits[0][2]))
        return Document(edited(self._data, edits))

    def judged(self, document, version, sift):
        """The Judged ping, by what `sift(document)` leaves of the histograms in its `document()`: the good, stored.

        `version` is that of the definitions that say which are good.
        """
        ping = document.value
        places = list(pings.places(ping, pings.generation(ping), (pings.PLAIN, pings.KEYED)))
        places = [(holder[kind].pop(MARK), holder, kind) for holder, kind, _ in places if MARK in holder[kind]]
        sent = [holder[kind] for _, holder, kind in places]
        sift(document)
        parts = [
            _Part(self._containers[number], kind, before, holder[kind])
            for before, (number, holder, kind) in zip(sent, places)
        ]
        return Judged(self._data, self._edits, parts, version)


class Judged:
    """A ping whose histograms have all been judged by a Version: its text without the bad ones, as stored and as sent.

    `lessened` tells whether something was taken out.
    """

    stored = False  # as an Outline has it: it is in the format that clients send
    carries = True

    def __init__(self, data, edits, parts, version):
        self._data, self._edits, self._parts, self._sha256 = data, edits, parts, version.sha256
        self.lessened = any(part.lessened for part in parts)
        self.most = len(data)

    def converted(self, version):
        """The ping's bytes in the storage format; None, as an Outline in doubt, for another Version."""
        return self.as_stored() if self.fitting(version) else None

    def fitting(self, version):
        """True, as an Outline has it; None for another Version."""
        return True if version and version.sha256 == self._sha256 else None

    def as_stored(self):
        """The ping's bytes in the storage format of the definitions that it was judged by."""
        return edited(self._data, [*self._edits, *[(*part.span, part.stored()) for part in self._parts]])

    def text(self):
        """The ping's bytes as sent; `most` is a bound of their number."""
        return edited(self._data, [(*part.span, part.sent(self._data)) for part in self._parts if part.lessened])


class _Part:
    """A Container, its histograms in doubt as they were sent, and those found good as they are stored."""

    def __init__(self, container, kind, sent, good):
        self._container, self._keyed, self._sent, self._good = container, kind == pings.KEYED, sent, good
        self.span = container.start, container.end
        self.lessened = good.keys() != sent.keys() or any(
            len(good[name]) < len(sent[name]) for name in good if self._keyed and sent[name].__class__ is dict
        )

    def stored(self):
        """The container's text in the storage format."""
        container, good = self._container, self._good
        places = [(at, at, _member(name, good)) for name, (_, _, at) in zip(self._sent, container.doubts)]
        return _spliced(container.stored, places)

    def sent(self, data):
        """The container's text as it was sent, without the bad ones."""
        start, end = self.span
        places = [
            (begin - start, to - start + 1, self._left(name, data[begin:to]))
            for name, (begin, to, _) in zip(self._sent, self._container.doubts)
        ]
        return _spliced(data[start:end], places)

    def _left(self, name, member):
        """What is left of the text of a member that was sent, and a comma."""
        if name not in self._good:
            return b""
        sent = self._sent[name]
        if self._keyed and sent.__class__ is dict:
            kept = {name: {key: sent[key] for key in self._good[name]}}
            member = lessened(f"{{{member.decode()}}}", kept, 2)[1:-1].encode()
        return member + b","


def _spliced(text, places):
    """An object's text with what stands at each (start, end, bytes) replaced, in their order.

    They are places in a text where a comma follows every member, the last one, too, where the brace is.
    """
    last, comma = len(text) - 1, b"," if len(text) > 2 else b""
    view, pieces, at = memoryview(text), [], 0
    for start, end, new in [*places, (last + 1, last + 1, b"")]:
        pieces.append(view[at : min(start, last)])
        if at <= last < start:
            pieces.append(comma)
        pieces.append(new)
        at = end
    while not pieces[-1]:
        pieces.pop()
    if pieces[-1][-1:] == b",":
        pieces[-1] = pieces[-1][:-1]
    return b"".join((*pieces, b"}"))


def _member(name, members):
    """A member's text and a comma; nothing if it is not there."""
    return jsonl.dumps({name: members[name]})[1:-1] + b"," if name in members else b""
