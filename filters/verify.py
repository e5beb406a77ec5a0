"""tel-verify - check stored files against their commit records

Usage:
  tel-verify [options] [--where NAME=VALUE]... STORE

Reads every stored file that tel-ls would list and checks its SHA-256, its frames and seek table, the number of its
lines, and that each line is <id> TAB <json>. Prints a line of JSON for each damaged file, its path and the reason, and
exits 1 if there are any. Without a condition it also looks at the source positions of all batches (tel-kafka(1)): where
offsets between the first and the last of a partition are in no batch, or in more than one, it prints the path of the
commit record behind them, and the reason.

A salvaged file's line tells its name (null if no frame was whole), its frames and records, how many records of the
commit record it lacks (null if there are more than that knows), and the ranges of bytes [from, to) that were lost.
The store is not changed.

Options:
  --all               Print sound files too, their reason null.
  --salvage DIR       Write the whole frames of each damaged file into DIR, as a
                      stored file of the same relative path, and say what
                      was lost. A file that is there is not replaced.
  <selection options>
  <common options>

Examples:
  tel-verify store
  tel-verify --salvage saved store
  tel-verify --where date=2013-09-01.. --progress store
"""

from tel import cli, exits


def work(run):
    """Check what the conditions select."""
    from tel import positions, retrieve, salvage

    store, selection = run.selected()

    def saved(path, entry):
        folder = run.options["--salvage"]
        return salvage.rescue(store, path, entry, folder) if folder else {}

    def damaged():
        for path, entry in store.files(selection.selects, demanding=False):
            reason = retrieve.damage(store, path, entry, run.max_line)
            found.append(reason)
            if reason or run.options["--all"]:
                yield {"path": path, "reason": reason, **(saved(path, entry) if reason else {})}

        if not (run.options["--where"] or run.options["--filter"]):
            for batch, reason in positions.faults(store):
                found.append(reason)
                yield {"path": store.commit_path(batch), "reason": reason}

    found = []
    run.print_values(damaged())
    return exits.NO if any(found) else exits.OK


def main():
    """The console script."""
    return cli.main(__doc__, work)
