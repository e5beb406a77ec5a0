"""tel-map - run a job's map over stored pings

Usage:
  tel-map [--param NAME=VALUE]... [options] JOB [FILE...]
  tel-map [options] --exec COMMAND [FILE...]

Reads stored files, or, without any, stored lines or records from standard input, and writes what the job's map makes
of each ping: lines ["key",value]. JOB is a built-in job (count, dashboard, distribution, duplicates, histogram,
histograms, os-count, percentiles, rejects) or a job file (a path with a slash or ending in .py), see tel-job(5); words
behind its name, in the same argument, are its parameters.

A stored file that is cut, even at the end of a frame, is an error. The end record says how many files were read whole
and vouches for their names, so that tel-combine and tel-reduce can demand exactly the files of a list.

With --exec, any program is the map: COMMAND, run by bash -o pipefail for each file, reads stored lines <id> TAB <json>
and prints lines ["key",value] or key TAB value. A COMMAND that fails, is killed, or does not read its input to the end
ends the run. The dimensions of a stored file are in its environment: TEL_reason, TEL_appUpdateChannel and so on.

Options:
  --exec COMMAND      Let COMMAND map the lines of each file.
  --files-from LIST   Read the names of the stored files from LIST, one a line
                      (- for standard input).
  --tab               Write key TAB value for Hadoop Streaming or Spark's
                      pipe, and no end record.
  --layout 2013       The files are of a tree that the 2013 server wrote; their
                      dimensions come from their paths.
  --check             Try the job on the first 1000 pings, and print what would
                      spoil the answer; exit 1 if anything would.
  --param NAME=VALUE  A parameter of the job, as the word NAME=VALUE behind its
                      name; may be given again.
  --skip-errors N|P%  Leave out pings that the job fails on, up to N of them or
                      P percent of all; the answer's user is told how many.
  <reject options>
  <common options>

Examples:
  tel-map os-count store/20130901/idle-daily/Firefox/release/23.0.1/20130814063812/b-001.v2.zst
  tel-ls store > files && tel-map --files-from files 'histogram GC_MS' | tel-reduce --inputs files 'histogram GC_MS'
  tel-map --check --files-from files 'count channel os'
  tel-map --files-from files --exec 'cut -f 2 | jq -c "[.info.OS, 1]"' | tel-reduce --inputs files count
"""

from tel import cli, exits


def work(run):
    """Map all files, or standard input."""
    from tel import job, manifest, mapreduce

    options, read = run.options, manifest.Manifest()
    for other in ("--param", "--rejects", "--skip-errors", "--check"):
        options.exclude("--exec", other)
    for other in ("--tab", "--rejects", "--skip-errors"):
        options.exclude("--check", other)
    spec = None if options["--exec"] else job.load(options["JOB"], options["--param"])
    paths = mapreduce.paths(run)
    if options["--check"]:
        return _check(run, spec, _sources(run, paths, read))
    lines = _mapped(run, spec, _sources(run, paths, read))
    if options["--tab"]:
        run.put(lines)
        if run.rejects.skipped:
            run.say(f"the job failed on {run.rejects.skipped} pings, which are left out")
        return exits.OK

    def said():
        read.skipped = run.rejects.skipped
        return read.fields() if once else {}

    once = paths is not None or bool(options["--skip-errors"])
    run.write(lines, once, said)  # one end record for all files, also where they are saved streams with their own
    return exits.OK


def _sources(run, paths, read):
    """Yield (name, {dimension: value} or None, lines) of each file, which `read` is told of, or of standard input."""
    from tel import mapreduce

    if paths is None:
        yield "standard input", None, run.all_lines(run.seen.raw_only)
        return
    check_of, named_of = mapreduce.reading(run.options.layout())
    for path in paths:
        named = named_of(path)
        (source,) = run.inputs([path], check_of(path))
        yield path, named, run.lines(source)
        read.add(path)


def _mapped(run, spec, sources):
    """Yield the lines that the job, or the program of --exec, makes of all sources."""
    from tel import mapreduce, pairs, program

    render = pairs.tab_line if run.options["--tab"] else pairs.pair_line
    for name, named, lines in sources:
        if spec is None:
            made = program.pairs(run.options["--exec"], lines, name, named, run.seen)
            yield from (render(key, value) for key, value in made)
        else:
            yield from mapreduce.map_lines(lines, spec, run.rejects, render, named, run.seen)
    if spec:
        yield from (render(key, value) for key, value in spec.finish_map())


def _check(run, spec, sources):
    """Rehearse the job, and print what is found."""
    from tel import rehearsal

    rehearsed = rehearsal.Rehearsal(spec)
    rehearsed.run((where, line, named) for _, named, lines in sources for where, line in lines)
    counts = f"{rehearsed.pings} pings, {rehearsed.pairs} pairs, {rehearsed.keys} keys"
    said = [*rehearsed.findings, f"{counts}: {len(rehearsed.findings) or 'no'} faults found"]
    run.put(line.encode() for line in said)
    return exits.NO if rehearsed.findings else exits.OK


def main():
    """The console script."""
    return cli.main(__doc__, work)
