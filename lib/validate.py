"""Is each histogram of a ping what its definition says? Those that are not are taken out and kept as rejects."""

from tel import definitions, pings
from tel.errors import BadData

STATISTICS = ("sum", "log_sum", "log_sum_squares", "sum_squares_lo", "sum_squares_hi")
MEMBERS = frozenset(("range", "bucket_count", "histogram_type", "values", *STATISTICS))
NUMBERS = (int, float)


def check_raw(definition, histogram):
    """The Layout that a histogram as clients send it fits. Raises BadData with the reason:

    `not_an_object`, `unknown_member`, `wrong_bucket_count`, `wrong_type`, `wrong_range`, `missing_values`,
    `unknown_bucket` (a key that is no lower bound in canonical decimal), `bad_count`, `bad_statistic`.
    """
    if histogram.__class__ is not dict:
        raise BadData("not_an_object", "the histogram is not an object")
    if not histogram.keys() <= MEMBERS:
        raise BadData("unknown_member", f"the histogram has a member {_odd(histogram, MEMBERS)}")
    buckets = histogram.get("bucket_count")
    layout = definition.by_buckets.get(buckets) if buckets.__class__ is int else None
    if layout is None:
        expected = " or ".join(map(str, definition.by_buckets))
        raise BadData("wrong_bucket_count", f"bucket_count is {buckets!r:.40}, not {expected}")
    type = histogram.get("histogram_type")
    if type.__class__ is not int or type not in layout.types:
        raise BadData("wrong_type", f"histogram_type is {type!r:.40}, not {layout.types[0]} ({definition.kind})")
    low_high = histogram.get("range")
    if low_high != layout.range or low_high[0].__class__ is not int or low_high[1].__class__ is not int:
        raise BadData("wrong_range", f"range is {low_high!r:.40}, not {layout.range}")
    check_values(layout, histogram.get("values"))
    for name in STATISTICS:
        number = histogram.get(name, 0)
        if number.__class__ not in NUMBERS:
            raise BadData("bad_statistic", f"{name} is {number!r:.40}, not a number")
    return layout


def check_values(layout, values):
    """Raise BadData unless `values` is an object of counts >= 0 by the lower bounds of the layout's buckets."""
    if values.__class__ is not dict:
        raise BadData("missing_values", "the histogram has no values object")
    if not values.keys() <= layout.position.keys():
        raise BadData("unknown_bucket", f"no bucket begins at {_odd(values, layout.position)}")
    for count in values.values():
        if count.__class__ is not int or count < 0:
            raise BadData("bad_count", f"a bucket's count is {count!r:.40}, not an integer >= 0")


def check_stored(definition, array):
    """The Layout that a compact array fits: counts >= 0 of one of its bucket numbers, then five numbers.

    Raises BadData `not_an_array`, `wrong_bucket_count`, `bad_count`, `bad_statistic`.
    """
    if array.__class__ is not list:
        raise BadData("not_an_array", "the stored histogram is not an array")
    layout = definition.by_buckets.get(len(array) - len(STATISTICS))
    if layout is None:
        expected = " or ".join(str(buckets + len(STATISTICS)) for buckets in definition.by_buckets)
        raise BadData("wrong_bucket_count", f"the array has {len(array)} elements, not {expected}")
    if any(count.__class__ is not int or count < 0 for count in array[: layout.n_buckets]):
        raise BadData("bad_count", "a bucket's count is not an integer >= 0")
    if any(number.__class__ not in NUMBERS for number in array[layout.n_buckets :]):
        raise BadData("bad_statistic", "a statistic is not a number")
    return layout


def _odd(found, known):
    """The first of the found names that is not known, shortened for a message."""
    return repr(next(name for name in found if name not in known))[:60]


def histograms_of(record, document):
    """(the `ver`, the histograms) of a classic ping. Raises BadData `missing_histograms`, `unsupported_version`."""
    ping = document.value
    generation = pings.generation(ping)
    if generation != pings.CLASSIC:
        raise BadData("unsupported_version", f"histograms of a {generation} ping are not supported")
    histograms = ping.get("histograms")
    if histograms.__class__ is not dict:
        raise BadData("missing_histograms", "the ping's histograms are not an object")
    return ping["ver"], histograms


def definitions_of(record, cache):
    """The definitions a record's revision names. Raises BadData `definitions_not_found`."""
    version = cache.of_record(record.revision)
    if version is None:
        raise BadData(
            "definitions_not_found",
            f"the definitions of revision {record.revision!r:.200} are not in {cache.directory}",
            cure="run tel-resolve with the same --histograms before",
        )
    return version.definitions


class Sieve:
    """Parts the good histograms of a ping from the bad, which go to the rejects one by one.

    With `whole` a bad histogram is the whole ping's fault, as it was for the 2013 server; only unknown names are still
    taken out singly.
    """

    def __init__(self, rejects, whole=False):
        self.rejects, self.whole = rejects, whole

    def part(self, record, histograms, known, check):
        """{name: (Layout, histogram)} of those that pass `check(definition, histogram)`, in their order."""
        good = {}
        for name, histogram in histograms.items():
            try:
                definition = known.get(name) or definitions.find(known, name)
                if definition is None:
                    raise BadData("unknown_histogram", "no definition has that name")
                good[name] = check(definition, histogram), histogram
            except BadData as error:
                self._reject(record, name, histogram, error)
        return good

    def _reject(self, record, name, histogram, error):
        error.reason = f"{name}: {error.reason}"
        if self.whole and error.error_type != "unknown_histogram":
            raise error
        self.rejects.histogram(error, record.where, record.id, name, f"histograms.{name}", histogram)


def validate(records, cache, rejects, whole=False):
    """Yield each Record with its bad histograms taken out; the bytes of a ping that had none stay as they are."""
    sieve = Sieve(rejects, whole)
    for record in records:
        try:
            checked = _validated(record, cache, sieve)
        except BadData as error:
            rejects.line(error, record.where, record.original, record.id)
        else:
            yield checked


def _validated(record, cache, sieve):
    pings.check_id(record.id)
    document = record.document(("histograms",))
    generation = pings.generation(document.value)
    pings.info_of(document.value, generation)
    if not pings.carries_histograms(document.value, generation):
        return record
    ver, histograms = histograms_of(record, document)
    known = definitions_of(record, cache)
    good = sieve.part(record, histograms, known, check_raw if ver == pings.RAW else check_stored)
    if len(good) == len(histograms):
        return record
    return record.with_ping(document.replace({"histograms": {name: histogram for name, (_, histogram) in good.items()}}))
