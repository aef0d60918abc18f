"""Removal of expired objects from the search index, a few at a time."""

from datetime import timedelta

from service.core.alerts import Survey
from service.core.search.criteria import ObjectIndex

__all__ = ["IndexSweep"]

# At a thousand every ten seconds one worker checks ten million objects in a day, in less than a thousandth
# of its time.
INTERVAL = timedelta(seconds=10)
BATCH_SIZE = 1000


class IndexSweep:
    """Walks through the index cyclically.

    Objects and their summaries expire in the store some time after their last alert; their index entries do
    not. An object that is stored again just when it is found to be expired is missing from the index until
    its next alert.

    Parameters
    ----------
    index
        The index to be swept.
    """

    def __init__(self, index: ObjectIndex) -> None:
        self._index = index
        self._cursors = dict.fromkeys(Survey, 0)
        self._last_ms = 0

    def step(self, now_ms: int) -> int:
        """Check some objects of each survey, if it is time.

        Parameters
        ----------
        now_ms
            Unix time.

        Returns
        -------
        int
            How many had expired.

        Raises
        ------
        StoreUnavailableError
            The store does not answer.
        """
        if now_ms - self._last_ms < INTERVAL / timedelta(milliseconds=1):
            return 0
        self._last_ms = now_ms
        return sum(map(self._check, Survey))

    def _check(self, survey: Survey) -> int:
        self._cursors[survey], keys = self._index.scan(("t", survey), self._cursors[survey], count=BATCH_SIZE)
        stored = self._index.summaries(keys)
        expired = [key for key, summary in zip(keys, stored, strict=True) if summary is None]
        if expired:
            self._index.forget(expired)
            for name in self._index.names():
                if name[0] == "c" and name[1] == survey:
                    self._index.remove(name, expired)
        return len(expired)
