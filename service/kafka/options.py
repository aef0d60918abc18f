"""librdkafka's options: what the guarantees require, what the settings say, what the user adds."""

import logging
import re
from collections.abc import Mapping
from typing import Any

from service.errors import SettingsError
from service.kafka.security import security_options
from service.settings import Settings

__all__ = [
    "common_options",
    "consumer_options",
    "librdkafka_logger",
    "producer_options",
    "reading_options",
]

Options = dict[str, Any]

# Changing one of these would break "exactly one result per alert".
RESERVED = frozenset(
    {
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "group.id",
        "isolation.level",
        "partition.assignment.strategy",
        "transactional.id",
    }
)

# The largest message librdkafka can be configured for; the limit that counts is the topic's own.
LARGEST_MESSAGE_BYTES = 1_000_000_000


# A consumer would reject or warn about these.
PRODUCER_ONLY = frozenset(
    {
        "transactional.id",
        "transaction.timeout.ms",
        "enable.idempotence",
        "compression.type",
        "delivery.report.only.error",
    }
)


def common_options(settings: Settings) -> Options:
    """Return the options of every Kafka client of the service: brokers, security, the user's own.

    Parameters
    ----------
    settings
        Of the service.

    Raises
    ------
    SettingsError
        ``kafka_options`` cannot be parsed, or sets an option that the guarantees depend on.
    """
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": f"nightjar-{settings.worker_name}",
        **security_options(settings),
        **_user_options(settings.kafka_options),
    }


def consumer_options(settings: Settings) -> Options:
    """Return the options of the consumer of source topics.

    Parameters
    ----------
    settings
        Of the service.

    Raises
    ------
    SettingsError
        As for `common_options`.
    """
    session_ms = _milliseconds(settings.session_timeout.total_seconds())
    ours = {
        "group.id": settings.group_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        # The embedded broker supports no other; the same everywhere, so that tests test what runs.
        "partition.assignment.strategy": "range",
        "auto.offset.reset": settings.auto_offset_reset,
        "allow.auto.create.topics": False,
        "session.timeout.ms": session_ms,
        "heartbeat.interval.ms": max(session_ms // 6, 100),
        # The broker answers a fetch after this time even if it has few bytes: half a second by default.
        "fetch.wait.max.ms": 10,
        "queued.max.messages.kbytes": max(settings.fetch_max_bytes // 1024, 1),
        # How long a partition is not fetched after its queue was full: 1 s by default.
        "fetch.queue.backoff.ms": 5,
        # ZTF creates a topic every night; a pattern finds it within this time.
        "topic.metadata.refresh.interval.ms": 10_000,
    }
    return ours | common_options(settings)


def producer_options(settings: Settings) -> Options:
    """Return the options of the transactional producer of results.

    Parameters
    ----------
    settings
        Of the service.

    Raises
    ------
    SettingsError
        As for `common_options`.
    """
    ours = {
        # As stable as the worker's name: its next start then aborts what this one leaves open.
        "transactional.id": f"{settings.group_id}-{settings.worker_name}",
        "transaction.timeout.ms": _milliseconds(settings.transaction_timeout.total_seconds()),
        "enable.idempotence": True,
        "compression.type": "lz4",
        # A transaction that follows closely on another is told to retry until that one's markers are
        # written; at the default of 100 ms this delay was most of a small batch's time.
        "retry.backoff.ms": 10,
        "delivery.report.only.error": True,
        "message.max.bytes": LARGEST_MESSAGE_BYTES,
    }
    return ours | common_options(settings)


def reading_options(options: Mapping[str, Any]) -> Options:
    """Return those of a producer's options that a consumer of the same brokers can use.

    Parameters
    ----------
    options
        As `producer_options` returns them.
    """
    return {name: value for name, value in options.items() if name not in PRODUCER_ONLY}


def librdkafka_logger(settings: Settings) -> logging.Logger:
    """Return the logger for librdkafka's own messages: silent unless the log level is DEBUG.

    The service itself reports once when Kafka is away; librdkafka reports it for every connection.

    Parameters
    ----------
    settings
        Of the service.
    """
    logger = logging.getLogger("librdkafka")
    logger.setLevel(logging.DEBUG if settings.log_level == "DEBUG" else logging.CRITICAL + 1)
    return logger


def _user_options(text: str) -> Mapping[str, str]:
    r"""Parse ``key=value,key=value``; a comma within a value is written ``\,``."""
    options: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in re.split(r"(?<!\\),", text))):
        name, separator, value = item.partition("=")
        name = name.strip()
        # The value stays out of the messages: it may be a password.
        if not separator or not name:
            raise SettingsError("NIGHTJAR_KAFKA_OPTIONS must be key=value, comma-separated")
        if name in RESERVED:
            raise SettingsError(
                f"NIGHTJAR_KAFKA_OPTIONS must not set {name}: the service's guarantees depend on it"
            )
        options[name] = value.strip().replace("\\,", ",")
    return options


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 1)
