"""Kafka's errors as the service's own: the one place where they are translated."""

from confluent_kafka import KafkaError, KafkaException

from service.errors import BrokerUnavailableError, FatalError, FencedError, ServiceError, SettingsError

__all__ = ["describe", "is_retriable", "translate", "translate_configuration"]

NOT_ALLOWED = frozenset(
    {
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)

FENCED = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
    }
)

UNUSABLE = frozenset({KafkaError._INVALID_ARG, KafkaError._NOT_IMPLEMENTED, KafkaError._UNSUPPORTED_FEATURE})


def translate(error: KafkaException | KafkaError, doing: str) -> ServiceError:
    """Return the service's own error for one of librdkafka's.

    Parameters
    ----------
    error
        As librdkafka raised or returned it.
    doing
        What failed, for messages: ``commit a transaction``.

    Returns
    -------
    FatalError
        The broker does not permit it, or no retry can help.
    FencedError
        The broker accepts nothing more from this producer: another one registered its transactional id, its
        transaction timed out, or its state is lost. A new producer may continue from the last commit.
    BrokerUnavailableError
        Everything else: abort and retry the batch.
    """
    cause = _kafka_error(error)
    text = f"cannot {doing}: {describe(cause)}"
    if cause.code() in NOT_ALLOWED:
        return FatalError(f"Kafka does not permit this worker to {doing}: {describe(cause)}")
    if cause.fatal() or cause.code() in FENCED:
        return FencedError(text)
    if cause.code() in UNUSABLE:
        return FatalError(text)
    return BrokerUnavailableError(text)


def translate_configuration(error: KafkaException) -> SettingsError:
    """Return the service's own error for options that librdkafka rejects.

    Parameters
    ----------
    error
        As the constructor of a client raised it.
    """
    return SettingsError(f"Kafka options: {describe(_kafka_error(error))}")


def is_retriable(error: KafkaException) -> bool:
    """Return whether the same call, repeated, continues where it stopped.

    Parameters
    ----------
    error
        Raised by a call of a transactional producer.
    """
    return bool(_kafka_error(error).retriable())


def describe(error: KafkaError) -> str:
    """Return an error's text and name on one line.

    Parameters
    ----------
    error
        As librdkafka returned it.
    """
    return " ".join(f"{error.str()} ({error.name()})".split())


def _kafka_error(error: KafkaException | KafkaError) -> KafkaError:
    if isinstance(error, KafkaException):
        cause: KafkaError = error.args[0]
        return cause
    return error
