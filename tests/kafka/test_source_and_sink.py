"""Batches from and to real brokers: what is committed is seen once, what is aborted is not."""

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
from service.tools.transactions import abort_and_close
from tests.conftest import SettingsFactory, TopicFactory
from tests.support.kafka import group_lag, patiently, produce, read_topic, wait_until

LIMITS = BatchLimits(messages=100, size_bytes=2**20, wait=timedelta(milliseconds=200))
PATIENCE = timedelta(seconds=15)

SourceMaker = Callable[..., KafkaSource]


@pytest.fixture
def make_source() -> Iterator[SourceMaker]:
    """Make sources, opened, and close them in the end."""
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
    sink = KafkaSink(producer_options(settings), PATIENCE, librdkafka_logger(settings))
    patiently(sink.connect)
    return sink


def back_to_last_commit(sink: KafkaSink, source: KafkaSource) -> bool:
    patiently(sink.reset)
    return patiently(source.rewind)


def next_batch(source: KafkaSource, timeout_s: float = 40.0) -> Sequence[SourceMessage]:
    deadline = time.monotonic() + timeout_s
    while not (batch := patiently(source.poll)):
        assert time.monotonic() < deadline, "nothing came"
    return batch


def collect(source: KafkaSource, count: int) -> list[SourceMessage]:
    """Read batches, committing nothing, until so many messages came."""
    messages: list[SourceMessage] = []
    while len(messages) < count:
        messages += next_batch(source)
    return messages


def answer(sink: KafkaSink, source: KafkaSource, settings: Settings, batch: Sequence[SourceMessage]) -> None:
    """Answer a batch in a transaction that is still to be committed."""
    sink.begin()
    sink.produce(answers(settings, batch))
    sink.send_offsets(source.positions(), abort_and_close)


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
        sink.commit(abort_and_close)
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


