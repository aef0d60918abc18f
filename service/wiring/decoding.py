"""The decoder, and which topics belong to which survey."""

from service.core.alerts import Survey
from service.decoding.decoder import Decoder
from service.decoding.wire.schemas import SchemaStore
from service.kafka.schema_registry import SchemaRegistry
from service.settings import Settings
from service.worker.topics import SourceTopics

__all__ = ["decoder", "source_topics"]


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
