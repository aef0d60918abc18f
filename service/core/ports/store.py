"""The port of the object store."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.core.alerts import Survey
from service.core.models.info import ModelInfo
from service.core.search.criteria import ObjectIndex
from service.core.search.filters import FilterStore

__all__ = ["ObjectStore", "StateWrite", "StoreUsage"]


@dataclass(frozen=True, slots=True)
class StateWrite:
    """One object to be written, unless another writer wrote it since it was read.

    Attributes
    ----------
    key
        `service.core.alerts.object_key` of the object.
    blob
        The new value, from `encode_state` with the counter that `next_counter` returns for `replaces`; or
        from `encode_recent`, where the stored archived rows stay.
    replaces
        The value that was read, None where there was none; any bytes, so that a value that cannot be decoded
        can be replaced.
    summary
        The object's summary, written with it (`service.core.state.summary`); empty to leave it as it is.
    archived_rows
        Where `blob` is from `encode_recent`: rows archived since it was read, to be appended to the stored
        ones.
    """

    key: str
    blob: bytes
    replaces: bytes | None
    summary: bytes = b""
    archived_rows: bytes = b""


@dataclass(frozen=True, slots=True)
class StoreUsage:
    """How full the store is.

    Attributes
    ----------
    objects
        Objects in the index.
    memory_bytes
        Memory in use.
    memory_limit_bytes
        Beyond this writes are refused; 0 for no limit.
    """

    objects: int
    memory_bytes: int
    memory_limit_bytes: int


class ObjectStore(Protocol):
    """The store of object states.

    Every method raises `StoreUnavailableError` where the store does not answer, and `SettingsError` where it
    refuses the credentials.
    """

    @property
    def index(self) -> ObjectIndex:
        """The search index."""

    @property
    def filters(self) -> FilterStore:
        """The stored filters."""

    def for_model(self, digest: int) -> "ObjectStore":
        """Return the store of one model's shadow results; its `load` and `save` touch nothing else.

        Parameters
        ----------
        digest
            Digest of the model.
        """

    def keys(self, survey: Survey) -> Iterator[list[str]]:
        """Yield the keys of a survey's objects, some at a time, in any order; a key may occur twice.

        Parameters
        ----------
        survey
            The survey.
        """

    def load(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of many objects with their archived rows, None for each that is not stored.

        Parameters
        ----------
        keys
            Keys of n objects.
        """

    def load_recent(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of many objects without their archived rows, in one round trip.

        Parameters
        ----------
        keys
            Keys of n objects.
        """

    def save(self, writes: Sequence[StateWrite]) -> list[bool]:
        """Write many objects in one round trip; return False for each that another writer changed meanwhile.

        A key may occur only once. After an error any of the values may have been written.

        Parameters
        ----------
        writes
            Objects to write, each key once.
        """

    def register_model(self, model: ModelInfo) -> None:
        """Store a model permanently.

        Parameters
        ----------
        model
            The model.
        """

    def models(self) -> Mapping[int, ModelInfo]:
        """Return all models ever registered, by digest."""

    def ping(self) -> None:
        """Check that the store answers."""

    def usage(self) -> StoreUsage:
        """Return how full the store is."""

    def close(self) -> None:
        """Close the connections."""
