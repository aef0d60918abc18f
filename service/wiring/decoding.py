"""The decoder, and which topics belong to which survey."""

from pathlib import Path

from service.core.alerts import Survey
from service.decoding.decoder import Decoder
from service.decoding.wire.schemas import SchemaStore
from service.errors import SettingsError
from service.kafka.schema_registry import SchemaRegistry
from service.settings import Settings
from service.worker.topics import SourceTopics

__all__ = ["decoder", "is_topic_of_service", "offline_decoder", "source_topics"]


def decoder(settings: Settings) -> Decoder:
    """Make the decoder of all surveys' alerts.

    Parameters
    ----------
    settings
        Name the schema directory and the schema registry.

    Raises
    ------
    SettingsError
        The schema directory or the registry's address cannot be used.
    """
    url = settings.schema_registry_url
    schemas = SchemaStore(settings.schema_dir, SchemaRegistry(url) if url else None)
    return Decoder(schemas, settings.max_message_bytes)


def offline_decoder(settings: Settings, schema_dir: Path | None = None) -> Decoder:
    """Make a decoder that asks no schema registry.

    Parameters
    ----------
    settings
        Name the schema directory and the largest message.
    schema_dir
        Directory of further schemas, instead of that of the settings.

    Raises
    ------
    SettingsError
        The schema directory cannot be used.
    """
    return Decoder(SchemaStore(schema_dir or settings.schema_dir), settings.max_message_bytes)


def source_topics(settings: Settings) -> SourceTopics:
    """Return which topics belong to which survey.

    Parameters
    ----------
    settings
        Name the topics.

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


def is_topic_of_service(settings: Settings, topic: str) -> bool:
    """Return whether the service itself reads or writes a topic.

    Parameters
    ----------
    settings
        Name the service's topics.
    topic
        Name of a topic.
    """
    written = {settings.output_topic, settings.desc_topic, settings.rejected_topic, settings.shadow_topic}
    if topic in written:
        return True
    if not (settings.ztf_topics or settings.lsst_topics or settings.elasticc_topics):
        return False
    try:
        # Refuses an output topic that is among the sources.
        source_topics(settings.model_copy(update={"output_topic": topic}))
    except SettingsError:
        return True
    return False
