"""tel-ls - list the files of a store

Usage:
  tel-ls [options] [--where NAME=VALUE]... STORE

Prints the paths of the stored files, sorted, one a line: those of published batches only. Conditions choose among
the dimensions; a listed file that is not there is an error, and nothing is printed.

Options:
  <selection options>
  <layout options>
  <common options>

Examples:
  tel-ls store
  tel-ls --layout 2013 --where reason=idle-daily published
  tel-ls --where channel=nightly --where date=20130901..20130930 store > files
"""

from tel import cli


def work(run):
    """List what the conditions select."""
    store, selection = run.selected()
    run.print_paths([path for path, _ in store.files(selection.selects)])


def main():
    """The console script."""
    return cli.main(__doc__, work)
