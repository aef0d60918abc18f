"""What objects are asked for by, and what the index of objects offers for finding them."""

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
    """An object where an index has it; ordered as the index orders.

    Attributes
    ----------
    score
        As `service.core.state.summary.index_entries` gave it.
    key
        `service.core.alerts.object_key`.
    """

    score: float
    key: str


@dataclass(frozen=True, slots=True)
class ScoreRange:
    """A part of an index: between two scores, both included, from `skip` on, `count` at most."""

    index: IndexName
    maximum: float
    minimum: float
    skip: int
    count: int


@dataclass(frozen=True, slots=True)
class Criteria:
    """What objects, or results, must have; None and empty let all pass.

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
        At least so many.
    min_magnitude, max_magnitude
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
    min_magnitude: float | None = None
    max_magnitude: float | None = None
    cone: Cone | None = None

    def mask(
        self, surveys: Sequence[str], summaries: Summaries, class_names: ClassNames
    ) -> NDArray[np.bool_]:
        """Say which objects pass.

        Parameters
        ----------
        surveys
            Of n objects.
        summaries
            Of the same objects.
        class_names
            Of every model they name.

        Returns
        -------
        ndarray, shape (n,), bool
        """
        heads = summaries.columns
        passes = np.ones(len(heads), np.bool_)
        if self.surveys:
            passes &= np.array([survey in self.surveys for survey in surveys], np.bool_)
        # Comparisons with NaN are false: what is not known does not pass.
        for name, least, most in self._bounds():
            if least is not None:
                passes &= heads[name] >= least
            if most is not None:
                passes &= heads[name] <= most
        if self.cone is not None:
            passes &= self.distance_deg(summaries) <= self.cone.radius_deg
        if self.class_name is not None:
            passes &= self._class_mask(summaries, class_names)
        elif self.min_probability is not None:
            passes &= (heads["best"] != ABSENT) & (heads["best_probability"] >= self._least_probability())
        return passes

    def distance_deg(self, summaries: Summaries) -> NDArray[np.float64]:
        """Give the distance of each object from the cone's centre, degrees; NaN without a cone."""
        heads = summaries.columns
        if self.cone is None:
            return np.full(len(heads), np.nan)
        return separation_deg(heads["ra_deg"], heads["dec_deg"], self.cone.ra_deg, self.cone.dec_deg)

    def class_probability(
        self, summaries: Summaries, class_names: ClassNames
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Give the probability of `class_name` for each object, and whether it is the most probable class."""
        heads = summaries.columns
        probability = np.full(len(heads), np.nan, np.float32)
        is_best = np.zeros(len(heads), np.bool_)
        for model, (members, vectors) in summaries.by_model().items():
            names = class_names(model)
            if len(names) == vectors.shape[1] and self.class_name in names:
                place = names.index(self.class_name)
                probability[members] = vectors[:, place]
                is_best[members] = heads["best"][members] == place
        return probability, is_best

    def _bounds(self) -> Iterable[tuple[str, float | None, float | None]]:
        yield "last_mjd_tai", self.since_mjd_tai, self.until_mjd_tai
        yield "n_detections", self.min_detections, None
        yield "magnitude", self.min_magnitude, self.max_magnitude

    def _least_probability(self) -> np.float32:
        """Give the bound in the precision of what it bounds: 0.9 is then not above 0.9."""
        return np.float32(self.min_probability or 0.0)

    def _class_mask(self, summaries: Summaries, class_names: ClassNames) -> NDArray[np.bool_]:
        probability, is_best = self.class_probability(summaries, class_names)
        if self.min_probability is None:
            return is_best
        return (probability >= self._least_probability()) & (is_best | (probability >= INDEXED_FROM))


class ObjectIndex(Protocol):
    """Finds objects without reading their states.

    What it gives is a hint: an object may be gone, or may have changed since. Its summary, which is written
    together with its state, says what is.

    Every method raises `StoreUnavailableError` where the store does not answer.
    """

    def add(self, entries: Mapping[IndexName, Mapping[str, float]]) -> None:
        """Write objects into indexes; `service.core.state.summary.index_entries` returns the entries."""

    def forget(self, keys: Sequence[str]) -> None:
        """Take objects out of the indexes by time and position, where they are only once."""

    def remove(self, index: IndexName, keys: Sequence[str]) -> None:
        """Take objects out of one index."""

    def summaries(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read the stored summaries of objects, None for each that is not stored."""

    def ranked(self, spans: Sequence[ScoreRange]) -> list[list[IndexEntry]]:
        """Give some objects of indexes by time or class, greatest score first, then by name backwards."""

    def count(self, index: IndexName, most: float, least: float) -> int:
        """Count the objects that an index has between two scores."""

    def within(
        self, surveys: Sequence[Survey], ranges: Sequence[tuple[int, int]], *, limit: int
    ) -> list[str]:
        """Give the keys of the objects in some ranges of pixels, `limit` of each range at most."""

    def scan(self, index: IndexName, cursor: int, *, count: int) -> tuple[int, list[str]]:
        """Give some keys of an index; begins and ends with a cursor of 0, all others follow from it."""

    def names(self) -> list[IndexName]:
        """Give every index there is."""
