"""The conditions of searches, streams and filters, and the index by which objects are found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Survey
from service.core.sky import Cone, separation_deg
from service.core.state.summary import ABSENT, INDEXED_FROM, ClassNames, IndexName, Summaries

__all__ = ["Criteria", "IndexEntry", "ObjectIndex", "ScoreRange"]


class IndexEntry(NamedTuple):
    """An object in an index; entries compare in the order of the index.

    Attributes
    ----------
    score
        As `service.core.state.summary.index_entries` returned it.
    key
        `service.core.alerts.object_key`.
    """

    score: float
    key: str


@dataclass(frozen=True, slots=True)
class ScoreRange:
    """A part of an index: scores between two bounds, both included; from `skip` on, at most `count`."""

    index: IndexName
    maximum: float
    minimum: float
    skip: int
    count: int


@dataclass(frozen=True, slots=True)
class Criteria:
    """Conditions on objects, or results; None and empty let all pass.

    Attributes
    ----------
    surveys
        One of these.
    class_name
        With `min_probability`: this class is at least that probable, and at least `INDEXED_FROM` unless it
        is the most probable one. Without: it is the most probable one.
    min_probability
        Without `class_name`: of the most probable class.
    since_mjd_tai, until_mjd_tai
        Bounds of the time of the latest alert, both included.
    min_detections
        Least number of detections.
    min_mag, max_mag
        Bounds of the AB magnitude of the latest detection, both included.
    cone
        The latest alert lies in it.
    """

    surveys: tuple[Survey, ...] = ()
    class_name: str | None = None
    min_probability: float | None = None
    since_mjd_tai: float | None = None
    until_mjd_tai: float | None = None
    min_detections: int | None = None
    min_mag: float | None = None
    max_mag: float | None = None
    cone: Cone | None = None

    def mask(
        self, surveys: Sequence[str], summaries: Summaries, class_names: ClassNames
    ) -> NDArray[np.bool_]:
        """Return which objects pass.

        Parameters
        ----------
        surveys
            Surveys of n objects.
        summaries
            Summaries of the same objects.
        class_names
            Names of the classes of every model that the summaries refer to.

        Returns
        -------
        ndarray, shape (n,), bool
        """
        columns = summaries.columns
        passes = np.ones(len(columns), np.bool_)
        if self.surveys:
            passes &= np.array([survey in self.surveys for survey in surveys], np.bool_)
        # Comparisons with NaN are false: unknown values fail the condition.
        for name, least, most in self._bounds():
            if least is not None:
                passes &= columns[name] >= least
            if most is not None:
                passes &= columns[name] <= most
        if self.cone is not None:
            passes &= self.distance_deg(summaries) <= self.cone.radius_deg
        if self.class_name is not None:
            passes &= self._class_mask(summaries, class_names)
        elif self.min_probability is not None:
            passes &= (columns["best"] != ABSENT) & (columns["best_probability"] >= self._least_probability())
        return passes

    def distance_deg(self, summaries: Summaries) -> NDArray[np.float64]:
        """Return the distance of each object from the cone's centre, degrees; NaN without a cone.

        Parameters
        ----------
        summaries
            Of n objects.
        """
        columns = summaries.columns
        if self.cone is None:
            return np.full(len(columns), np.nan)
        return separation_deg(columns["ra_deg"], columns["dec_deg"], self.cone.ra_deg, self.cone.dec_deg)

    def class_probability(
        self, summaries: Summaries, class_names: ClassNames
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the probability of `class_name` for each object, and whether it is the most probable.

        Parameters
        ----------
        summaries
            Of n objects.
        class_names
            Class names of the models by digest.
        """
        columns = summaries.columns
        probability = np.full(len(columns), np.nan, np.float32)
        is_best = np.zeros(len(columns), np.bool_)
        for model, (members, vectors) in summaries.by_model().items():
            names = class_names(model)
            if len(names) == vectors.shape[1] and self.class_name in names:
                number = names.index(self.class_name)
                probability[members] = vectors[:, number]
                is_best[members] = columns["best"][members] == number
        return probability, is_best

    def _bounds(self) -> Iterable[tuple[str, float | None, float | None]]:
        yield "last_mjd_tai", self.since_mjd_tai, self.until_mjd_tai
        yield "n_detections", self.min_detections, None
        yield "magnitude", self.min_mag, self.max_mag

    def _least_probability(self) -> np.float32:
        """Return the bound in the precision of the stored probabilities: 0.9 must not exceed a stored 0.9."""
        return np.float32(self.min_probability or 0.0)

    def _class_mask(self, summaries: Summaries, class_names: ClassNames) -> NDArray[np.bool_]:
        probability, is_best = self.class_probability(summaries, class_names)
        if self.min_probability is None:
            return is_best
        return (probability >= self._least_probability()) & (is_best | (probability >= INDEXED_FROM))


class ObjectIndex(Protocol):
    """Finds objects without reading their states.

    Its answers are hints: an object may have expired or changed since. The summary, which is written together
    with the object's state, is authoritative.

    Every method raises `StoreUnavailableError` where the store does not answer.
    """

    def add(self, entries: Mapping[IndexName, Mapping[str, float]]) -> None:
        """Write entries, as `service.core.state.summary.index_entries` returns them.

        Parameters
        ----------
        entries
            Index to object id to score.
        """

    def forget(self, keys: Sequence[str]) -> None:
        """Remove objects from the indexes by time and position, which hold each object once.

        Parameters
        ----------
        keys
            Keys of objects.
        """

    def remove(self, index: IndexName, keys: Sequence[str]) -> None:
        """Remove objects from one index.

        Parameters
        ----------
        index
            The index.
        keys
            Keys of objects.
        """

    def summaries(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read the stored summaries of objects, None for each that is not stored.

        Parameters
        ----------
        keys
            Keys of n objects.
        """

    def ranked(self, ranges: Sequence[ScoreRange]) -> list[list[IndexEntry]]:
        """Return entries of indexes by time or class, greatest score first, then by name backwards.

        Parameters
        ----------
        ranges
            Which entries of which indexes.
        """

    def count(self, index: IndexName, most: float, least: float) -> int:
        """Count the objects that an index has between two scores.

        Parameters
        ----------
        index
            The index.
        most, least
            Greatest and least score, both included.
        """

    def within(
        self, surveys: Sequence[Survey], ranges: Sequence[tuple[int, int]], *, limit: int
    ) -> list[str]:
        """Return the keys of the objects in some ranges of pixels, at most `limit` of each range.

        Parameters
        ----------
        surveys
            Surveys of the objects.
        ranges
            Ranges of pixels, `service.core.sky.cone_ranges`.
        limit
            Objects to return of each range.
        """

    def scan(self, index: IndexName, cursor: int, *, count: int) -> tuple[int, list[str]]:
        """Return the next cursor and some keys of an index; a scan begins and ends with cursor 0.

        Parameters
        ----------
        index
            The index.
        cursor
            As the previous call returned it; 0 to begin.
        count
            About how many keys to return.
        """

    def names(self) -> list[IndexName]:
        """Return the names of all indexes."""
