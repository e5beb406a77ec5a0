"""tel-unpack - make records of the 2013 server's binary log files

Usage:
  tel-unpack [options] [FILE...]

Reads the files in which the telemetry server of 2013 kept what clients had submitted, before it was processed: records
of the time, the path and the body, plain or gzipped, in one of two framings. Writes records as tel-receive does, for
tel-resolve; their date is the day of the time, in UTC.

What lies between records, a record that is cut short, and one whose body is no JSON object, is bad data; its place is
the file and the byte, not the line, and a reject has the whole bytes of the body. Where a separator begins no whole
record with a path of visible ASCII, those behind it are looked for, so that wrong lengths cost little more than the
record that has them.

Options:
  --framing VERSION   v1, v2, with the client's address, or auto: which fits
                      the first records of each file [default: auto].
  --keep-ip           Keep the client's address, as http.remote.
  <reject options>
  <common options>

Examples:
  tel-unpack telemetry.log > records.ndjson
  tel-unpack --rejects bad.ndjson telemetry.log | tel-resolve --rejects bad2.ndjson | tel-validate | tail -n 1
"""

from tel import cli


def work(run):
    """Unpack all inputs."""
    from tel import packed

    version, keep_ip = run.options.one_of("--framing", ("v1", "v2", "auto")), run.options["--keep-ip"]

    def lines():
        for source in run.inputs():
            frames = run.counted(packed.frames(source.blocks(), version, run.max_line))
            yield from packed.records(frames, source.name, run.rejects, run.max_line, keep_ip)

    run.write(lines())


def main():
    """The console script."""
    return cli.main(__doc__, work)
