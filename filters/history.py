"""tel-history - take every version of the definitions from a repository's history into the cache

Usage:
  tel-history [options] --repo NAME (--hg SOURCE | --git DIR) [--path PATH]... [--milestone PATH]...
  tel-history [options] --list
  tel-history [options] --verify
  tel-history [options] --import DIR

Takes every version of Histograms.json from a Mercurial clone, a Mercurial web server or a git clone, with the time
each was in effect on the main line, and, from a clone, the content that every revision has. A second run asks for
what is new only. Prints the versions of the repository, one JSON line each: repository, node, sha256, the dates it
was in effect (from, to) and pushed, and the product's version at that revision and all it had meanwhile.

Options:
  --repo NAME         The repository that the source is, as pings name it:
                      mozilla-central, releases/mozilla-beta.
  --hg SOURCE         A Mercurial clone, or the http(s) address of a
                      repository on a Mercurial web server.
  --git DIR           A git clone.
  --ref REF           The head of the main line: a branch, tag or node; HEAD of
                      a git clone, default of a Mercurial one if not given.
  --path PATH         Where the definitions are; given again, where they were
                      before [default: toolkit/components/telemetry/Histograms.json].
  --milestone PATH    Where the product's version is [default: config/milestone.txt].
  --to DIR            The definitions cache, as --histograms of other tools.
  --timeout SECONDS   How long to wait for a server's answer [default: 10].
  --list              Print the versions of all repositories in the cache.
  --verify            Check every content in the cache against its SHA-256;
                      print those that are damaged and exit 1 if there are any.
  --import DIR        Take over a tree <repository>/<node>/Histograms.json.
  <common options>

Examples:
  tel-history --repo mozilla-central --hg https://hg.mozilla.org/mozilla-central
  tel-history --repo releases/mozilla-beta --git firefox --ref origin/beta --to cache
  tel-history --list --to cache
"""

from tel import cli, exits


def work(run):
    """Do the one of the four things that was asked for."""
    from tel import history, revisions, sources

    options = run.options
    cache = revisions.Cache(options["--to"] or options.histograms())
    if options["--verify"]:
        damage = list(history.damage(cache))
        run.print_values({"path": path, "reason": reason} for path, reason in damage)
        return exits.NO if damage else exits.OK
    if options["--import"]:
        imported = history.import_tree(options["--import"], cache)
        run.print_values({"repository": v.repository, "node": v.node, "sha256": v.sha256} for v in imported)
        return exits.OK
    names = cache.repositories() if options["--list"] else [options["--repo"]]
    if not options["--list"]:
        take(options, cache, history, sources)
    run.print_values(history.told(version) for name in names for version in cache.versions(name))
    return exits.OK


def take(options, cache, history, sources):
    """Bring a repository's history in the cache up to date."""
    lock = history.claim(cache, options["--repo"])
    paths, timeout = options["--path"], options.seconds("--timeout")
    source = sources.source(options["--hg"], options["--git"], options["--ref"], paths, timeout)
    known = history.load(cache, options["--repo"])
    known.update(source, paths, options["--milestone"], cache.keep_content)
    history.save(cache, known, source.kind)
    history.release(lock)


def main():
    """The console script."""
    return cli.main(__doc__, work)
