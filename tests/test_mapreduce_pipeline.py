"""pipelines/mapreduce gives the answer of the plain pipeline, or none."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
import standins

import tools

MAPREDUCE = pathlib.Path(__file__).parent.parent / "pipelines" / "mapreduce"
JOB = "histograms"

if not shutil.which("parallel"):
    pytest.skip("parallel missing: pipelines/mapreduce is not run", allow_module_level=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory, run_tool):
    """A store of some twenty files of several channels."""
    place = tmp_path_factory.mktemp("mapreduce")
    assert run_tool("tel-sample", "--definitions", place / "h").returncode == 0
    assert len(tools.store_sampled(run_tool, place, place / "store", 200)) > 8
    return place / "store"


@pytest.fixture(scope="module")
def answer(store, run_tool):
    """The plain pipeline's answer."""
    done = run_tool("bash", "-o", "pipefail", "-c", f"tel-ls {store} | tel-map --files-from - {JOB} | tel-reduce {JOB}")
    assert done.returncode == 0 and len(done.stdout.splitlines()) > 50
    return done.stdout


@pytest.fixture
def mapreduce(store, run_tool, tmp_path):
    """Runs the pipeline; its temporary folder is to be gone at the end."""

    def run(*words, job=JOB, store=store, env=os.environ, rest=()):
        (tmp_path / "t").mkdir(exist_ok=True)
        done = run_tool(MAPREDUCE, *words, "--store", store, job, *rest, env={**env, "TMPDIR": str(tmp_path / "t")})
        assert not [name for name in os.listdir(tmp_path / "t") if name.startswith("tel-mapreduce")]
        return done

    return run


def assert_no_answer(done, status, *words):
    assert (done.returncode, done.stdout) == (status, b""), done
    assert all(word in done.stderr.decode() for word in words), done.stderr


@pytest.mark.parametrize("jobs", [1, 2, 300])
def test_the_answer_is_that_of_the_plain_pipeline(mapreduce, answer, jobs):
    done = mapreduce("-j", jobs)
    assert (done.returncode, done.stdout, done.stderr) == (0, answer, b"")


def test_conditions_and_options_of_the_reduce_are_handed_on(mapreduce, store, run_tool):
    done = mapreduce("--where=channel=nightly", job="os-count", rest=("--", "--format", "tsv"))
    lines = f"tel-ls --where channel=nightly {store} | tel-map --files-from - os-count"
    plain = run_tool("bash", "-c", f"{lines} | tel-reduce --format tsv os-count")
    assert done.returncode == 0 and done.stdout == plain.stdout != b""


def test_combined_lines_carry_one_end_record(mapreduce, answer, store, run_tool, tmp_path):
    done = mapreduce("--combined", "-j", "2")
    (tmp_path / "files").write_bytes(run_tool("tel-ls", store).stdout)
    reduced = run_tool("tel-reduce", "--inputs", tmp_path / "files", "--expect", "1", JOB, stdin=done.stdout)
    assert reduced.stdout == answer and done.returncode == reduced.returncode == 0


def test_of_no_file_the_answer_is_empty(mapreduce):
    done = mapreduce("--where", "channel=none")
    assert (done.returncode, done.stdout) == (0, b"") and b"no file matches" in done.stderr


def test_groups_are_of_about_the_same_size(mapreduce, store, tmp_path):
    assert mapreduce("-j", "2", "--work", tmp_path / "w").returncode == 0
    groups = [path.read_text().splitlines() for path in (tmp_path / "w" / "groups").iterdir()]
    sizes = sorted(sum(map(os.path.getsize, group)) for group in groups)
    files = sorted(path for group in groups for path in group)
    assert len(groups) == 8 and files == sorted(set(files))
    assert sizes[-1] - sizes[0] <= max(map(os.path.getsize, files))


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("tool", ["tel-ls", "tel-map", "tel-combine", "tel-reduce"])
def test_of_a_killed_tool_there_is_no_answer(mapreduce, tmp_path, tool, jobs):
    env = standins.environment(standins.replace(tmp_path / "bin", tool, standins.KILLED))
    done = mapreduce("-j", jobs, env=env)
    if tool == "tel-reduce":  # it prints at once what is the whole answer: its own death alone can cut it
        assert done.returncode not in (0, None)
    else:
        assert_no_answer(done, 75, "mapreduce: ", "there is no answer")


