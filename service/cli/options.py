"""Which brokers a tool talks to."""

from typing import Any

from service.kafka.options import common_options
from service.settings import Settings

__all__ = ["kafka_options"]


def kafka_options(settings: Settings, brokers: str) -> dict[str, Any]:
    """Give the options of a tool's Kafka clients.

    Parameters
    ----------
    settings
        The brokers' security options come from here in any case.
    brokers
        ``host:port``, comma-separated, instead of the settings'; empty for those.
    """
    return common_options(settings.model_copy(update={"bootstrap_servers": brokers}) if brokers else settings)
