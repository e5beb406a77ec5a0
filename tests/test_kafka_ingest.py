"""pipelines/kafka-ingest stores a topic batch after batch, keeps what is bad, and says how far it has got."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import uuid

import pytest
from test_kafka import PING, account, cluster, ids_of, is_store, kafka, parted, pings, topic  # noqa: F401

PIPELINES = pathlib.Path(__file__).parent.parent / "pipelines"
INGEST = PIPELINES / "kafka-ingest"

if not shutil.which("flock"):
    pytest.skip("flock missing: pipelines/kafka-ingest is not run", allow_module_level=True)


@pytest.fixture
def words(cluster, tmp_path):  # noqa: F811
    """The command's first words for a topic."""

    def of(topic, *more):  # noqa: F811
        basic = ["--store", tmp_path / "a store", *cluster.words, "--topic", topic, "--max-seconds", "2"]
        return [str(word) for word in (INGEST, *basic, *more)]

    return of


@pytest.fixture
def store(tmp_path):
    return tmp_path / "a store"


def test_all_of_a_topic_is_stored_once(cluster, topic, words, store, run_tool, tmp_path):  # noqa: F811
    cluster.send(topic, [*pings(50), (0, b"bad", b"nonsense"), (0, b"gone", None)])
    command = words(topic, "--once", "--max-records", "20", "--metrics", tmp_path / "m", "--group", f"g-{topic}")
    for _ in range(2):
        done = run_tool(*command)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert set(ids_of(store).values()) == {1} and len(ids_of(store)) == 50
    next, counts = account(store)[0]
    assert next == 52 and counts["rejected"] == counts["empty"] == 1
    (bad,) = [path for path in (tmp_path / "a store.rejects").glob("*.ndjson")]
    assert re.fullmatch(r"all\.\d{8}T[\d.]+Z\.kafka\.ndjson", bad.name)
    assert json.loads(bad.read_text())["source"] == {"topic": topic, "partition": 0, "offset": 50}
    prom = (tmp_path / "m/tel-kafka-all.prom").read_text()
    assert f'tel_kafka_lag{{tool="tel-kafka",set="all",topic="{topic}",partition="0"}} 0' in prom


def test_sets_of_partitions_have_loops_of_their_own(cluster, words, store, run_tool, tmp_path):  # noqa: F811
    if not shutil.which("parallel"):
        pytest.skip("parallel is missing: loops are not run at the same time")
    topic = cluster.topic(f"sets-{uuid.uuid4().hex[:6]}", 4)  # noqa: F811
    cluster.send(topic, [(at % 4, b"%d" % at, PING) for at in range(80)])
    done = run_tool(*words(topic, "--once", "0-1", "-X", "client.id=trial", "2,3", "--metrics", tmp_path / "m"))
    assert done.returncode == 0, done.stderr
    assert len(ids_of(store)) == 80 and {at: next for at, (next, _) in account(store).items()} == dict.fromkeys(
        range(4), 20
    )
    assert {path.name for path in (tmp_path / "m").iterdir()} == {"tel-kafka-0-1.prom", "tel-kafka-2,3.prom"}


def test_bad_data_goes_to_the_dead_letters(cluster, topic, words, run_tool, tmp_path):  # noqa: F811
    dead = cluster.topic(f"dead-{uuid.uuid4().hex[:6]}", 1)
    cluster.send(topic, [(0, b"bad", b"nonsense"), *pings(3), (0, b"odd", b'{"ver":77}')])
    assert run_tool(*words(topic, "--once", "--dead-letters", dead)).returncode == 0
    look = ["tel-kafka", *cluster.words, "--topic", dead, "--until-end", "--rejects", tmp_path / "look"]
    assert run_tool(*look).returncode == 0
    letters = [json.loads(json.loads(line)["line"]) for line in (tmp_path / "look").read_text().splitlines()]
    assert [(letter["id"], letter["source"]["offset"]) for letter in letters] == [("bad", 0), ("odd", 4)]
    assert not list((tmp_path / "a store.rejects").glob("*.ndjson"))


