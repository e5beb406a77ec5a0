"""A cluster that speaks Kafka's protocol, in a process of its own, and what goes wrong with it on demand.

As a program it runs librdkafka's mock cluster: it prints the brokers' addresses, and obeys the commands on its standard
input, each answered by a line: `topic NAME PARTITIONS`, `down|up BROKER`, `late BROKER MILLISECONDS`,
`leader TOPIC PARTITION BROKER`, `delete TOPIC PARTITION BEFORE`, `refuse API ERROR TIMES`.
"""

import contextlib
import ctypes
import glob
import os
import subprocess
import sys
import uuid

import pytest

BROKERS = 3


class Cluster:
    """A cluster: its `brokers`, and, if it is the mock of a process, `do` to change it."""

    def __init__(self, brokers, process=None):
        self.brokers, self._process = brokers, process

    def topic(self, name, partitions):
        """Make a topic; returns its name, which on real brokers is one that was never there."""
        if self._process:
            self.do("topic", name, partitions)
            return name
        from confluent_kafka.admin import AdminClient, NewTopic

        name = f"{name}-{uuid.uuid4().hex[:8]}"
        asked = AdminClient({"bootstrap.servers": self.brokers}).create_topics([NewTopic(name, partitions, 1)])
        asked[name].result(60)
        return name

    def do(self, *words):
        """Give a command to the mock cluster."""
        if not self._process:
            pytest.skip("TEL_KAFKA_BROKERS is a real cluster: what goes wrong with brokers is not tested")
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer == "ok\n", f"{words}: {answer}"

    def send(self, topic, messages, failed=None, **settings):
        """Send (partition, key, value) messages, all of them; or tell `failed` of each whether it was not taken."""
        from confluent_kafka import Producer

        problems = []
        heard = failed or (lambda error, _message: error and problems.append(error))
        producer = Producer({"bootstrap.servers": self.brokers, "linger.ms": 5, "log_level": 0, **settings})
        for partition, key, value in messages:
            while len(producer) > 5000:
                producer.poll(0.1)
            producer.produce(topic, value, key, partition, on_delivery=heard, timestamp=1378000000000)
            producer.poll(0)
        assert producer.flush(60) == 0 and not problems, problems


@contextlib.contextmanager
def running():
    """A Cluster until the end, that of TEL_KAFKA_BROKERS if this is set; skips the test where the client is missing."""
    pytest.importorskip("confluent_kafka", reason="confluent_kafka is missing: nothing is read from Kafka")
    if os.environ.get("TEL_KAFKA_BROKERS"):
        yield Cluster(os.environ["TEL_KAFKA_BROKERS"])
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
            return self._call("topic_create", text[0], numbers[1], 3)
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
