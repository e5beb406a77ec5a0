"""Histograms to the compact storage format and back.

Stored (`ver` 2): `[b0..bN, sum, log_sum, log_sum_squares, sum_squares_lo, sum_squares_hi]`, a count for each bucket of
the definition, then five statistics; what a ping lacks is -1. The format is the 2013 telemetry server's.
"""

from tel import pings
from tel.errors import BadData
from tel.validate import STATISTICS, Sieve, check_raw, check_stored, definitions_of, histograms_of

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


def convert(records, cache, rejects):
    """Yield each Record with a `ver` 1 ping made `ver` 2; all others, and all other bytes, stay as they are.

    Histograms that do not fit their definitions are taken out and rejected, as by tel-validate.
    """
    return _each(records, cache, rejects, pings.RAW, check_raw, compact, pings.STORED)


def expand_all(records, cache, rejects):
    """Yield each Record with a `ver` 2 ping made `ver` 1 again: the inverse of `convert`."""
    return _each(records, cache, rejects, pings.STORED, check_stored, expand, pings.RAW)


def _each(records, cache, rejects, ver, check, change, to_ver):
    sieve = Sieve(rejects)

    def changed(record):
        pings.check_id(record.id)
        document = record.document(("ver", "histograms"))
        generation = pings.generation(document.value)
        if document.value.get("ver") != ver or generation != pings.CLASSIC:
            return record
        if not pings.carries_histograms(document.value, generation):
            return record.with_ping(document.replace({"ver": to_ver}))
        _, histograms = histograms_of(record, document)
        good = sieve.part(record, histograms, definitions_of(record, cache), check)
        arrays = {name: change(layout, histogram) for name, (layout, histogram) in good.items()}
        return record.with_ping(document.replace({"ver": to_ver, "histograms": arrays}))

    for record in records:
        try:
            result = changed(record)
        except BadData as error:
            rejects.line(error, record.where, record.original, record.id)
        else:
            yield result
