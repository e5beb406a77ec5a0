"""Quick proofs that bytes are one object of strict JSON: a checker that builds nothing, and what it does not look at.

Where there is no better one, the checker is SQLite's own `json_valid`, which comes with Python. It is trusted only if
it refuses all that versions of it are known, or might be thought, to let pass.
"""

import functools
import os
import re
import threading

LONGEST_DIGITS, MOST_BRACKETS = b"0" * 200, 400  # no double overflows; the reference follows what is nested so deeply
# What a text looks like with every digit a zero, every exponent an `e`, and all else a space.
ZEROS = bytes(ord("0") if c in b"0123456789+" else ord("e") if c in b"eE" else ord(" ") for c in range(256))
_EXPONENT = b"e000"  # what one of three digits looks like in zeros
_DIGITS = re.compile(rb"[+0-9]*").match
_BEFORE_NUMBER, _LONG_NUMBER = b":,[ \t\r\n", 64
_ALL_BUT_BRACKETS = bytes(c for c in range(256) if c not in b"[]{}")

REFUSED = (
    "{", "[1]]", "{} {}", "{,}", '{"a":1,}', "[1,]", "[,1]", "[1 2]", '{"a"}', "{a:1}", "{'a':1}", "{1:1}", "[01]",
    "[-]", "[-01]", "[1.]", "[.5]", "[+1]", "[1e]", "[1e+]", "[NaN]", "[Infinity]", "[-Infinity]", "[nul]", "[truE]",
    "[nulll]", "[0x1]", "[1_0]", '["]', '["\\"]', '["\n"]', '["\t"]', '["\x01"]', '["\x1f"]', '["\\x41"]', '["\\u12"]',
    '["\\u12g4"]', '["\\a"]', "['a']", "[1]//", "[1]/**/", "\ufeff[1]", "[1]\x0b", "[1]\x0c", "[\xa01]", "[\u20281]",
    "", " ", '["\\v"]', '["\\0"]', '["\\\n"]', '["\\\'"]', "[1", "[1}", '{"a":1]', '{"a" 1}', '{"a":}', "[--1]",
    "[Inf]",
)  # fmt: skip


def strict(data):
    """Whether bytes are an object of strict JSON; False in doubt.

    >>> strict(b'{"a":1}'), strict(b'{"a":01}')
    (True, False)
    """
    if b"\0" in data or (b"\\" in data and b"\\ud" in data.lower()) or not holds(data):
        return False
    return grammatical(data.decode())


def grammatical(text):
    """Whether a str without NUL is JSON by its grammar; False in doubt.

    >>> grammatical("[1,-2.5]"), grammatical("[1,-]")
    (True, False)
    """
    valid = _checker(os.getpid(), threading.get_ident())
    return valid is not None and bool(valid(text))


def holds(data):
    """Whether bytes begin as an object does, and no checker of the grammar can miss that they are not strict JSON.

    They are UTF-8, and have no number beyond a double and no nesting that the reference may refuse. False in doubt.

    >>> holds(b'{"a":1e400}'), holds(b'{"a":1e4}')
    (False, True)
    """
    if not data.startswith(b"{") and not data.lstrip(b" \t\r\n").startswith(b"{"):
        return False
    try:
        data.isascii() or data.decode()
    except UnicodeDecodeError:
        return False
    zeros = data.translate(ZEROS)
    return LONGEST_DIGITS not in zeros and not _has_exponents(data, zeros) and _is_flat(data)


def _has_exponents(data, zeros):
    """Whether there may be numbers with an exponent of three digits, and not just names made of hexadecimal ones.

    >>> text = b'["a7e1234",1e300]'
    >>> _has_exponents(text, text.translate(ZEROS)), _has_exponents(text[:10], text[:10].translate(ZEROS))
    (True, False)
    """
    at = zeros.rfind(_EXPONENT)  # from the right: `find` takes three times as long on such texts
    while at >= 0:
        before = data[max(at - _LONG_NUMBER, 0) : at].rstrip(b"0123456789.")
        begins = before.removesuffix(b"-")[-1:] in _BEFORE_NUMBER  # an empty one is, too
        if begins and len(_DIGITS(data, at + 1)[0].lstrip(b"+")) > 2:
            return True
        at = zeros.rfind(_EXPONENT, 0, at + len(_EXPONENT) - 1)
    return False


def _is_flat(data):
    """Whether objects and lists lie in each other a few hundred deep at most."""
    brackets = data.translate(None, _ALL_BUT_BRACKETS)
    while len(brackets) > MOST_BRACKETS:
        fewer = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(fewer) == len(brackets):
            return False
        brackets = fewer
    return True


@functools.lru_cache(maxsize=64)
def _checker(_process, _thread):
    """A function that tells one thread whether a str without NUL is JSON; None if there is none to trust."""
    try:
        import sqlite3

        ask = sqlite3.connect(":memory:", check_same_thread=False).execute

        def valid(text):
            return ask("SELECT json_valid(?)", (text,)).fetchone()[0]

        return None if any(map(valid, REFUSED)) else valid
    except Exception:  # Python may lack it, and it the function
        return None
