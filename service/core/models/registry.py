"""The models that stored classifications name by their digests."""

from collections.abc import Iterable, Mapping

from service.core.models.info import ModelInfo
from service.core.ports.store import ObjectStore

__all__ = ["ModelRegistry"]


class ModelRegistry:
    """Models loaded by this process, and those that others registered in the store.

    What a digest stands for never changes, so each model is read from the store once.

    Parameters
    ----------
    store
        Where workers register the models they use.
    loaded
        Models that this process has loaded.
    """

    def __init__(self, store: ObjectStore, loaded: Iterable[ModelInfo] = ()) -> None:
        self._store = store
        self.loaded = {model.digest: model for model in loaded}
        self._known = dict(self.loaded)

    @property
    def known(self) -> Mapping[int, ModelInfo]:
        """The models known without asking the store, by digest."""
        return self._known

    def knows(self, digests: Iterable[int]) -> bool:
        """Return whether `find` finds each of these without asking the store; 0 stands for no model.

        Parameters
        ----------
        digests
            Digests of models.
        """
        return all(digest in self._known for digest in digests if digest)

    def find(self, digest: int) -> ModelInfo | None:
        """Return the model of a digest; None for 0, which stands for no model, and for an unregistered one.

        Parameters
        ----------
        digest
            Digest of a model.

        Raises
        ------
        StoreUnavailableError
            The model is not known here yet and the store does not answer.
        """
        if digest and digest not in self._known:
            self.refresh()
        return self._known.get(digest)

    def class_names(self, digest: int) -> tuple[str, ...]:
        """Return the names of a known model's classes, without asking the store; empty for an unknown one.

        Parameters
        ----------
        digest
            Digest of a model.
        """
        model = self._known.get(digest)
        return () if model is None else model.class_names

    def all(self) -> list[ModelInfo]:
        """Return every model ever registered, and those loaded here, by survey, name and version.

        Raises
        ------
        StoreUnavailableError
            The store does not answer.
        """
        self.refresh()
        return sorted(
            self._known.values(),
            key=lambda model: (model.survey, model.name, model.version),
        )

    def register(self) -> None:
        """Write the loaded models to the store, and read those that others wrote.

        Raises
        ------
        StoreUnavailableError
            The store does not answer.
        """
        for model in self.loaded.values():
            self._store.register_model(model)
        self.refresh()

    def refresh(self) -> None:
        """Read the models that the store knows.

        Raises
        ------
        StoreUnavailableError
            The store does not answer.
        """
        self._known = {**self._store.models(), **self.loaded}
