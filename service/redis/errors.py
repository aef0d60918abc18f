"""Redis's errors as the service's own: the one place where they are translated."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    SlotNotCoveredError,
    TimeoutError,  # noqa: A004  redis-py's name
    TryAgainError,
)

from service.errors import ServiceError, SettingsError, StoreUnavailableError

__all__ = ["translate", "translated"]

_CREDENTIALS = (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    NoPermissionError,
)
_STATES: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "does not answer in time"),
    (BusyLoadingError, "is loading its data"),
    (ReadOnlyError, "is a read-only replica"),
    (OutOfMemoryError, "is out of memory"),
    (ClusterDownError, "has no node for some objects"),
    (SlotNotCoveredError, "has no node for some objects"),
    (AskError, "is moving objects between its nodes"),
    (TryAgainError, "is moving objects between its nodes"),
    (ResponseError, "rejects a command"),
    (RedisError, "cannot be reached"),
)


def translate(error: Exception, address: str) -> ServiceError:
    """Return the service's own error for one of redis-py's.

    Parameters
    ----------
    error
        What redis-py raised or returned.
    address
        Host and port, for the message; never with a password.
    """
    # A cluster's client says only that no node can be used; the reason is the error's cause.
    cause = error.__cause__ if isinstance(error, RedisClusterException) else None
    # "DB index" is in the server's answer to a wrong database number, which is part of the URL.
    if isinstance(error, _CREDENTIALS) or isinstance(cause, _CREDENTIALS) or "DB index" in str(error):
        return SettingsError(
            f"Redis at {address} denies access; check NIGHTJAR_REDIS_URL and NIGHTJAR_REDIS_PASSWORD: {error}"
        )
    if isinstance(error, ClusterCrossSlotError):
        return SettingsError(
            f"Redis at {address} is a cluster: NIGHTJAR_REDIS_URL must begin with redis+cluster://"
        )
    if "Cluster mode is not enabled" in str(error):
        return SettingsError(
            f"Redis at {address} is not a cluster: NIGHTJAR_REDIS_URL must begin with redis://"
        )
    state = next((words for kind, words in _STATES if isinstance(error, kind)), "cannot be reached")
    return StoreUnavailableError(f"Redis at {address} {state}: {error}")


@contextmanager
def translated(address: str) -> Iterator[None]:
    """Translate every error that redis-py raises in the context.

    Parameters
    ----------
    address
        As for `translate`.
    """
    try:
        yield
    except (RedisError, RedisClusterException) as error:
        raise translate(error, address) from error
