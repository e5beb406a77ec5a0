"""The numbers of the dashboard's page, without a browser: its script under node, against sums of our own."""

import gzip
import json
import random
import shutil
import subprocess

import pytest

import published
from tel import definitions, page

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="node is missing: the page's numbers are not checked")


def run(given, expression, parts=("numbers", "tree", "state")):
    """The value of an expression of `given` in the page's script."""
    source = page.script(parts).decode().rstrip().removesuffix("})();")
    read = "JSON.parse(require('fs').readFileSync(0))"
    code = f"{source}\nconst given = {read};\nconsole.log(JSON.stringify({expression}));\n}})();"
    done = subprocess.run(["node", "-e", code], input=json.dumps(given), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def entry(kind, layout):
    """A published definition of a layout: numbers alone."""
    return {"kind": kind, "low": layout.low, "high": layout.high, "n_buckets": layout.n_buckets}


def test_buckets_of_every_kind_are_those_of_the_definitions():
    fields = [{**f, "kind": kind} for kind, f in KINDS]
    expected = [list(definitions.define("A", each).layouts[-1].bounds) for each in fields]
    published_fields = [{"n_values": 50, **f} if f["kind"] == "categorical" else f for f in fields]
    assert run(published_fields, "given.map(boundsOf)") == expected


KINDS = [
    ("boolean", {}),
    ("flag", {}),
    ("count", {}),
    ("enumerated", {"n_values": 7}),
    ("categorical", {"labels": ["a", "b"]}),
    ("linear", {"low": 3, "high": 1000, "n_buckets": 10}),
    ("linear", {"high": 4, "n_buckets": 10}),
    ("exponential", {"low": 5, "high": 30000, "n_buckets": 50}),
    ("exponential", {"high": 12, "n_buckets": 10}),
]


def test_buckets_of_all_real_definitions(corpus):
    kinds, bounds = [], []
    for path in sorted((corpus / "histograms").glob("*.json.gz"))[::6]:
        for definition in definitions.load(gzip.decompress(path.read_bytes())).values():
            if definition.kind in ("linear", "exponential"):
                kinds.append(entry(definition.kind, definition.layouts[0]))
                bounds.append(list(definition.layouts[0].bounds))
    assert len(bounds) > 1000 and run(kinds, "given.map(boundsOf)") == bounds


def test_percentiles_are_interpolated_within_buckets():
    made = random.Random(5)
    given, expected = [], []
    for _ in range(200):
        kind = made.choice(["linear", "exponential", "enumerated"])
        bounds = definitions.define("A", {"kind": kind, "high": 900, "n_buckets": 12, "n_values": 11}).layouts[0].bounds
        counts = [made.choice([0, 0, 1, made.randrange(1000)]) for _ in bounds]
        counts[made.randrange(len(bounds))] += 1
        seen = published.Seen([(counts, 7, 1)], bounds, kind)
        for percent in (5, 50, 99.9):
            given.append([counts, list(bounds), seen.ranged, percent])
            expected.append(seen.percentile(percent))
    found = run(given, "given.map(([counts, ...more]) => percentileOf({ counts }, ...more).value)")
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_last_bucket_is_open_and_no_values_have_no_percentile():
    found = run(
        None,
        "[percentileOf({ counts: [0, 1, 9] }, [0, 5, 10], true, 50), percentileOf({ counts: [0, 0] }, [0, 1], true, 50)]",
    )
    assert found == [{"value": 10, "open": True}, None]
    assert run(None, "shownPercentile({ value: 1234.5678, open: true })") == "≥ 1,234.6"


def test_rows_add_up_and_what_a_row_lacks_changes_no_mean():
    rows = [[1, 2, 8, -1, -1, -1, -1, 3, 7], [4, 0, -1, -1, -1, -1, -1, 2, 7], [9, 9, 9, -1, -1, -1, -1, 9, 8]]
    rows += [[1, 2, 7], [1, 2, 8, -1, -1, -1, -1, None, 7], None]
    total = run(rows, "addRows(given, 2, new Set([7]))")
    assert total == {"counts": [5, 2], "sum": 8, "summed": 3, "pings": 5, "odd": 3}
    assert run(rows, "meanOf(addRows(given, 2, new Set([7])))") == pytest.approx(8 / 3)
    assert run(rows, "meanOf(addRows(given, 2, new Set()))") is None


def test_a_ratio_says_nothing_without_a_first():
    assert run(None, "[ratioOf(2, 3), ratioOf(0, 3), ratioOf(null, 3), ratioOf(2, undefined)]") == [
        1.5,
        None,
        None,
        None,
    ]


def test_leaves_of_odd_names_are_found_by_what_leads_to_them():
    tree = {"_id": 0, "name": "reason", "__proto__": {"_id": 1, "name": "appName", "constructor": {"_id": 9}}}
    assert run(tree, "leavesOf(given)") == [{"id": 9, "path": ["__proto__", "constructor"]}]
    filters = [["__proto__", None], [None, "Firefox"]]
    assert run([tree, filters], "given[1].map((some) => [...idsOf(leavesOf(given[0]), some)])") == [[9], []]
    assert run(tree, "choicesOf(leavesOf(given), [null, null], 1)") == ["constructor"]


def test_versions_are_told_apart_at_the_last_slash():
    found = run({"a/b/24": "x", "a/b/9": "y"}, "[...versionsOf(given)].map(([c, v]) => [c, [...v]])")
    assert found == [["a/b", [["24", "x"], ["9", "y"]]]]


SIDE = {"channel": "__proto__", "version": "24&b=1", "filters": ["a b", None, "#", None, "é%"], "key": ""}
STATE = {"measure": "A&B=", "by": "submission", "percents": [5, 99.9], "from": "20130101", "to": None}


def test_the_address_says_the_state():
    state = {**STATE, "sides": [SIDE, {**SIDE, "key": None}]}
    assert run(state, "stateOf(textOf(given))") == state
    assert run({**state, "percents": []}, "stateOf(textOf(given)).percents") == []


def test_an_address_that_says_nonsense_is_a_state_nevertheless():
    state = run("#by=toString&p=7,x,50&B.channel=b&A.constructor=1", "stateOf(given)")
    assert (state["by"], state["percents"], len(state["sides"])) == ("build", [50], 2)


def test_csv_is_quoted():
    rows = [["a", 1.5, None], ['"', "x,y", "l\nm"]]
    assert run(rows, "csvOf(given)") == 'a,1.5,\r\n"""","x,y","l\nm"\r\n'
