"""What tel-convert does to good classic pings, as one would write it in an afternoon: `convert.py BOUNDS FILE`.

BOUNDS is {name: {number of buckets: [lower bound of each]}}; see data.bounds.
"""

import json
import sys

STATISTICS = ("sum", "log_sum", "log_sum_squares", "sum_squares_lo", "sum_squares_hi")


def positions(bounds):
    """{name: {number of buckets: {lower bound: index}}} of the table of bounds."""
    return {
        name: {int(count): {key: at for at, key in enumerate(keys)} for count, keys in sizes.items()}
        for name, sizes in bounds.items()
    }


def compact(position, histogram):
    """The array of a histogram."""
    array = [0] * histogram["bucket_count"]
    for key, count in histogram["values"].items():
        array[position[key]] = count
    return array + [histogram.get(name, -1) for name in STATISTICS]


def convert(ping, table):
    """Change a ping into the storage format."""
    ping["ver"], histograms = 2, ping["histograms"]
    for name, histogram in histograms.items():
        sizes = table.get(name) or table[name.removeprefix("STARTUP_")]
        histograms[name] = compact(sizes[histogram["bucket_count"]], histogram)


def main(bounds, source):
    with open(bounds, encoding="utf-8") as file:
        table = positions(json.load(file))
    with open(source, "rb") as lines:
        for line in lines:
            record = json.loads(line)
            if "ping" in record:
                convert(record["ping"], table)
            sys.stdout.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
