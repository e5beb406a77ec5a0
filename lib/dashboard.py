"""What dashboards read of pings: every measure, added up by channel, major version, day and kind of machine.

A line has the key `[channel, major version, measure, by, key, date, reason, appName, OS, osVersion, arch, buckets]`
and the value `[array, pings, newest build id, its revision]`. `by` is BY_BUILD or BY_SUBMISSION, `date` that day
(YYYYMMDD); `key` is one of a keyed histogram's, null for a plain one. Arrays of different lengths have different
keys, so that lines can be merged in any order and any grouping. A line `["left out",reason]` counts what is not there.
"""

import bisect
import functools
import math
import re
from collections import Counter

from tel import arrays, definitions, pings
from tel.errors import BadData
from tel.schema import UNKNOWN, as_text

BY_BUILD, BY_SUBMISSION = "by-build-date", "by-submission-date"
LEFT_OUT = "left out"
SIMPLE = "SIMPLE_MEASURES_"
SIMPLE_SHAPE = {"kind": "exponential", "low": 1, "high": 30000, "n_buckets": 50}
BOUNDS = definitions.exponential(1, 30000, 50)
OLDEST = 60  # days from a build to the last submission of it that counts by submission date
AHEAD = 366  # days that a build may be dated after its submission: a clock or a date given may be wrong
MOST = 20_000  # sums at once, after which they should be handed on
BUFFERED = 64  # arrays of one sum that are kept until they are added up
LARGEST = 1 << 63  # beyond that nothing was measured, and sums of doubles could overflow
LONGEST = 200  # characters of a revision's URL


class Tally:
    """Running sums of the measures of pings' main process.

    >>> tally, info = Tally(), {"OS": "Linux", "version": "3.10.1", "arch": "x86"}
    >>> dims = ["idle-daily", "Firefox", "nightly", "24.0a1", "20130801030201", "20131001"]
    >>> tally.add(dims, {"ver": 2, "info": info, "histograms": {"A": [1, 0, 1, -1, -1, -1, -1]}})
    >>> for key, value in tally.take():
    ...     print(*key, value)
    nightly 24 A by-build-date None 20130801 idle-daily Firefox Linux 3.10 x86 2 \
[[1, 0, 1, -1, -1, -1, -1], 1, '20130801030201', '']
    """

    def __init__(self):
        self._groups, self._size, self._left_out = {}, 0, Counter()

    def add(self, dims, ping):
        """Add the measures of a stored ping (a dict) of some dimensions, in the order that a job gets them.

        Raises BadData `not_stored`, and what pings.generation and pings.info_of raise; then nothing is added.
        """
        generation = pings.generation(ping)
        info, revision = pings.info_of(ping, generation), pings.at(ping, pings.REVISION[generation])
        histograms, simple = list(_histograms(ping)), list(_simple_measures(ping))
        reason, app, channel, version, build, submitted = dims[:6]
        if not is_possible(build[:8], submitted):
            self._left_out["bad_build_date"] += 1
            return
        machine = of_system(*(as_text(info.get(name)) or UNKNOWN for name in ("OS", "version", "arch")))
        revision = revision if isinstance(revision, str) and len(revision) <= LONGEST else ""
        group = (channel, version.split(".")[0], build, revision, submitted, reason, app, *machine)
        sums = self._groups.setdefault(group, {})
        for measure, key, array in histograms:
            if measure.startswith(SIMPLE):
                self._left_out["bad_name"] += 1
            elif max(array) > LARGEST or min(array) < -LARGEST:
                self._left_out["bad_number"] += 1
            else:
                self._add(sums, (measure, key, len(array) - arrays.STATISTICS), array)
        for name, value in simple:
            if abs(value) > LARGEST:
                self._left_out["bad_number"] += 1
            else:
                self._add(sums, (name, None, len(BOUNDS)), of_simple(value))

    def _add(self, sums, name, array):
        held = sums.get(name)
        if held is None:
            held = sums[name] = [[], 0]
            self._size += 1
        held[0].append(array)
        held[1] += 1
        if len(held[0]) > BUFFERED:
            held[0] = [arrays.add_all(held[0])]

    @property
    def full(self):
        """Whether there are so many sums that they should be taken."""
        return self._size > MOST

    def take(self):
        """Yield the (key, value) pairs of all sums; nothing is left."""
        groups, left_out = self._groups, self._left_out
        self._groups, self._size, self._left_out = {}, 0, Counter()
        for (channel, version, build, revision, submitted, *path), sums in groups.items():
            days = [(BY_BUILD, build[:8])]
            if is_recent(build[:8], submitted):
                days.append((BY_SUBMISSION, submitted))
            for (measure, key, buckets), (held, count) in sums.items():
                value = [
                    arrays.add_all(held) if len(held) > 1 else held[0],
                    count,
                    build,
                    revision if not measure.startswith(SIMPLE) else "",
                ]
                for by, date in days:
                    yield (channel, version, measure, by, key, date, *path, buckets), value
        for reason, count in left_out.items():
            yield (LEFT_OUT, reason), count


