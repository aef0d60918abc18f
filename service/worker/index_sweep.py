"""Objects that the store has forgotten leave the index too, a few at a time."""

from datetime import timedelta

from service.core.alerts import Survey
from service.core.search.criteria import ObjectIndex

__all__ = ["IndexSweep"]

# At a thousand each ten seconds one worker is through ten million objects in a day, and spends less than a
# thousandth of its time on it.
INTERVAL = timedelta(seconds=10)
AT_A_TIME = 1000


class IndexSweep:
    """Walks through the index by time, round and round.

    The store forgets an object by itself, some time after its last alert, and its summary with it; entries
    of an index stay. An object that is stored again in the very moment in which it is found to be gone is
    missing in the index until its next alert.

    Parameters
    ----------
    index
        To be kept clean.
    """

    def __init__(self, index: ObjectIndex) -> None:
        self._index = index
        self._cursors = dict.fromkeys(Survey, 0)
        self._last_ms = 0

    def step(self, now_ms: int) -> int:
        """Look at some objects of each survey, if it is time; gives how many were gone.

        Parameters
        ----------
        now_ms
            Unix time.

        Raises
        ------
        StoreUnavailableError
            The store does not answer.
        """
        if now_ms - self._last_ms < INTERVAL / timedelta(milliseconds=1):
            return 0
        self._last_ms = now_ms
        return sum(map(self._look, Survey))

    def _look(self, survey: Survey) -> int:
        self._cursors[survey], keys = self._index.scan(("t", survey), self._cursors[survey], count=AT_A_TIME)
        stored = self._index.summaries(keys)
        gone = [key for key, summary in zip(keys, stored, strict=True) if summary is None]
        if gone:
            self._index.forget(gone)
            for name in self._index.names():
                if name[0] == "c" and name[1] == survey:
                    self._index.remove(name, gone)
        return len(gone)
