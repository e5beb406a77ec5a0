"""tel-resolve - find the definitions that each ping was built with

Usage:
  tel-resolve [options] [FILE...]

Reads raw telemetry, plain or compressed (gzip, xz, lzma, bzip2, zstd), one ping a line: export lines
`<id> TAB <json>`, bare pings, or records. Writes records: the ping's own bytes, with its document id, submission
date, small info and the revision whose Histograms.json defines its histograms. A ping without histograms needs no
definitions and passes with the revision null.

A ping that carries histograms names its revision; it is looked up in the definitions cache, where 12 and 40 digits
of a node are the same revision, and a node is the same in every repository. One that is not there is bad data.

Options:
  --date DATE         The submission date of raw input, as 20130903 or
                      2013-09-03; today (UTC) if not given.
  --utf8 WHAT         What becomes of a line that is not UTF-8: reject, or
                      replace the wrong bytes by U+FFFD [default: reject].
  --make-ids          Give a bare ping without an id one made from its content.
  <definitions options>
  <reject options>
  <common options>

Examples:
  tel-resolve --date 2013-09-01 --histograms cache export.ndjson.gz > records.ndjson
  zstdcat export.zst | tel-resolve --rejects bad.ndjson | tel-validate
"""

from tel import cli


def work(run):
    """Resolve all inputs; a stream of raw lines starts here."""
    from tel import resolve, revisions

    options, seen = run.options, resolve.Seen()
    resolver = resolve.Resolver(revisions.Cache(options.histograms()))
    replace = options.one_of("--utf8", ("reject", "replace")) == "replace"
    lines, date = run.all_lines(seen.raw_only), options.date("--date")
    records = resolve.resolve(lines, resolver, run.rejects, date, options["--make-ids"], seen, replace)
    run.write(record.line() for record in records)


def main():
    """The console script."""
    return cli.main(__doc__, work)
