"""tel-show - show histograms as bars, with their percentiles

Usage:
  tel-show [options] [FILE...]

Reads lines ["key",array] as tel-reduce prints them for the jobs histogram and histograms, and prints each histogram
for people: its values, its percentiles, interpolated within buckets, and a bar for each bucket. Behind >= is the last
bucket, which has no end. Empty buckets at either end are left out.

The buckets are those of the definition that the key names by its last word. The same name with as many buckets may
have been defined otherwise at another time: if the definitions in the cache differ, --revision says which is meant.

An answer needs no end record; if some came, they must fit what came with them.

Options:
  --format FORMAT     bars, or tsv: key, lower bound, upper bound (empty:
                      none), count, share, label [default: bars].
  --percentiles LIST  Which, between commas [default: 5,25,50,75,95].
  --width COLUMNS     How wide it may be; without it, as wide as the terminal,
                      or 80.
  --ascii             Draw with plain ASCII.
  --all               Show the empty buckets at either end.
  --partial           Take the input as it is, whole or not.
  --name NAME         The histograms are of this name, whatever the keys say.
  --definitions FILE  Take the definitions from a Histograms.json.
  --revision REV      Take those of a revision: its address, or its node.
  <definitions options>
  <reject options>
  <common options>

Examples:
  tel-map --files-from files histograms | tel-reduce --inputs files histograms | tel-show
  grep GC_REASON_2 sums | tel-show --ascii --width 60 --percentiles 50,99.9
"""

from tel import cli


def work(run):
    """Show one histogram after another."""
    from tel import bars, edges

    options = run.options
    table = options.one_of("--format", ("bars", "tsv")) == "tsv"
    percents = options.percents("--percentiles")
    style = bars.Style(options.columns("--width"), options["--ascii"], percents, options["--all"])
    sums = edges.sums(run.all_lines(), edges.of_options(options), options["--name"], run.rejects)
    texts = (bars.rows(*each) if table else bars.drawn(*each, style) for each in sums)
    run.put(line.encode() for text in texts for line in text)
    run.rejects.close()
    run.demand_fitting()


def main():
    """The console script."""
    return cli.main(__doc__, work)
