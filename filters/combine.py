"""tel-combine - combine what tel-map wrote, as far as memory allows

Usage:
  tel-combine [options] JOB [FILE...]

Reads lines ["key",value] and writes fewer: the values of a key combined by the job's combine, sorted by key. When
more keys come than memory allows, what there is so far is written and the rest goes on, so that a key may be written
several times; tel-reduce finishes. Its own output is good input, on one host after another. A job without a combine
passes through.

Options:
  --inputs LIST       Demand that exactly the files of LIST, one a line, were
                      mapped, each once.
  --memory SIZE       Memory for the values held [default: 256M].
  <common options>

Examples:
  tel-map --files-from files os-count | tel-combine os-count
  parallel -X 'tel-map os-count {} | tel-combine os-count' < files | tel-combine --inputs files os-count
"""

from tel import cli


def work(run):
    """Combine all lines, and add up what their end records say."""
    from tel import job, mapreduce

    options, spec = run.options, job.load(run.options["JOB"])

    def said():
        known = any("files" in end for end in run.ends.received)
        manifest = mapreduce.Manifest.received(run.ends.received)
        if options["--inputs"]:
            manifest.demand(mapreduce.Manifest.of(mapreduce.listed(run.file_lines(options["--inputs"]))))
        return manifest.fields() if known else {}

    lines = mapreduce.combined_lines(run.all_lines(named=False), spec, options.size("--memory"))
    run.write(lines, once=True, more=said)


def main():
    """The console script."""
    return cli.main(__doc__, work)
