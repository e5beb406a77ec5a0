"""Which definition a sum of histograms has: that of a file, of a revision, or the one that all of a cache agree on."""

from tel import arrays, definitions, revisions, streams
from tel.errors import BadData, NoInput, UsageError
from tel.pairs import parse_pair

MOST = 1 << 63  # real sums are below


def of_options(options):
    """What finds definitions as --definitions, --revision and --histograms say. Raises UsageError and NoInput."""
    options.exclude("--definitions", "--revision")
    if options["--definitions"]:
        return Edges([_of_file(options["--definitions"])])
    cache = revisions.Cache(options.histograms())
    return Edges([_of_revision(cache, options["--revision"])] if options["--revision"] else _of_all(cache))


def _of_file(path):
    data = b"".join(streams.Input(path).blocks())
    try:
        return definitions.load(data)
    except BadData as error:
        raise BadData(error.error_type, error.reason, path) from None


def _of_revision(cache, text):
    repository, node = revisions.parse_url(text) or ("", text)
    version = cache.find(repository, node) if revisions.is_node(node) else None
    if version is None:
        raise UsageError(f"--revision: {cache.directory} has no definitions of {text:.100}")
    return version.definitions


def _of_all(cache):
    """Yield the {name: Definition} of everything in a cache."""
    found = False
    for version in cache.all():
        found = True
        yield cache.load(version).definitions
    if not found:
        cure = "--histograms DIR names the cache, --definitions FILE a Histograms.json"
        raise NoInput("holds no definitions", cache.directory, cure)


class Edges:
    """Finds the definition and layout of a name and a number of buckets among some tables {name: Definition}.

    The tables are read when the first is asked for.

    >>> edges = Edges([definitions.load(b'{"A": {"kind": "flag"}}')])
    >>> edges.find("A", 3)[1].bounds
    (0, 1, 2)
    """

    def __init__(self, tables):
        self._tables, self._found = tables, None

    def find(self, name, buckets):
        """(Definition, Layout). Raises BadData `unknown_histogram`, `wrong_bucket_count` or `ambiguous_buckets`."""
        if self._found is None:
            self._found = self._index()
        sizes = self._found.get(name) or self._found.get(name.removeprefix("STARTUP_"))
        if sizes is None:
            raise BadData("unknown_histogram", f"no definition is named {name:.60}")
        if buckets not in sizes:
            said = " or ".join(map(str, sorted(sizes)))
            raise BadData("wrong_bucket_count", f"{name:.60} has {said} buckets, not {buckets}")
        found = list(sizes[buckets].values())
        if len(found) > 1:
            reason = f"the cache has {len(found)} definitions of {name:.60} with {buckets} buckets, which differ"
            raise BadData("ambiguous_buckets", reason, cure="--revision says which is meant")
        return found[0]

    def _index(self):
        """{name: {number of buckets: {bounds: (Definition, Layout)}}}; of those that are the same, the last."""
        index = {}
        for table in self._tables:
            for name, definition in table.items():
                for layout in definition.layouts:
                    same = index.setdefault(name, {}).setdefault(layout.n_buckets, {})
                    same[layout.bounds] = definition, layout
        return index


def sums(lines, known, name, rejects):
    """Yield (key, array, Definition, Layout) of the (where, line) pairs of an answer; keys need not say a `name` given.

    Lines that are none are rejected.
    """
    for where, line in lines:
        try:
            key, value = parse_pair(where, line)
            found = name or name_of(key)
            array = array_of(found, value)
            result = (key, array, *known.find(found, len(array) - arrays.STATISTICS))
        except BadData as error:
            rejects.line(error, where, line)
            continue
        yield result


def name_of(key):
    """The histogram that a key of the built-in jobs names: the key itself, or the last of its words.

    >>> name_of(["nightly", "26.0a1", "GC_MS", 30]), name_of("GC_MS")
    ('GC_MS', 'GC_MS')
    """
    words = [word for word in (key if isinstance(key, list) else [key]) if isinstance(word, str)]
    if not words:
        raise BadData("unknown_histogram", "the key names no histogram", cure="--name says which it is")
    return words[-1]


def array_of(name, value):
    """The finished storage array that a value is. Raises BadData `not_stored`."""
    try:
        value = arrays.finish(value) if value.__class__ is list else value
    except TypeError:
        raise BadData("not_stored", f"the histogram {name:.60} has a statistic that is no number") from None
    if any(abs(number) >= MOST for number in arrays.present(name, value)):
        raise BadData("not_stored", f"the histogram {name:.60} has a number of 2^63 or more")
    return value
