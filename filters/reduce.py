"""tel-reduce - finish a job and print its answer

Usage:
  tel-reduce [options] JOB [FILE...]

Reads lines ["key",value] of tel-map or tel-combine, from any number of hosts one after another, and prints the
answer of the job's reduce, sorted by key. Nothing is printed unless the input was whole: the lines read are those that
its end records vouch for, and, with --inputs, exactly the files of a list were mapped. What memory cannot hold is
sorted by sort(1), whose temporary files are in TMPDIR; the answer is the same. That of a job whose answers add up, as
dashboard's do, ends with an end record, and can be reduced with others again.

Options:
  --inputs LIST       Demand that exactly the files of LIST, one a line, were
                      mapped, each once. An empty list is an empty answer.
  --expect N          Demand end records of N streams: hosts or jobs.
  --partial           Take the input as it is, whole or not.
  --format FORMAT     ndjson, tsv or csv: the columns of the key, then the
                      value [default: ndjson].
  --memory SIZE       Memory for the values held [default: 256M].
  <common options>

Examples:
  tel-map --files-from files os-count | tel-combine os-count | tel-reduce --inputs files --format tsv os-count
  cat host1 host2 | tel-reduce --expect 2 os-count
"""

from tel import cli


def work(run):
    """Gather all lines, see that they are whole, and print the answer."""
    from tel import job, mapreduce

    options, spec = run.options, job.load(run.options["JOB"])
    format = options.one_of("--format", mapreduce.FORMATS)
    memory = options.size("--memory")
    table = mapreduce.gather(run.all_lines(named=False), spec, memory)
    files = mapreduce.listed(run.file_lines(options["--inputs"])) if options["--inputs"] else None
    if files != [] or run.ends.read or run.ends.received:  # of an empty list no tool may have run
        run.demand_whole()
    manifest = mapreduce.Manifest.received(run.ends.received)
    if files is not None:
        manifest.demand(mapreduce.Manifest.of(files))
    lines = mapreduce.held_back(mapreduce.rows(mapreduce.reduce(table, spec), format), memory)
    if spec.merges and format == "ndjson":
        run.write(lines, once=True, more=manifest.fields)
    else:
        run.put(lines)


def main():
    """The console script."""
    return cli.main(__doc__, work)
