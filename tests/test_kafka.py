"""tel-kafka against a cluster that speaks the protocol: each offset is stored, rejected or told, once, whatever fails."""

import collections
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import types
import uuid

import pytest

import tools
from pipeline import Pipeline
from tel import positions
from tel.store import Store

tools.put_on_path()

PINGS = int(os.environ.get("TEL_KAFKA_PINGS", "4000"))  # of the test that kills: 100000 takes some minutes
KILLS = int(os.environ.get("TEL_KAFKA_KILLS", "10"))
PARTITIONS = 6
AHEAD = 4000  # messages that a producer may be ahead in a partition: the mock cluster keeps few
PING = b'{"ver":1,"info":{"reason":"idle-daily","appName":"Firefox"}}'
FETCH, INIT_PRODUCER_ID, NOT_LEADER, NOT_AUTHORIZED = 1, 22, 6, 31  # requests and answers of the protocol


@pytest.fixture(scope="module")
def cluster():
    return tools.cluster()


@pytest.fixture
def topic(cluster):
    return cluster.topic(f"pings-{uuid.uuid4().hex[:6]}", 1)


@pytest.fixture
def kafka(cluster, run_tool):
    """Runs tel-kafka until the end of a topic."""

    def run(topic, *words, **more):
        return run_tool("tel-kafka", *cluster.words, "--topic", topic, "--until-end", *words, **more)

    return run


def parted(output):
    """(records, the positions of the end record) of a whole output."""
    *lines, last = map(json.loads, output.splitlines())
    assert last["end"]["records"] == len(lines)
    return lines, last["end"]["positions"]


def pings(number, partition=0, name="id"):
    return [(partition, f"{name}-{at}".encode(), PING) for at in range(number)]


# Messages.


def test_messages_become_records(cluster, topic, kafka):
    cluster.send(topic, [
        (0, b"plain", PING),
        (0, b"packed", gzip.compress(PING)),
        (0, b"key", b'{"id":"own","date":"20130902","info":{},"revision":null,"ping":{"ver":1,"info":{}}}'),
        (0, b"key", b"tab\t" + PING),
        (0, b"pretty", json.dumps(json.loads(PING), indent=1).encode()),
        (0, b"no id of ours", b'{"version":4,"id":"pings-own","type":"main","application":{},"payload":{}}'),
    ])  # fmt: skip
    done = kafka(topic)
    assert done.returncode == 0, done.stderr
    records, (held,) = parted(done.stdout)
    assert [record["id"] for record in records] == ["plain", "packed", "own", "tab", "pretty", "pings-own"]
    assert [record["date"] for record in records] == [cluster.day, cluster.day, "20130902"] + [cluster.day] * 3
    assert [record["source"] for record in records] == [
        {"topic": topic, "partition": 0, "offset": at} for at in range(6)
    ]
    assert records[0]["info"] == {"reason": "idle-daily", "appName": "Firefox"}
    assert all(records[at]["ping"] == json.loads(PING) for at in (0, 1, 3, 4))
    assert (held["first"], held["next"], held["records"]) == (0, 6, 6)


def test_the_key_need_not_be_the_id(cluster, topic, kafka):
    cluster.send(topic, [(0, b"key", PING), (0, None, b'{"id":"own","ver":1,"info":{}}')])
    ids = [r["id"] for r in parted(kafka(topic, "--ids", "ping", "--make-ids").stdout)[0]]
    assert ids[1] == "own" and len(ids[0]) == 36
    assert kafka(topic, "--ids", "ping").returncode == 65


def test_a_time_zone_does_not_change_the_day(cluster, topic, kafka):
    cluster.send(topic, pings(1))
    for zone in "Pacific/Kiritimati", "America/Los_Angeles":
        (record,), _ = parted(kafka(topic, env={**os.environ, "TZ": zone}).stdout)
        assert record["date"] == cluster.day
    (record,), _ = parted(kafka(topic, "--date", "2013-09-03").stdout)
    assert record["date"] == "20130903"


