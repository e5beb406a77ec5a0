"""What dashboards must show, computed from raw pings alone, and readers of the published trees: nothing of the suite."""

import datetime
import json
import math
import pathlib
import re

LEVELS = ("reason", "appName", "OS", "osVersion", "arch")
STATISTICS = ("sum", "log_sum", "log_sum_squares", "sum_squares_lo", "sum_squares_hi")
OTHERS = {"test-ping": "OTHER"}  # reasons that the default schema does not keep apart
SIMPLE = {"kind": "exponential", "low": 1, "high": 30000, "n_buckets": 50}


def bounds_of(definition):
    """The lower bounds of the buckets of a published definition."""
    kind = definition["kind"]
    if kind in ("boolean", "flag"):
        return [0, 1, 2]
    if kind == "enumerated":
        return list(range(int(definition["n_values"]) + 1))
    low, high, size = (int(definition[name]) for name in ("low", "high", "n_buckets"))
    if kind == "linear":
        return [0] + [math.floor((low * (size - 1 - i) + high * (i - 1)) / (size - 2) + 0.5) for i in range(1, size)]
    assert kind == "exponential", kind
    bounds = [0, low]
    while len(bounds) < size:
        step = (math.log(high) - math.log(bounds[-1])) / (size - len(bounds))
        bounds.append(max(bounds[-1] + 1, math.floor(math.exp(math.log(bounds[-1]) + step) + 0.5)))
    return bounds


def date_of(text):
    """A date of YYYYMMDD; ValueError for none."""
    return datetime.datetime.strptime(text, "%Y%m%d").date()


class Measure:
    """One histogram of one ping: {lower bound: count}, the number of buckets, the five statistics (None: absent)."""

    def __init__(self, values, size, statistics):
        self.values, self.size, self.statistics = values, size, statistics

    @classmethod
    def raw(cls, histogram):
        """Of a histogram as clients send it."""
        values = {int(bound): count for bound, count in histogram["values"].items()}
        return cls(values, histogram["bucket_count"], [histogram.get(name) for name in STATISTICS])

    @classmethod
    def simple(cls, number):
        """Of a simple measurement."""
        bound = max((bound for bound in bounds_of(SIMPLE) if bound <= number), default=0)
        log = math.log(abs(number) + 1)
        return cls({bound: 1}, 50, [number, log, log * log, None, None])


def measures_of(ping):
    """Yield (name, key or None, Measure) of a raw ping."""
    payload = ping.get("payload", ping)
    for name, histogram in payload.get("histograms", {}).items():
        yield name, None, Measure.raw(histogram)
    for name, keys in payload.get("keyedHistograms", {}).items():
        yield from ((name, key, Measure.raw(histogram)) for key, histogram in keys.items())
    for name, value in payload.get("simpleMeasurements", {}).items():
        numbers = (
            {f"{name}_{inner}": number for inner, number in value.items()} if isinstance(value, dict) else {name: value}
        )
        for full, number in numbers.items():
            if type(number) in (int, float):
                yield f"SIMPLE_MEASURES_{full.upper()}", None, Measure.simple(number)


def of_ping(ping):
    """(channel, major version, build id, path of filters) of a raw ping, classic or unified."""
    if "ver" in ping:
        info = ping["info"]
        version, os_version = info["appVersion"], str(info["version"])
        words = [info["reason"], info["appName"], info["OS"], os_version, info["arch"]]
        channel, build = info["appUpdateChannel"], info["appBuildID"]
    else:
        application, system = ping["application"], ping["environment"]["system"]["os"]
        version, channel, build = application["version"], application["channel"], application["buildId"]
        words = [ping["type"], application["name"], system["name"], str(system["version"]), application["architecture"]]
    if words[2] == "Linux":
        words[3] = ".".join(re.split(r"[^\d]", words[3])[:2])
    words[0] = OTHERS.get(words[0], words[0])
    return channel, version.split(".")[0], build, tuple(words)


class Expected:
    """What must be seen of (ping, submission date) pairs: {version: {(name, key): {by: {date: {path: Cell}}}}}."""

    def __init__(self, pairs):
        self.versions, newest = {}, {}
        for ping, submitted in pairs:
            channel, major, build, path = of_ping(ping)
            version = self.versions.setdefault(f"{channel}/{major}", {})
            days = {"build": build[:8]}
            if (date_of(submitted) - date_of(build[:8])).days <= 60:
                days["submission"] = submitted
            for name, key, measure in measures_of(ping):
                series = version.setdefault((name, key), {"build": {}, "submission": {}})
                for by, date in days.items():
                    series[by].setdefault(date, {}).setdefault(path, []).append(measure)
                revision = ping.get("payload", ping)["info"].get("revision", "")
                rank = (build, revision, measure.size)
                newest[channel, major, name] = max(newest.get((channel, major, name), rank), rank)
        for name, measures in self.versions.items():
            for (measure, _), series in measures.items():
                size = newest[(*name.split("/"), measure)][-1]
                for by in series:
                    cells = {
                        date: {path: _cell(found, size) for path, found in day.items()}
                        for date, day in series[by].items()
                    }
                    cells = {date: {path: cell for path, cell in day.items() if cell} for date, day in cells.items()}
                    series[by] = {date: day for date, day in cells.items() if day}


