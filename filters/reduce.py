"""tel-reduce - finish a job and print its answer

Usage:
  tel-reduce [--param NAME=VALUE]... [options] JOB [FILE...]

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
  --tab               Read key TAB value, as Hadoop Streaming hands it on;
                      there are no end records then.
  --param NAME=VALUE  A parameter of the job, as for tel-map.
  --format FORMAT     ndjson, tsv or csv: the columns of the key, then the
                      value. Without it, ndjson, or what the job itself says:
                      lines of text, or pairs between its own separators.
  --memory SIZE       Memory for the values held [default: 256M].
  <common options>

Examples:
  tel-map --files-from files os-count | tel-combine os-count | tel-reduce --inputs files --format tsv os-count
  cat host1 host2 | tel-reduce --expect 2 os-count
"""

from tel import cli


def work(run):
    """Gather all lines, see that they are whole, and print the answer."""
    from tel import answer, job, mapreduce, pairs

    options, spec = run.options, job.load(run.options["JOB"], run.options["--param"])
    options.exclude("--tab", "--inputs")
    options.exclude("--tab", "--expect")
    format = options.one_of("--format", answer.FORMATS) if options["--format"] else None
    memory = options.size("--memory")
    parse = pairs.parse_tab if options["--tab"] else pairs.parse_pair
    table = mapreduce.gather(run.all_lines(named=False), spec, memory, parse)
    heard = _heard(run)
    said = mapreduce.reduce(table, spec)
    separators = None if format else spec.answer.separators
    pieces = answer.pieces(said, format or "ndjson", separators, heard.missing)
    run.stats.written, lines = answer.held_back(pieces, memory)
    for line in lines:
        if line.endswith(b"\n"):
            run.out.line(line[:-1])
        else:  # what ends it is the job's own
            run.out.write(line)
    if spec.merges and not separators and format in (None, "ndjson"):
        for line in run.vouched(once=True, **heard.fields()):
            run.out.line(line)


def _heard(run):
    """What the end records say, the input being whole."""
    from tel import manifest

    options = run.options
    if options["--tab"]:
        return manifest.Manifest()
    files = manifest.listed(run.file_lines(options["--inputs"])) if options["--inputs"] else None
    if files != [] or run.ends.read or run.ends.received:  # of an empty list no tool may have run
        run.demand_whole()
    heard = manifest.Manifest.heard(run.ends.received)
    if files is not None:
        heard.demand(manifest.Manifest.of(files))
    for words in heard.left_out():
        run.say(words)
    return heard


def main():
    """The console script."""
    return cli.main(__doc__, work)
