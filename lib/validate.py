"""Is each histogram of a ping what its definition says? Those that are not are taken out and kept as rejects."""

from collections import namedtuple

from tel import arrays, definitions, jsonl, pings, tiers
from tel.arrays import NAMES, STATISTICS
from tel.errors import BadData
from tel.parted import Judged, Parted

MEMBERS = frozenset(("range", "bucket_count", "histogram_type", "values", *NAMES))
NUMBERS = (int, float, jsonl.Real)


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
    for name in NAMES:
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
    layout = definition.by_buckets.get(len(array) - STATISTICS)
    if layout is None:
        expected = " or ".join(str(buckets + STATISTICS) for buckets in definition.by_buckets)
        raise BadData("wrong_bucket_count", f"the array has {len(array)} elements, not {expected}")
    if any(count.__class__ is not int or count < 0 for count in array[: layout.n_buckets]):
        raise BadData("bad_count", "a bucket's count is not an integer >= 0")
    if any(number.__class__ not in NUMBERS for number in array[layout.n_buckets :]):
        raise BadData("bad_statistic", "a statistic is not a number")
    return layout


def _odd(found, known):
    """The first of the found names that is not known, shortened for a message."""
    return repr(next(name for name in found if name not in known))[:60]


def definitions_of(record, cache):
    """The definitions a record's revision names. Raises BadData `definitions_not_found`."""
    version = cache.of_record(record.revision)
    if version is None:
        raise BadData(
            "definitions_not_found",
            f"the definitions of revision {jsonl.dumps(record.revision).decode()[:300]} are not in {cache.directory}",
            cure="run tel-resolve with the same --histograms before",
        )
    return version.definitions


class Sieve:
    """Parts the good histograms of a ping from the bad, which go to the rejects one by one.

    `whole` makes a bad histogram the whole ping's fault, as it was for the 2013 server; only unknown names are still
    taken out singly. `keyed` False leaves all but the ping's own plain histograms as they are. `unknown` says what
    becomes of a histogram that nobody defines (addonHistograms are such): `reject`, `drop` or `keep`.
    """

    UNKNOWN = ("reject", "drop", "keep")

    def __init__(self, rejects, whole=False, keyed=True, unknown="reject"):
        self.rejects, self.whole, self.keyed, self.unknown = rejects, whole, keyed, unknown
        self._kinds = (pings.PLAIN, pings.KEYED, pings.ADDON) if keyed else (pings.PLAIN,)

    def passes(self, record, cache, alone=False):
        """The ping of a record in the storage format, by the quick way; where that is not asked for (`alone`), or True.

        Histograms that do not fit are taken out, and then it is a parted.Judged. None, and nothing is taken out, where
        only the reference way can tell. Raises BadData `bad_id`, and what `whole` asks for.
        """
        if not self.keyed:
            return None
        version = cache.of_record(record.revision)
        if record.outline is None:
            record.outline = tiers.look(record.ping, version) or False
        outline = record.outline
        if not outline or outline.stored:
            return None
        ask = outline.fitting if alone else outline.converted
        found = ask(version if outline.carries else None)
        if found is None:
            return None
        pings.check_id(record.id)
        record.sound = True
        if found.__class__ is not Parted:
            return found
        return found.judged(
            found.document(), version, lambda document: self.sift(record, document, cache, check_raw, arrays.compact)
        )

    def sift(self, record, document, cache, check, change=None):
        """Put `change(layout, histogram)` in the place of each histogram of a Document that `check` finds good.

        Returns whether something was changed or taken out.
        """
        ping, known, changed, total = document.value, None, False, 0
        generation = pings.generation(ping)
        for holder, kind, way in pings.places(ping, generation, self._kinds):
            if not self.keyed and holder is not ping and len(way) > 2:
                continue
            histograms = holder[kind]
            total += len(histograms)
            if total > pings.MOST_HISTOGRAMS:
                raise BadData("too_many_histograms", f"the ping has more than {pings.MOST_HISTOGRAMS} histograms")
            if known is None and histograms and kind != pings.ADDON:
                known = definitions_of(record, cache)
            part = {pings.PLAIN: self._plain, pings.KEYED: self._keyed, pings.ADDON: self._addon}[kind]
            good, taken = part(_Place(record, way, known, check, change or _same), histograms)
            if change:
                document.set(holder, kind, good)
            elif taken:
                document.lessen(holder, kind, good, 2 if kind == pings.KEYED else 1)
            changed |= bool(change or taken)
        return changed

    def _plain(self, place, histograms):
        """(the good ones of {name: histogram}, how many were taken out)."""
        good, taken, known, check, change = {}, 0, place.known, place.check, place.change
        for name, histogram in histograms.items():
            try:
                definition = known.get(name) or definitions.find(known, name)
                if definition is None:
                    raise unknown()
                if definition.keyed:
                    raise BadData("wrong_place", "a keyed histogram among the plain ones")
                good[name] = change(check(definition, histogram), histogram)
            except BadData as error:
                if self._keeps(place, error, histogram, name):
                    good[name] = histogram
                else:
                    taken += 1
        return good, taken

    def _keyed(self, place, histograms):
        """(the good ones of {name: {key: histogram}}, how many were taken out)."""
        good, taken = {}, 0
        for name, by_key in histograms.items():
            try:
                definition = definitions.find(place.known, name)
                if definition is None:
                    raise unknown()
                if not definition.keyed:
                    raise BadData("wrong_place", "a plain histogram among the keyed ones")
                if by_key.__class__ is not dict:
                    raise BadData("not_an_object", "the keyed histogram is not an object")
            except BadData as error:
                if self._keeps(place, error, by_key, name):
                    good[name] = by_key
                else:
                    taken += 1
                continue
            good[name], missing = self._keys(place, definition, name, by_key)
            taken += missing
        return good, taken

    def _keys(self, place, definition, name, by_key):
        good, taken = {}, 0
        for key, histogram in by_key.items():
            try:
                if definition.keys is not None and key not in definition.keys:
                    raise BadData("unknown_key", f"the definition lists no key {key!r:.40}")
                good[key] = place.change(place.check(definition, histogram), histogram)
            except BadData as error:
                self._keeps(place, error, histogram, name, key)
                taken += 1
        return good, taken

    def _addon(self, place, addons):
        """(what is kept of {add-on: {name: histogram}}, how many histograms were not): nobody defines these."""
        good, taken = {}, 0
        for addon, histograms in addons.items():
            each = histograms if histograms.__class__ is dict else {addon: histograms}
            kept = {name: value for name, value in each.items() if self._keeps(place, unknown(), value, name, addon)}
            taken += len(each) - len(kept)
            if kept:
                good[addon] = histograms
        return good, taken

    def _keeps(self, place, error, histogram, name, key=None):
        """Whether a bad histogram stays nevertheless; if not, it has been rejected, or dropped and counted."""
        nobody_defines_it = error.error_type == "unknown_histogram"
        if nobody_defines_it and self.unknown == "keep":
            return True
        if nobody_defines_it and self.unknown == "drop":
            self.rejects.stats.dropped[error.error_type] += 1
            return False
        error.reason = f"{name[:100]}: {error.reason}"
        if self.whole and not nobody_defines_it:
            raise error
        self.rejects.histogram(error, place.record, name, ".".join(place.way), histogram, key)
        return False


