#!/usr/bin/env python3
"""spark-mapreduce.py - answer a question from a store by Apache Spark

Lists the files of STORE, lets Spark pipe them through tel-map and tel-combine, and hands the lines to one tel-reduce,
with the OPTIONs behind --. Spark's workers need the tools on their PATH and the store under the same path. The answer
is printed only if exactly the files listed were mapped, each once, whatever Spark did with its tasks.

Example: spark-mapreduce.py --master 'local[2]' --store store os-count -- --format tsv
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile

NAME = "spark-mapreduce.py"
TEMPORARY, NO_INPUT = 75, 66


def arguments(words):
    """The command line: ours, then the options for tel-reduce."""
    more = words[words.index("--") + 1 :] if "--" in words else []
    parser = argparse.ArgumentParser(
        prog=NAME, description=__doc__.split("\n", 1)[1], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--master", help="the cluster, as spark-submit takes it [default: what Spark is set up for]")
    parser.add_argument("--store", required=True, help="the store")
    parser.add_argument(
        "--where", action="append", default=[], metavar="NAME=VALUE", help="only some files, as for tel-ls"
    )
    parser.add_argument("--slices", type=int, metavar="N", help="run N tasks [default: 4 for each core of the cluster]")
    parser.add_argument("job", metavar="JOB", help="the job and its words; a job file must be on every worker")
    return parser.parse_args(words[: len(words) - len(more) - 1] if "--" in words else words), more


def listed(options):
    """The files to map."""
    words = ["tel-ls", *(word for where in options.where for word in ("--where", where)), options.store]
    done = subprocess.run(words, stdout=subprocess.PIPE)
    if done.returncode:
        print(f"{NAME}: tel-ls failed: there is no answer", file=sys.stderr)
        sys.exit(done.returncode if done.returncode > 0 else TEMPORARY)
    return os.fsdecode(done.stdout).splitlines()


def mapped(context, files, options):
    """The lines of all tasks, end records among them."""
    job = shlex.quote(options.job)
    tools = f"set -o pipefail; tel-map --files-from - {job} | tel-combine {job}"
    slices = options.slices or 4 * context.defaultParallelism
    environment = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("TEL_")}
    spread = context.parallelize(files, max(1, min(slices, len(files))))
    return spread.pipe(
        f"bash -c {shlex.quote(tools)}", environment, checkCode=True
    ).collect()  # tasks at a time, which an iterator would not run


def reduce(lines, files, options, more):
    """Print the answer of some lines, none if they end early; returns tel-reduce's status."""
    with tempfile.NamedTemporaryFile("w", prefix="tel-files-", errors="surrogateescape") as listing:
        listing.write("".join(f"{path}\n" for path in files))
        listing.flush()
        words = ["tel-reduce", "--inputs", listing.name, *more, options.job]
        with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
            try:
                for line in lines:
                    process.stdin.write(line.encode() + b"\n")
                process.stdin.close()
            except BrokenPipeError:  # it has ended early, and said why
                return process.wait() or TEMPORARY
            return process.wait()


def main():
    """Returns the exit status."""
    options, more = arguments(sys.argv[1:])
    try:
        from py4j.protocol import Py4JError
        from pyspark import SparkConf, SparkContext
    except ImportError:
        print(f"{NAME}: pyspark is not there: pip install pyspark (the extra spark)", file=sys.stderr)
        return NO_INPUT
    files = listed(options)
    conf = (
        SparkConf()
        .setAppName(f"tel {options.job}")
        .set("spark.ui.showConsoleProgress", str(sys.stderr.isatty()).lower())
    )
    with SparkContext(conf=conf.setMaster(options.master) if options.master else conf) as context:
        context.setLogLevel("ERROR")
        try:
            return reduce(mapped(context, files, options), files, options, more)
        except Py4JError as error:
            print(f"{NAME}: a task failed, so there is no answer: {str(error)[:300]}", file=sys.stderr)
            return TEMPORARY


if __name__ == "__main__":
    sys.exit(main())
