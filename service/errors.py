"""Every error of the service, sorted by how it is handled.

::

    ServiceError
    ├── TransientError          the same batch may succeed later: abort, back off, retry
    │   ├── BrokerUnavailableError
    │   ├── StoreUnavailableError
    │   └── RegistryUnavailableError
    ├── RejectedAlertError      this alert can never succeed: dead-letter its bytes and go on
    ├── FencedError             another worker took over: stop this one
    └── FatalError              the process cannot do its work: say why and exit
        ├── SettingsError
        ├── BundleError         a model that must not be loaded
        │   └── UnknownBundleError  a model that is not there: what the user gave is wrong
        └── InputError          what the user gave on the command line is wrong
"""

from enum import StrEnum

__all__ = [
    "BrokerUnavailableError",
    "BundleError",
    "FatalError",
    "FencedError",
    "InputError",
    "RegistryUnavailableError",
    "RejectedAlertError",
    "RejectionCode",
    "ServiceError",
    "SettingsError",
    "StoreUnavailableError",
    "TransientError",
    "UnknownBundleError",
]


class ServiceError(Exception):
    """Anything nightjar raises on purpose."""


class TransientError(ServiceError):
    """The same batch may succeed later: abort the transaction, back off, retry."""


class BrokerUnavailableError(TransientError):
    """Kafka does not answer, or asks us to try the transaction again."""


class StoreUnavailableError(TransientError):
    """Redis does not answer, is loading, read-only or out of memory."""


class RegistryUnavailableError(TransientError):
    """The schema registry does not answer."""


class RejectionCode(StrEnum):
    """Why an alert can never be classified; the ``error_class`` header of a dead letter."""

    EMPTY = "empty"
    FRAMING = "framing"
    UNKNOWN_SCHEMA = "unknown_schema"
    SCHEMA = "schema"
    MALFORMED = "malformed"
    MISSING_FIELD = "missing_field"
    INVALID_VALUE = "invalid_value"
    TOO_LARGE = "too_large"


class RejectedAlertError(ServiceError):
    """An alert that can never succeed: dead-letter its bytes and go on.

    Parameters
    ----------
    code
        The kind of failure.
    message
        What was wrong and where, for a person.
    """

    def __init__(self, code: RejectionCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class FencedError(ServiceError):
    """The broker gave this worker's partitions or transactions to another: stop."""


class FatalError(ServiceError):
    """The process cannot do its work: say why in one line and exit."""


class SettingsError(FatalError):
    """A setting is missing, contradictory or out of range."""


class BundleError(FatalError):
    """A model bundle that must not be loaded: wrong hash, classes, version or shape."""


class UnknownBundleError(BundleError):
    """No model has the name, and no bundle lies in the directory, that the user gave."""


class InputError(FatalError):
    """What the user gave on the command line is wrong; the message says what to do."""
