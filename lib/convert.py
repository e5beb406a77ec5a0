"""Pings to the compact storage format and back: their histograms as arrays (see tel.arrays), their `ver` another."""

from tel import pings, unified
from tel.arrays import compact, expand
from tel.parted import Judged
from tel.validate import check_raw, check_stored, each, opened


def convert(records, cache, sieve):
    """Yield each Record with its ping in the storage format; one that is stored already stays as it is.

    Histograms that do not fit their definitions are taken out and rejected, as by tel-validate.
    """
    return each(records, sieve.rejects, lambda record: _stored(record, cache, sieve))


def expand_all(records, cache, sieve):
    """Yield each Record with its ping as its client sent it: the inverse of `convert`."""
    return each(records, sieve.rejects, lambda record: _raw(record, cache, sieve))


def _stored(record, cache, sieve):
    passed = sieve.passes(record, cache)
    if passed is not None:
        return record.with_ping(passed.as_stored() if passed.__class__ is Judged else passed)
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
