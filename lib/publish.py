"""A static tree of what the job dashboard found, which the published clients of both generations read.

`v7/` is what telemetry.js (v1) reads, `data/` what the frontend of June 2013 reads: the same, less detailed. Each
version has one folder for both, named by its content, to which v7/versions.json and the links below data/ point.
"""

import itertools
import marshal
import os
import re
import tempfile

from tel import arrays, dashboard, definitions, folder, jsonl, names, page, revisions, streams
from tel.dashboard import BY_BUILD, BY_SUBMISSION
from tel.errors import BadData, IOFailed, NoInput
from tel.memory import remembered

LEVELS = ("reason", "appName", "OS", "osVersion", "arch")
JUNE = "june"  # below a version's folder: what data/<channel>/<version> points to
ID = "_id"
FORMS = (BY_BUILD, BY_SUBMISSION)


class Row:
    """One line of the job: where it belongs, its array and what it came from. Raises BadData `not_of_dashboard`."""

    __slots__ = ("version", "measure", "by", "key", "date", "path", "buckets", "array", "pings", "newest")

    def __init__(self, key, value):
        try:
            channel, version, self.measure, self.by, self.key, self.date, *path, self.buckets = key
            array, self.pings, *newest = value
            self.version, self.path, self.newest = (channel, version), tuple(path), tuple(newest)
            self.array = arrays.checked(self.measure, arrays.finish(array))
            texts = (
                channel,
                version,
                self.measure,
                self.by,
                self.date,
                *path,
                *newest,
                "" if self.key is None else self.key,
            )
            good = all(text.__class__ is str for text in texts) and self.pings.__class__ is int and self.pings > 0
            good = good and len(path) == len(LEVELS) and len(newest) == 2 and self.by in FORMS
            good = good and dashboard.day_of(self.date) and self.buckets + arrays.STATISTICS == len(self.array)
        except (BadData, TypeError, ValueError, OverflowError):
            good = False
        if not good:
            where = f"key {jsonl.dumps(key).decode()[:200]}"
            raise BadData("not_of_dashboard", "no line of the job dashboard", where, "tel-reduce dashboard writes them")


class Describer:
    """Says how a measure is published, by the definitions of the revisions that its rows name, in a Cache."""

    def __init__(self, cache):
        self._cache, self._versions, self._texts = cache, {}, {}

    def describe(self, name, rows):
        """(what is published of the definition, its Layout's bounds) of the rows of a measure, or None.

        The newest row decides whose revision the cache knows and has a definition with that number of buckets.
        """
        if name.startswith(dashboard.SIMPLE):
            text = f"The simple measurement {name[len(dashboard.SIMPLE) :].lower()}"
            return {**dashboard.SIMPLE_SHAPE, "description": text}, dashboard.BOUNDS
        keyed = rows[0].key is not None
        for _, revision, buckets in sorted({(*row.newest, row.buckets) for row in rows}, reverse=True):
            version = self._version(revision)
            definition = version and definitions.find(self._cache.load(version).definitions, name)
            if definition and definition.keyed == keyed and buckets in definition.by_buckets:
                layout = definition.by_buckets[buckets]
                return published(definition, layout, self._description(version, name)), layout.bounds
        return None

    def _version(self, revision):
        return remembered(self._versions, revision, self._found, most=100)

    def _found(self, revision):
        named = revisions.parse_url(revision)
        return self._cache.find(*named) if named else None

    def _description(self, version, name):
        """The description of a definition, "" where there is none."""
        if version.sha256 not in self._texts:
            if len(self._texts) >= 16:
                self._texts.clear()
            self._texts[version.sha256] = _descriptions(version.path)
        return definitions.find(self._texts[version.sha256], name) or ""