def test_a_gap_ends_it(cluster, topic, words, store, run_tool):  # noqa: F811
    cluster.send(topic, pings(30))
    assert run_tool(*words(topic, "--once")).returncode == 0
    cluster.send(topic, pings(10, name="lost"))
    cluster.do("delete", topic, 0, 40)
    cluster.send(topic, pings(20, name="more"))
    done = run_tool(*words(topic, "--once"))
    assert done.returncode == 65 and b"10 offsets are lost" in done.stderr
    assert run_tool(*words(topic, "--once", "--on-gap", "skip")).returncode == 0
    assert account(store)[0][1]["lost"] == 10 and len(ids_of(store)) == 50


@pytest.mark.slow
def test_it_goes_on_when_brokers_come_back_and_after_a_kill(cluster, topic, words, store):  # noqa: F811
    cluster.send(topic, pings(10))
    for broker in (1, 2, 3):
        cluster.do("down", broker)
    process = subprocess.Popen(words(topic, "--max-seconds", "1"), stderr=subprocess.PIPE, start_new_session=True)
    try:
        time.sleep(1)
        for broker in (1, 2, 3):
            cluster.do("up", broker)
        wait_for(lambda: stored(store) == 10)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        cluster.send(topic, pings(10, name="more"))
        process = subprocess.Popen(words(topic, "--max-seconds", "1"), stderr=subprocess.PIPE, start_new_session=True)
        wait_for(lambda: stored(store) == 20)
    finally:
        for broker in (1, 2, 3):
            cluster.do("up", broker)
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate()
    assert set(ids_of(store).values()) == {1} and len(ids_of(store)) == 20


def stored(store):
    return account(store).get(0, (0,))[0] if is_store(store) else 0


def wait_for(what, seconds=60):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.1)


def test_two_loops_on_one_set_are_one_too_many(cluster, topic, words, run_tool, tmp_path):  # noqa: F811
    (tmp_path / "a store.rejects/.all").mkdir(parents=True)
    with subprocess.Popen(
        ["flock", tmp_path / "a store.rejects/.all/lock", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdin.write(b"locked\n")
        other.stdin.flush()
        other.stdout.read1(7)
        done = run_tool(*words(topic, "--once"))
        assert done.returncode == 75 and b"another run is at work on all" in done.stderr
        other.stdin.close()


@pytest.mark.parametrize("more, status, said", [
    (["--frobnicate"], 2, b"no option --frobnicate"),
    (["--jobs", "many"], 2, b"not a number"),
    (["--topic"], 2, b"--topic needs a value"),
    (["a-b"], 2, b"not a set of partitions"),
    (["-X", "no.such=1"], 2, b"No such configuration property"),
    (["--help"], 0, b""),
])  # fmt: skip
def test_what_it_cannot_do_is_said(more, status, said, words, run_tool):
    done = run_tool(*words("no-topic", "--once", *more))
    assert done.returncode == status and said in done.stderr
    assert bool(done.stdout) == (more == ["--help"])


def test_the_unit_runs_what_there_is():
    unit = (PIPELINES / "tel-kafka@.service").read_text()
    (command,) = re.findall(r"(?m)^ExecStart=(.*)$", unit)
    text = INGEST.read_text()
    assert command.split()[0].endswith("/share/tel/pipelines/kafka-ingest") and command.split()[-1] == "%i"
    assert all(f"#   {word} " in text for word in re.findall(r"--[\w-]+", command))
    if shutil.which("systemd-analyze"):
        done = subprocess.run(["systemd-analyze", "verify", PIPELINES / "tel-kafka@.service"], capture_output=True)
        assert b"Unknown key" not in done.stderr and b"Failed to parse" not in done.stderr
