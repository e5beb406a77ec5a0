"""tel-expire - take records out of a store

Usage:
  tel-expire [options] [--where NAME=VALUE]... [--id ID]... [--client-id ID]... STORE

Takes out the stored files of submission dates before a date, or the records of some documents or clients wherever they
are, and prints a line of JSON for each file that loses records: its path, its records, and how many are left. Only
these files are written anew. A client's id is what the ping has as clientId or clientID, or has in its payload.

The change is visible at once, at the end: a run that is killed has changed nothing. The files that were replaced stay
on disk for a time of grace; with --grace 0 they are removed before the run ends, and so are those whose time was over.

The commit records of batches stay, so that a batch is still known as stored and does not come back if it is stored
again. Records that come later with other batches, and rejects, are no matter of this tool.

Options:
  --before DATE       Records of submission dates before DATE.
  --id ID             Records of this document id; may be given again.
  --ids FILE          Document ids, one a line (- for standard input).
  --client-id ID      Records of this client id; may be given again.
  --client-ids FILE   Client ids, one a line (- for standard input).
  --dry-run           Print the same, and change nothing.
  <change options>
  <selection options>
  <common options>

Examples:
  tel-expire --before 2013-09-01 --dry-run store
  tel-expire --client-id c1d2e3f4-0000-4000-8000-000000000000 --grace 0 store
  tel-expire --where date=2013-09-01.. --ids ids store
"""

from tel import cli


def work(run):
    """Take out what is to go of what the conditions select."""
    from tel import change, staging

    options, (store, selection) = run.options, run.selected()
    before = options.date("--before") if options["--before"] else None
    rule = change.Rule(before, run.words("--id", "--ids"), run.words("--client-id", "--client-ids"))
    form, grace = staging.options_of(options, staging.LEVEL), options.number("--grace")
    files = store.files(selection.selects)
    if options["--dry-run"]:
        run.print_values(change.told(change.expired(store, files, rule, run.max_line)))
        return
    staging.tidy(store)
    with change.Rewriting(store, "expire", grace, form) as rewriting:
        found = list(change.expired(store, files, rule, run.max_line))
        change.expire(rewriting, found, rule, run.max_line)
        rewriting.publish()
    run.print_values(change.told(found))


def main():
    """The console script."""
    return cli.main(__doc__, work)