def test_bad_messages_keep_their_place_and_empty_ones_count(cluster, topic, kafka, tmp_path):
    cluster.send(topic, [(0, b"a", PING), (0, b"b", b"nonsense"), (0, b"c", None), (0, b"d", b"\x1f\x8b cut")])
    done = kafka(topic)
    assert done.returncode == 65 and f"{topic}/0:1: ".encode() in done.stderr
    assert len(done.stdout.splitlines()) == 1 and b'"end"' not in done.stdout
    done = kafka(topic, "--rejects", tmp_path / "bad", "--summary=json")
    records, (held,) = parted(done.stdout)
    assert [held[name] for name in ("next", *positions.COUNTS)] == [4, 1, 2, 1, 0]
    bad = [json.loads(line) for line in (tmp_path / "bad").read_text().splitlines()]
    assert [entry["source"]["offset"] for entry in bad] == [1, 3]
    assert [entry["id"] for entry in bad] == ["b", "d"]
    counted = json.loads(done.stderr)
    assert (counted["read"], counted["written"], counted["rejected"], counted["empty"]) == (3, 1, 2, 1)


def test_a_value_that_unfolds_to_too_much_is_bad(cluster, topic, kafka, tmp_path):
    cluster.send(topic, [(0, b"a", gzip.compress(b" " * 3_000_000))])
    done = kafka(topic, "--max-line", "1M", "--rejects", tmp_path / "bad")
    assert done.returncode == 0 and b"line_too_long" in (tmp_path / "bad").read_bytes()


def test_a_later_reject_keeps_the_source(cluster, topic, kafka, run_tool, tmp_path):
    cluster.send(topic, [(0, b"a", b'{"ver":1,"info":{},"histograms":{"X":{}}}')])
    definitions = tmp_path / "h/mozilla-central/6c1c3ad2ab0d"
    definitions.mkdir(parents=True)
    (definitions / "Histograms.json").write_text("{}")
    revision = b'{"revision":"https://hg.mozilla.org/mozilla-central/rev/6c1c3ad2ab0d"}'
    cluster.send(topic, [(0, b"b", b'{"ver":1,"info":%s,"histograms":{"X":{"values":{}}}}' % revision)])
    resolved = run_tool(
        "tel-resolve", "--histograms", tmp_path / "h", "--rejects", tmp_path / "r", stdin=kafka(topic).stdout
    )
    validate = f"tel-validate --histograms {tmp_path}/h --rejects {tmp_path}/v"
    for command in validate.split(), ["tel-chain", "-j", "2", f"{validate} | tel-convert --histograms {tmp_path}/h"]:
        assert run_tool(*command, stdin=resolved.stdout).returncode == 0
        (entry,) = map(json.loads, (tmp_path / "v").read_text().splitlines())
        assert entry["name"] == "X" and entry["source"]["offset"] == 1
    (entry,) = map(json.loads, (tmp_path / "r").read_text().splitlines())
    assert json.loads(entry["line"])["source"]["offset"] == 0


def test_kcat_is_another_way_in(cluster, topic, kafka, run_tool):
    if not shutil.which("kcat"):
        pytest.skip("kcat is missing: its output is not read")
    cluster.send(topic, [(0, b"a", PING), (0, None, b"b\t" + PING), (0, b"c", json.dumps(json.loads(PING), indent=1))])
    printed = run_tool("kcat", "-C", "-b", cluster.brokers, *cluster.settings, "-t", topic, "-J", "-e", "-q")
    records, _ = parted_raw(run_tool("tel-resolve", stdin=printed.stdout).stdout)
    ours, _ = parted_raw(run_tool("tel-resolve", stdin=kafka(topic).stdout).stdout)
    assert records == ours and [record["id"] for record in records] == ["a", "b", "c"]
    refused = run_tool("tel-resolve", stdin=b'{"topic":"t","partition":0,"offset":1,"payload":null}\n')
    assert refused.returncode == 65 and b"no payload" in refused.stderr


def parted_raw(output):
    *lines, last = map(json.loads, output.splitlines())
    return lines, last


# Bounds and places.


