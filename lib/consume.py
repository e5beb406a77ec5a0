"""Consuming: a bounded batch of a Kafka topic's messages as records with their source positions.

Partitions are assigned here, by the positions that the caller knows; no consumer group decides, and what a group is
told is for those who watch it.
"""

import os
import re
import time

from tel import bagheera, kafka, message, positions, resolve, store, streams, tiers
from tel.errors import BadData, IOFailed, NoInput, NotWhole, UsageError

GROUP = "tel-kafka"
AT_ONCE, WAIT = 500, 0.1  # messages asked for at once, and seconds that these are waited for
USUAL = {"queued.max.messages.kbytes": 16384, "group.id": GROUP, "log_level": 0, "reconnect.backoff.max.ms": 1000}


def partitions_of(text):
    """The numbers in `0,1,4-7`, or None for None. Raises UsageError.

    >>> partitions_of("0,4-6")
    [0, 4, 5, 6]
    """
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,6}(-\d{1,6})?(,\d{1,6}(-\d{1,6})?)*", text, re.ASCII):
        raise UsageError(f"--partitions takes numbers like 0,1,4-7, not {text[:40]!r}")
    found = set()
    for part in text.split(","):
        low, _, high = part.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return sorted(found)


class Topic:
    """Some partitions of a topic, to be read. `timeout` seconds are what brokers get to answer.

    `wanted` are the numbers of partitions, or None for all. Raises NoInput for what is not there, NotWhole where no
    broker answers.
    """

    def __init__(self, configuration, topic, wanted, timeout):
        self.topic, self.timeout, self.problem = topic, timeout, None
        self._client = kafka.client()
        heard = {"error_cb": self._hear}
        self._consumer = kafka.made(self._client.Consumer, {**USUAL, **configuration, **kafka.FIXED, **heard})
        self.partitions = self._partitions(wanted)

    def _hear(self, error):
        self.problem = error.str()

    def _partitions(self, wanted):
        there = sorted(self._asked(self._described).partitions)
        missing = set(wanted or ()) - set(there)
        if missing:
            raise NoInput(f"the topic has no partition {min(missing)}, but {len(there)} of them", self.topic)
        return there if wanted is None else wanted

    def _described(self):
        """The topic's metadata. A broker that has just come up knows no brokers, and its word on topics is none."""
        told = self._consumer.list_topics(self.topic, self.timeout)
        found = told.topics[self.topic]
        if found.error and found.error.code() == self._client.KafkaError.UNKNOWN_TOPIC_OR_PART and told.brokers:
            raise NoInput(f"no such topic: {found.error.str()}", self.topic)
        if found.error:
            raise self._client.KafkaException(found.error)
        return found

    def _asked(self, ask):
        """The answer to a question, put again for `timeout` seconds: a partition may be on its way to a new leader."""
        until = time.monotonic() + self.timeout
        while True:
            try:
                return ask()
            except self._client.KafkaException as error:
                if time.monotonic() > until or self._is_final(error.args[0]):
                    raise self.failed(error.args[0]) from None
            time.sleep(WAIT)

    def _is_final(self, error):
        codes = self._client.KafkaError
        return error.fatal() or error.code() in (
            codes.TOPIC_AUTHORIZATION_FAILED,
            codes.GROUP_AUTHORIZATION_FAILED,
        )

    def failed(self, error):
        """The error that the clients' one is to the user."""
        code, codes = error.code(), self._client.KafkaError
        if code in (codes.TOPIC_AUTHORIZATION_FAILED, codes.GROUP_AUTHORIZATION_FAILED):
            return IOFailed(f"the brokers do not allow it: {error.str()}", self.topic)
        return NotWhole(f"the brokers do not answer: {self.problem or error.str()}", self.topic, "try again later")

    def ends(self, partition, cached=False):
        """(the first offset that is there, the one after the last); `cached`: as last heard, (0, 0) if never."""
        of = self._client.TopicPartition(self.topic, partition)
        found = self._asked(lambda: self._consumer.get_watermark_offsets(of, self.timeout, cached=cached))
        if cached:
            return found if found and found[1] >= 0 else (0, 0)
        if found is None:
            raise NotWhole(f"the brokers do not answer: {self.problem or 'in time'}", self.topic, "try again later")
        return found

    def assign(self, positions):
        """Read these Positions, from the `next` of each on, and no others."""
        self._consumer.assign([self._at(position) for position in positions])

    def pause(self, position):
        """Read no more of a partition."""
        self._asked(lambda: self._consumer.pause([self._at(position)]))

    def _at(self, position):
        return self._client.TopicPartition(self.topic, position.partition, position.next)

    def events(self):
        """What came within WAIT seconds: messages, and errors as messages."""
        return self._asked(lambda: self._consumer.consume(AT_ONCE, WAIT))

    def inform(self, has):
        """Tell the brokers how far the store has got, for those who watch the group; nothing waits for their answer."""
        known = [
            (partition, has[self.topic, partition]) for partition in self.partitions if (self.topic, partition) in has
        ]
        offsets = [self._client.TopicPartition(self.topic, partition, next) for partition, next in known]
        if offsets:
            self._asked(lambda: self._consumer.commit(offsets=offsets, asynchronous=True))


