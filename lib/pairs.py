"""Lines between the tools, `["key",value]` or `key TAB value`, and the canonical text of their keys."""

import re

from tel import jsonl, streams
from tel.errors import BadData


def pair_line(key, value):
    """A key and a value as a line between the tools.

    >>> pair_line(("a", 1), 2)
    b'[["a",1],2]'
    """
    return b"[%s,%s]" % (key_text(key), said(value))


def key_text(key):
    """The bytes of a key's canonical JSON, by which keys are the same or not, and are sorted.

    >>> key_text(("a", {"c": 1, "b": 2}))
    b'["a",{"b":2,"c":1}]'
    """
    try:
        return said(_canonical(key))
    except RecursionError:
        raise BadData("job_failed", "the job wrote a key that is nested too deeply") from None
    except TypeError as error:
        raise BadData("job_failed", f"the job wrote what JSON cannot say: {error}") from None


def _canonical(key):
    """A key with its objects sorted by name and its tuples as lists."""
    if isinstance(key, (list, tuple)):
        return [_canonical(part) for part in key]
    if isinstance(key, dict):
        return {name: _canonical(key[name]) for name in sorted(key)}
    return key


def said(value):
    """A value that a job wrote as JSON. Raises BadData `job_failed` for what JSON cannot say."""
    try:
        return jsonl.dumps(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadData("job_failed", f"the job wrote what JSON cannot say: {error}") from None


def tab_line(key, value):
    """A pair as `key TAB value`, for Hadoop Streaming and Spark's pipe; a key that could be taken for JSON is quoted.

    >>> tab_line("Linux", 3), tab_line(["a"], 3)
    (b'Linux\\t3', b'["a"]\\t3')
    """
    text = key_text(key)
    plain = isinstance(key, str) and not _LIKE_JSON.match(key) and not any(c in key for c in "\t\n\r")
    return (key.encode() if plain else text) + b"\t" + said(value)


_LIKE_JSON = re.compile(r"""["\[{\d-]|(?:true|false|null)$|$""")


def parse_pair(where, line):
    """(key, value) of a line between the tools. Raises BadData `not_a_pair`."""
    try:
        pair = jsonl.loads(streams.held(line))
    except BadData as error:
        raise BadData(error.error_type, error.reason, where, error.cure) from None
    if not isinstance(pair, list) or len(pair) != 2:
        raise BadData("not_a_pair", 'not a line ["key",value]', where)
    return pair


def parse_tab(where, line, is_json=_LIKE_JSON.match):
    """(key, value) of a line `key TAB value`; the key is JSON if its text `is_json`, else a string as it stands.

    Raises BadData `not_a_pair`.

    >>> parse_tab("-:1", b"Linux\\t1"), parse_tab("-:1", b'["a",1]\\t[2]')
    (('Linux', 1), (['a', 1], [2]))
    """
    text, tab, value = streams.held(line).partition(b"\t")
    try:
        key = jsonl.text(text)
        if tab:
            return jsonl.loads(text) if is_json(key) else key, jsonl.loads(value)
    except BadData as error:
        raise BadData("not_a_pair", f"no key TAB value, which is JSON: {error.reason}", where) from None
    raise BadData("not_a_pair", "not a line key TAB value", where)


def key_of(text):
    """The key of its canonical JSON as a job gets it: a list as a tuple, which can be a dict's key.

    >>> key_of(b'["a",[1]]')
    ('a', (1,))
    """
    return _tupled(jsonl.loads(text))


def _tupled(value):
    return tuple(map(_tupled, value)) if isinstance(value, list) else value
