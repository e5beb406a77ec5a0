"""tel-receive - take what clients submit over HTTP into spool files of records

Usage:
  tel-receive [options] [--trusted-proxy NET]... --spool DIR
  tel-receive --drain [options] --spool DIR

Serves POST and PUT of /submit/telemetry/<id>[/<reason>/<appName>/<appVersion>/<channel>/<buildID>], as Firefox sends
its pings, and of /submit/<namespace>/<type>/<version>/<id>; and of /batch/telemetry, many documents, one a line, each
<id> TAB <json> or a ping with its id, answered by a line of JSON for each. Bodies are plain or compressed (gzip,
deflate, br).

200 means that the document is on disk; what came while the last sync ran is synced at once. 400, for a path, an id or
a body that can never be right, 404, 405, 411, 413, 414, 415 and 417 mean that it is not stored. 503 with Retry-After
means that it is not stored either, the spool being full or slow, and that another try may succeed; only after an error
of the disk itself nobody can know. A body that is not JSON is kept with the rejects. No answer redirects.

The spool's files are called current-... while they are written. When one is large or old enough, at SIGHUP and at the
end its end record is written and it becomes <time>-<host>-<pid>-<n>.ndjson, what was rejected
<time>-<host>-<pid>-<n>.rejects.ndjson. What a receiver that was killed left behind is closed by the next one; a torn
tail, of which no client was told that it is safe, goes to a file .torn. SIGTERM ends it when what is in flight is done.

A record says when it came (received), its path and the headers Date, User-Agent, X-PingSender-Version, DNT and
Content-Length (http). Without --keep-ip no address is kept, and none is ever looked up or told.

Also served: GET /, /status, /metrics (Prometheus), /__version__, /__lbheartbeat__, /__heartbeat__ (503 if the spool
cannot be written), /telemetry_schema and /histograms/<repository>/<revision> from the definitions cache.

Options:
  --spool DIR         The folder of the spool files; made if it is not there.
  --listen ADDRESS    Where to listen, as HOST:PORT; 127.0.0.1:8080 if neither
                      this nor --unix is given. Port 0 is any that is free,
                      told on stderr.
  --unix PATH         Listen on a socket at PATH. Sockets that systemd hands
                      over take the place of both.
  --drain             Close what receivers that are gone left behind, and print
                      the paths of all closed files; 75 if one is still in use.
  -j N                Serve in N processes, each with files of its own
                      [default: 1].
  --created           Answer 201 instead of 200.
  --zstd              Compress the spool, a zstd frame for each group.
  --roll-size SIZE    Size at which a file is closed [default: 64M].
  --roll-age SECONDS  Age at which a file is closed [default: 300].
  --max-body SIZE     Largest body as it comes [default: 1M].
  --max-plain SIZE    Largest body when it is decompressed [default: 8M].
  --patience SECONDS  How long a request may take, and a connection may be
                      idle [default: 60].
  --dedup-window SECONDS
                      Mark a record "duplicate":true if one of the same id was
                      stored in that time, among some 500,000; 0: none
                      [default: 3600].
  --keep-ip           Keep the client's address, as http.remote.
  --trusted-proxy NET
                      Believe the X-Forwarded-For of an address, a network
                      (10.0.0.0/8), or, as unix, of the socket.
  --schema FILE       What /telemetry_schema tells; the default schema if not
                      given.
  <definitions options>
  <common options>

A Firefox submits here with these lines in the user.js of its profile:

    user_pref("toolkit.telemetry.server", "http://localhost:8080");
    user_pref("datareporting.healthreport.uploadEnabled", true);
    user_pref("datareporting.policy.dataSubmissionPolicyBypassNotification", true);

and, to see a main ping as soon as it ends:

    user_pref("toolkit.telemetry.shutdownPingSender.enabledFirstSession", true);
    user_pref("toolkit.telemetry.initDelay", 1);
    user_pref("toolkit.telemetry.minSubsessionLength", 0);

    firefox-esr --headless --profile PROFILE --screenshot shot.png http://127.0.0.1/

TLS, and the internet, are the business of a proxy before it: see tel-pipelines(7). It needs the extra http, aiohttp.

Examples:
  tel-receive --spool spool --listen 127.0.0.1:0 & pid=$!; sleep 2; kill $pid; wait $pid > log
  tel-receive --drain --spool spool
  tel-receive --drain --spool spool | xargs tel-resolve | tel-persist --store store --batch spooled
"""

from tel import cli, exits


def work(run):
    """Serve, or close what is left of others."""
    from tel import reception

    options = run.options
    if options["--drain"]:
        closed, held = reception.drain(options["--spool"], run.say)
        run.print_paths(closed)
        return exits.TEMPORARY if held else exits.OK
    settings = reception.settings(options, run.schema())
    return reception.serve(settings, options, run.stats, run.say)


def main():
    """The console script."""
    return cli.main(__doc__, work)
