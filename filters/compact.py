"""tel-compact - merge the small files of a store into few large ones

Usage:
  tel-compact [options] [--where NAME=VALUE]... STORE

Merges the stored files that tel-ls would list, those of each directory into one, or as many as --roll-size makes, and
prints the paths of the new files. Records keep the order of the files' paths; they are the same before and after.
Files that have reached --roll-size, and one that is alone, stay as they are, so that a second run does nothing.

The change is visible at once, at the end: a run that is killed has changed nothing, and one that meets a damaged file
stops there. Batches that were merged are still known as stored. The files that were replaced stay readable for a
time of grace, and are removed by the first run of tel-compact, tel-expire or tel-persist after it.

With --schema the files are parted anew, as by tel-cat and tel-persist: values that were OTHER or had no directory are
looked for in each ping. New batches are parted by that schema from then on. A run that is killed, or only moves
some of the files, leaves a store that is read as before; the next one moves the rest.

Options:
  --level N           Compress at this zstd level, 1 to 19, files too that need
                      no merging but have another; without it, what is merged is
                      compressed at level 9.
  --dedup             Of the records of a directory that have one document id,
                      keep the first, and say how many went.
  --schema FILE       Give the store these dimensions.
  <change options>
  <selection options>
  <common options>

Examples:
  tel-compact store
  tel-compact --where date=..20130930 --level 19 --threads 4 store
  tel-compact --schema schema.json store
"""

from tel import cli


def work(run):
    """Merge or part anew what the conditions select."""
    from tel import change, staging

    options, description, (store, selection) = run.options, run.schema(), run.selected()
    level, dedup = options.level("--level"), options["--dedup"]
    form, grace = staging.options_of(options, level or change.MERGED_LEVEL), options.number("--grace")
    if description:
        options.exclude("--schema", "--dedup")
    staging.tidy(store)
    with change.Rewriting(store, "compact", grace, form) as rewriting:
        files = store.files(selection.selects)
        if description:
            change.repartition(rewriting, description, files, run.max_line, run.rejects)
        else:
            memory, roll_size = form[:2]
            change.merge(rewriting, files, run.max_line, roll_size, level, memory if dedup else None)
        paths = rewriting.publish()
    run.print_paths(paths)
    if dedup:
        run.stats.more["duplicates"] = rewriting.dropped
        run.say(f"{rewriting.dropped} records had the document id of an earlier one")


def main():
    """The console script."""
    return cli.main(__doc__, work)
