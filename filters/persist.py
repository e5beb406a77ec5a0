"""tel-persist - store records, partitioned and compressed, all of them or none

Usage:
  tel-persist [options] --store DIR [FILE...]

Reads records and adds them to a store as one batch: a line `<id> TAB <ping>` each, in files of independent zstd
frames under the directories of the schema's dimensions. The batch becomes visible at once when its input has ended
whole; then each of its files is printed, one path a line. If anything goes wrong, nothing is stored.

The input must be whole: the lines read are those that its end records vouch for, of which there is one at least. A
batch that is stored already is recognised, and its input, read to the end, must be the same again.

A stream of tel-kafka tells in its end record which offsets it holds. These say the batch's id, are kept in the commit
record, and must begin where the store's batches have ended: otherwise nothing is stored, and the status is 75.

Options:
  --store DIR         The store; made if it is not there.
  --batch ID          The batch's id. If not given it is made of the names and
                      contents of the FILEs, so that the same files are stored
                      once, or of source positions, or is a fresh one; and is
                      said on stderr.
  --replace           Put this input in the place of a stored batch of this id
                      that has other content.
  --schema FILE       The dimensions of a store that is made now; one that is
                      there must have the same.
  --expect N          Demand end records of N streams.
  --partial           Take the input as it is, whole or not.
  --level N           Compress at this zstd level, 1 to 19 [default: 1].
  --threads N         Compress in N threads; the bytes are the same
                      [default: 1].
  --memory SIZE       Memory for lines that wait to be compressed; about that
                      of each partition is counted in [default: 256M].
  --roll-size SIZE    Compressed size at which a file is closed [default: 256M].
  --no-sync           Do not wait for the disk: a power cut may cost the batch,
                      and more. For tests.
  <reject options>
  <common options>

Examples:
  tel-resolve export.gz | tel-validate --rejects bad | tel-convert | tel-persist --store store --batch 2013-09-01
  tel-persist --store store --schema schema.json compact.ndjson
  tel-convert records.ndjson | tel-persist --store store --batch 2013-09-01 --replace
"""

from tel import cli


def work(run):
    """Store all records as one batch."""
    from tel import persist, staging, store

    options = run.options
    batch_id = options["--batch"] or persist.default_id(options["FILE"])
    form = staging.options_of(options, options.level("--level"))
    target = store.Store.create(options["--store"], run.schema())
    staging.tidy(target)
    keep = {"replace": options["--replace"], "durable": not options["--no-sync"], "given": bool(options["--batch"])}
    with persist.Batch(target, batch_id, *form, **keep) as batch:
        for directory, line in run.stage(
            lambda records: persist.placed(records, batch.schema, run.rejects), named=False
        ):
            batch.add(directory, line)
            run.stats.written += 1
        run.demand_whole()
        run.rejects.close()
        files = batch.publish(run.ends.received)
    run.print_paths(files)
    if batch.outcome == "recognised":
        run.say(f"batch {batch.id} is stored already")
    elif batch.outcome == "empty":
        run.say("nothing to store: the source positions hold no offset")
    elif not options["--batch"]:
        run.say(f"stored batch {batch.id}")


def main():
    """The console script."""
    return cli.main(__doc__, work)
