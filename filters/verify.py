"""tel-verify - check stored files against their commit records

Usage:
  tel-verify [options] [--where NAME=VALUE]... STORE

Reads every stored file that tel-ls would list and checks its SHA-256, its frames and seek table, the number of its
lines, and that each line is <id> TAB <json>. Prints a line of JSON for each damaged file, its path and the reason, and
exits 1 if there are any.

Options:
  --all               Print sound files too, their reason null.
  <selection options>
  <common options>

Examples:
  tel-verify store
  tel-verify --where date=2013-09-01.. --progress store
"""

from tel import cli, exits


def work(run):
    """Check what the conditions select."""
    from tel import retrieve

    store, selection = run.selected()

    def damaged():
        for path, entry in store.files(selection.selects, demanding=False):
            reason = retrieve.damage(store, path, entry, run.max_line)
            found.append(reason)
            if reason or run.options["--all"]:
                yield {"path": path, "reason": reason}

    found = []
    run.print_values(damaged())
    return exits.NO if any(found) else exits.OK


def main():
    """The console script."""
    return cli.main(__doc__, work)
