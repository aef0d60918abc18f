"""The worker, and the worker that applies stored filters."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from threading import Event

from service.core.abstention import AbstentionPolicy
from service.core.alerts import Survey
from service.core.models.bundle import Bundle
from service.core.ports.store import ObjectStore
from service.kafka.options import (
    common_options,
    consumer_options,
    librdkafka_logger,
    producer_options,
)
from service.kafka.sink import KafkaSink
from service.kafka.source import BatchLimits, KafkaSource
from service.kafka.topic_admin import BROKERS_DEFAULT, TopicAdmin, TopicPlan
from service.settings import Settings
from service.wiring.decoding import decoder, source_topics
from service.wiring.models import load_bundles, load_shadow_bundles
from service.wiring.stores import object_store
from service.worker.batch import BatchProcessor
from service.worker.clock import Clock, SystemClock
from service.worker.filters import FilterProcessor
from service.worker.loop import Worker
from service.worker.metrics import ModelLabels, WorkerMetrics
from service.worker.models import WorkerModels
from service.worker.publish import Destinations, Publisher
from service.worker.shadow import ShadowClassifier
from service.worker.trace import NO_TRACE, Tracer
from service.worker.update import ObjectUpdater

__all__ = ["batch_processor", "filter_worker_factory", "worker_factory"]


def batch_processor(
    settings: Settings,
    objects: ObjectStore,
    bundles: Mapping[Survey, Bundle] | None = None,
    tracer: Tracer = NO_TRACE,
) -> BatchProcessor:
    """Make what processes batches.

    Parameters
    ----------
    settings
        All settings.
    objects
        The store of objects.
    bundles
        The surveys' models; None to load those that the settings name.
    tracer
        Times the steps of a batch.
    """
    topics = source_topics(settings)
    models = WorkerModels(load_bundles(settings) if bundles is None else bundles, objects)
    clock = SystemClock()
    by_survey = {Survey.ZTF: settings.ztf_min_real_bogus, Survey.LSST: settings.lsst_min_real_bogus}
    policy = AbstentionPolicy(
        settings.min_real_bogus,
        settings.max_star_score,
        {survey: score for survey, score in by_survey.items() if score is not None},
    )
    destinations = Destinations(
        output=settings.output_topic,
        rejected=settings.rejected_topic,
        desc=settings.desc_topic,
        output_format=settings.output_format,
        service_version=version("nightjar"),
    )
    shadow_publisher = Publisher(replace(destinations, output=settings.shadow_topic), topics)
    return BatchProcessor(
        topics,
        decoder(settings),
        objects,
        models,
        ObjectUpdater(models.classifiers, policy, settings.history_length),
        Publisher(destinations, topics),
        clock,
        _shadow_classifier(settings, policy, shadow_publisher, objects, clock),
        tracer,
    )


def worker_factory(settings: Settings, metrics: WorkerMetrics, stop: Event) -> Callable[[], Worker]:
    """Load everything a worker needs, once; each call then gives a worker with new Kafka clients.

    Raises
    ------
    FatalError
        A setting, model or schema cannot be used.
    """
    bundles = load_bundles(settings)
    metrics.set_models(ModelLabels(survey, bundle.name, bundle.version) for survey, bundle in bundles.items())
    tracer = _tracer(settings)
    process = batch_processor(settings, object_store(settings), bundles, tracer)
    limits = BatchLimits(settings.batch_size, settings.fetch_max_bytes, settings.batch_wait)
    subscription = source_topics(settings).subscription
    logger = librdkafka_logger(settings)

    def make() -> Worker:
        sink = KafkaSink(producer_options(settings), settings.transaction_timeout / 2, logger)
        source = KafkaSource(consumer_options(settings), subscription, limits, logger)
        return Worker(source, sink, process, metrics, stop, tracer)

    return make


def filter_worker_factory(settings: Settings, metrics: WorkerMetrics, stop: Event) -> Callable[[], Worker]:
    """Make what a worker of the named filters needs; each call then gives one with new Kafka clients.

    Raises
    ------
    FatalError
        A setting cannot be used.
    """
    filter_settings = settings.model_copy(update={"group_id": f"{settings.group_id}-filter"})
    limits = BatchLimits(
        filter_settings.batch_size, filter_settings.fetch_max_bytes, filter_settings.batch_wait
    )
    admin = TopicAdmin(common_options(filter_settings))
    process = FilterProcessor(
        object_store(filter_settings),
        lambda topic: _make_like(admin, topic, like=filter_settings.output_topic),
    )
    logger = librdkafka_logger(filter_settings)

    def make() -> Worker:
        sink = KafkaSink(producer_options(filter_settings), filter_settings.transaction_timeout / 2, logger)
        source = KafkaSource(
            consumer_options(filter_settings), (filter_settings.output_topic,), limits, logger
        )
        return Worker(source, sink, process, metrics, stop)

    return make


def _shadow_classifier(
    settings: Settings, policy: AbstentionPolicy, publisher: Publisher, objects: ObjectStore, clock: Clock
) -> ShadowClassifier | None:
    bundles = load_shadow_bundles(settings)
    if not bundles:
        return None
    return ShadowClassifier(bundles, policy, publisher, objects, settings.history_length, clock)


def _tracer(settings: Settings) -> Tracer:
    if not settings.otlp_endpoint:
        return NO_TRACE
    # Loaded where it is asked for: most installations do without it.
    from service.tracing import otlp_tracer

    return otlp_tracer(settings.otlp_endpoint, settings.worker_name)


def _make_like(admin: TopicAdmin, topic: str, *, like: str) -> None:
    """Make a topic with as many partitions as another; the rest is as the broker makes topics."""
    partitions = admin.partitions().get(like, 1)
    admin.ensure([TopicPlan(topic, partitions, {})], replication=BROKERS_DEFAULT)