@pytest.mark.parametrize("tool", ["tel-map", "tel-combine"])
def test_a_short_output_that_claims_to_have_ended_well_is_no_answer(mapreduce, tmp_path, tool):
    env = standins.environment(standins.replace(tmp_path / "bin", tool, standins.SHORT))
    done = mapreduce("-j", "2", env=env)
    assert_no_answer(done, done.returncode)
    assert done.returncode in (65, 75)  # cut within a line, or between two


def test_a_full_disk_is_no_answer(mapreduce, tmp_path):
    env = standins.environment(standins.replace(tmp_path / "bin", "tel-combine", standins.FULL))
    assert_no_answer(mapreduce("-j", "2", env=env), 74, "No space left on device")


def test_a_lost_job_is_no_answer(mapreduce, tmp_path):
    script = '[ "$1" != --plain ] || set -- "${@:1:$#-1}"; exec "$real" "$@"'  # parallel forgets its last job
    env = standins.environment(standins.replace(tmp_path / "bin", "parallel", script))
    assert_no_answer(mapreduce("-j", "2", env=env), 75, "No such file")


def test_a_job_done_twice_counts_once(mapreduce, answer, tmp_path):
    script = '[ "$1" != --plain ] || set -- "$@" "${@:$#}"; exec "$real" "$@"'
    env = standins.environment(standins.replace(tmp_path / "bin", "parallel", script))
    done = mapreduce("-j", "2", env=env)
    assert (done.returncode, done.stdout) == (0, answer)


def test_a_file_that_vanished_is_no_answer(mapreduce, store, tmp_path):
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    env = standins.environment(
        standins.replace(tmp_path / "bin", "tel-ls", '"$real" "$@" && rm "$("$real" "$@" | tail -n 1)"')
    )
    assert_no_answer(mapreduce(store=copy, env=env), 75, "vanished")
    assert_no_answer(mapreduce(store=copy), 74, "tel-ls: ")
    again = tmp_path / "again"
    shutil.copytree(store, again)
    gone = 'rm -f "$(head -n 1 "$2")" && exec "$real" "$@"'  # after it was listed and measured
    env = standins.environment(
        standins.replace(tmp_path / "bin2", "tel-map", f'[ "$1" = --version ] || {{ {gone}; }}; exec "$real" "$@"')
    )
    assert_no_answer(mapreduce("-j", "2", store=again, env=env), 66, "tel-map: ", "No such file")


def test_a_cut_file_is_bad_data_and_named(mapreduce, store, tmp_path, run_tool):
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    path = run_tool("tel-ls", copy).stdout.decode().splitlines()[0]
    os.truncate(path, os.path.getsize(path) - 5)
    assert_no_answer(mapreduce("-j", "2", store=copy), 65, path)


def test_wrong_command_lines(mapreduce, run_tool, tmp_path):
    for words in (["--work"], ["--nothing"], ["a", "b"], ["--resume", "a"], ["-j", "0", "a"], ["-j", "x", "a"], []):
        done = run_tool(MAPREDUCE, "--store", "s", *words)
        assert_no_answer(done, 2, "mapreduce")
    (tmp_path / "mine").write_text("precious")
    assert_no_answer(mapreduce("--work", tmp_path), 2, "holds something else")
    assert_no_answer(mapreduce(job="nothing"), 2, "no job 'nothing'")
    assert_no_answer(mapreduce(store=tmp_path / "none"), 66, "tel-ls: ")
    assert (tmp_path / "mine").read_text() == "precious"
    told = run_tool(MAPREDUCE, "--help")
    assert told.returncode == 0 and told.stdout.startswith(b"mapreduce - ") and b"set -euo" not in told.stdout


