"""Questions over stored lines with polars: `frames.py os-count|histogram|histograms STORED BOUNDS [NAME]`."""

import json
import sys

import polars

INFO = polars.Struct({name: polars.String for name in ("appUpdateChannel", "appVersion")})
ARRAY = polars.List(polars.Float64)


def os_count(lines):
    """Rows of system and number."""
    counts = lines.select(polars.col("ping").str.json_path_match("$.info.OS").alias("os")).collect()
    return counts.group_by("os").len().iter_rows()


def sums(frame):
    """Rows of channel, version, name, number of buckets and sum of the columns of arrays."""
    place = ["appUpdateChannel", "appVersion"]
    keys, length = [*place, "name", "n"], polars.col("array").list.len()
    numbers = (
        frame.lazy()
        .unpivot(index=place, variable_name="name", value_name="array")
        .drop_nulls("array")
        .with_columns(n=length - 5, at=polars.int_ranges(length))
        .explode("array", "at")
        .with_columns(polars.col("array").replace(-1.0, 0.0))
    )
    added = numbers.group_by([*keys, "at"]).agg(polars.col("array").sum()).sort("at")
    return added.group_by(keys, maintain_order=True).agg("array").collect(engine="streaming").iter_rows()


def decoded(lines, names):
    """A frame with channel, version and a column of arrays for each histogram."""
    shape = polars.Struct({"info": INFO, "histograms": polars.Struct({name: ARRAY for name in names})})
    ping = polars.col("ping").str.json_decode(shape)
    return lines.select(ping).unnest("ping").unnest("info", "histograms").collect()


def main(question, path, bounds, *names):
    lines = polars.scan_csv(
        path, separator="\t", has_header=False, quote_char=None, schema={"id": polars.String, "ping": polars.String}
    )
    if question == "os-count":
        rows = os_count(lines)
    else:
        if question == "histograms":
            with open(bounds, encoding="utf-8") as file:
                names = list(dict.fromkeys(form for name in json.load(file) for form in (name, f"STARTUP_{name}")))
        rows = sums(decoded(lines, names))
    for row in rows:
        print(*row, sep="\t")


if __name__ == "__main__":
    main(*sys.argv[1:])