class Bounds:
    """Where a batch ends: after `records` messages, after `seconds`, or (`until_end`) at what is the end now."""

    def __init__(self, records, seconds, until_end=False):
        self.records, self.seconds, self.until_end = records, seconds, until_end


class Batch:
    """A batch of messages on its way from a Topic, beginning at `starts`: {partition: offset}.

    A partition that begins in what is not there any more is a gap, which ends the run (BadData `gap`) unless
    `skip_gaps`. What came so far is in `positions`.
    """

    def __init__(self, topic, starts, bounds, skip_gaps=False):
        self.topic, self.bounds, self._skip_gaps, self._taken = topic, bounds, skip_gaps, 0
        self.positions = {
            number: positions.Position(topic.topic, number, starts[number]) for number in topic.partitions
        }
        self._ends, self.consumed, self.size = {}, 0, None  # as an Input has them: bytes read, of an unknown size
        for position in self.positions.values():
            self._look(position)
        self._open = {number for number, position in self.positions.items() if not self._is_done(position)}

    def _look(self, position):
        """See where a partition begins and ends, and go on behind what is lost."""
        low, high = self._limits(position)
        self._ends[position.partition] = high
        place = f"{self.topic.topic}/{position.partition}"
        if position.next > high:
            raise BadData(
                "gap",
                f"the next offset is {position.next}, and the partition ends at {high}: it was made anew, or cut",
                place,
                "read it under another topic name, or into another store",
            )
        if position.next < low and not self._skip_gaps:
            raise BadData(
                "gap",
                f"{low - position.next} offsets are lost: the next one is {position.next}, and the brokers have "
                f"removed what is before {low}",
                place,
                "--on-gap=skip goes on there, and keeps the gap in the commit record",
            )
        if position.next < low:
            position.skip(low)

    def _limits(self, position):
        """Where a partition begins and ends; a new leader gets time to learn that it is not shorter than it was."""
        until = time.monotonic() + self.topic.timeout
        low, high = self.topic.ends(position.partition)
        while position.next > high and time.monotonic() < until:
            time.sleep(WAIT)
            low, high = self.topic.ends(position.partition)
        return low, high

    def _is_done(self, position):
        return self.bounds.until_end and position.next >= self._ends[position.partition]

    def messages(self):
        """Yield the messages that have a value, until a bound is reached; the caller counts each by `take`.

        Raises NotWhole if no partition says anything for `timeout` seconds, not even that it has ended.
        """
        self._assign()
        heard = time.monotonic()
        until, waiting = heard + self.bounds.seconds, set(self._open)  # waiting: not known to be at their ends
        while self._taken < self.bounds.records and (self._open or not self.bounds.until_end):
            now = time.monotonic()
            if now >= until:
                break
            for event in self.topic.events():
                heard = now
                if self._taken >= self.bounds.records:
                    break  # an end of a partition that may follow lies behind messages that are left
                if event.error():
                    self._meet(event, waiting)
                else:
                    waiting.add(event.partition())
                    yield from self._fresh(event)
            if waiting and now - heard > self.topic.timeout:
                raise NotWhole(
                    f"nothing came for {self.topic.timeout} seconds: {self.topic.problem or 'the brokers are silent'}",
                    self.topic.topic,
                    "try again later",
                )

    def _assign(self):
        """Read on where the positions are; what has come already and is behind them is passed over."""
        self.topic.assign([self.positions[number] for number in sorted(self._open)])

    def _fresh(self, event):
        """The message, unless it has been seen, has no value, or lies behind the bound."""
        position = self.positions[event.partition()]
        if event.offset() < position.next or event.partition() not in self._open:
            return
        self._taken += 1
        self.consumed += len(event)
        if event.value() is None:
            self.take(event, "empty")
        else:
            yield event

    def take(self, event, kind):
        """Count a message as one of positions.COUNTS."""
        position = self.positions[event.partition()]
        position.take(event.offset(), kind)
        self._close(position)

    def _close(self, position):
        if position.partition in self._open and self._is_done(position):
            self._open.remove(position.partition)
            self.topic.pause(position)

    def _meet(self, event, waiting):
        """Deal with an error that came in place of a message."""
        code, codes = event.error().code(), kafka.client().KafkaError
        position = self.positions[event.partition()] if event.partition() in self.positions else None
        if code == codes._PARTITION_EOF and position:
            if position.partition in self._open:
                position.reach(event.offset())
                self._ends[position.partition] = position.next
                self._close(position)
            waiting.discard(position.partition)
        elif code in (codes._AUTO_OFFSET_RESET, codes.OFFSET_OUT_OF_RANGE, codes._LOG_TRUNCATION) and position:
            self._look(position)
            self._assign()
        else:
            raise self.topic.failed(event.error())

    def told(self):
        """What the end record says of the batch."""
        return {positions.FIELD: [position.told() for position in self.positions.values()]}

    def ended(self, stats):
        """What the end record says, once all has been read; Stats are told."""
        self._account(stats)
        return self.told()

    def _account(self, stats):
        """Tell Stats what the batch holds that is no record, and how far its partitions go on behind it."""
        empty, lag, reached, lost = 0, [], [], 0
        for number, position in self.positions.items():
            labels = f',topic="{self.topic.topic}",partition="{number}"'
            end = max(self.topic.ends(number, cached=True)[1], self._ends[number])
            lag.append((labels, max(end - position.next, 0)))
            reached.append((labels, position.next))
            empty += position.empty
            lost += sum(end - start for start, end in position.gaps)
        stats.more = {"empty": empty, "lost": lost, "left": sum(number for _, number in lag)}
        stats.gauges += [
            ("kafka_lag", "Offsets of the partition behind this batch.", lag),
            ("kafka_next_offset", "The offset that the next batch begins at.", reached),
            ("kafka_lost", "Offsets that were removed before they could be read.", [("", lost)]),
        ]


