"""tel-dashboard - publish what the job dashboard found, for dashboards in a browser

Usage:
  tel-dashboard [options] --to DIR [FILE...]

Reads the lines of the job dashboard, from tel-reduce or tel-combine, and makes a tree of JSON files below DIR for any
static web server: DIR/v7 is what the published script telemetry.js (v1) reads, DIR/data what the dashboard of June
2013 reads. A measure is described by the definitions of the newest revision that its lines name. Each version gets a
new folder, whose path is printed; when all are there, the pointers to them are replaced. The same lines make the same
bytes. tel-dashboard(5) tells of the files.

DIR/index.html is a page of ours that shows the tree, from any static web server and without asking another. It is made
where Bokeh's scripts are installed, the extra dashboard.

The input must be whole, as that of tel-reduce; otherwise nothing is published.

Options:
  --to DIR            Where the tree is; made if it is not there.
  --no-page           Make no page, and need no Bokeh.
  --grace SECONDS     How long folders that are replaced stay for those who
                      read them [default: 3600].
  --expect N          Demand end records of N streams.
  --partial           Take the input as it is, whole or not.
  --memory SIZE       Memory for the lines held; what is more is sorted by
                      sort(1), whose temporary files are in TMPDIR
                      [default: 256M].
  <definitions options>
  <common options>

Examples:
  tel-map --files-from files dashboard | tel-reduce --inputs files dashboard | tel-dashboard --to site
  tel-reduce --expect 2 dashboard yesterday today > tomorrow && tel-dashboard --to site tomorrow
"""

from tel import cli


def work(run):
    """Gather all lines, see that they are whole, and publish them."""
    from tel import job, mapreduce, publish, revisions

    options, spec = run.options, job.load("dashboard")
    files = {} if options["--no-page"] else _page_files(run)
    grace, cache = options.number("--grace"), revisions.shared(options.histograms())
    table = mapreduce.gather(run.all_lines(named=False), spec, options.size("--memory"))
    run.demand_whole()
    site = publish.Site(options["--to"], cache, run.stats.dropped)
    run.print_paths(site.publish(mapreduce.reduce(table, spec), grace, files))
    if run.stats.dropped:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(run.stats.dropped.items()))
        run.say(f"left out: {reasons}; tel-dashboard(5) tells what that is")


def _page_files(run):
    """The files of the page; none, and a word on it, where what it is made of is missing."""
    from tel import page
    from tel.errors import UsageError

    try:
        return page.files()
    except UsageError as error:
        run.say(f"no page is made: {error}, or say --no-page")
        return {}


def main():
    """The console script."""
    return cli.main(__doc__, work)