def test_bad_pings_end_the_run_or_are_kept(mapreduce, store, tmp_path, run_tool):
    job = tmp_path / "picky.py"
    job.write_text(
        "def map(key, dims, value, context):\n    if int(key[-2:], 16) % 8 == 0: raise ValueError(key)\n"
        "    context.write('n', 1)\ndef reduce(key, values, context):\n    context.write(key, sum(values))\n"
    )
    assert_no_answer(mapreduce("-j", "2", job=job), 65, "ValueError", "picky.py:2")
    done = mapreduce("-j", "2", "--rejects", tmp_path / "bad", job=job)
    stored = len(run_tool("tel-cat", store).stdout.splitlines()) - 1
    bad = len((tmp_path / "bad").read_text().splitlines())
    assert done.returncode == 0 and bad > 5 and done.stdout == b'["n",%d]\n' % (stored - bad)


def test_a_run_goes_on_where_it_stopped(mapreduce, answer, store, tmp_path):
    work = tmp_path / "w"
    env = standins.environment(
        standins.replace(
            tmp_path / "bin", "tel-map", f'[[ "$*" != */groups/5* ]] || {{ {standins.KILLED}; }}; exec "$real" "$@"'
        )
    )
    assert_no_answer(mapreduce("-j", "2", "--work", work, env=env), 75, f"--work {work} --resume")
    before = {path.name: path.stat().st_mtime_ns for path in (work / "out").iterdir()}
    assert before and "5" not in before
    assert_no_answer(mapreduce("-j", "2", "--work", work, "--resume", job="os-count"), 2, "another question")
    assert_no_answer(mapreduce("--work", work, "--resume", "--where", "channel=beta"), 2, "another question")
    done = mapreduce("-j", "2", "--work", work, "--resume")
    assert (done.returncode, done.stdout) == (0, answer)
    after = {path.name: path.stat().st_mtime_ns for path in (work / "out").iterdir()}
    assert len(after) == 8 and before.items() <= after.items()
    done = mapreduce("--work", work, "--resume", env=env)  # nothing is left to map
    assert (done.returncode, done.stdout) == (0, answer)
    assert mapreduce("--work", work, job="os-count").returncode == 0  # anew


def test_a_store_that_changed_is_not_gone_on_with(mapreduce, store, tmp_path, run_tool):
    copy, work = tmp_path / "store", tmp_path / "w"
    shutil.copytree(store, copy)
    assert mapreduce("-j", "2", "--work", work, store=copy).returncode == 0
    record = b'{"id":"x","date":"20130901","info":{},"revision":null,"ping":{}}\n{"end":{"tool":"t","records":1}}\n'
    assert run_tool("tel-persist", "--store", copy, stdin=record).returncode == 0
    assert_no_answer(mapreduce("--work", work, "--resume", store=copy), 75, "no longer those")


def test_killed_and_gone_on_with_at_any_time(store, answer, tmp_path, run_tool):
    """The pipeline itself, and all of its processes, die now and then; it ends with the answer."""
    work, command = tmp_path / "w", [MAPREDUCE, "-j", "2", "--work", tmp_path / "w", "--resume", "--store", store, JOB]
    for tenths in range(1, 6):
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        ) as process:
            time.sleep(tenths * 0.2)
            os.killpg(process.pid, signal.SIGKILL)
            out = process.communicate()[0]
        assert out in (b"", answer)
    done = run_tool(*command)
    for _ in range(50):  # GNU parallel's jobs have process groups of their own, and hold the lock until they end
        if done.returncode != 75:
            break
        assert b"another run" in done.stderr and done.stdout == b""
        time.sleep(0.2)
        done = run_tool(*command)
    assert (done.returncode, done.stdout) == (0, answer), done.stderr
    assert not list((work / "out").glob(".[0-9]*"))