class Cell:
    """The sum of some Measures of one size: {lower bound: count} of those with any, size, statistics, pings."""

    def __init__(self, measures):
        self.values, self.size, self.pings = {}, measures[0].size, len(measures)
        for measure in measures:
            for bound, count in measure.values.items():
                if count:
                    self.values[bound] = self.values.get(bound, 0) + count
        columns = zip(*(measure.statistics for measure in measures))
        known = [[number for number in column if number is not None] for column in columns]
        self.statistics = [_total(column) if column else -1 for column in known]


def _total(numbers):
    return math.fsum(numbers) if any(isinstance(number, float) for number in numbers) else sum(numbers)


def _cell(measures, size):
    fitting = [measure for measure in measures if measure.size == size]
    return Cell(fitting) if fitting else None


def load(path):
    """The JSON of a file, in which no number is NaN or infinite and no member is there twice."""

    def once(pairs):
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    def refuse(word):
        raise AssertionError(word)

    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"), object_pairs_hook=once, parse_constant=refuse)


def leaves_of(tree, path=()):
    """{id: path} of the leaves of a filter tree, whose form is checked."""
    assert type(tree["_id"]) is int
    if len(path) == len(LEVELS):
        assert set(tree) == {"_id"}
        return {tree["_id"]: path}
    assert tree["name"] == LEVELS[len(path)]
    children = {value: child for value, child in tree.items() if value not in ("_id", "name")}
    leaves = {}
    for value, child in children.items():
        found = leaves_of(child, (*path, value))
        assert not found.keys() & leaves.keys()
        leaves.update(found)
    return leaves


def ids_of(tree):
    """All ids of a filter tree."""
    yield tree["_id"]
    for value, child in tree.items():
        if value not in ("_id", "name"):
            yield from ids_of(child)


class V7:
    """The tree of the v1 client, read by its rules: {version: {(name, key): {by: {date: {path: row}}}}}, definitions."""

    def __init__(self, site):
        self.root = pathlib.Path(site, "v7")
        self.folders = load(self.root / "versions.json")
        self.definitions, self.versions = {}, {}
        for version, folder in self.folders.items():
            assert not folder.startswith(("/", ".")) and (self.root / folder).is_dir()
            self.versions[version] = self._read(version, self.root / folder)

    def _read(self, version, folder):
        tree = load(folder / "filter-tree.json")
        assert tree["_id"] == 0 and tree["name"] == "reason"
        ids = list(ids_of(tree))
        assert len(set(ids)) == len(ids)
        plain, keyed = load(folder / "histograms.json"), load(folder / "keyed.json")
        files = {"filter-tree.json", "histograms.json", "keyed.json"}
        found, self.definitions[version] = {}, {**plain, **keyed}
        for definitions, mark in ((plain, ""), (keyed, "-keyed")):
            for name, definition in definitions.items():
                assert isinstance(definition["description"], str)
                assert all(type(v) is int for k, v in definition.items() if k not in ("kind", "description", "labels"))
                for by in ("build", "submission"):
                    file = f"{name}{mark}-by-{by}-date.json"
                    files.add(file)
                    content = load(folder / file)
                    for key, series in content.items() if mark else [(None, content)]:
                        rows = self._rows(series, leaves_of(tree), len(bounds_of(definition)))
                        found.setdefault((name, key), {"build": {}, "submission": {}})[by] = rows
        assert {path.name for path in folder.iterdir() if path.is_file()} == files
        return found

    @staticmethod
    def _rows(series, leaves, size):
        found = {}
        for date, rows in series.items():
            date_of(date)
            day = found[date] = {}
            for row in rows:
                assert len(row) == size + 7 and all(type(number) in (int, float) for number in row)
                assert all(type(count) is int and count >= 0 for count in row[:size]) and row[-2] > 0
                assert leaves[row[-1]] not in day
                day[leaves[row[-1]]] = row
        return found


class June:
    """The tree of the frontend of June 2013, read by its rules; it must be a projection of a V7."""

    def __init__(self, site, v7):
        data = pathlib.Path(site, "data")
        assert sorted(v7.folders) == load(data / "versions.json")
        known = load(data / "Histograms.json")
        for version in v7.folders:
            folder, definitions = data / version, v7.definitions[version]
            tree = load(folder / "filter.json")
            assert tree == load(v7.root / v7.folders[version] / "filter-tree.json")
            plain = load(folder / "histograms.json")
            assert set(plain) == {name for name, key in v7.versions[version] if key is None}
            described = load(folder / "histogram_descriptions.json")
            files = {"filter.json", "histograms.json", "histogram_descriptions.json"} | {
                f"{name}.json" for name in plain
            }
            assert {path.name for path in folder.iterdir()} == files and set(described) == set(plain)
            for name in plain:
                assert described[name]["description"] == definitions[name]["description"] and name in known
                content, leaves = load(folder / f"{name}.json"), leaves_of(tree)
                assert set(content) == {"buckets", "values"} and content["buckets"] == bounds_of(definitions[name])
                size, full = len(content["buckets"]), v7.versions[version][name, None]["build"]
                rows = {date: {leaves[row[-1]]: row for row in rows} for date, rows in content["values"].items()}
                assert rows == {
                    date: {path: [*row[: size + 1], *row[-2:]] for path, row in day.items()}
                    for date, day in full.items()
                }
                assert set(plain[name]) == {row[-1] for day in rows.values() for row in day.values()}
