"""The models that stored classifications refer to by digest."""

from collections.abc import Iterable

from service.core.ports.store import ModelInfo, ObjectStore

__all__ = ["ModelRegistry"]


class ModelRegistry:
    """Looks models up in the store and caches them: the model of a digest never changes.

    Parameters
    ----------
    store
        Store in which workers register their models.
    loaded
        Models that this process has loaded; they need no registration.
    """

    def __init__(self, store: ObjectStore, loaded: Iterable[ModelInfo] = ()) -> None:
        self._store = store
        self.loaded = {model.digest: model for model in loaded}
        self._known = dict(self.loaded)

    def knows(self, digests: Iterable[int]) -> bool:
        """Return whether `find` needs no request to the store for any of these."""
        return all(digest in self._known for digest in digests if digest)

    def find(self, digest: int) -> ModelInfo | None:
        """Return the model of a digest; None for 0, which stands for no model, and for one never registered.

        Raises
        ------
        StoreUnavailableError
            The model is not cached and the store does not answer.
        """
        if digest and digest not in self._known:
            self._known.update(self._store.models())
        return self._known.get(digest)

    def all(self) -> list[ModelInfo]:
        """Return every model ever registered, and those loaded here, by survey, name and version.

        Raises
        ------
        StoreUnavailableError
            The store does not answer.
        """
        self._known.update(self._store.models())
        models = self._known.values()
        return sorted(
            models, key=lambda model: (model.survey, model.classifier.name, model.classifier.version)
        )
