"""How a worker ends: on request, by a crash, or fenced by another one with its name."""

import itertools
import time

import orjson

from service.embedded.broker import Broker
from service.embedded.redis import EmbeddedRedis
from service.kafka.options import consumer_options, librdkafka_logger, producer_options
from service.kafka.sink import KafkaSink
from service.kafka.source import BatchLimits, KafkaSource
from service.settings import Settings
from service.wiring.decoding import source_topics
from service.wiring.stores import object_store
from service.wiring.tools import fail_fast
from service.wiring.worker import batch_processor
from tests.integration.conftest import DeploymentFactory
from tests.integration.deployment import undisturbed_light_curves
from tests.support.kafka import patiently
from tests.support.service import light_curves, record_of, without_timestamps
from tests.support.streams import simulated_packets

PACKETS = simulated_packets()
# Hundreds of transactions: long enough for a test to intervene.
SMALL = 2


def by_partition(index: int) -> int:
    return index * 7 % 4


def test_worker_stopped_in_mid_stream_stops_promptly_and_loses_nothing(
    broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    deployment = deploy(broker, redis_url, batch_size=SMALL)
    deployment.send(PACKETS, by_partition)
    first = deployment.start_worker()
    deployment.wait_until_committed(20)

    assert first.stop() == 0  # otherwise it was killed
    assert deployment.committed() < len(PACKETS)  # it was in fact in mid-stream
    deployment.start_worker()
    deployment.wait_until_done()

    assert len(deployment.answers()) == len(PACKETS) == len(deployment.results())
    reference_url = redis_url.removesuffix("/0") + "/1"
    assert light_curves(redis_url) == undisturbed_light_curves(deployment.settings, reference_url, PACKETS)


def test_worker_stops_while_redis_is_down(
    embedded_broker: Broker, own_redis: EmbeddedRedis, deploy: DeploymentFactory
) -> None:
    deployment = deploy(embedded_broker, own_redis.url)
    worker = deployment.start_worker()
    deployment.wait_until_logged(worker, "ready")
    own_redis.kill()
    deployment.send(PACKETS[:10], by_partition)
    deployment.wait_until_logged(worker, "waiting")

    assert worker.stop() == 0


def test_worker_stops_while_the_broker_is_down(
    rough_broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    deployment = deploy(rough_broker, redis_url, batch_size=SMALL)
    deployment.send(PACKETS, by_partition)
    worker = deployment.start_worker()
    deployment.wait_until_committed(20)

    rough_broker.pause()
    deployment.wait_until_logged(worker, "waiting")

    assert worker.stop() == 0
    rough_broker.resume()


def test_results_stored_before_a_crash_are_published_byte_for_byte(
    broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    deployment = deploy(broker, redis_url)
    deployment.send(PACKETS, by_partition)
    made = crash_before_commit(deployment.settings.model_copy(update={"worker_id": "worker"}))
    assert deployment.committed() == 0
    before = light_curves(redis_url)

    deployment.start_worker("worker")
    deployment.wait_until_done()

    assert len(deployment.answers()) == len(PACKETS)
    repeated = [record for record in deployment.results() if without_timestamps(record.value) in made]
    assert {without_timestamps(record.value) for record in repeated} == set(made)
    for record in repeated:
        assert record_of(record)["timestamps"]["classified"] == made[without_timestamps(record.value)]
    reference_url = redis_url.removesuffix("/0") + "/1"
    assert light_curves(redis_url) == undisturbed_light_curves(deployment.settings, reference_url, PACKETS)
    assert before.keys() <= light_curves(redis_url).keys()


def crash_before_commit(settings: Settings) -> dict[bytes, int]:
    """Do what a worker does up to the commit, then neither commit nor abort.

    Returns
    -------
    dict
        Each result, without its timestamps, to the time of its classification.
    """
    logger, topics = librdkafka_logger(settings), source_topics(settings)
    limits = BatchLimits(settings.batch_size, settings.fetch_max_bytes, settings.batch_wait)
    source = KafkaSource(consumer_options(settings), topics.subscription, limits, logger)
    sink = KafkaSink(producer_options(settings), settings.transaction_timeout / 2, logger)
    processor = batch_processor(settings, object_store(settings))
    processor.prepare()
    patiently(sink.connect)  # the broker may not be ready for transactions at once
    source.open()
    while not (messages := patiently(source.poll)):
        pass
    result = processor.process(messages)
    sink.begin()
    sink.produce(result.outgoing)
    sink.send_offsets(source.positions(), fail_fast)
    source.close()
    values = [message.value or b"" for message in result.outgoing]
    return {without_timestamps(value): orjson.loads(value)["timestamps"]["classified"] for value in values}


def test_worker_killed_repeatedly_in_mid_stream_loses_and_repeats_nothing(
    best_broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    deployment = deploy(best_broker, redis_url, batch_size=SMALL)
    deployment.send(PACKETS, by_partition)

    for goal in (20, 80):
        worker = deployment.start_worker("worker")
        deployment.wait_until_committed(goal)
        worker.kill()
    deployment.start_worker("worker")
    deployment.wait_until_done()

    assert len(deployment.answers()) == len(PACKETS)
    reference_url = redis_url.removesuffix("/0") + "/1"
    assert light_curves(redis_url) == undisturbed_light_curves(deployment.settings, reference_url, PACKETS)


# The embedded broker's group may wait forever for a leader that left while the group was forming.
def test_one_of_two_workers_with_the_same_name_exits_with_the_reason(
    apache_kafka: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    deployment = deploy(apache_kafka, redis_url, batch_size=SMALL)
    twins = [deployment.start_worker("twin"), deployment.start_worker("twin")]

    begin, deadline = itertools.count(0, 8), time.monotonic() + 60
    while all(twin.running for twin in twins):
        assert time.monotonic() < deadline, "\n".join(twin.output() for twin in twins)
        at = next(begin) % len(PACKETS)
        deployment.send(PACKETS[at : at + 8], by_partition)
        time.sleep(0.1)
    (loser,) = [twin for twin in twins if not twin.running]
    (winner,) = [twin for twin in twins if twin.running]
    assert loser.exit_code == 3
    assert "fenced" in loser.output().lower() or "epoch" in loser.output().lower(), loser.output()
    deployment.wait_until_done()
    assert len(deployment.answers()) == deployment.sent.total()
    assert winner.stop() == 0
