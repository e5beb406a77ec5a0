"""tel-validate - take out of pings what does not fit their definitions

Usage:
  tel-validate [options] [FILE...]

Reads records that tel-resolve made and checks each histogram against its definition: a known name (as it stands,
else without STARTUP_), histogram_type, bucket_count, range, bucket keys that are lower bounds in canonical decimal,
counts that are integers from 0, statistics that are numbers. A histogram that does not fit is taken out of the ping
and goes to the rejects as it was; the ping goes on, and all else in it is written as it was (only where a name comes
twice, or has escapes, a part of a ping is printed anew). A ping in which nothing is wrong keeps its bytes.

A line that is no record, or whose ping is not JSON, has no info, an unknown ver or an unusable id, is rejected whole.

Options:
  --whole             Reject the whole ping for one bad histogram, unless only
                      its name is unknown.
  --check             Pass nothing on; exit 1 if anything is bad.
  --report[=FORMAT]   Say on stderr, at the end, what was bad, by reason,
                      channel and version: text (the default) or json.
  <sieve options>
  <definitions options>
  <reject options>
  <common options>

Examples:
  tel-resolve export.ndjson.gz | tel-validate --rejects bad.ndjson | tel-convert
  tel-validate --rejects bad.ndjson --max-bad 1% records.ndjson.zst > good.ndjson

Deliberate differences from the 2013 server:
  A bucket key that is not a number is bad data; the server left its bucket,
  and those it had not come to, at 0 without a word. A ping without histograms
  needs no definitions and passes; the server refused classic ones that name a
  revision. tel-reject(5) lists them all.
"""

from tel import cli, exits


def work(run):
    """Validate all records."""
    from tel import revisions, validate

    options = run.options
    sieve = validate.Sieve(
        run.rejects, options["--whole"], options.switch("--keyed"), options.one_of("--unknown", validate.Sieve.UNKNOWN)
    )
    cache = revisions.shared(options.histograms())
    if not options["--check"]:
        run.filter(lambda records: validate.validate(records, cache, sieve, run.alone))
        return exits.OK
    for _ in run.stage(lambda records: validate.validate(records, cache, sieve, run.alone)):
        pass
    return exits.NO if run.stats.rejected or run.stats.dropped else exits.OK


def main():
    """The console script."""
    return cli.main(__doc__, work)
