"""tel-kafka - take pings from a Kafka topic as one batch after another, or send lines to one

Usage:
  tel-kafka [-X SETTING]... [options] --brokers LIST --topic T
  tel-kafka --produce [-X SETTING]... [options] --brokers LIST --topic T [FILE...]

Reads messages of a topic and writes a record for each: the key is the document id, the value is a ping, `<id> TAB
<ping>` or a record, plain or compressed, or one of these in an envelope of Bagheera, whose id and time are taken where
there is no key; its address is not. The submission date is the day of the message (UTC), and `source` says its
topic, partition and offset. A run is one batch. Its end record tells which offsets of which partitions it holds, and
what became of those that are no record: rejected, empty (no value), absent (compaction, transactions), or gaps.

tel-persist keeps that in the batch's commit record. With --resume the next run goes on where the store's batches end,
so that a run that was killed anywhere is done again by the next one, and nothing is lost or stored twice. No other
state is kept. Messages are read as fast as the next tool takes the records; no more than 16 MiB wait in memory.

Partitions are assigned, not balanced by a consumer group: a run reads those that it is told to, and joins no group. To
share a topic, give each run, under systemd or GNU parallel, a set of its own by --partitions; where two runs read one
partition for one store, tel-persist refuses the later one (75).

With --produce each line of the input, such as rejects or records, becomes a message, acknowledged by all replicas.

Options:
  --brokers LIST      The brokers to begin with, host:port,host:port.
  --topic T           The topic.
  --partitions LIST   Only these of its partitions, as 0,1,4-7.
  --resume STORE      Begin where the batches of STORE end; where it has none
                      of a partition, or is not there, by --from.
  --from WHERE        Begin at the beginning or the end [default: beginning].
  --max-records N     End the batch after N messages [default: 100000].
  --max-seconds N     End it after N seconds [default: 60].
  --until-end         End it where the partitions end when it begins.
  --on-gap WHAT       Offsets that the brokers removed before they were read:
                      stop, or skip them and say so in the end record
                      [default: stop].
  --group NAME        Tell the brokers, as the position of this group, how far
                      STORE has got, for tools that show how a group lags.
  --ids WHAT          Where the document id of a bare ping is: key, or the
                      ping itself, as where the key is none [default: key].
  --make-ids          Give a bare ping without an id one made from its content.
  --date DATE         The submission date of all, as 20130903 or 2013-09-03.
  --timeout SECONDS   How long the brokers may be silent [default: 30].
  --produce           Send lines to the topic.
  -X SETTING          A setting of librdkafka, name=value, as for TLS and SASL;
                      for brokers before 0.10 api.version.request=false and
                      broker.version.fallback=0.9.0.1; to send to some before
                      0.11, enable.idempotence=false too.
  <reject options>
  <common options>

Examples:
  tel-kafka --brokers kafka1:9092 --topic pings --until-end --resume store | tel-resolve | tel-persist --store store
  tel-kafka --produce --brokers kafka1:9092 --topic bad-pings rejects.ndjson
  tel-kafka --brokers kafka1:9092 -X client.id=trial --topic pings --partitions 0 --until-end > records.ndjson
"""

from tel import cli


def work(run):
    """Write one batch of records, or send what there is."""
    from tel import kafka

    options = run.options
    configuration = kafka.settings(options["--brokers"], options["-X"])
    if options["--produce"]:
        produce(run, configuration)
    else:
        consume(run, configuration)


def consume(run, configuration):
    """Write one batch, and tell what is left."""
    from tel import consume as consuming

    options, seconds = run.options, run.options.seconds
    skip = options.one_of("--on-gap", ("stop", "skip")) == "skip"
    key = options.one_of("--ids", ("key", "ping")) == "key"
    beginning = options.one_of("--from", ("beginning", "end")) == "beginning"
    date = options.date("--date") if options["--date"] else None
    wanted = consuming.partitions_of(options["--partitions"])
    bounds = consuming.Bounds(options.number("--max-records"), seconds("--max-seconds"), options["--until-end"])
    has = consuming.stored(options["--resume"])
    topic = consuming.Topic(
        {"group.id": options["--group"] or consuming.GROUP, **configuration},
        options["--topic"],
        wanted,
        seconds("--timeout"),
    )
    if options["--group"]:
        topic.inform(has)
    batch = consuming.Batch(topic, consuming.starts(topic, has, beginning), bounds, skip)
    run.stats.inputs.append(batch)
    form = consuming.Form(key, date, options["--make-ids"], run.max_line)
    records = run.watched(consuming.records(batch, run.rejects, run.stats, form))
    run.write((record.line() for record in records), more=lambda: batch.ended(run.stats))


def produce(run, configuration):
    """Send all lines, and wait until they have been taken."""
    from tel import produce as producing

    producer = producing.Producer(configuration, run.options["--topic"], run.options.seconds("--timeout"))
    for _, line in run.all_lines():
        producer.send(*producing.keyed(line))
    producer.close()
    run.stats.written = producer.sent


def main():
    """The console script."""
    return cli.main(__doc__, work)
