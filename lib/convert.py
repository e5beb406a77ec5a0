"""Histograms to the compact storage format and back.

Stored (`ver` 2): `[b0..bN, sum, log_sum, log_sum_squares, sum_squares_lo, sum_squares_hi]`, a count for each bucket of
the definition, then five statistics; what a ping lacks is -1. The format is the 2013 telemetry server's.
"""

from tel import pings, unified
from tel.validate import STATISTICS, check_raw, check_stored, each, opened

ABSENT = -1


def compact(layout, histogram):
    """The storage array of a histogram that fits its layout.

    >>> from tel.definitions import define
    >>> layout = define("A", {"kind": "boolean"}).layouts[0]
    >>> compact(layout, {"values": {"0": 5, "1": 2}, "sum": 2})
    [5, 2, 0, 2, -1, -1, -1, -1]
    """
    array = [0] * layout.n_buckets
    position = layout.position
    for key, count in histogram["values"].items():
        array[position[key]] = count
    array += [histogram.get(name, ABSENT) for name in STATISTICS]
    return array


def expand(layout, array):
    """The histogram as clients send it; buckets whose count is 0 and statistics that are -1 are left out.

    >>> from tel.definitions import define
    >>> layout = define("A", {"kind": "boolean"}).layouts[0]
    >>> expand(layout, [5, 2, 0, 2, -1, -1, -1, -1])["values"]
    {'0': 5, '1': 2}
    """
    buckets = layout.n_buckets
    histogram = {
        "range": layout.range,
        "bucket_count": buckets,
        "histogram_type": layout.types[0],
        "values": {key: count for key, count in zip(layout.keys, array) if count},
    }
    histogram.update((name, number) for name, number in zip(STATISTICS, array[buckets:]) if number != ABSENT)
    return histogram


def convert(records, cache, sieve):
    """Yield each Record with its ping in the storage format; one that is stored already stays as it is.

    Histograms that do not fit their definitions are taken out and rejected, as by tel-validate.
    """
    return each(records, sieve.rejects, lambda record: _stored(record, cache, sieve))


def expand_all(records, cache, sieve):
    """Yield each Record with its ping as its client sent it: the inverse of `convert`."""
    return each(records, sieve.rejects, lambda record: _raw(record, cache, sieve))


def _stored(record, cache, sieve):
    stored = sieve.passes(record, cache)
    if stored is not None:
        return record.with_ping(stored)
    document = opened(record)
    ping, generation = document.value, pings.generation(document.value)
    if pings.is_stored(ping):
        return record
    sieve.sift(record, document, cache, check_raw, compact)
    if generation == pings.UNIFIED:
        changes = unified.to_stored(ping)
    elif generation == pings.DEVICE:
        changes = unified.device_to_stored(ping)
    else:
        changes = {"ver": pings.STORED}
    return _changed(record, document, changes)


def _raw(record, cache, sieve):
    document = opened(record)
    ping, generation = document.value, pings.generation(document.value)
    if not pings.is_stored(ping):
        return record
    sieve.sift(record, document, cache, check_stored, expand)
    if generation == pings.UNIFIED or ping["ver"] == pings.HOISTED:
        changes = unified.to_raw(ping)
    elif pings.is_device(ping):
        changes = unified.device_to_raw(ping)
    else:
        changes = {"ver": pings.RAW}
    return _changed(record, document, changes)


def _changed(record, document, changes):
    for name, value in changes.items():
        document.set(document.value, name, value)
    return record.with_ping(None, document)
