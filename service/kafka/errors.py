"""What Kafka's errors mean for a worker; translated here and nowhere else."""

from confluent_kafka import KafkaError, KafkaException

from service.errors import BrokerUnavailableError, FatalError, FencedError, ServiceError, SettingsError

__all__ = ["describe", "may_be_retried", "translate", "translate_configuration"]

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
    """Say what an error means for the worker.

    Parameters
    ----------
    error
        As librdkafka gave it.
    doing
        What failed, for a person: ``commit a transaction``.

    Returns
    -------
    FatalError
        The broker does not allow it, or no retry can help.
    FencedError
        The broker has done with this producer: another took its name, its transaction timed out, or its
        state is lost. A new one may go on from the last commit.
    BrokerUnavailableError
        All else: abort and try the batch again.
    """
    cause = _kafka_error(error)
    text = f"cannot {doing}: {describe(cause)}"
    if cause.code() in NOT_ALLOWED:
        return FatalError(f"Kafka does not allow this worker to {doing}: {describe(cause)}")
    if cause.fatal() or cause.code() in FENCED:
        return FencedError(text)
    if cause.code() in UNUSABLE:
        return FatalError(text)
    return BrokerUnavailableError(text)


def translate_configuration(error: KafkaException) -> SettingsError:
    """Say that librdkafka refuses its options."""
    return SettingsError(f"Kafka options: {describe(_kafka_error(error))}")


def may_be_retried(error: KafkaException) -> bool:
    """Say whether the same call, made again, goes on where it stopped."""
    return bool(_kafka_error(error).retriable())


def describe(error: KafkaError) -> str:
    """Give an error's text and name on one line."""
    return " ".join(f"{error.str()} ({error.name()})".split())


def _kafka_error(error: KafkaException | KafkaError) -> KafkaError:
    if isinstance(error, KafkaException):
        cause: KafkaError = error.args[0]
        return cause
    return error