def _descriptions(path):
    """The {name: description} of a Histograms.json that can be read, as its definitions were."""
    try:
        with open(path, "rb") as file:
            known = jsonl.loads(file.read())
    except OSError as error:
        raise NoInput(f"cannot be read: {error.strerror}", path) from None
    texts = {name: fields.get("description") for name, fields in known.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def published(definition, layout, description):
    """A definition as clients read it: numbers, and only kinds whose buckets telemetry.js can compute.

    >>> published(definitions.define("A", {"kind": "count"}), definitions.define("A", {"kind": "count"}).layouts[0], "")
    {'kind': 'linear', 'description': '', 'low': 1, 'high': 2, 'n_buckets': 3}
    """
    if definition.kind in ("boolean", "flag"):
        return {"kind": definition.kind, "description": description}
    if definition.kind in ("enumerated", "categorical"):
        labels = {"labels": list(definition.labels)} if definition.labels else {}
        return {"kind": "enumerated", "description": description, "n_values": layout.high, **labels}
    kind = "linear" if definition.kind == "count" else definition.kind
    sizes = {"low": layout.low, "high": layout.high, "n_buckets": layout.n_buckets}
    return {"kind": kind, "description": description, **sizes}


class Filters:
    """The tree of the filters of a version, whose nodes are numbered from 0 in the order of their names.

    >>> Filters([("r", "a", "o", "v", "x")]).tree["r"]
    {'_id': 1, 'name': 'appName', 'a': {'_id': 2, 'name': 'OS', 'o': \
{'_id': 3, 'name': 'osVersion', 'v': {'_id': 4, 'name': 'arch', 'x': {'_id': 5}}}}}
    """

    def __init__(self, paths):
        self.tree, self.ids = {ID: 0, "name": LEVELS[0]}, {}
        number = itertools.count(1)
        for path in sorted(paths):
            node = self.tree
            for at, value in enumerate(path, 1):
                name = names.level(value)
                if name not in node:
                    node[name] = {ID: next(number), **({"name": LEVELS[at]} if at < len(LEVELS) else {})}
                node = node[name]
            self.ids[path] = node[ID]


class Spool:
    """The measures of one version, on disk until all its filters are known."""

    def __init__(self):
        self._file, self.paths = tempfile.TemporaryFile(), set()

    def add(self, *measure):
        """Keep a measure: its name, definition, bounds and rows (key, by, date, path, array, pings)."""
        self.paths.update(row[3] for row in measure[-1])
        data = marshal.dumps(measure)
        self._file.write(len(data).to_bytes(8, "big") + data)

    def measures(self):
        """Yield the measures as they came."""
        with self._file as file:
            file.seek(0)
            while size := file.read(8):
                yield marshal.loads(file.read(int.from_bytes(size, "big")))


class Site:
    """The tree at a directory. `left_out` (a Counter) is told of how many pings measures are not shown, and why."""

    def __init__(self, directory, cache, left_out):
        self._directory = directory
        self._root, self._data = os.path.join(directory, "v7"), os.path.join(directory, "data")
        self._describer, self._left_out = Describer(cache), left_out
        self._channels, self._versions = names.Names(), {}

    def publish(self, pairs, grace, beside):
        """Put the (key, value) pairs of the job, sorted by key, in the place of what is there; returns the folders.

        What was there stays for `grace` seconds. `beside` are the files {name: bytes} of a page beside the tree. Raises
        NotWhole while another process does the same.
        """
        with folder.Lock(self._directory, (self._root, self._data, self._directory)):
            made, known = {}, {}
            for version, measures in self._by_version(pairs):
                path = self._path(*version)
                new = self._folder(path, measures, known)
                made.update({path: new} if new else {})
            os.sync()  # a folder is on disk before it can be taken for a whole one
            shown = {path: new.appear() for path, new in made.items()}
            page.write(self._directory, beside)
            self._show(shown, known, grace)
        return [os.path.join(self._root, name) for name in shown.values()]

    def _path(self, channel, version):
        """The name of a version, as in versions.json and below data/."""
        channel = self._channels.of(channel)
        return f"{channel}/{self._versions.setdefault(channel, names.Names()).of(version)}"

    def _by_version(self, pairs):
        """Yield ((channel, version), groups of its rows by measure)."""
        rows = (Row(key, value) for key, value in pairs if not self._is_left_out(key, value))
        for version, some in itertools.groupby(rows, lambda row: row.version):
            yield version, itertools.groupby(some, lambda row: row.measure)

    def _is_left_out(self, key, value):
        """Whether a pair only counts what the job left out, which is added to what is left out here."""
        if key.__class__ is not tuple or len(key) != 2 or key[0] != dashboard.LEFT_OUT or value.__class__ is not int:
            return False
        if not re.fullmatch("[a-z_]{1,40}", str(key[1])):
            return False
        self._left_out[key[1]] += value
        return True

    def _folder(self, path, measures, known):
        """The Folder of a version, staged, None if it has no measure; its definitions are added to those known."""
        spool = Spool()
        for name, rows in measures:
            kinds = {}
            for row in rows:
                kinds.setdefault(row.key is None, []).append(row)
            for some in kinds.values():
                self._spool(spool, name, some)
        if not spool.paths:
            return None
        filters, measured, made = Filters(spool.paths), names.Names(), folder.Folder(self._root, path)
        plain, keyed, used = {}, {}, {}
        for name, definition, bounds, rows in spool.measures():
            name = measured.of(name)
            if rows[0][0] is None:
                plain[name], used[name] = (
                    definition,
                    sorted({filters.ids[row[3]] for row in rows if row[1] == BY_BUILD}),
                )
                write_plain(made, name, bounds, days(rows, filters.ids))
            else:
                keyed[name] = definition
                write_keyed(made, name, rows, filters.ids)
        write_overview(made, filters.tree, plain, keyed, used)
        known.update(plain)
        return made

    def _spool(self, spool, name, rows):
        """Keep the rows of a measure that its definition fits; the others are counted."""
        definition, bounds = self._describer.describe(name, rows) or (None, ())
        fitting = [row for row in rows if row.buckets == len(bounds)]
        if len(fitting) < len(rows):
            lost = sum(row.pings for row in rows if row.buckets != len(bounds) and row.by == BY_BUILD)
            self._left_out["other_buckets" if definition else "no_definition"] += lost
        if fitting:
            spool.add(name, definition, bounds, [(r.key, r.by, r.date, r.path, r.array, r.pings) for r in fitting])

    def _show(self, shown, known, grace):
        """Let the pointers point to the new folders, and remove old ones."""
        pointer = os.path.join(self._root, "versions.json")
        before = _before(pointer)
        for path, name in shown.items():
            folder.point(os.path.join(self._data, path), f"../../v7/{name}/{JUNE}")
        streams.replace(pointer, jsonl.dumps(shown))
        streams.replace(os.path.join(self._data, "versions.json"), jsonl.dumps(sorted(shown)))
        streams.replace(os.path.join(self._data, "Histograms.json"), jsonl.dumps(known))
        for path in sorted(before.keys() - shown.keys()):
            folder.unpoint(os.path.join(self._data, path))
        folder.expire(self._root, before.values(), shown.values(), grace)


def _before(pointer):
    """The {version: folder} that was shown before. Raises IOFailed if the file is not one of ours."""
    try:
        with open(pointer, "rb") as file:
            shown = jsonl.loads(file.read())
    except FileNotFoundError:
        return {}
    except BadData:
        shown = None
    if not isinstance(shown, dict) or not all(isinstance(name, str) for name in shown.values()):
        raise IOFailed("damaged, or none of ours", pointer, "move it away")
    return shown


def days(rows, ids):
    """{by: {date: [[*array, pings, filter id]]}} of some rows, dates and ids in their order."""
    found = {by: {} for by in FORMS}
    for _, by, date, path, array, count in rows:
        found[by].setdefault(date, []).append([*array, count, ids[path]])
    order = {by: sorted(some.items()) for by, some in found.items()}
    return {by: {date: sorted(each, key=lambda row: row[-1]) for date, each in order[by]} for by in FORMS}


def write_plain(made, name, bounds, found):
    """Write the files of a plain measure: by both dates, and by the build's date as it was in June 2013."""
    for by in FORMS:
        made.write(f"{name}-{by}.json", found[by])
    size = len(bounds)
    values = {date: [[*row[: size + 1], *row[-2:]] for row in rows] for date, rows in found[BY_BUILD].items()}
    made.write(f"{JUNE}/{name}.json", {"buckets": bounds, "values": values})


def write_keyed(made, name, rows, ids):
    """Write the files of a keyed measure: by both dates, all keys that there are in each."""
    rows.sort(key=lambda row: row[0])
    found = [(key, days(some, ids)) for key, some in itertools.groupby(rows, lambda row: row[0])]
    for by in FORMS:
        made.write(f"{name}-keyed-{by}.json", {key: some[by] for key, some in found if some[by]})


def write_overview(made, tree, plain, keyed, used):
    """Write the files of a version that tell of all its measures."""
    made.write("filter-tree.json", tree)
    made.write("histograms.json", plain)
    made.write("keyed.json", keyed)
    made.write(f"{JUNE}/filter.json", tree)
    made.write(f"{JUNE}/histograms.json", used)
    described = {name: {"description": fields["description"]} for name, fields in plain.items()}
    made.write(f"{JUNE}/histogram_descriptions.json", described)
