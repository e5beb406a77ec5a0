"""tel-map - run a job's map over stored pings

Usage:
  tel-map [options] JOB [FILE...]
  tel-map [options] --exec COMMAND [FILE...]

Reads stored files, or, without any, stored lines or records from standard input, and writes what the job's map makes
of each ping: lines ["key",value]. JOB is a built-in job (count, os-count, histogram, histograms, duplicates) or a
job file (a path with a slash or ending in .py); words behind its name, in the same argument, are its parameters.

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
  <reject options>
  <common options>

Examples:
  tel-map os-count store/20130901/idle-daily/Firefox/release/23.0.1/20130814063812/b-001.v2.zst
  tel-ls store > files && tel-map --files-from files 'histogram GC_MS' | tel-reduce --inputs files 'histogram GC_MS'
  tel-map --files-from files --exec 'cut -f 2 | jq -c "[.info.OS, 1]"' | tel-reduce --inputs files count
"""

from tel import cli


def work(run):
    """Map all files, or standard input."""
    from tel import job, mapreduce, program

    options, seen, command = run.options, run.seen, run.options["--exec"]
    options.exclude("--exec", "--rejects")
    spec = None if command else job.load(options["JOB"])
    render = mapreduce.tab_line if options["--tab"] else job.pair_line
    check_of, named_of = mapreduce.reading(options.layout())
    paths, manifest = mapreduce.paths(run), mapreduce.Manifest()

    def mapped(lines, named=None, path=None):
        if command:
            return (render(*pair) for pair in program.pairs(command, lines, path or "standard input", named, seen))
        return mapreduce.map_lines(lines, spec, run.rejects, render, named and list(named.values()), seen)

    def lines():
        for path in paths or ():
            named = named_of(path)
            (source,) = run.inputs([path], check_of(path))
            yield from mapped(run.lines(source), named, path)
            manifest.add(path)
        if paths is None:
            yield from mapped(run.all_lines(seen.raw_only))
        if spec:
            yield from (render(key, value) for key, value in spec.finish_map())

    if options["--tab"]:
        run.put(lines())
    elif paths is None:
        run.write(lines())
    else:  # one end record for all files, also where they are saved streams with end records of their own
        run.write(lines(), once=True, more=manifest.fields)


def main():
    """The console script."""
    return cli.main(__doc__, work)
