"""tel-ls - list the files of a store

Usage:
  tel-ls [options] [--where NAME=VALUE]... STORE

Prints the paths of the stored files, sorted, one a line: those of published batches only. Conditions choose among
the dimensions; a listed file that is not there is an error, and nothing is printed.

Options:
  --where NAME=VALUE  Only files whose dimension NAME has VALUE. Given again
                      for one NAME, any of the values; VALUE may be a range
                      FROM..TO, either end left out. date, app, channel,
                      version and build stand for submission_date, appName,
                      appUpdateChannel, appVersion and appBuildID.
  --filter FILE       Only files whose dimensions the schema in FILE allows.
  <common options>

Examples:
  tel-ls store
  tel-ls --where channel=nightly --where date=20130901..20130930 store > files
  tel-map --files-from files os-count
"""

from tel import cli


def work(run):
    """List what the conditions select."""
    from tel import query, schema, store

    source = store.Store(run.options["STORE"])
    conditions = query.conditions(run.options["--where"])
    if run.options["--filter"]:
        conditions += schema.read(run.options["--filter"]).dimensions
    selection = query.Selection(source.schema.names, conditions)
    run.print_paths([path for path, _ in source.files(selection.selects)])


def main():
    """The console script."""
    return cli.main(__doc__, work)
