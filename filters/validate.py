"""tel-validate - take out of pings what does not fit their definitions

Usage:
  tel-validate [options] [FILE...]

Reads records that tel-resolve made and checks each histogram against its definition: a known name (as it stands,
else without STARTUP_), histogram_type, bucket_count, range, bucket keys that are lower bounds in canonical decimal,
counts that are integers from 0, statistics that are numbers. A histogram that does not fit is taken out of the ping
and goes to the rejects as it was; the ping goes on. A ping in which nothing is wrong keeps its bytes.

A line that is no record, or whose ping is not JSON, has no info, an unknown ver or an unusable id, is rejected whole.

Options:
  --whole             Reject the whole ping for one bad histogram, unless only
                      its name is unknown.
  <definitions options>
  <reject options>
  <common options>

Examples:
  tel-resolve export.ndjson.gz | tel-validate --rejects bad.ndjson | tel-convert
  tel-validate --rejects bad.ndjson --max-bad 1% records.ndjson.zst > good.ndjson

Deliberate differences from the 2013 server:
  A bucket key that is not a number is bad data; the server cut "12abc" to 12,
  so that a damaged key counted in some bucket. A ping without histograms needs
  no definitions and passes; the server knew no such pings and refused them.
"""

from tel import cli


def work(run):
    """Validate all records."""
    from tel import revisions, validate

    cache = revisions.Cache(run.options.histograms())
    good = validate.validate(run.records(), cache, run.rejects, run.options["--whole"])
    run.write(record.line() for record in good)


def main():
    """The console script."""
    return cli.main(__doc__, work)
