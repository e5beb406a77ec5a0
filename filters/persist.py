"""tel-persist - store records, partitioned and compressed, all of them or none

Usage:
  tel-persist [options] --store DIR [FILE...]

Reads records and adds them to a store as one batch: a line `<id> TAB <ping>` each, in files of independent zstd
frames under the directories of the schema's dimensions. The batch becomes visible at once when its input has ended
whole; then each of its files is printed, one path a line. If anything goes wrong, nothing is stored.

The input must be whole: the lines read are those that its end records vouch for, of which there is one at least. A
batch that is stored already is recognised, and its input, read to the end, must be the same again.

Options:
  --store DIR         The store; made if it is not there.
  --batch ID          The batch's id; a fresh one that is said on stderr if not
                      given.
  --schema FILE       The dimensions of a store that is made now; one that is
                      there must have the same.
  --expect N          Demand end records of N streams.
  --partial           Take the input as it is, whole or not.
  --memory SIZE       Lines held before they are compressed [default: 256M].
  --roll-size SIZE    Compressed size at which a file is closed [default: 256M].
  <reject options>
  <common options>

Examples:
  tel-resolve export.gz | tel-validate --rejects bad | tel-convert | tel-persist --store store --batch 2013-09-01
  tel-persist --store store --schema schema.json compact.ndjson
"""

from tel import cli


def work(run):
    """Store all records as one batch."""
    from tel import persist, store

    options = run.options
    batch_id = options["--batch"] or persist.fresh_id()
    target = store.Store.create(options["--store"], run.schema())
    persist.sweep_dead(target)
    with persist.Batch(target, batch_id, options.size("--memory"), options.size("--roll-size")) as batch:
        for directory, line in run.stage(
            lambda records: persist.placed(records, target.schema, run.rejects), named=False
        ):
            batch.add(directory, line)
            run.stats.written += 1
        run.demand_whole()
        run.rejects.close()
        files = batch.publish(run.ends.received)
    run.print_paths(files)
    if batch.stored:
        run.say(f"batch {batch_id} is stored already")
    elif not options["--batch"]:
        run.say(f"stored batch {batch_id}")


def main():
    """The console script."""
    return cli.main(__doc__, work)
