"""tel-cat - print stored pings as records

Usage:
  tel-cat [options] [--where NAME=VALUE]... STORE

Prints a record for each ping of the stored files that tel-ls would list, in that order, so that a store can be piped
through the suite again. What the ping does not say itself, such as its submission date, comes from its directory. The
revision is null: tel-resolve finds it again where it is needed.

Options:
  <selection options>
  <layout options>
  <common options>

Examples:
  tel-cat --where channel=nightly store | tel-persist --store nightly
  tel-cat --layout 2013 published | tel-persist --store store --batch published
  tel-cat store | tel-resolve --histograms cache | tel-convert --histograms cache --expand
"""

from tel import cli


def work(run):
    """Print what the conditions select."""
    from tel import retrieve

    store, selection = run.selected()
    run.write(record.line() for record in retrieve.of(store, store.files(selection.selects), run.max_line))


def main():
    """The console script."""
    return cli.main(__doc__, work)
