"""What was found for a key, kept so that it is found once, within bounds that hostile input cannot exceed."""

MOST, LONGEST = 10_000, 1000  # entries, and characters of a key


def remembered(memo, key, find, most=MOST):
    """`find(key)`, asked once for each key that is not too long to be kept in a dict; a full one is emptied.

    >>> memo = {}
    >>> remembered(memo, "a", len), memo
    (1, {'a': 1})
    """
    if key in memo:
        return memo[key]
    found = find(key)
    if len(repr(key)) <= LONGEST:
        if len(memo) >= most:
            memo.clear()
        memo[key] = found
    return found
