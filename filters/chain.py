"""tel-chain - run a pipeline of the suite's tools in one process

Usage:
  tel-chain [options] PIPELINE

Runs the tools of a pipeline, written as for a shell, within one process: what one tool hands to the next is never
printed and parsed again, which saves most of the work. What is stored, printed, rejected and counted, the end records
and the exit status are those of the same words in a shell with `pipefail`: each tool keeps its own options, and says
what it has to say in its own name. A tool that fails ends as it would; those behind it go on with what they got, and
those before it stop where they are, as by a broken pipe: they write no counters.

PIPELINE is one argument: words, quoted as in a shell, with | between the tools. Nothing in it is expanded: no
variables, patterns, redirections or other commands. The first tool may read files or standard input; each other one
must read what the one before it hands on.

With -j, a tool that fails says the same too, but may have read more of its input. A worker that is killed ends the
chain with status 75, and nothing is stored. These processes are nicer by 3 (see nice(1)) than the one that takes in
what they make: what they would all wait for comes first.

Options:
  -j N, --jobs N      Share the work of tel-resolve, tel-validate,
                      tel-convert and a last tel-persist among N processes,
                      which read plain files, too; this one reads all else,
                      counts, writes, and compresses in N - 1 threads
                      [default: 1].
  -k, --keep-order    Hand on what N processes make in the order of the input;
                      tel-persist always gets it so.
  --help              Print this text.
  --version           Print the version, and which tier does the work.

Examples:
  tel-chain 'tel-resolve export.gz | tel-validate --rejects bad | tel-convert | tel-persist --store store --batch a'
  tel-chain -k -j 2 'tel-resolve export.gz | tel-validate --rejects bad | tel-convert' > compact.ndjson
  tel-chain 'tel-map --files-from files os-count | tel-combine os-count' | tel-reduce --inputs files os-count
"""

from tel import cli


def work(options):
    """Run the pipeline; its status is that of the last tool that failed."""
    from tel import chain

    return chain.run(chain.parsed(options["PIPELINE"]), options.count("--jobs"), options["--keep-order"])


def main():
    """The console script."""
    return cli.main(__doc__, work, run=cli.bare)
