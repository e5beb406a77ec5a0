"""tel-receive put together: from its options to workers that serve, each with a committer and a spool of its own."""

import os

from tel import committer, counters, exits, receiver, recovery, revisions, schema, service, spool, window
from tel.errors import UsageError

LISTEN = "127.0.0.1:8080"


def settings(options, described):
    """The receiver.Settings that options ask for; `described` is the schema to be told, or None. Raises UsageError."""
    try:
        proxies = receiver.networks(options["--trusted-proxy"])
    except ValueError as error:
        raise UsageError(f"--trusted-proxy takes an address, a network or unix: {error}") from None
    return receiver.Settings(
        directory=options["--spool"],
        max_body=options.size("--max-body"),
        max_plain=options.size("--max-plain"),
        created=options["--created"],
        keep_ip=options["--keep-ip"],
        proxies=proxies,
        schema=described or schema.DEFAULT,
    )


def drain(directory, say):
    """(the paths of all closed files, the names of those still in use) when what dead receivers left is closed."""
    if spool.in_use(directory):
        recovery.recover(directory, say)
    held = spool.in_use(directory)
    for name in held:
        say(f"{os.path.join(directory, name)}: is still in use: end its receiver, or send it SIGHUP")
    return [os.path.join(directory, name) for name in spool.closed(directory)], held


def serve(wanted, options, stats, say):
    """Serve until a signal ends it, and have it counted; returns the exit status. Raises UsageError, IOFailed."""
    number, patience = options.count("-j"), options.seconds("--patience")
    form = (
        1 if options["--zstd"] else None,
        options.size("--roll-size"),
        options.seconds("--roll-age"),
    )
    known = window.Window(options.number("--dedup-window"))
    from tel import httpd

    address = options["--listen"] or (None if options["--unix"] else LISTEN)
    spool.create(wanted.directory)
    recovery.recover(wanted.directory, say)
    sockets = service.listen([address] if address else [], options["--unix"])
    service.prepare()
    shared = counters.Counters(number)

    def ready():
        say(f"listening on {service.names(sockets)}")
        service.notify("READY=1")

    def worker(row, ready):
        shared.use(row)
        files = spool.Spool(wanted.directory, *form, say)
        writer = committer.Committer(files, known, shared.add)
        writer.start()
        served = receiver.Receiver(wanted, revisions.Cache(options.histograms()), shared, writer)
        httpd.run(served, sockets, patience, ready, writer.roll)
        service.notify("STOPPING=1")
        writer.stop()
        return exits.OK

    if number == 1:
        status = worker(0, ready)
    else:
        crew = service.Crew(number, lambda row: worker(row, lambda: None), say)
        status = exits.IO if crew.run(ready) else exits.OK
    _count(shared.totals(), stats)
    return status


def _count(totals, stats):
    stats.written = totals["records"]
    stats.read = totals["records"] + totals["rejects"]
    stats.rejected.update({"spooled": totals["rejects"]} if totals["rejects"] else {})
    stats.more.update({name: totals[name] for name in ("requests", "duplicates", "groups", "files", "failures")})
