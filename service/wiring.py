"""From settings to working parts: the only place that builds adapters."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from threading import Event

from service.core.abstention import AbstentionPolicy
from service.core.alerts import Survey
from service.core.models.bundle import Bundle, load_bundle
from service.core.ports.store import ObjectStore
from service.decoding.decoder import Decoder
from service.decoding.wire.schemas import SchemaStore
from service.errors import SettingsError
from service.kafka.options import (
    common_options,
    consumer_options,
    librdkafka_logger,
    producer_options,
    worker_name,
)
from service.kafka.result_feed import OutputFeed
from service.kafka.schema_registry import SchemaRegistry
from service.kafka.sink import KafkaSink
from service.kafka.source import BatchLimits, KafkaSource
from service.kafka.topic_admin import BROKERS_DEFAULT, TopicAdmin, TopicPlan
from service.redis.connection import Access
from service.redis.store import RedisStore
from service.settings import Settings
from service.worker.batch import BatchProcessor
from service.worker.clock import SystemClock
from service.worker.filters import FilterProcessor
from service.worker.loop import Worker
from service.worker.metrics import ModelLabels, WorkerMetrics
from service.worker.models import ModelShelf
from service.worker.publish import Destinations, Publisher
from service.worker.shadow import Shadow
from service.worker.topics import SourceTopics
from service.worker.trace import NO_TRACE, Tracer
from service.worker.update import Advancer

__all__ = [
    "bundles_of",
    "decoder",
    "filter_factory",
    "output_feed",
    "processor",
    "shadows_of",
    "source_topics",
    "store",
    "worker_factory",
]


def store(settings: Settings) -> RedisStore:
    """Make the store of objects, without talking to it yet.

    Raises
    ------
    SettingsError
        The address cannot be used.
    """
    return RedisStore.connect(
        str(settings.redis_url),
        access=Access(
            settings.redis_username,
            settings.redis_password.get_secret_value(),
            settings.redis_ca_file,
            settings.redis_certificate_file,
            settings.redis_key_file,
        ),
        timeout=settings.redis_timeout,
        expiry=settings.object_expiry,
        replicas=settings.redis_replicas,
    )


def output_feed(settings: Settings) -> OutputFeed:
    """Make the reader of the topic of results; the broker need not be there.

    Raises
    ------
    SettingsError
        The options cannot be used.
    """
    feed = OutputFeed(common_options(settings), settings.output_topic)
    # Nobody reads with it before the first client comes, who is too late to hear of a wrong option.
    feed.check()
    return feed


def decoder(settings: Settings) -> Decoder:
    """Make the decoder of all surveys' alerts.

    Raises
    ------
    SettingsError
        The schema directory or the registry's address cannot be used.
    """
    url = settings.schema_registry_url
    schemas = SchemaStore(settings.schema_dir, SchemaRegistry(url) if url else None)
    return Decoder(schemas, settings.max_message_bytes)


def source_topics(settings: Settings) -> SourceTopics:
    """Read which topics belong to which survey.

    Raises
    ------
    SettingsError
        There are none, or they contradict each other.
    """
    by_survey = {
        Survey.ZTF: settings.ztf_topics,
        Survey.LSST: settings.lsst_topics,
        Survey.ELASTICC: settings.elasticc_topics,
    }
    written = [settings.output_topic, settings.rejected_topic, settings.shadow_topic, settings.desc_topic]
    return SourceTopics(by_survey, [topic for topic in written if topic])


def bundles_of(settings: Settings) -> dict[Survey, Bundle]:
    """Load the model of each survey that has one; an empty setting means none.

    Raises
    ------
    BundleError
        A bundle must not be loaded.
    """
    named = {
        Survey.ZTF: settings.ztf_model,
        Survey.LSST: settings.lsst_model,
        Survey.ELASTICC: settings.lsst_model,
    }
    return _loaded(named)


def shadows_of(settings: Settings) -> dict[Survey, Bundle]:
    """Load the model of each survey that has one to answer aside.

    Raises
    ------
    BundleError
        A bundle must not be loaded.
    SettingsError
        There is one, and no topic for its results.
    """
    named = {
        Survey.ZTF: settings.ztf_shadow_model,
        Survey.LSST: settings.lsst_shadow_model,
        Survey.ELASTICC: settings.lsst_shadow_model,
    }
    if any(named.values()) and not settings.shadow_topic:
        raise SettingsError("a shadow model needs a topic: set NIGHTJAR_SHADOW_TOPIC")
    return _loaded(named)


def _loaded(named: Mapping[Survey, str]) -> dict[Survey, Bundle]:
    loaded = {name: load_bundle(name) for name in set(named.values()) if name}
    return {survey: loaded[name] for survey, name in named.items() if name}


def processor(
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
    models = ModelShelf(bundles_of(settings) if bundles is None else bundles, objects)
    own = {Survey.ZTF: settings.ztf_min_real_bogus, Survey.LSST: settings.lsst_min_real_bogus}
    policy = AbstentionPolicy(
        settings.min_real_bogus,
        settings.max_star_score,
        {survey: score for survey, score in own.items() if score is not None},
    )
    destinations = Destinations(
        output=settings.output_topic,
        rejected=settings.rejected_topic,
        desc=settings.desc_topic,
        output_format=settings.output_format,
        service_version=version("nightjar"),
    )
    aside = Publisher(replace(destinations, output=settings.shadow_topic), topics)
    return BatchProcessor(
        topics,
        decoder(settings),
        objects,
        models,
        Advancer(models, policy, settings.history_length),
        Publisher(destinations, topics),
        SystemClock(),
        _shadow(settings, policy, aside, objects),
        tracer,
    )


def _shadow(
    settings: Settings, policy: AbstentionPolicy, publisher: Publisher, objects: ObjectStore
) -> Shadow | None:
    bundles = shadows_of(settings)
    return Shadow(bundles, policy, publisher, objects, settings.history_length) if bundles else None


def _tracer(settings: Settings) -> Tracer:
    if not settings.otlp_endpoint:
        return NO_TRACE
    # Loaded where it is asked for: most installations do without it.
    from service.tracing import otlp_tracer

    return otlp_tracer(settings.otlp_endpoint, worker_name(settings))


def worker_factory(settings: Settings, metrics: WorkerMetrics, stop: Event) -> Callable[[], Worker]:
    """Load everything a worker needs, once; each call then gives a worker with new Kafka clients.

    Raises
    ------
    FatalError
        A setting, model or schema cannot be used.
    """
    bundles = bundles_of(settings)
    metrics.set_models(ModelLabels(survey, one.name, one.version) for survey, one in bundles.items())
    tracer = _tracer(settings)
    process = processor(settings, store(settings), bundles, tracer)
    limits = BatchLimits(settings.batch_size, settings.batch_bytes, settings.batch_wait)
    subscription = source_topics(settings).subscription
    logger = librdkafka_logger(settings)

    def make() -> Worker:
        sink = KafkaSink(producer_options(settings), settings.transaction_timeout / 2, logger)
        source = KafkaSource(consumer_options(settings), subscription, limits, logger)
        return Worker(source, sink, process, metrics, stop, tracer)

    return make


def filter_factory(settings: Settings, metrics: WorkerMetrics, stop: Event) -> Callable[[], Worker]:
    """Make what a worker of the named filters needs; each call then gives one with new Kafka clients.

    Raises
    ------
    FatalError
        A setting cannot be used.
    """
    own = settings.model_copy(update={"group_id": f"{settings.group_id}-filter"})
    limits = BatchLimits(own.batch_size, own.batch_bytes, own.batch_wait)
    admin = TopicAdmin(common_options(own))
    process = FilterProcessor(store(own), lambda topic: _make_like(admin, topic, like=own.output_topic))
    logger = librdkafka_logger(own)

    def make() -> Worker:
        sink = KafkaSink(producer_options(own), own.transaction_timeout / 2, logger)
        source = KafkaSource(consumer_options(own), (own.output_topic,), limits, logger)
        return Worker(source, sink, process, metrics, stop)

    return make


def _make_like(admin: TopicAdmin, topic: str, *, like: str) -> None:
    """Make a topic with as many partitions as another; the rest is as the broker makes topics."""
    partitions = admin.partitions().get(like, 1)
    admin.ensure([TopicPlan(topic, partitions, {})], replication=BROKERS_DEFAULT)
