"""tel-convert - turn histograms into the compact storage format, or back

Usage:
  tel-convert [options] [FILE...]

Reads records and turns each histogram of a ping into an array of the counts of all its buckets and five statistics,
which makes a `ver` 1 ping `ver` 2:

    [b0, b1, ... bN, sum, log_sum, log_sum_squares, sum_squares_lo, sum_squares_hi]

A statistic that the ping lacks is -1. `ver` 3 (Firefox OS) becomes 2 too, and a unified ping of `version` 4 becomes 5,
with an info made from what it says of application and environment; tel-record(5) tells the details. All other values
stay as they were, and in a classic ping all other bytes. A ping in the storage format passes unchanged. A histogram
that does not fit its definition is rejected, as by tel-validate.

Options:
  --expand            Turn arrays back into histograms as clients send them:
                      ver 2 to 1, version 5 to 4. Buckets whose count is 0, and statistics
                      that are -1, are left out.
  <sieve options>
  <definitions options>
  <reject options>
  <common options>

Examples:
  tel-resolve export.ndjson.gz | tel-validate --rejects bad.ndjson | tel-convert > compact.ndjson
  tel-convert --expand < compact.ndjson
"""

from tel import cli


def work(run):
    """Convert all records, one way or the other."""
    from tel import convert, revisions, validate

    options = run.options
    sieve = validate.Sieve(
        run.rejects, False, options.switch("--keyed"), options.one_of("--unknown", validate.Sieve.UNKNOWN)
    )
    change = convert.expand_all if options["--expand"] else convert.convert
    cache = revisions.shared(options.histograms())
    run.filter(lambda records: change(records, cache, sieve))


def main():
    """The console script."""
    return cli.main(__doc__, work)