def test_a_batch_ends_where_it_is_told_to(cluster, topic, run_tool, kafka):
    cluster.send(topic, pings(30))
    assert parted(kafka(topic, "--max-records", "7").stdout)[1][0]["next"] == 7
    started = time.monotonic()
    done = run_tool("tel-kafka", *cluster.words, "--topic", topic, "--max-seconds", "1")
    assert len(parted(done.stdout)[0]) == 30 and 0.9 < time.monotonic() - started < 10
    assert parted(kafka(topic, "--from", "end").stdout)[1][0]["first"] == 30


def test_partitions_are_chosen(cluster, kafka):
    topic = cluster.topic(f"chosen-{uuid.uuid4().hex[:6]}", 4)
    cluster.send(topic, [(at % 4, b"%d" % at, PING) for at in range(40)])
    records, held = parted(kafka(topic, "--partitions", "0,2-3").stdout)
    assert {record["source"]["partition"] for record in records} == {0, 2, 3} and len(records) == 30
    assert [each["partition"] for each in held] == [0, 2, 3]
    done = kafka(topic, "--partitions", "0,4")
    assert done.returncode == 66 and b"no partition 4" in done.stderr


@pytest.mark.parametrize("words, status, said", [
    (["--partitions", "a"], 2, b"--partitions takes numbers"),
    (["-X", "nonsense"], 2, b"-X takes name=value"),
    (["-X", "no.such=1"], 2, b"No such configuration property"),
    (["-X", "enable.auto.commit=true"], 2, b"cannot be changed"),
    (["--on-gap", "maybe"], 2, b"--on-gap takes stop or skip"),
    (["--from", "middle"], 2, b"--from takes beginning or end"),
    (["--topic", "no-such-topic"], 66, b"no-such-topic: no such topic"),
    (["--brokers", "127.0.0.1:9", "--timeout", "1"], 75, b"the brokers do not answer"),
])  # fmt: skip
def test_what_cannot_be_read_is_said(words, status, said, cluster, topic, run_tool):
    command = {"--brokers": cluster.brokers, "--topic": topic, "--until-end": None}
    command.update({words[0]: words[1]} if words[0] in command else {})
    rest = [] if words[0] in command else words[:2]
    rest += words[2:]
    flat = [word for pair in command.items() for word in pair if word is not None]
    done = run_tool("tel-kafka", *cluster.settings, *flat, *rest)
    assert done.returncode == status and said in done.stderr and done.stderr.count(b"\n") == 1, done.stderr