_Place = namedtuple("_Place", "record way known check change")


def unknown():
    """The BadData that a histogram is which nobody defines."""
    return BadData("unknown_histogram", "no definition has that name")


def _same(layout, histogram):
    return histogram


def validate(records, cache, sieve, alone=False):
    """Yield each Record with its bad histograms taken out; the bytes of a ping that had none stay as they are.

    `alone` says that no other stage makes use of what is found out about a ping.
    """
    return each(records, sieve.rejects, lambda record: _validated(record, cache, sieve, alone))


def _validated(record, cache, sieve, alone):
    passed = sieve.passes(record, cache, alone)
    if passed is not None:
        return _lessened(record, passed, sieve, alone) if passed.__class__ is Judged else record
    document = opened(record)
    ping = document.value
    pings.info_of(ping, pings.generation(ping))
    changed = sieve.sift(record, document, cache, check_stored if pings.is_stored(ping) else check_raw)
    return record.with_ping(None, document) if changed else record


def _lessened(record, judged, sieve, alone):
    """A record whose ping was Judged by a Sieve, without what that took out; the next stage need not judge again."""
    lessened = record.with_ping(judged) if judged.lessened else record
    lessened.outline = judged if sieve.unknown != "keep" and not alone else None
    return lessened


def opened(record):
    """A record's ping as a Document. Raises BadData for what is no ping, and for an unusable id."""
    document = record.document()
    pings.check_id(record.id)
    return document


def each(records, rejects, change):
    """Yield `change(record)` of each Record; one that raises BadData is rejected whole."""
    for record in records:
        try:
            changed = change(record)
        except BadData as error:
            rejects.line(error, record.where, record.original, record.id, record.info)
        else:
            yield changed
