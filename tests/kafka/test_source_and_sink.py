"""Batches from and to real brokers: committed results are visible once, aborted ones are not."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from service.core.ports.messages import OutgoingMessage, SourceMessage
from service.embedded.broker import Broker, create_topics
from service.errors import BrokerUnavailableError, FatalError, FencedError, SettingsError, TransientError
from service.kafka.errors import translate
from service.kafka.options import (
    RESERVED,
    common_options,
    consumer_options,
    librdkafka_logger,
    producer_options,
)
from service.kafka.sink import KafkaSink
from service.kafka.source import BatchLimits, KafkaSource
from service.kafka.topic_admin import TopicAdmin, TopicPlan
from service.settings import Settings
from service.wiring.tools import fail_fast
from tests.conftest import SettingsFactory, TopicFactory
from tests.support.kafka import group_lag, patiently, produce, read_topic, wait_until

LIMITS = BatchLimits(messages=100, size_bytes=2**20, wait=timedelta(milliseconds=200))
TIMEOUT = timedelta(seconds=15)

SourceMaker = Callable[..., KafkaSource]


@pytest.fixture
def make_source() -> Iterator[SourceMaker]:
    """Yield a factory of open sources; they are closed at the end."""
    made: list[KafkaSource] = []

    def make(settings: Settings, topics: Sequence[str], limits: BatchLimits = LIMITS) -> KafkaSource:
        source = KafkaSource(consumer_options(settings), topics, limits, librdkafka_logger(settings))
        source.open()
        made.append(source)
        return source

    yield make
    for source in made:
        source.close()


def connected_sink(settings: Settings) -> KafkaSink:
    sink = KafkaSink(producer_options(settings), TIMEOUT, librdkafka_logger(settings))
    patiently(sink.connect)
    return sink


def back_to_last_commit(sink: KafkaSink, source: KafkaSource) -> bool:
    patiently(sink.reset)
    return patiently(source.rewind)


def next_batch(source: KafkaSource, timeout_s: float = 40.0) -> Sequence[SourceMessage]:
    deadline = time.monotonic() + timeout_s
    while not (batch := patiently(source.poll)):
        assert time.monotonic() < deadline, "no messages arrived"
    return batch


def collect(source: KafkaSource, count: int) -> list[SourceMessage]:
    """Read batches, committing nothing, until `count` messages have arrived."""
    messages: list[SourceMessage] = []
    while len(messages) < count:
        messages += next_batch(source)
    return messages


def answer(sink: KafkaSink, source: KafkaSource, settings: Settings, batch: Sequence[SourceMessage]) -> None:
    """Answer a batch in a transaction, without committing it."""
    sink.begin()
    sink.produce(answers(settings, batch))
    sink.send_offsets(source.positions(), fail_fast)


def answers(settings: Settings, batch: Sequence[SourceMessage]) -> list[OutgoingMessage]:
    return [
        OutgoingMessage(settings.output_topic, m.key, m.value, [("source", m.source.encode())]) for m in batch
    ]


def values(messages: Sequence[SourceMessage]) -> list[bytes]:
    return sorted(message.value or b"" for message in messages)


NUMBERS = [b"%03d" % number for number in range(60)]


def test_committed_batch_is_answered_once_and_not_read_again(
    broker: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory, make_source: SourceMaker
) -> None:
    topic, settings = unique_topic(broker, partitions=3), settings_factory(broker)
    produce(broker.bootstrap_servers, topic, NUMBERS, keys=NUMBERS, partition=lambda index: index % 3)
    source, sink = make_source(settings, [topic]), connected_sink(settings)

    answered = 0
    while answered < len(NUMBERS):
        batch = next_batch(source)
        answer(sink, source, settings, batch)
        sink.commit(fail_fast)
        source.mark_committed()
        answered += len(batch)

    records = read_topic(broker.bootstrap_servers, settings.output_topic)
    assert sorted(record.value for record in records) == NUMBERS
    assert all(record.key == record.value for record in records)
    sources = {record.headers["source"] for record in records}
    assert sources == {f"{topic}:{n % 3}:{n // 3}".encode() for n in range(60)}
    assert group_lag(broker.bootstrap_servers, settings.group_id, topic) == 0
    assert not source.poll()
    assert source.lag() == {(topic, partition): 0 for partition in range(3)}


def test_aborted_batch_is_hidden_and_read_again(
    broker: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory, make_source: SourceMaker
) -> None:
    topic, settings = unique_topic(broker, partitions=2), settings_factory(broker)
    produce(broker.bootstrap_servers, topic, NUMBERS[:20], partition=lambda index: index % 2)
    source, sink = make_source(settings, [topic]), connected_sink(settings)
    first = collect(source, 20)
    answer(sink, source, settings, first)

    back_to_last_commit(sink, source)

    assert values(collect(source, 20)) == NUMBERS[:20]
    assert group_lag(broker.bootstrap_servers, settings.group_id, topic) == 20
    if broker.hides_aborted:
        assert read_topic(broker.bootstrap_servers, settings.output_topic) == []


def test_messages_keep_their_key_timestamp_and_empty_value(
    broker: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory, make_source: SourceMaker
) -> None:
    topic, settings = unique_topic(broker), settings_factory(broker)
    produce(broker.bootstrap_servers, topic, [b"", b"\x00\xff"], keys=[None, b"key"])
    source = make_source(settings, [topic])

    empty, binary = collect(source, 2)

    assert (empty.key, empty.value or b"") == (None, b"")
    assert (binary.key, binary.value, binary.offset) == (b"key", b"\x00\xff", 1)
    assert abs(binary.timestamp_ms / 1000 - time.time()) < 60


def test_batches_are_limited_in_messages_and_bytes(
    broker: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory, make_source: SourceMaker
) -> None:
    topic, settings = unique_topic(broker), settings_factory(broker)
    produce(broker.bootstrap_servers, topic, [bytes(10_000)] * 200)
    wait = timedelta(seconds=1)

    few = make_source(settings, [topic], BatchLimits(7, 2**30, wait))
    assert {len(next_batch(few)) for _ in range(5)} == {7}

    other = settings.model_copy(update={"group_id": settings.group_id + "-2"})
    small = make_source(other, [topic], BatchLimits(10_000, 100_000, wait))
    # The limit is looked at between chunks of 50 messages.
    assert [len(next_batch(small)) for _ in range(4)] == [50, 50, 50, 50]


def test_missing_topic_is_tolerated_and_found_once_it_exists(
    broker: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory, make_source: SourceMaker
) -> None:
    name = unique_topic(broker, "night")
    settings = settings_factory(broker, kafka_options="topic.metadata.refresh.interval.ms=500")
    source = make_source(settings, [f"^{name}_[0-9]+", "no-such-topic"])
    tonight = f"{name}_20260407"
    assert not source.poll()

    produce(broker.bootstrap_servers, unique_topic(broker, "other"), [b"not asked for"])
    create_topics(broker.bootstrap_servers, {tonight: 1})
    produce(broker.bootstrap_servers, tonight, [b"first of the night"])

    assert [(m.topic, m.value) for m in collect(source, 1)] == [(tonight, b"first of the night")]


def test_revoked_partitions_are_left_out_of_the_batch(
    broker: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory, make_source: SourceMaker
) -> None:
    topic, settings = unique_topic(broker, partitions=2), settings_factory(broker)
    produce(broker.bootstrap_servers, topic, NUMBERS[:20], partition=lambda index: index % 2)
    first = make_source(settings, [topic])
    collect(first, 20)
    second = make_source(settings.model_copy(update={"worker_id": "other"}), [topic])

    seen_by_first: list[SourceMessage] = []
    seen_by_second: list[SourceMessage] = []

    def both_have_a_partition() -> bool:
        seen_by_first.extend(patiently(first.poll))
        seen_by_second.extend(patiently(second.poll))
        return len(first.lag()) == 1 and len(second.lag()) == 1 and len(seen_by_second) >= 10

    wait_until(both_have_a_partition, "a partition each")
    # Nothing was committed: each restarts its partition, and the first has dropped the other one.
    assert len({message.partition for message in seen_by_second[-10:]}) == 1
    patiently(first.rewind)
    again = {message.partition for message in patiently(first.poll)}
    assert again.isdisjoint({message.partition for message in seen_by_second[-10:]})


@pytest.fixture
def abandoned(
    apache_kafka: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory
) -> Iterator[tuple[KafkaSink, str, Producer]]:
    """Yield a sink with an abandoned transaction, its topic, and a producer with an open transaction.

    The open transaction stands for one whose end was not written to the log.
    """
    settings, topic = settings_factory(apache_kafka), unique_topic(apache_kafka, partitions=3)
    sink = connected_sink(settings)
    sink.begin()
    sink.produce(abandoned_messages(topic))
    sink._producer.flush(30)
    patiently(sink.reset)
    other_producer = Producer(producer_options(settings) | {"transactional.id": f"other-{topic}"})
    other_producer.init_transactions(30)
    other_producer.begin_transaction()
    yield sink, topic, other_producer
    other_producer.abort_transaction(30)
    sink.begin()
    sink.produce([OutgoingMessage(topic, b"next", b"next", [])])
    sink.commit(fail_fast)
    assert [record.value for record in read_topic(apache_kafka.bootstrap_servers, topic)] == [b"next"]


def abandoned_messages(topic: str) -> list[OutgoingMessage]:
    return [OutgoingMessage(topic, b"%d" % n, b"abandoned %d" % n, []) for n in range(9)]


def write(producer: Producer, messages: Sequence[OutgoingMessage]) -> None:
    for message in messages:
        producer.produce(message.topic, message.value, message.key)
    producer.flush(30)


def partitions_by_value(broker: Broker, topic: str) -> dict[bytes | None, list[int]]:
    """Map each value, of aborted records too, to the partition of each of its records."""
    found: dict[bytes | None, list[int]] = {}
    for record in read_topic(broker.bootstrap_servers, topic, isolation="read_uncommitted"):
        found.setdefault(record.value, []).append(record.partition)
    return found


def test_records_of_a_hanging_transaction_are_aborted_again(
    apache_kafka: Broker, abandoned: tuple[KafkaSink, str, Producer]
) -> None:
    sink, topic, other_producer = abandoned
    write(other_producer, abandoned_messages(topic)[:1])

    sink.abort_hanging(is_committed=False)
    sink.abort_hanging(is_committed=False)  # nothing is left to do

    partitions_of = partitions_by_value(apache_kafka, topic)
    first, *others = (len(partitions_of[message.value]) for message in abandoned_messages(topic))
    assert (first, set(others)) == (3, {2})
    # A record and its repetition are in the same partition: the same marker ends both.
    assert {len(set(partitions)) for partitions in partitions_of.values()} == {1}


@pytest.mark.parametrize("is_committed", [False, True])
def test_hanging_records_of_a_committed_transaction_are_not_aborted(
    apache_kafka: Broker, abandoned: tuple[KafkaSink, str, Producer], is_committed: bool
) -> None:
    sink, topic, other_producer = abandoned
    earlier = [OutgoingMessage(topic, b"0", b"earlier", [])]
    write(other_producer, abandoned_messages(topic) if is_committed else earlier)

    sink.abort_hanging(is_committed=is_committed)
    sink.abort_hanging(is_committed=False)  # nothing is left to do

    partitions_of = partitions_by_value(apache_kafka, topic)
    assert {len(partitions_of[message.value]) for message in abandoned_messages(topic)} == {
        2 if is_committed else 1
    }


def test_second_producer_with_a_name_fences_the_first(
    broker: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory, make_source: SourceMaker
) -> None:
    topic, settings = unique_topic(broker), settings_factory(broker)
    produce(broker.bootstrap_servers, topic, [b"x"])
    source, zombie = make_source(settings, [topic]), connected_sink(settings)
    batch = next_batch(source)
    zombie.begin()
    zombie.produce(answers(settings, batch))
    # Otherwise it may be fenced in the middle of the next call, which librdkafka then reports as an error.
    zombie._producer.flush(30)

    connected_sink(settings)

    with pytest.raises(FencedError):
        _commit(zombie, source)
    if broker.hides_aborted:
        assert read_topic(broker.bootstrap_servers, settings.output_topic) == []
    assert group_lag(broker.bootstrap_servers, settings.group_id, topic) == 1


def _commit(sink: KafkaSink, source: KafkaSource) -> None:
    sink.send_offsets(source.positions(), fail_fast)
    sink.commit(fail_fast)


def test_commit_succeeds_after_a_broker_pause(
    rough_broker: Broker,
    settings_factory: SettingsFactory,
    unique_topic: TopicFactory,
    make_source: SourceMaker,
) -> None:
    settings, topic = settings_factory(rough_broker), unique_topic(rough_broker)
    produce(rough_broker.bootstrap_servers, topic, NUMBERS)
    source, sink = make_source(settings, [topic]), connected_sink(settings)
    batch = collect(source, len(NUMBERS))
    answer(sink, source, settings, batch)
    waits: list[str] = []

    def resume_after_two(error: TransientError) -> None:
        waits.append(str(error))
        if len(waits) == 2:
            rough_broker.resume()

    rough_broker.pause()
    sink.commit(resume_after_two)

    assert len(waits) >= 2
    assert "commit" in waits[0]
    records = read_topic(rough_broker.bootstrap_servers, settings.output_topic)
    assert sorted(record.value for record in records) == NUMBERS


def test_commit_with_unknown_outcome_is_resolved_by_a_new_producer(
    rough_broker: Broker,
    settings_factory: SettingsFactory,
    unique_topic: TopicFactory,
    make_source: SourceMaker,
) -> None:
    settings, topic = settings_factory(rough_broker), unique_topic(rough_broker)
    produce(rough_broker.bootstrap_servers, topic, NUMBERS)
    source, sink = make_source(settings, [topic]), connected_sink(settings)
    batch = collect(source, len(NUMBERS))
    answer(sink, source, settings, batch)
    rough_broker.pause()
    with pytest.raises(BrokerUnavailableError):
        sink.commit(fail_fast)
    rough_broker.resume()

    was_committed = back_to_last_commit(sink, source)

    lag = group_lag(rough_broker.bootstrap_servers, settings.group_id, topic)
    assert lag == (0 if was_committed else len(NUMBERS))
    if rough_broker.hides_aborted:
        answered = read_topic(rough_broker.bootstrap_servers, settings.output_topic)
        assert len(answered) == len(NUMBERS) - lag
    assert len(collect(source, lag)) == lag
    assert not source.poll()


def test_rewind_detects_a_commit_whose_answer_was_lost(
    broker: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory, make_source: SourceMaker
) -> None:
    topic, settings = unique_topic(broker, partitions=2), settings_factory(broker)
    produce(broker.bootstrap_servers, topic, NUMBERS, partition=lambda index: index % 2)
    source, sink = make_source(settings, [topic]), connected_sink(settings)
    batch = next_batch(source)
    answer(sink, source, settings, batch)
    sink.commit(fail_fast)

    assert patiently(source.rewind) is True  # the source was not informed of the commit
    assert patiently(source.rewind) is False
    rest = collect(source, len(NUMBERS) - len(batch))
    assert sorted(values(batch) + values(rest)) == NUMBERS


def test_idle_source_notices_that_the_broker_is_down_and_up_again(
    rough_broker: Broker,
    settings_factory: SettingsFactory,
    unique_topic: TopicFactory,
    make_source: SourceMaker,
) -> None:
    settings, topic = settings_factory(rough_broker), unique_topic(rough_broker)
    produce(rough_broker.bootstrap_servers, topic, [b"x"])
    source = make_source(settings, [topic])
    collect(source, 1)
    source.mark_committed()

    rough_broker.kill()
    with pytest.raises(BrokerUnavailableError, match=rough_broker.bootstrap_servers):
        _poll_forever(source)

    rough_broker.start()
    wait_until(lambda: _polls_without_error(source), "the broker to answer")


def _poll_forever(source: KafkaSource) -> None:
    while True:
        source.poll()


def _polls_without_error(source: KafkaSource) -> bool:
    try:
        source.poll()
    except BrokerUnavailableError:
        return False
    return True


def test_source_with_a_new_client_continues_at_the_committed_offsets(
    broker: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory, make_source: SourceMaker
) -> None:
    topic, settings = unique_topic(broker, partitions=2), settings_factory(broker)
    produce(broker.bootstrap_servers, topic, NUMBERS, partition=lambda index: index % 2)
    source, sink = (
        make_source(settings, [topic], BatchLimits(20, 2**20, LIMITS.wait)),
        connected_sink(settings),
    )
    answered = next_batch(source)
    sink.begin()
    _commit(sink, source)
    source.mark_committed()
    next_batch(source)

    source._replace_consumer(source._new_consumer())
    assert patiently(source.rewind) is False
    rest = collect(source, len(NUMBERS) - len(answered))
    assert values([*answered, *rest]) == NUMBERS
    assert not source.poll()


def test_source_without_a_broker_reports_the_address(
    settings_factory: SettingsFactory, make_source: SourceMaker
) -> None:
    settings = settings_factory()

    source = make_source(settings, ["topic"])

    with pytest.raises(BrokerUnavailableError, match=settings.bootstrap_servers):
        source.check()


def test_message_that_a_topic_never_accepts_is_a_fatal_error(
    apache_kafka: Broker, settings_factory: SettingsFactory
) -> None:
    settings = settings_factory(apache_kafka)
    small = TopicPlan("small", 1, {"max.message.bytes": "1000"})
    TopicAdmin(common_options(settings)).ensure([small], replication=1)
    sink = connected_sink(settings)
    sink.begin()
    sink.produce([OutgoingMessage("small", None, os.urandom(10_240), [])])

    with pytest.raises(
        FatalError, match=r"small does not accept a message of 10240 bytes: raise its max.message.bytes"
    ):
        sink.commit(fail_fast)


def test_user_options_are_used_and_escaped_commas_kept(settings_factory: SettingsFactory) -> None:
    text = r"security.protocol=SASL_SSL, sasl.password=a\,b=c,,client.rack=r1"
    options = common_options(settings_factory(kafka_options=text))

    assert (options["security.protocol"], options["sasl.password"]) == ("SASL_SSL", "a,b=c")
    assert options["client.rack"] == "r1"


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_options_that_the_guarantees_depend_on_cannot_be_set(
    settings_factory: SettingsFactory, name: str
) -> None:
    with pytest.raises(SettingsError, match=name):
        consumer_options(settings_factory(kafka_options=f"{name}=whatever"))


def test_invalid_options_are_rejected_without_being_shown(settings_factory: SettingsFactory) -> None:
    with pytest.raises(SettingsError) as caught:
        common_options(settings_factory(kafka_options="hunter2"))

    assert "hunter2" not in str(caught.value)


def test_unknown_option_is_a_settings_error(settings_factory: SettingsFactory) -> None:
    settings, logger = settings_factory(kafka_options="no.such.option=1"), logging.getLogger("test")

    with pytest.raises(SettingsError, match=r"no\.such\.option"):
        KafkaSource(consumer_options(settings), ["topic"], LIMITS, logger)
    with pytest.raises(SettingsError, match=r"no\.such\.option"):
        KafkaSink(producer_options(settings), TIMEOUT, logger)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, FatalError),
        (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, FatalError),
        (KafkaError._INVALID_ARG, FatalError),
        (KafkaError._FENCED, FencedError),
        (KafkaError.PRODUCER_FENCED, FencedError),
        (KafkaError.INVALID_PRODUCER_EPOCH, FencedError),
        (KafkaError._TIMED_OUT, BrokerUnavailableError),
        (KafkaError._ALL_BROKERS_DOWN, BrokerUnavailableError),
        (KafkaError.ILLEGAL_GENERATION, BrokerUnavailableError),
        (KafkaError.UNKNOWN_MEMBER_ID, BrokerUnavailableError),
        (KafkaError.NOT_COORDINATOR, BrokerUnavailableError),
    ],
)
def test_errors_are_translated_by_how_the_worker_handles_them(code: int, kind: type[Exception]) -> None:
    for error in (KafkaError(code), KafkaException(KafkaError(code))):
        translated = translate(error, "commit a transaction")
        assert type(translated) is kind
        assert "commit a transaction" in str(translated)


def test_error_that_is_fatal_to_librdkafka_fences_the_producer() -> None:
    assert type(translate(KafkaError(KafkaError.INVALID_TXN_STATE, fatal=True), "abort")) is FencedError