def test_aborted_batch_is_not_seen_and_comes_again(
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


def test_messages_keep_their_key_time_and_emptiness(
    broker: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory, make_source: SourceMaker
) -> None:
    topic, settings = unique_topic(broker), settings_factory(broker)
    produce(broker.bootstrap_servers, topic, [b"", b"\x00\xff"], keys=[None, b"key"])
    source = make_source(settings, [topic])

    empty, binary = collect(source, 2)

    assert (empty.key, empty.value or b"") == (None, b"")
    assert (binary.key, binary.value, binary.offset) == (b"key", b"\x00\xff", 1)
    assert abs(binary.timestamp_ms / 1000 - time.time()) < 60


def test_batches_are_bounded_in_messages_and_in_bytes(
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


def test_topic_that_does_not_exist_yet_is_tolerated_and_found_when_it_does(
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


def test_partitions_given_to_another_are_left_out_of_the_batch(
    broker: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory, make_source: SourceMaker
) -> None:
    topic, settings = unique_topic(broker, partitions=2), settings_factory(broker)
    produce(broker.bootstrap_servers, topic, NUMBERS[:20], partition=lambda index: index % 2)
    one = make_source(settings, [topic])
    collect(one, 20)
    other = make_source(settings.model_copy(update={"worker_id": "other"}), [topic])

    seen_by_one: list[SourceMessage] = []
    seen_by_other: list[SourceMessage] = []

    def both_have_their_part() -> bool:
        seen_by_one.extend(patiently(one.poll))
        seen_by_other.extend(patiently(other.poll))
        return len(one.lag()) == 1 and len(other.lag()) == 1 and len(seen_by_other) >= 10

    wait_until(both_have_their_part, "a partition each")
    # Nothing was committed: each begins its partition anew, and `one` holds no claim on the other's.
    assert len({message.partition for message in seen_by_other[-10:]}) == 1
    patiently(one.rewind)
    again = {message.partition for message in patiently(one.poll)}
    assert again.isdisjoint({message.partition for message in seen_by_other[-10:]})


@pytest.fixture
def forgetful(
    apache_kafka: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory
) -> Iterator[tuple[KafkaSink, str, Producer]]:
    """Leave a transaction behind; a producer whose own can stand for one whose end was not written."""
    settings, topic = settings_factory(apache_kafka), unique_topic(apache_kafka, partitions=3)
    sink = connected_sink(settings)
    sink.begin()
    sink.produce(left_behind(topic))
    sink._producer.flush(30)
    patiently(sink.reset)
    stranger = Producer(producer_options(settings) | {"transactional.id": f"stranger-{topic}"})
    stranger.init_transactions(30)
    stranger.begin_transaction()
    yield sink, topic, stranger
    stranger.abort_transaction(30)
    sink.begin()
    sink.produce([OutgoingMessage(topic, b"next", b"next", [])])
    sink.commit(abort_and_close)
    assert [record.value for record in read_topic(apache_kafka.bootstrap_servers, topic)] == [b"next"]


def left_behind(topic: str) -> list[OutgoingMessage]:
    return [OutgoingMessage(topic, b"%d" % n, b"left %d" % n, []) for n in range(9)]


def write(producer: Producer, messages: Sequence[OutgoingMessage]) -> None:
    for one in messages:
        producer.produce(one.topic, one.value, one.key)
    producer.flush(30)


def places_by_value(broker: Broker, topic: str) -> dict[bytes | None, list[int]]:
    """Map each record, aborted ones too, to the partitions it stands in, once for each time."""
    found: dict[bytes | None, list[int]] = {}
    for record in read_topic(broker.bootstrap_servers, topic, isolation="read_uncommitted"):
        found.setdefault(record.value, []).append(record.partition)
    return found


def test_records_left_behind_uncommitted_are_aborted_once_more(
    apache_kafka: Broker, forgetful: tuple[KafkaSink, str, Producer]
) -> None:
    sink, topic, stranger = forgetful
    write(stranger, left_behind(topic)[:1])

    sink.abort_hanging(is_committed=False)
    sink.abort_hanging(is_committed=False)  # there is nothing left to do

    places = places_by_value(apache_kafka, topic)
    first, *others = (len(places[one.value]) for one in left_behind(topic))
    assert (first, set(others)) == (3, {2})
    # Where a record is found again, so is its repetition: the same mark of an end closes both.
    assert {len(set(partitions)) for partitions in places.values()} == {1}


@pytest.mark.parametrize("is_committed", [False, True])
def test_nothing_is_aborted_once_more_where_only_what_was_committed_has_no_end(
    apache_kafka: Broker, forgetful: tuple[KafkaSink, str, Producer], is_committed: bool
) -> None:
    sink, topic, stranger = forgetful
    write(stranger, left_behind(topic) if is_committed else [OutgoingMessage(topic, b"0", b"earlier", [])])

    sink.abort_hanging(is_committed=is_committed)
    sink.abort_hanging(is_committed=False)  # there is nothing left to do

    places = places_by_value(apache_kafka, topic)
    assert {len(places[one.value]) for one in left_behind(topic)} == {2 if is_committed else 1}


def test_second_holder_of_a_name_shuts_out_the_first(
    broker: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory, make_source: SourceMaker
) -> None:
    topic, settings = unique_topic(broker), settings_factory(broker)
    produce(broker.bootstrap_servers, topic, [b"x"])
    source, zombie = make_source(settings, [topic]), connected_sink(settings)
    batch = next_batch(source)
    zombie.begin()
    zombie.produce(answers(settings, batch))
    # Else it may hear of the other in the midst of the next call, which librdkafka then calls erroneous.
    zombie._producer.flush(30)

    connected_sink(settings)

    with pytest.raises(FencedError):
        _commit(zombie, source)
    if broker.hides_aborted:
        assert read_topic(broker.bootstrap_servers, settings.output_topic) == []
    assert group_lag(broker.bootstrap_servers, settings.group_id, topic) == 1


def _commit(sink: KafkaSink, source: KafkaSource) -> None:
    sink.send_offsets(source.positions(), abort_and_close)
    sink.commit(abort_and_close)


def test_commit_outlives_a_broker_that_pauses(
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


def test_commit_of_unknown_outcome_is_settled_by_a_new_producer(
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
        sink.commit(abort_and_close)
    rough_broker.resume()

    was_committed = back_to_last_commit(sink, source)

    lag = group_lag(rough_broker.bootstrap_servers, settings.group_id, topic)
    assert lag == (0 if was_committed else len(NUMBERS))
    if rough_broker.hides_aborted:
        answered = read_topic(rough_broker.bootstrap_servers, settings.output_topic)
        assert len(answered) == len(NUMBERS) - lag
    assert len(collect(source, lag)) == lag
    assert not source.poll()


def test_rewind_knows_a_commit_whose_answer_was_lost(
    broker: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory, make_source: SourceMaker
) -> None:
    topic, settings = unique_topic(broker, partitions=2), settings_factory(broker)
    produce(broker.bootstrap_servers, topic, NUMBERS, partition=lambda index: index % 2)
    source, sink = make_source(settings, [topic]), connected_sink(settings)
    batch = next_batch(source)
    answer(sink, source, settings, batch)
    sink.commit(abort_and_close)

    assert patiently(source.rewind) is True  # we did not tell it of the commit
    assert patiently(source.rewind) is False
    rest = collect(source, len(NUMBERS) - len(batch))
    assert sorted(values(batch) + values(rest)) == NUMBERS


def test_idle_source_notices_that_the_broker_is_gone_and_that_it_is_back(
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
        _poll_for_ever(source)

    rough_broker.start()
    wait_until(lambda: _polls_without_complaint(source), "the broker to be back")


def _poll_for_ever(source: KafkaSource) -> None:
    while True:
        source.poll()


def _polls_without_complaint(source: KafkaSource) -> bool:
    try:
        source.poll()
    except BrokerUnavailableError:
        return False
    return True


def test_source_with_a_new_client_goes_on_where_the_group_stands(
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


def test_source_without_a_broker_says_which_address_does_not_answer(
    settings_factory: SettingsFactory, make_source: SourceMaker
) -> None:
    settings = settings_factory()

    source = make_source(settings, ["topic"])

    with pytest.raises(BrokerUnavailableError, match=settings.bootstrap_servers):
        source.check()


def test_message_that_a_topic_will_never_take_is_a_fatal_error(
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
        sink.commit(abort_and_close)


def test_user_options_are_taken_and_escaped_commas_kept(settings_factory: SettingsFactory) -> None:
    text = r"security.protocol=SASL_SSL, sasl.password=a\,b=c,,client.rack=r1"
    options = common_options(settings_factory(kafka_options=text))

    assert (options["security.protocol"], options["sasl.password"]) == ("SASL_SSL", "a,b=c")
    assert options["client.rack"] == "r1"


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_options_that_the_guarantees_rest_on_cannot_be_set(
    settings_factory: SettingsFactory, name: str
) -> None:
    with pytest.raises(SettingsError, match=name):
        consumer_options(settings_factory(kafka_options=f"{name}=whatever"))


def test_unreadable_options_are_refused_without_being_shown(settings_factory: SettingsFactory) -> None:
    with pytest.raises(SettingsError) as caught:
        common_options(settings_factory(kafka_options="hunter2"))

    assert "hunter2" not in str(caught.value)


def test_unknown_option_is_a_settings_error(settings_factory: SettingsFactory) -> None:
    settings, logger = settings_factory(kafka_options="no.such.option=1"), logging.getLogger("test")

    with pytest.raises(SettingsError, match=r"no\.such\.option"):
        KafkaSource(consumer_options(settings), ["topic"], LIMITS, logger)
    with pytest.raises(SettingsError, match=r"no\.such\.option"):
        KafkaSink(producer_options(settings), PATIENCE, logger)


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
def test_errors_become_what_the_worker_can_act_on(code: int, kind: type[Exception]) -> None:
    for error in (KafkaError(code), KafkaException(KafkaError(code))):
        translated = translate(error, "commit a transaction")
        assert type(translated) is kind
        assert "commit a transaction" in str(translated)


def test_error_that_librdkafka_calls_fatal_ends_the_producer() -> None:
    assert type(translate(KafkaError(KafkaError.INVALID_TXN_STATE, fatal=True), "abort")) is FencedError
