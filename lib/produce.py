"""Producing: lines as messages of a Kafka topic, each acknowledged by all replicas in sync."""

from tel import jsonl, kafka, streams
from tel.errors import BadData, IOFailed, NotWhole
from tel.records import SPLIT

WAIT = 0.1  # seconds that the client gets to send, while too much is on its way
PRODUCER = {"enable.idempotence": True, "acks": "all", "log_level": 0, "queue.buffering.max.kbytes": 65536}
PRODUCER["message.max.bytes"] = 64 << 20  # whether one is too large is for the brokers to say


class Producer:
    """Sends lines to a topic, each acknowledged by all replicas in sync, in order and without doubles.

    Raises NotWhole where the brokers do not take one within `timeout` seconds.
    """

    def __init__(self, configuration, topic, timeout):
        self.topic, self.sent, self._failure = topic, 0, None
        self._client, self.problem, self._timeout = kafka.client(), None, timeout
        more = {"delivery.timeout.ms": timeout * 1000, "error_cb": self._hear}
        self._producer = kafka.made(self._client.Producer, {**PRODUCER, **more, **configuration})

    def _hear(self, error):
        self.problem = error.str()

    def send(self, key, value):
        """Hand over a message; waits while too many are on their way."""
        while not self._is_taken(key, value):
            self._guarded(self._producer.poll, WAIT)

    def _is_taken(self, key, value):
        self._check()
        try:
            self._guarded(self._producer.produce, self.topic, value, key, on_delivery=self._delivered)
        except BufferError:
            return False
        self._guarded(self._producer.poll, 0)
        return True

    def _guarded(self, ask, *words, **more):
        """Ask the client; a fatal error may lie below one of a callback."""
        try:
            return ask(*words, **more)
        except (self._client.KafkaException, SystemError) as error:
            cause = error.__cause__ if isinstance(error, SystemError) else error
            if not isinstance(cause, self._client.KafkaException):
                raise
            raise IOFailed(
                f"cannot be sent: {cause.args[0].str()}", self.topic, "-X sets what the brokers need to be different"
            ) from None

    def _delivered(self, error, _message):
        if error:
            self._failure = self._failure or error
        else:
            self.sent += 1

    def _check(self):
        if self._failure:
            reason = f"a message was not taken: {self._failure.str()}"
            raise NotWhole(f"{reason} ({self.sent} were)", self.topic, "try again: what was taken is then there twice")

    def close(self):
        """Wait until all messages have been taken."""
        self._guarded(self._producer.flush, self._timeout + 1)
        self._check()
        if len(self._producer):
            raise NotWhole(f"{len(self._producer)} messages were not taken", self.topic, "try again later")


def keyed(line):
    """(key, value) of a line to be sent: an export line's id and ping, or a JSON line's `id` and the line.

    >>> keyed(b'a\\t{"ver":1}')
    (b'a', b'{"ver":1}')
    >>> keyed(b'{"id":"b","ping":{}}')
    (b'b', b'{"id":"b","ping":{}}')
    """
    line = streams.held(line)
    if not line.startswith(b"{"):
        id, tab, value = line.partition(b"\t")
        return (id, value) if tab else (None, line)
    head, split, _ = line.partition(SPLIT)
    try:
        id = jsonl.loads(head + b"}" if split else line).get("id")
    except BadData:
        id = None
    return (id.encode() if isinstance(id, str) else None), line