def _histograms(ping):
    """Yield (name, key or None, array) of the histograms of a stored ping. Raises BadData `not_stored`."""
    payload = ping.get("payload")
    holder = payload if isinstance(payload, dict) else ping
    for name, array in _members(holder, pings.PLAIN):
        yield name, None, arrays.present(name, array)
    for name, keys in _members(holder, pings.KEYED):
        for key, array in _members({name: keys}, name):
            yield name, key, arrays.present(name, array)


def _members(holder, name):
    """The items of a member that is an object or missing. Raises BadData `not_stored` for anything else."""
    value = holder.get(name, {})
    if not isinstance(value, dict):
        raise BadData("not_stored", f"{name:.60} is not an object", cure="tel-convert brings pings into the format")
    return value.items()


def _simple_measures(ping):
    """Yield (measure, number) of a ping's simple measurements; those of an object have its name before theirs."""
    payload = ping.get("payload")
    simple = (payload if isinstance(payload, dict) else ping).get("simpleMeasurements")
    for name, value in simple.items() if isinstance(simple, dict) else ():
        for inner, number in value.items() if isinstance(value, dict) else [("", value)]:
            if number.__class__ in (int, float):
                yield SIMPLE + (f"{name}_{inner}" if isinstance(value, dict) else name).upper(), number


def of_simple(value):
    """The storage array of one simple measurement; what is below 0 lies in the first bucket.

    >>> array = of_simple(2)
    >>> array[:4], array[50], round(array[51], 4), array[53:]
    ([0, 0, 1, 0], 2, 1.0986, [-1, -1])
    """
    counts = [0] * len(BOUNDS)
    counts[max(bisect.bisect_right(BOUNDS, value) - 1, 0)] = 1
    log = math.log(abs(value) + 1)
    return [*counts, [value] if value == arrays.ABSENT else value, log, log * log, arrays.ABSENT, arrays.ABSENT]


def of_system(system, version, arch):
    """(OS, its version, architecture), Linux's version being cut to major.minor.

    >>> of_system("Linux", "3.10.0-generic", "x86")
    ('Linux', '3.10', 'x86')
    """
    match = re.match(r"\d+\.\d+", version) if system == "Linux" else None
    return system, match[0] if match else version, arch


@functools.lru_cache(maxsize=4096)
def day_of(text):
    """The number of the day of YYYYMMDD, None for what is no date.

    >>> day_of("20130301") - day_of("20130228"), day_of("20130229")
    (1, None)
    """
    from datetime import date

    if not re.fullmatch(r"\d{8}", text, re.ASCII):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:])).toordinal()
    except ValueError:
        return None


def is_possible(built, submitted):
    """Whether a build's date is one, and not a year after the submission's, if that is known.

    >>> is_possible("20130801", "20130731"), is_possible("29990801", "20130801"), is_possible("20131301", "UNKNOWN")
    (True, False, False)
    """
    build, submission = day_of(built), day_of(submitted)
    return build is not None and (submission is None or build <= submission + AHEAD)


def is_recent(built, submitted):
    """Whether a submission counts by its date: it came at most OLDEST days after the build.

    >>> is_recent("20130801", "20130930"), is_recent("20130801", "20131001"), is_recent("20130801", "UNKNOWN")
    (True, False, False)
    """
    submission = day_of(submitted)
    return submission is not None and submission - day_of(built) <= OLDEST


def merged(values):
    """The sum of some values of one key.

    >>> merged([[[1, 1, -1, -1, -1, -1], 1, "20130801", "a"], [[2, -1, -1, -1, -1, -1], 1, "20130802", "b"]])
    [[3, 1, -1, -1, -1, -1], 2, '20130802', 'b']
    """
    if len(values) == 1:
        return values[0]
    if values[0].__class__ is int:
        return sum(values)
    sums, counts, *newest = zip(*values)
    return [arrays.add_all(sums), sum(counts), *max(zip(*newest))]
