"""Other engines run the same jobs: Hadoop Streaming, of which a stand-in does what it does to the lines; and Spark."""

import hashlib
import json
import os
import pathlib
import shutil
import sys

import pytest
import standins

import tools

SPARK = pathlib.Path(__file__).parent.parent / "pipelines" / "spark-mapreduce.py"


@pytest.fixture(scope="module")
def store(tmp_path_factory, run_tool):
    place = tmp_path_factory.mktemp("engines")
    assert run_tool("tel-sample", "--definitions", place / "h").returncode == 0
    tools.store_sampled(run_tool, place, place / "store", 100)
    return place / "store"


@pytest.fixture
def files(store, run_tool):
    return run_tool("tel-ls", store).stdout.splitlines()


def answer_of(job, store, run_tool):
    done = run_tool("bash", "-c", 'tel-ls "$0" | tel-map --files-from - "$1" | tel-reduce "$1"', store, job)
    assert done.returncode == 0 and len(done.stdout.splitlines()) > 3
    return done.stdout


def stream(job, files, run_tool, mappers, reducers):
    """The lines that each reducer writes, as Hadoop Streaming runs the programs.

    Mappers get whole files; a line goes to the reducer of its key's hash, which gets its lines sorted by key.
    """
    parts = [[] for _ in range(reducers)]
    for n in range(mappers):
        listed = b"".join(path + b"\n" for path in files[n::mappers])
        mapped = run_tool("tel-map", "--tab", "--files-from", "-", job, stdin=listed)
        done = run_tool("tel-combine", "--tab", job, stdin=mapped.stdout)
        assert mapped.returncode == done.returncode == 0, mapped.stderr + done.stderr
        for line in done.stdout.splitlines():
            key, tab, _ = line.partition(b"\t")
            assert tab and b'{"end":' not in line
            parts[hashlib.md5(key).digest()[0] % reducers].append(line)
    assert sum(map(bool, parts)) > 1, "one reducer gets it all"
    for part in parts:
        part.sort(key=lambda line: line.partition(b"\t")[0])
        lines = b"".join(line + b"\n" for line in part)
        done = run_tool("tel-reduce", "--tab", job, stdin=lines)
        assert done.returncode == 0, done.stderr
        yield done.stdout.splitlines()


@pytest.mark.parametrize("job", ["os-count", "histograms", "mixed"])
@pytest.mark.parametrize("mappers, reducers", [(2, 2), (3, 4)])
def test_hadoop_streaming_gives_the_same_answer(store, files, run_tool, tmp_path, job, mappers, reducers):
    if job == "mixed":  # keys of all kinds, some of which look like others
        job = tmp_path / "mixed.py"
        job.write_text(
            "KEYS = ['a', '1', 'true', '', 'é', 'a b', 'a\\tb', '\"q\"', 1, True, None, ['a', 1], {'b': 1}, 'null', '-', '[']\n"
            "def map(key, dims, value, context):\n    context.write(KEYS[sum(key.encode()) % len(KEYS)], 1)\n"
            "def reduce(key, values, context):\n    context.write(key, sum(values))\n"
        )
    parts = list(stream(job, files, run_tool, mappers, reducers))
    keys = [[json.dumps(json.loads(line)[0]) for line in part] for part in parts]
    assert all(len(set(part)) == len(part) for part in keys)
    together = sorted(line for part in parts for line in part)
    assert together == sorted(answer_of(job, store, run_tool).splitlines())


@pytest.fixture(scope="module")
def spark(store, run_tool, tmp_path_factory):
    """Runs the pipeline on two local workers."""
    pytest.importorskip("pyspark", reason="pyspark missing: pipelines/spark-mapreduce.py is not run")
    if not shutil.which("java"):
        pytest.skip("java missing: pipelines/spark-mapreduce.py is not run")
    place = tmp_path_factory.mktemp("spark")

    def run(*words, env=os.environ):
        env = {**env, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYSPARK_PYTHON": sys.executable}
        command = [sys.executable, SPARK, "--master", "local[2]", "--store", store, *words]
        return run_tool(*command, env={**env, "SPARK_LOCAL_IP": "127.0.0.1"}, cwd=place, timeout=120)

    return run


def test_spark_gives_the_same_answer(spark, store, run_tool):
    done = spark("histograms")
    assert (done.returncode, done.stdout) == (0, answer_of("histograms", store, run_tool)), done.stderr
    done = spark("--where", "channel=none", "--slices", "3", "histograms")
    assert (done.returncode, done.stdout) == (0, b""), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "tool, fault",
    [
        ("tel-ls", standins.KILLED),
        ("tel-map", standins.KILLED),
        ("tel-map", standins.SHORT),
        ("tel-combine", standins.KILLED),
        ("tel-combine", standins.SHORT),
    ],
)
def test_of_a_broken_tool_under_spark_there_is_no_answer(spark, tmp_path, tool, fault):
    done = spark("histograms", env=standins.environment(standins.replace(tmp_path / "bin", tool, fault)))
    assert done.returncode in (65, 75) and done.stdout == b"", done
