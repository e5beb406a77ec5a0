"""Definitions of any age: the evaluator, the bucket tables, and every real file against Mozilla's own answers."""

import csv
import gzip
import io

import pytest

from tel import definitions
from tel.errors import BadData


@pytest.mark.parametrize(
    "expression, values",
    [
        (7, (7,)),
        ("10000", (10000,)),
        ("80 + 1", (81,)),
        ("2 * 60 * 1000", (120000,)),
        ("1 + 2 * 3 + 4", (11,)),
        ("JS::gcreason::NUM_TELEMETRY_REASONS", (101, 100)),
        ("mozilla::StartupTimeline::MAX_EVENT_ID + 1", (13, 12, 15, 17)),
    ],
)
def test_evaluate(expression, values):
    assert definitions.evaluate(expression) == values


@pytest.mark.parametrize(
    "expression", ["", "2 +", "-1", "2 ** 3", "__import__('os')", "1e9", "0x10", "9" * 40, 1.5, True, None, [1], "A::B"]
)
def test_evaluate_refuses_everything_else(expression):
    with pytest.raises(ValueError):
        definitions.evaluate(expression)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"kind": "round"},
        {"kind": "linear", "high": 10},
        {"kind": "linear", "high": 10, "n_buckets": 10**9},
        {"kind": "linear", "low": 20, "high": 10, "n_buckets": 5},
        {"kind": "exponential", "low": 0, "high": 10, "n_buckets": 5},
        {"kind": "enumerated", "n_values": {}},
        {"kind": "categorical"},
    ],
)
def test_impossible_definitions_are_bad_data(fields):
    with pytest.raises(BadData) as caught:
        from tel import jsonl

        definitions.load(jsonl.dumps({"NAME": fields}))
    assert caught.value.error_type == "bad_definitions" and "NAME" in caught.value.reason


def test_last_of_duplicate_names_wins():
    loaded = definitions.load(b'{"A": {"kind": "flag"}, "A": {"kind": "count", "kind": "boolean"}}')
    assert loaded["A"].kind == "boolean"


def test_full_name_first_then_without_startup():
    loaded = definitions.load(b'{"X": {"kind": "flag"}, "STARTUP_Y": {"kind": "boolean"}, "Y": {"kind": "flag"}}')
    assert definitions.find(loaded, "STARTUP_X").name == "X"
    assert definitions.find(loaded, "STARTUP_Y").kind == "boolean"
    assert definitions.find(loaded, "STARTUP_Z") is None
    assert definitions.find(loaded, "STARTUP_STARTUP_X") is None


def answers(path):
    """The rows of a bucket table: name, kind, histogram_type, keyed, low, high, n_buckets, ranges."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from csv.DictReader(io.StringIO(file.read()), delimiter="\t", quoting=csv.QUOTE_NONE)


def fits(layout, row):
    return (layout.low, layout.high, layout.n_buckets, ",".join(layout.keys)) == (
        int(row["low"]),
        int(row["high"]),
        int(row["n_buckets"]),
        row["ranges"],
    )


def test_every_real_file_gives_the_bucket_table_of_its_age(corpus):
    tables = sorted(corpus.glob("buckets/*.tsv.gz"))
    checked, choices = 0, 0
    for table in tables:
        with gzip.open(corpus / "histograms" / table.name.replace(".tsv.gz", ".json.gz")) as file:
            loaded = definitions.load(file.read())
        rows = list(answers(table))
        assert {row["name"] for row in rows} == set(loaded)
        for row in rows:
            definition = loaded[row["name"]]
            fitting = [layout for layout in definition.layouts if fits(layout, row)]
            assert len(fitting) == 1, (table.name, row["name"])
            assert int(row["histogram_type"]) in fitting[0].types, (table.name, row["name"])
            assert (definition.kind, str(int(definition.keyed))) == (row["kind"], row["keyed"])
            # a choice is open only where the format leaves one: categorical sizes and symbolic constants
            assert len(definition.layouts) == 1 or definition.kind in ("categorical", "enumerated")
            checked, choices = checked + 1, choices + (len(definition.layouts) > 1)
    assert len(tables) == 36 and checked > 47_000 and choices < 1_000


def test_reconstructed_definitions_of_today_load(corpus):
    (path,) = corpus.glob("histograms/153*.json.gz")
    with gzip.open(path) as file:
        assert len(definitions.load(file.read())) == 514


def test_client_constants_are_the_documented_ones(corpus):
    with open(corpus / "buckets" / "CLIENT-CONSTANTS.tsv", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            choices = definitions.CONSTANTS[row["expression"]]
            assert choices[0] == int(row["value_used_by_telemetry-server"])
            assert int(row["true_client_value"]) in choices
