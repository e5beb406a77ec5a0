"""A cluster that speaks Kafka's protocol, in a process of its own, and what goes wrong with it on demand.

As a program it runs librdkafka's mock cluster: it prints the brokers' addresses, and obeys the commands on its standard
input, each answered by a line: `topic NAME PARTITIONS COPIES`, `down|up BROKER`, `late BROKER MILLISECONDS`,
`leader TOPIC PARTITION BROKER`, `delete TOPIC PARTITION BEFORE`, `refuse API ERROR TIMES`. Real brokers may know
`compact TOPIC`, too: to keep the last message of each key only.

The same tests run against real brokers: TEL_KAFKA_BROKERS has their addresses, TEL_KAFKA_SETTINGS what librdkafka has
to be told to speak to them, as words NAME=VALUE, and TEL_KAFKA_DO is a program that takes the words of such a command,
fails where it cannot be done, and to `can` prints the names of those it knows but `topic`. Without it topics are made by
the admin API, and tests that need the others are skipped. tests/with-kafka starts brokers and sets all three.
"""

import contextlib
import ctypes
import glob
import os
import shlex
import subprocess
import sys
import time
import uuid

import pytest

BROKERS = 3
MOMENT = 1378000000  # when messages say that they are sent


class Cluster:
    """A cluster: its `brokers`, the `settings` that its clients need, and commands to change it.

    `process` is that of the mock, `program` what changes real brokers.
    """

    def __init__(self, brokers, process=None, settings=(), program=None):
        self.brokers, self._process, self._settings, self._program = brokers, process, list(settings), program
        self.can = {"down", "late", "leader", "delete", "refuse"} if process else set()
        if program:
            self.can = set(subprocess.run([program, "can"], check=True, capture_output=True, text=True).stdout.split())

    @property
    def client(self):
        """What a client of confluent_kafka is made with."""
        return {"bootstrap.servers": self.brokers, **dict(word.split("=", 1) for word in self._settings)}

    @property
    def day(self):
        """The day of messages that `send` sent: brokers before 0.10, which do not tell their version, keep no times."""
        timeless = "api.version.request=false" in self._settings
        return time.strftime("%Y%m%d", time.gmtime() if timeless else time.gmtime(MOMENT))

    @property
    def settings(self):
        """The words of a command that are its settings."""
        return [word for setting in self._settings for word in ("-X", setting)]

    @property
    def words(self):
        """The words of tel-kafka that name it."""
        return ["--brokers", self.brokers, *self.settings]

    def topic(self, name, partitions, copies=3):
        """Make a topic; returns its name, which on real brokers is one that was never there."""
        if not self._process:
            name = f"{name}-{uuid.uuid4().hex[:8]}"
        if self._process or self._program:
            self._perform("topic", name, partitions, copies)
            return name
        from confluent_kafka.admin import AdminClient, NewTopic

        asked = AdminClient(self.client).create_topics([NewTopic(name, partitions, 1)])
        asked[name].result(60)
        return name

    def do(self, *words):
        """Give a command to the cluster; skips the test where it does not know how."""
        if words[0] not in self.can | ({"up"} if "down" in self.can else set()):
            pytest.skip(f"{'the mock' if self._process else 'real'} brokers cannot be told: {words[0]}")
        self._perform(*words)

    def _perform(self, *words):
        words = [str(word) for word in words]
        if self._program:
            done = subprocess.run([self._program, *words], capture_output=True, text=True)
            assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
            return
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer == "ok\n", f"{words}: {answer}"

    def send(self, topic, messages, failed=None, waiting=5000, **settings):
        """Send (partition, key, value) messages, all of them; or tell `failed` of each whether it was not taken.

        No more than `waiting` are on their way at a time.
        """
        from confluent_kafka import Producer

        problems = []
        heard = failed or (lambda error, _message: error and problems.append(error))
        producer = Producer({**self.client, "linger.ms": 5, "log_level": 0, **settings})
        for partition, key, value in messages:
            while len(producer) > waiting:
                producer.poll(0.1)
            producer.produce(topic, value, key, partition, on_delivery=heard, timestamp=MOMENT * 1000)
            producer.poll(0)
        assert producer.flush(60) == 0 and not problems, problems[:3]


@contextlib.contextmanager
def running():
    """A Cluster until the end, that of TEL_KAFKA_BROKERS if this is set; skips the test where the client is missing."""
    pytest.importorskip("confluent_kafka", reason="confluent_kafka is missing: nothing is read from Kafka")
    if os.environ.get("TEL_KAFKA_BROKERS"):
        settings = shlex.split(os.environ.get("TEL_KAFKA_SETTINGS", ""))
        yield Cluster(os.environ["TEL_KAFKA_BROKERS"], None, settings, os.environ.get("TEL_KAFKA_DO"))
        return
    command = [sys.executable, __file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            brokers = process.stdout.readline().strip()
            if not brokers:
                pytest.skip("this librdkafka has no mock cluster: nothing is read from Kafka")
            yield Cluster(brokers, process)
        finally:
            process.kill()


def _library():
    """librdkafka as the Python package brought it, or as the system has it."""
    import confluent_kafka

    folder = os.path.dirname(confluent_kafka.__file__)
    bundled = glob.glob(f"{folder}.libs/librdkafka*")
    return ctypes.CDLL(bundled[0] if bundled else "librdkafka.so.1")


class Mock:
    """librdkafka's mock cluster, by its C functions (rdkafka_mock.h)."""

    def __init__(self, brokers):
        self._lib = _library()
        for name in ("rd_kafka_new", "rd_kafka_mock_cluster_new"):
            getattr(self._lib, name).restype = ctypes.c_void_p
        self._lib.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        words = ctypes.create_string_buffer(512)
        handle = self._lib.rd_kafka_new(0, None, words, ctypes.c_size_t(512))
        self._cluster = ctypes.c_void_p(self._lib.rd_kafka_mock_cluster_new(ctypes.c_void_p(handle), brokers))
        self.brokers = self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def _call(self, name, *arguments):
        return getattr(self._lib, f"rd_kafka_mock_{name}")(self._cluster, *arguments)

    def obey(self, command, *words):
        """Do what a command says; returns librdkafka's error number."""
        text, numbers = [word.encode() for word in words], [int(word) if word.isdigit() else None for word in words]
        if command == "topic":
            return self._call("topic_create", text[0], *numbers[1:])
        if command in ("down", "up"):
            return self._call(f"broker_set_{command}", numbers[0])
        if command == "late":
            return self._call("broker_set_rtt", *numbers)
        if command == "leader":
            return self._call("partition_set_leader", text[0], *numbers[1:])
        if command == "delete":
            return self._call("partition_delete_records", text[0], numbers[1], ctypes.c_int64(numbers[2]))
        api, error, times = numbers
        return self._call(
            "push_request_errors_array",
            ctypes.c_int16(api),
            ctypes.c_size_t(times),
            (ctypes.c_int * times)(*[error] * times),
        )


def main():
    """Run the cluster until standard input ends."""
    mock = Mock(BROKERS)
    print(mock.brokers, flush=True)
    for line in sys.stdin:
        error = mock.obey(*line.split())
        print("ok" if not error else f"error {error}", flush=True)


if __name__ == "__main__":
    main()
