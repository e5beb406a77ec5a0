"""Apache Kafka's client, librdkafka: the one user of `confluent_kafka`, and what consuming and producing share."""

from tel.errors import UsageError

FIXED = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
}


def client():
    """The package. Raises UsageError where it is missing."""
    try:
        import confluent_kafka
    except ImportError:
        raise UsageError(
            "the Python package confluent_kafka is missing", cure="pip install confluent-kafka (the extra kafka)"
        ) from None
    return confluent_kafka


def settings(brokers, more):
    """librdkafka's settings from a list of brokers and words `name=value`. Raises UsageError.

    >>> settings("localhost:9092", ["security.protocol=ssl"])
    {'bootstrap.servers': 'localhost:9092', 'security.protocol': 'ssl'}
    """
    found = {"bootstrap.servers": brokers}
    for word in more:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"-X takes name=value, not {word[:80]!r}")
        if name in FIXED:
            raise UsageError(f"-X {name}: this setting is what exactly once is made of, and cannot be changed")
        found[name] = value
    return found


def made(kind, configuration):
    """A client of librdkafka. Raises UsageError for settings that it does not take."""
    try:
        return kind(configuration)
    except client().KafkaException as error:
        raise UsageError(f"librdkafka: {error.args[0].str()}") from None
