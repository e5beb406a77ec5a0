"""tel-sample - make realistic raw pings from a number

Writes pings as Firefox 23 sent them, one export line `<id> TAB <json>` each, for
trials, tests and measurements. The same options give the same bytes on every
machine, and the first lines of a longer run are those of a shorter one.

Usage:
  tel-sample [--small | --no-histograms] [options]
  tel-sample --definitions DIR [options]

Options:
  -n N                How many pings [default: 100].
  --seed N            The number they are made from [default: 1].
  --bad P%            Make that share of the lines bad, in turn in each way a
                      line or a histogram can be bad [default: 0%].
  --small             Small pings: a dozen histograms each, about 3 KB.
  --no-histograms     Health pings of version 4: 500 bytes, no histograms.
  --definitions DIR   Instead of pings, write the Histograms.json that they were
                      built with to DIR/<repository>/<node>/, and print the path
                      of each, so that tel-resolve --histograms DIR finds them.
  <common options>

A full ping has about 330 histograms in 70 KB. Each histogram comes in 32 texts
for a seed, so two pings share one in 32, and the simple ones more often: ids and
times differ in every ping, yet a compressor finds more repeats than in real data.

Examples:
  tel-sample --definitions definitions
  tel-sample -n 1000 | tel-resolve --histograms definitions | tel-validate --histograms definitions
  tel-sample -n 1000 --bad 5% | tel-resolve --histograms definitions --rejects bad.ndjson
"""

from tel import cli


def work(run):
    """Write the pings, or the definitions they need."""
    from tel import sample

    options = run.options
    if options["--definitions"] is not None:
        for path in sample.write_definitions(options["--definitions"]):
            run.out.line(path.encode(errors="surrogateescape"))
            run.stats.written += 1
        return
    shape = sample.HEALTH if options["--no-histograms"] else sample.SMALL if options["--small"] else sample.FULL
    run.write(sample.pings(options.number("-n"), options.number("--seed"), sample.share(options["--bad"]), shape))


def main():
    """The console script."""
    return cli.main(__doc__, work)
