"""Which objects to reclassify."""

from collections.abc import Iterable, Iterator, Sequence

from service.core.alerts import Survey, object_key, surveys_of_model
from service.core.ids import FORMS, InvalidObjectIdError, parse_object_id
from service.core.ports.store import ObjectStore
from service.errors import InputError

__all__ = ["ObjectKeys", "select_objects"]


class ObjectKeys:
    """Keys of the objects to reclassify, which can be counted before they are read.

    Parameters
    ----------
    named
        Keys that the user named; empty for all.
    store
        The store of objects.
    surveys
        Surveys whose objects are all taken if none are named.
    """

    def __init__(self, named: Sequence[str], store: ObjectStore, surveys: Sequence[Survey]) -> None:
        self._named, self._store, self._surveys = named, store, surveys

    def __iter__(self) -> Iterator[str]:
        if self._named:
            yield from self._named
            return
        for survey in self._surveys:
            for keys in self._store.keys(survey):
                yield from keys

    def __len__(self) -> int:
        return sum(1 for _ in self)


def select_objects(object_ids: Iterable[str], store: ObjectStore, model_survey: Survey) -> ObjectKeys:
    """Return the keys of the objects that the user asked for.

    Parameters
    ----------
    object_ids
        Object ids as users write them; none for all objects that the model can classify.
    store
        The store of objects, which decides between the meanings of an ambiguous id.
    model_survey
        The survey on which the model was trained.

    Raises
    ------
    InputError
        A text is not an object id, or the model is not for its survey.
    StoreUnavailableError
        The store does not answer.
    """
    surveys = surveys_of_model(model_survey)
    named: list[str] = []
    for text in object_ids:
        try:
            candidates = [candidate for candidate in parse_object_id(text) if candidate[0] in surveys]
        except InvalidObjectIdError:
            raise InputError(f"--objects: {text[:80]!r} is not an object id; {FORMS}") from None
        if not candidates:
            raise InputError(f"--objects: the model is for {' and '.join(surveys)}, {text} is not")
        keys = [object_key(*candidate) for candidate in candidates]
        stored = [key for key, blob in zip(keys, store.load(keys), strict=True) if blob is not None]
        named.append((stored or keys)[0])
    return ObjectKeys(named, store, surveys)
