"""The answer of a job as text: its pairs in one of several forms, and what the job has put in its own words."""

from tel import jsonl
from tel.errors import naming
from tel.job import Text
from tel.pairs import pair_line, said

FORMATS = ("ndjson", "tsv", "csv")


def pieces(answer, format, separators=None, missing=()):
    """Yield the bytes of an answer, pairs and job.Texts, piece by piece, each with what ends it.

    Pairs come as `ndjson`, `tsv` or `csv`, the columns of the key and then the value; or, with a job's `separators`
    (of fields, of records), between these. An answer without the hosts that are `missing` names them at its end.
    """
    written = _between(*separators) if separators else _WRITERS[format]
    for piece in answer:
        yield piece if piece.__class__ is Text else written(*piece)
    if missing:
        yield remark(missing, format, separators)


def remark(missing, format, separators=None):
    """The last piece of an answer that lacks hosts, which no other looks like.

    >>> remark(["old7"], "ndjson"), remark(["old7"], "csv")
    (b'{"missing":["old7"]}\\n', b'#missing,old7\\n')
    """
    if separators is None and format == "ndjson":
        return said({"missing": missing}) + b"\n"
    written = _between(*separators) if separators else _WRITERS[format]
    return written(["#missing", *missing[:-1]], missing[-1])


def _ndjson(key, value):
    return pair_line(key, value) + b"\n"


def _columns(key, value):
    """The cells of a pair, as JSON has them: the key's, if it is a list, and the value."""
    key, value = jsonl.loads(pair_line(key, value))
    return [*(key if isinstance(key, list) else [key]), value]


def _cell(value):
    if isinstance(value, (list, dict, bool, type(None))):
        return said(value).decode()
    return str(value)


def _between(field, record):
    return lambda key, value: (field.join(map(_cell, _columns(key, value))) + record).encode()


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _tsv(key, value):
    return ("\t".join(_cell(cell).translate(_ESCAPES) for cell in _columns(key, value)) + "\n").encode()


def _csv(key, value):
    return (",".join(_quoted(_cell(cell)) for cell in _columns(key, value)) + "\n").encode()


def _quoted(text):
    """A field of RFC 4180.

    >>> _quoted("a,b")
    '"a,b"'
    """
    return '"%s"' % text.replace('"', '""') if any(c in text for c in '",\n\r') else text


_WRITERS = dict(zip(FORMATS, (_ndjson, _tsv, _csv)))


def held_back(parts, memory):
    """(how many there are, an iterable of their lines) of byte strings, when the last of them is made.

    None comes out if one fails; beyond `memory` bytes a file holds them.
    """
    import tempfile

    file, count = tempfile.SpooledTemporaryFile(memory), 0
    with naming(tempfile.gettempdir()):
        for part in parts:
            file.write(part)
            count += 1
        file.seek(0)
    return count, iter(file.readline, b"")
