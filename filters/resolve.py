"""tel-resolve - find the definitions that each ping was built with

Usage:
  tel-resolve [options] [FILE...]

Reads raw telemetry, plain or compressed (gzip, xz, lzma, bzip2, zstd), one ping a line: export lines
`<id> TAB <json>`, bare pings, or records. Writes records: the ping's own bytes, with its document id, submission
date, small info and the revision whose Histograms.json defines its histograms. A ping without histograms needs no
definitions and passes with the revision null.

A ping that carries histograms names its revision, which is looked up in the definitions cache: as it stands, or as
the descendant of a revision that changed the definitions. One that the cache does not know is asked for at the server
of --fetch. Where that fails, or no revision is named, the channel says the repository and the build id the time (UTC;
old build machines wrote Pacific time, so that an old build may get the definitions of up to eight hours before), or,
without one, the version says the product, for which definitions were in effect. The record's revision says by which:
revision, ancestor, buildid or version; a missing info.revision is filled in. A ping whose definitions cannot be found
is bad data.

Options:
  --date DATE         The submission date of raw input, as 20130903 or
                      2013-09-03; today (UTC) if not given.
  --utf8 WHAT         What becomes of a line that is not UTF-8: reject, or
                      replace the wrong bytes by U+FFFD [default: reject].
  --fetch URL         Ask the Mercurial server there (https://hg.mozilla.org)
                      for a revision that the cache does not know, and keep
                      its answer there, for a day that there is none.
  --timeout SECONDS   How long to wait for an answer [default: 10].
  --offline           Ask no server, whatever --fetch says.
  --only HOW          revision: never go by build id or version. any: do
                      [default: any].
  --channels FILE     A JSON object {channel: repository} over the usual ones.
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
    from tel import history, resolve, revisions, server

    options, seen = run.options, run.seen
    cache, asked = revisions.shared(options.histograms()), None
    if options["--fetch"] and not options["--offline"]:
        asked = server.Server(cache, options.url("--fetch"), history.PATH, options.seconds("--timeout"))
    channels = resolve.read_channels(options["--channels"]) if options["--channels"] else resolve.CHANNELS
    only = options.one_of("--only", ("revision", "any")) == "revision"
    resolver = resolve.Resolver(cache, asked, channels, only, run.alone)
    replace = options.one_of("--utf8", ("reject", "replace")) == "replace"
    date, make_ids = options.date("--date"), options["--make-ids"]
    run.filter(
        lambda lines: resolve.resolve(lines, resolver, run.rejects, date, make_ids, seen, replace), seen.raw_only
    )


def main():
    """The console script."""
    return cli.main(__doc__, work)