def stored(path):
    """{(topic, partition): the offset that is next} by the batches of a store; none without one."""
    if path is None or not store.is_there(store.schema_path(os.path.join(path, store.CONTROL), 1)):
        return {}
    return positions.stored(store.Store(path))


def starts(topic, has, beginning):
    """{partition: the offset to begin at}: what the store is to get next, or the partition's beginning or end."""
    found = {}
    for partition in topic.partitions:
        known = has.get((topic.topic, partition))
        found[partition] = topic.ends(partition)[0 if beginning else 1] if known is None else known
    return found


# Messages and records.


def records(batch, rejects, stats, form):
    """Yield the Record of each message of a Batch, with its `source`; the others are rejected. `stats` counts.

    `form` is a Form.
    """
    for event in batch.messages():
        stats.read += 1
        source = {"topic": event.topic(), "partition": event.partition(), "offset": event.offset()}
        where = "{topic}/{partition}:{offset}".format(**source)
        try:
            record = form.record(event)
        except BadData as error:
            rejects.line(error, where, event.value(), form.id_of(event), source=source)
            batch.take(event, "rejected")
            continue
        batch.take(event, "records")
        yield record.came(where).put(source=source)


class Form:
    """How a message becomes a Record: its `key` is the document id, or is not (then the ping has its own).

    `date` is the submission date of all, or None for each message's own day (UTC). A value, plain or compressed, is
    at most `max_line` bytes long.
    """

    def __init__(self, key=True, date=None, make_ids=False, max_line=streams.MAX_LINE):
        self._key, self._date, self._make_ids, self._max_line = key, date, make_ids, max_line

    def record(self, event):
        """The Record of a message: a record, `<id> TAB <json>`, a bare ping, or one in an envelope. Raises BadData."""
        id, value, sent = self.id_of(event), event.value(), event.timestamp()[1]
        if bagheera.is_one(value):
            envelope = bagheera.opened(value)
            id, value, sent = id or message.id_of(envelope.id), envelope.payload, envelope.time or sent
        line = message.line_of(id, value, self._max_line)
        date = self._date or message.date_of(sent) or message.date_of(int(time.time() * 1000))
        return resolve.parse_raw(line, date, tiers.proven, self._make_ids)[0]

    def id_of(self, event):
        """The document id that a message's key is, or None."""
        return message.id_of(event.key()) if self._key else None
