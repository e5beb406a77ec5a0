"""tel-submit - submit records or raw pings to a server over HTTP

Usage:
  tel-submit [options] URL [FILE...]

Sends each record, export line <id> TAB <json> or bare ping with an id to the server at URL, http or https, as Firefox
would: by POST, compressed by gzip, over connections that are kept. A record that was received has its path and headers
again; others go to /submit/telemetry/<id>/<reason>/<appName>/<appVersion>/<channel>/<buildID>, as far as they say.

Prints a line of JSON for each that was taken: its id, the status that was answered, and how many tries it took. What
the server refuses for good (3xx, 4xx) is bad data. Where it cannot be reached, or answers 429 or 5xx, it is asked again
after the time that it names, or after 0.5 s and twice as long each time; when that was all in vain the run ends with
75, as it does at the end of an input that is not whole. What is sent again is stored twice, and marked by tel-receive.

Options:
  --rate N            At most N a second; 0: as fast as can be [default: 0].
  -j N                Over N connections at a time [default: 1].
  --tries N           How often each is tried [default: 5].
  --timeout SECONDS   How long to wait for an answer [default: 60].
  --plain             Do not compress.
  --dry-run           Send nothing, and print id, path and bytes of each.
  --partial           Take the input as it is, whole or not.
  <reject options>
  <common options>

Examples:
  tel-submit --dry-run http://localhost:8080 records.ndjson.zst
  tel-sample -n 100 --small | tel-submit --dry-run --rate 50 -j 4 https://incoming.example.org
  tel-cat store | tel-submit --dry-run http://localhost:8080
"""

from tel import cli


def work(run):
    """Submit all inputs."""
    from tel import sender

    options = run.options
    server = options.url("URL"), options.seconds("--timeout"), options.count("--tries")
    send = sender.described if options["--dry-run"] else sender.Server(*server).send
    lines = run.all_lines(run.seen.raw_only)
    found = sender.submissions(lines, run.rejects, run.seen, options["--plain"])
    paced = sender.paced(found, options.number("--rate"))
    run.write(sender.sent(paced, send, options.count("-j"), run.rejects))
    if not options["--partial"] and not options["--dry-run"]:
        run.ends.demand()


def main():
    """The console script."""
    return cli.main(__doc__, work)