def test_without_the_package_it_says_what_to_install(cluster, topic, run_tool, tmp_path):
    (tmp_path / "confluent_kafka.py").write_text("raise ImportError")
    done = run_tool("tel-kafka", "--brokers", "b", "--topic", "t", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2 and b"the extra kafka" in done.stderr


def test_a_chain_may_begin_with_it(cluster, topic, run_tool, tmp_path):
    cluster.send(topic, pings(30))
    read = f"tel-kafka {' '.join(cluster.words)} --topic {topic} --max-records 20 --metrics {tmp_path}/prom"
    for number, after in ((20, 20), (10, 30)):
        more = (
            f"--resume {tmp_path}/store --until-end | tel-resolve | tel-convert | tel-persist --store {tmp_path}/store"
        )
        done = run_tool("tel-chain", f"{read} {more}")
        assert done.returncode == 0, done.stderr
        lines = (tmp_path / "prom").read_text().splitlines()
        assert f'tel_records_written_total{{tool="tel-kafka"}} {number}' in lines
        assert f'tel_kafka_lag{{tool="tel-kafka",topic="{topic}",partition="0"}} {30 - after}' in lines
    assert account(tmp_path / "store")[0][0] == 30


def test_metrics_tell_the_lag(cluster, topic, kafka, tmp_path):
    cluster.send(topic, pings(30))
    kafka(topic, "--max-records", "7", "--metrics", tmp_path / "prom")
    lines = (tmp_path / "prom").read_text().splitlines()
    assert f'tel_kafka_lag{{tool="tel-kafka",topic="{topic}",partition="0"}} 23' in lines
    assert f'tel_kafka_next_offset{{tool="tel-kafka",topic="{topic}",partition="0"}} 7' in lines
    assert "# TYPE tel_kafka_lag gauge" in lines


# Into the store, and on from there.


def ingest(cluster, topic, store, *words, bad=os.devnull):
    """The commands of a batch's way into a store."""
    return [
        ["tel-kafka", *cluster.words, "--topic", topic, "--resume", str(store), "--rejects", bad, *words],
        ["tel-chain", f"tel-resolve --rejects {bad} | tel-convert | tel-persist --no-sync --store {store}"],
    ]


def stored(cluster, topic, store, *words):
    """Store one batch; the statuses."""
    return Pipeline(ingest(cluster, topic, store, "--until-end", *words)).finish()[1]


def account(store):
    """{partition: (the offset after the last, offsets by what became of them)}; all offsets follow each other."""
    records = [Store(store).commit(name) for name in Store(store).names()]
    held = [end for record in records for end in positions.of(record["ends"])]
    held.sort(key=lambda end: (end["partition"], end["first"], end["next"]))
    found = {}
    for end in held:
        next, counts = found.setdefault(end["partition"], (0, collections.Counter()))
        assert end["first"] == next, f"{end} does not follow {next}"
        counts.update({name: end[name] for name in positions.COUNTS})
        counts["lost"] += sum(last - first for first, last in end["gaps"])
        found[end["partition"]] = end["next"], counts
    for next, counts in found.values():
        assert sum(counts.values()) == next
    assert sum(r["records"] for r in records) <= sum(counts["records"] for _, counts in found.values())
    return found


def ids_of(store):
    done = subprocess.run(["tel-cat", str(store)], stdout=subprocess.PIPE, check=True)
    return collections.Counter(json.loads(line)["id"] for line in done.stdout.splitlines()[:-1])


def test_a_store_is_gone_on_with(cluster, topic, tmp_path):
    store = tmp_path / "store"
    for round in range(3):
        cluster.send(topic, pings(20, name=f"round{round}"))
        while account_next(store) < 20 * (round + 1):
            assert stored(cluster, topic, store, "--max-records", "15") == [0, 0]
    assert stored(cluster, topic, store) == [0, 0]
    assert set(ids_of(store).values()) == {1} and len(ids_of(store)) == 60
    assert len(Store(store).names()) == 6


def account_next(store):
    """How many offsets a store of one partition has."""
    return account(store)[0][0] if is_store(store) else 0


def is_store(path):
    return (path / ".tel/schema.json").exists()


def test_the_group_is_told_what_the_store_has(cluster, topic, kafka, tmp_path):
    from confluent_kafka import Consumer, TopicPartition

    cluster.send(topic, pings(20))
    assert stored(cluster, topic, tmp_path / "store", "--max-records", "5") == [0, 0]
    group = f"group-{topic}"
    assert kafka(topic, "--resume", tmp_path / "store", "--group", group).returncode == 0
    consumer = Consumer({**cluster.client, "group.id": group})
    assert [at.offset for at in consumer.committed([TopicPartition(topic, 0)], 30)] == [5]
    consumer.close()


def test_a_gap_stops_or_is_kept(cluster, topic, kafka, tmp_path):
    store = tmp_path / "store"
    cluster.send(topic, pings(12))
    assert stored(cluster, topic, store, "--max-records", "5") == [0, 0]
    cluster.do("delete", topic, 0, 12)
    cluster.send(topic, pings(18, name="more"))
    done = kafka(topic, "--resume", store)
    assert done.returncode == 65 and done.stdout == b"" and b"7 offsets are lost" in done.stderr
    assert stored(cluster, topic, store) == [65, 75]
    assert stored(cluster, topic, store, "--on-gap", "skip") == [0, 0]
    next, counts = account(store)[0]
    assert next == 30 and counts["lost"] == 7 and counts["records"] == 23


def test_a_gap_that_comes_while_it_reads_is_met(cluster, topic, tmp_path):
    """Most of the topic goes while a slow reader holds up the batch in its first third."""
    ping = b'{"ver":1,"info":{},"x":"%s"}' % (b"x" * 1000)
    cluster.send(topic, [(0, b"id-%d" % at, ping) for at in range(3500)])
    words = [
        "-X",
        "queued.min.messages=1",
        "-X",
        "fetch.message.max.bytes=20000",
        "-X",
        "queued.max.messages.kbytes=100",
        "-X",
        "fetch.queue.backoff.ms=10",
    ]
    command = ingest(cluster, topic, tmp_path / "store", "--until-end", "--on-gap", "skip", *words)
    reader = subprocess.Popen(command[0], stdout=subprocess.PIPE)
    first = reader.stdout.read(1 << 19)  # no more than that and what the pipe holds is on its way
    time.sleep(1)
    cluster.do("delete", topic, 0, 3500)
    cluster.send(topic, [(0, b"id-%d" % at, ping) for at in range(3500, 4000)])
    rest = reader.stdout.read()
    assert reader.wait(60) == 0
    records, (held,) = parted(first + rest)
    assert held["next"] == 4000 and len(held["gaps"]) == 1
    assert 500 < held["records"] < 3999 and held["records"] + held["gaps"][0][1] - held["gaps"][0][0] == 4000


def test_a_topic_that_was_made_anew_is_refused(cluster, topic, kafka, tmp_path, run_tool):
    held = {"topic": topic, "partition": 0, "first": 0, "next": 99, "records": 0, "rejected": 0, "empty": 99}
    end = {"end": {"tool": "t", "records": 0, "positions": [{**held, "absent": 0, "gaps": []}]}}
    store = tmp_path / "store"
    assert run_tool("tel-persist", "--store", store, stdin=json.dumps(end).encode()).returncode == 0
    cluster.send(topic, pings(3))
    done = kafka(topic, "--resume", store, "--on-gap", "skip", "--timeout", "1")
    assert done.returncode == 65 and b"ends at 3: it was made anew" in done.stderr


def test_a_slow_reader_costs_no_memory(cluster, topic):
    """The records wait at the brokers."""
    value = b'{"ver":1,"info":{},"x":"%s"}' % (b"x" * 100_000)
    cluster.send(topic, [(0, b"id-%d" % at, value) for at in range(45)])
    words = [*cluster.words, "--topic", topic, "--until-end", "-X", "queued.max.messages.kbytes=1000"]
    process = subprocess.Popen(["tel-kafka", *words, "-X", "fetch.message.max.bytes=100000"], stdout=subprocess.PIPE)
    process.stdout.read(1)
    time.sleep(1)
    with open(f"/proc/{process.pid}/status") as file:
        (peak,) = [int(line.split()[1]) for line in file if line.startswith("VmHWM")]
    assert peak < 90 << 10, f"{peak} KiB"
    assert len(process.stdout.read().splitlines()) == 46 and process.wait(30) == 0
    process.stdout.close()


# Sending.


def test_lines_are_sent_with_their_ids(cluster, topic, kafka, run_tool, tmp_path):
    raw = run_tool("tel-sample", "--no-histograms", "-n", "50").stdout
    send = ["tel-kafka", "--produce", *cluster.words, "--topic", topic]
    done = run_tool(*send, "--summary=json", stdin=raw)
    counted = json.loads(done.stderr)
    assert done.returncode == 0 and (counted["read"], counted["written"]) == (50, 50) and done.stdout == b""
    ids = [line.partition(b"\t")[0].decode() for line in raw.splitlines()[:-1]]
    first, _ = parted(kafka(topic, "--date", "2013-09-01").stdout)
    assert [record["id"] for record in first] == ids
    (tmp_path / "records").write_bytes(kafka(topic, "--date", "2013-09-01").stdout)
    assert run_tool(*send, tmp_path / "records").returncode == 0
    again, _ = parted(kafka(topic).stdout)
    assert [{**record, "source": None} for record in again[50:]] == [{**record, "source": None} for record in first]


def test_rejects_are_sent_whole(cluster, topic, run_tool):
    reject = b'{"tool":"tel-resolve","where":"x:1","id":"a","error_type":"not_json","line":"{"}\n'
    send = ["tel-kafka", "--produce", *cluster.words, "--topic", topic]
    assert run_tool(*send, stdin=reject + b"neither\n").returncode == 0
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({**cluster.client, "group.id": "look"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = [consumer.poll(30) for _ in range(2)]
    assert [(each.key(), each.value()) for each in found] == [(b"a", reject[:-1]), (None, b"neither")]
    consumer.close()


def test_what_is_not_taken_is_an_error(run_tool):
    pytest.importorskip("confluent_kafka", reason="confluent-kafka missing: nothing is sent")
    send = ["tel-kafka", "--produce", "--brokers", "127.0.0.1:9", "--topic", "t", "--timeout", "1"]
    done = run_tool(*send, stdin=b"a\tb\n")
    assert done.returncode == 75 and b"not taken" in done.stderr


def test_a_producer_that_may_not_send_says_so(cluster, topic, run_tool):
    cluster.do("refuse", INIT_PRODUCER_ID, NOT_AUTHORIZED, 1)
    done = run_tool("tel-kafka", "--produce", *cluster.words, "--topic", topic, "--timeout", "9", stdin=b"a\tb\n")
    assert done.returncode == 74 and b"cannot be sent: " in done.stderr and b"authorization" in done.stderr.lower()


# What goes wrong.


@pytest.mark.slow
def test_brokers_that_stay_away_are_no_end(cluster, kafka):
    """A batch whose partitions fall silent is none: no end record."""
    topic = cluster.topic(f"away-{uuid.uuid4().hex[:6]}", PARTITIONS, copies=1)
    cluster.send(topic, [(at % PARTITIONS, b"%d" % at, PING) for at in range(60)])
    if "refuse" in cluster.can:  # the mock cluster, where all may be with one broker
        for partition in range(PARTITIONS):
            cluster.do("leader", topic, partition, 1 + partition % 3)
    cluster.do("down", 2)
    try:
        done = kafka(topic, "--timeout", "2")
        assert done.returncode == 75 and b'"end"' not in done.stdout and b"\n" in done.stderr
    finally:
        cluster.do("up", 2)
    assert len(parted(kafka(topic).stdout)[0]) == 60


class Chaos(threading.Thread):
    """Brokers that fail, answer late, and lose the partitions they lead, as far as can be, until it is ended."""

    def __init__(self, cluster, topic, seed):
        super().__init__()
        self._cluster, self._topic, self._chance, self._ended = cluster, topic, random.Random(seed), threading.Event()
        self.done, self._can = collections.Counter(), sorted(cluster.can - {"delete"})

    def run(self):
        down = None
        if not self._can:
            return
        while not self._ended.wait(self._chance.uniform(0.2, 1)):
            what, broker = self._chance.choice(self._can), self._chance.randint(1, 3)
            if down:
                self._cluster.do("up", down)
                down = None
            if what == "down":
                down = broker
                self._cluster.do("down", broker)
            elif what == "late":
                self._cluster.do("late", broker, self._chance.choice([0, 50, 300]))
            elif what == "leader":
                self._cluster.do("leader", self._topic, self._chance.randrange(PARTITIONS), broker)
            else:
                self._cluster.do("refuse", FETCH, NOT_LEADER, 3)
            self.done[what] += 1
        for broker in (1, 2, 3):
            self._cluster.do("up", broker)
            self._cluster.do("late", broker, 0)

    def end(self):
        self._ended.set()
        self.join()


class Sending(threading.Thread):
    """Sends messages, some bad or empty, never too far ahead of a store.

    None is sent twice, or it could be there twice: what a broker does not acknowledge may be there or not. `counts` and
    `good` are of those that are, `doubtful` are the others.
    """

    def __init__(self, cluster, topic, number, store):
        super().__init__()
        self._cluster, self._topic, self._number, self._store = cluster, topic, number, store
        self.sent, self.good, self.doubtful, self._kinds = False, set(), set(), {}
        self._handed, self.counts = [0] * PARTITIONS, [collections.Counter() for _ in range(PARTITIONS)]

    def run(self):
        self._cluster.send(self._topic, self._messages(), self._hear, 300, **{"message.send.max.retries": 0})
        self.sent = True

    def _hear(self, error, message):
        id = message.key().decode()
        kind = self._kinds.pop(id)
        if error:
            self.doubtful.add(id)
        else:
            self.counts[message.partition()][kind] += 1
            self.good.update({id} if kind == "records" else ())

    def _messages(self):
        source = subprocess.Popen(["tel-sample", "--no-histograms", "-n", str(self._number)], stdout=subprocess.PIPE)
        for at, line in enumerate(source.stdout):
            id, tab, ping = line[:-1].partition(b"\t")
            if not tab:
                continue
            while at % 500 == 0 and self._ahead() > AHEAD:
                time.sleep(0.2)
            partition, value, kind = at * 7 // 3 % PARTITIONS, ping, "records"
            if at % 97 == 5:
                value, kind = b"nonsense", "rejected"
            elif at % 89 == 5:
                value, kind = None, "empty"
            self._handed[partition] += 1
            self._kinds[id.decode()] = kind
            yield partition, id, value
        source.stdout.close()
        source.wait()

    def _ahead(self):
        """How far the store is behind in the partition where it is most."""
        has = positions.stored(Store(self._store)) if is_store(self._store) else {}
        return max(self._handed[at] - has.get((self._topic, at), 0) for at in range(PARTITIONS))


def killed_at_random(commands, chance, longest):
    """Run a pipeline and kill one of its processes, or all, at some moment; whether any was still alive."""
    pipeline = Pipeline(commands)
    time.sleep(chance.uniform(0, longest))
    victims = chance.choice([pipeline.processes, [chance.choice(pipeline.processes)]])
    alive = any([process.poll() is None for process in victims])
    for process in victims:
        process.send_signal(signal.SIGKILL)
    pipeline.finish()
    return alive


@pytest.mark.slow
def test_killed_again_and_again_the_store_has_each_ping_once(cluster, tmp_path):
    topic = cluster.topic(f"killed-{uuid.uuid4().hex[:6]}", PARTITIONS)
    store, chance = tmp_path / "store", random.Random(PINGS)
    sending, chaos = Sending(cluster, topic, PINGS, store), Chaos(cluster, topic, PINGS)
    sending.start()
    chaos.start()
    words = ["--max-seconds", "2", "--max-records", str(PINGS // 40), "--timeout", "5"]
    hits = runs = 0
    try:
        while hits < KILLS or sending.is_alive():
            assert runs < 10 * KILLS + 200, "it does not come to an end"
            runs += 1
            if hits < KILLS and runs % 3:
                hits += killed_at_random(ingest(cluster, topic, store, *words), chance, 1.5)
            else:
                Pipeline(ingest(cluster, topic, store, *words)).finish()
    finally:
        chaos.end()
        sending.join()
    assert sending.sent
    while stored(cluster, topic, store) != [0, 0]:
        runs += 1
        assert runs < 10 * KILLS + 300, "the rest does not come"
    ids, found = ids_of(store), account(store)
    assert set(ids.values()) == {1} and sending.good <= ids.keys() <= sending.good | sending.doubtful
    assert len(sending.good) > 0.7 * PINGS
    for at in range(PARTITIONS):
        assert not sending.counts[at] - found[at][1] and not found[at][1]["lost"] + found[at][1]["absent"]
    assert sum(next for next, _ in found.values()) <= sum(map(sum, map(dict.values, sending.counts))) + len(
        sending.doubtful
    )
    assert not list((store / ".tel/staging").iterdir())
    print(
        f"{PINGS} pings, {len(sending.doubtful)} in doubt, {hits} kills, {runs} runs, {len(Store(store).names())} batches, {dict(chaos.done)}"
    )


# What the mock cluster cannot do: brokers that have just come up, and a partition with holes.


class Waking:
    """A consumer of librdkafka that speaks to a broker which learns of others, of topics and partitions one by one."""

    def __init__(self, client):
        unknown = client.KafkaError(client.KafkaError.UNKNOWN_TOPIC_OR_PART)
        self._limits = [client.KafkaException(unknown), (0, 12)]
        self._told = [self._tells(brokers, error) for brokers, error in (({}, unknown), ({1: "broker"}, None))]

    @staticmethod
    def _tells(brokers, error):
        topic = types.SimpleNamespace(error=error, partitions={} if error else {0: "partition"})
        return types.SimpleNamespace(brokers=brokers, topics={"pings": topic})

    def list_topics(self, _topic, _timeout):
        return self._told.pop(0)

    def get_watermark_offsets(self, _partition, _timeout, cached):
        answer = self._limits.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_broker_that_has_just_come_up_is_asked_again(monkeypatch):
    client = pytest.importorskip("confluent_kafka", reason="confluent_kafka is missing: nothing is read from Kafka")
    from tel import consume, kafka

    monkeypatch.setattr(kafka, "made", lambda *_: Waking(client))
    topic = consume.Topic({}, "pings", None, 5)
    assert topic.partitions == [0] and topic.ends(0) == (0, 12)


class Event:
    """What the client hands over: a message, or the end of the partition in place of one."""

    def __init__(self, offset, value=PING, code=None):
        self._offset, self._value, self._code = offset, value, code

    def error(self):
        return self._code and self

    def code(self):
        return self._code

    def offset(self):
        return self._offset

    def value(self):
        return self._value

    def partition(self):
        return 0

    def __len__(self):
        return 1


class Holed:
    """In place of consume.Topic: one partition from which compaction took messages, its control record at the end."""

    topic, partitions, timeout, problem = "pings", [0], 5, None

    def __init__(self, *events):
        self._events = [events]

    def ends(self, partition, cached=False):
        return 0, 12

    def assign(self, positions):
        assert [position.next for position in positions] == [2]

    def pause(self, position):
        assert position.next >= 12

    def events(self):
        return self._events.pop() if self._events else []


def test_offsets_without_a_message_are_absent():
    client = pytest.importorskip("confluent_kafka", reason="confluent_kafka is missing: nothing is read from Kafka")
    from tel import consume

    end = Event(12, code=client.KafkaError._PARTITION_EOF)
    topic = Holed(Event(4), Event(5), Event(5), Event(3), Event(9, None), end, Event(13))
    batch = consume.Batch(topic, {0: 2}, consume.Bounds(100, 60, until_end=True))
    for event in batch.messages():
        batch.take(event, "records")
    (held,) = batch.told()["positions"]
    assert (held["first"], held["next"], held["records"], held["empty"], held["absent"]) == (2, 12, 2, 1, 7)
    assert positions.of([batch.told()]) == [held]


def test_what_compaction_took_is_absent(cluster, kafka):
    topic = cluster.topic("compacted", 1)
    cluster.do("compact", topic)
    few = {"batch.num.messages": 20}  # the brokers' files are small
    cluster.send(topic, [(0, f"id-{n % 10}".encode(), PING) for n in range(2000)], **few)

    def compacted():
        records, (held,) = parted(kafka(topic).stdout)
        return held["absent"] and records, held

    records, held = next(found for found in iter(compacted, None) if found[0])
    offsets = [record["source"]["offset"] for record in records]
    assert offsets == sorted(set(offsets)) and {f"id-{n}" for n in range(10)} == {record["id"] for record in records}
    assert (held["first"], held["next"], held["gaps"]) == (0, 2000, [])
    assert held["records"] == len(records) == 2000 - held["absent"] < 2000


def test_messages_behind_the_bound_are_left_though_the_end_is_in_sight():
    client = pytest.importorskip("confluent_kafka", reason="confluent_kafka is missing: nothing is read from Kafka")
    from tel import consume

    end = Event(12, code=client.KafkaError._PARTITION_EOF)
    for bounds in consume.Bounds(2, 60), consume.Bounds(2, 60, until_end=True):
        batch = consume.Batch(Holed(Event(4), Event(5), Event(6), end), {0: 2}, bounds)
        for event in batch.messages():
            batch.take(event, "records")
        assert batch.told()["positions"][0]["next"] == 6
