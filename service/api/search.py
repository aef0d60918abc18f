"""Finding objects: which index to read, in what order, and which of its objects pass."""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Survey
from service.core.search.criteria import Criteria, IndexEntry, ObjectIndex, ScoreRange
from service.core.sky import cone_ranges
from service.core.state.summary import ClassNames, IndexName, Summaries, read_summaries

__all__ = ["Page", "Query", "Sort", "TooManyError", "find"]

Sort = Literal["-last_alert", "-probability", "distance"]

MAX_CANDIDATES = 200_000
"""Most objects in a cone: reading this many summaries takes about a second."""

FEW = 5_000
"""Up to this many objects of a class are read and sorted here rather than searched for by time."""

MAX_SCANNED = 50_000
"""Most objects read for one page; beyond that the page is short, and its cursor continues."""

ENTRIES_PER_READ = 500


class TooManyError(ValueError):
    """A cone holds more objects than are searched."""


@dataclass(frozen=True, slots=True)
class Query:
    """A search.

    Attributes
    ----------
    criteria
        Conditions on the objects.
    sort
        Order; ``distance`` only with a cone.
    limit
        Objects per page.
    after
        Last entry of the previous page.
    class_names
        Returns every class, for searches for the most probable objects of any class.
    """

    criteria: Criteria
    sort: Sort
    limit: int
    after: IndexEntry | None
    class_names: Callable[[], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of objects.

    Attributes
    ----------
    keys
        `service.core.alerts.object_key` of n objects, in the order asked for.
    summaries
        Summaries of the same objects.
    next_after
        `after` of the next page; None on the last.
    """

    keys: list[str]
    summaries: Summaries
    next_after: IndexEntry | None


def find(query: Query, index: ObjectIndex, class_names: ClassNames) -> Page:
    """Return one page of the objects that a query asks for.

    Parameters
    ----------
    query
        What to find.
    index
        Index of the stored objects.
    class_names
        Class names of a model.

    Raises
    ------
    TooManyError
        The cone holds too many objects.
    StoreUnavailableError
        The store does not answer.
    """
    keys = _few_candidates(query, index)
    if keys is not None:
        return _sorted_page(query, keys, index, class_names)
    entries = _by_class(query, index) if query.sort == "-probability" else _by_time(query, index)
    return _scanned_page(query, entries, index, class_names)


def _surveys(query: Query) -> Sequence[Survey]:
    return query.criteria.surveys or tuple(Survey)


def _few_candidates(query: Query, index: ObjectIndex) -> list[str] | None:
    """Return all objects that may pass where an index shows that they are few; otherwise None."""
    criteria = query.criteria
    if criteria.cone is not None:
        ranges = cone_ranges(criteria.cone)
        keys = index.within(_surveys(query), ranges, limit=MAX_CANDIDATES)
        if len(keys) > MAX_CANDIDATES:
            raise TooManyError(f"the cone holds more than {MAX_CANDIDATES} objects: reduce its radius")
        return keys
    if criteria.class_name is None:
        return None
    least = max(criteria.min_probability or 0.0, 0.0)
    names: list[IndexName] = [("c", survey.value, criteria.class_name) for survey in _surveys(query)]
    if sum(index.count(name, math.inf, least) for name in names) > FEW:
        return None
    ranges_by_class = [ScoreRange(name, math.inf, least, 0, FEW) for name in names]
    return [entry.key for entries in index.ranked(ranges_by_class) for entry in entries]


def _by_time(query: Query, index: ObjectIndex) -> Iterator[IndexEntry]:
    criteria, after = query.criteria, query.after
    most = math.inf if criteria.until_mjd_tai is None else criteria.until_mjd_tai
    least = -math.inf if criteria.since_mjd_tai is None else criteria.since_mjd_tai
    names: list[IndexName] = [("t", survey.value) for survey in _surveys(query)]
    return _merged(query, index, names, min(most, after.score) if after else most, least)


def _by_class(query: Query, index: ObjectIndex) -> Iterator[IndexEntry]:
    """Iterate over classes by probability; an object in several of them comes with its greatest first."""
    criteria, after = query.criteria, query.after
    classes = [criteria.class_name] if criteria.class_name is not None else query.class_names()
    names: list[IndexName] = [("c", survey.value, name) for survey in _surveys(query) for name in classes]
    least = float(np.float32(criteria.min_probability or 0.0))
    return _merged(query, index, names, after.score if after else math.inf, least)


def _merged(
    query: Query, index: ObjectIndex, names: Sequence[IndexName], most: float, least: float
) -> Iterator[IndexEntry]:
    """Iterate over several indexes as one; what a page usually needs is read in one round trip."""
    ranges = [ScoreRange(name, most, least, 0, query.limit + 1) for name in names]
    chunks = index.ranked(ranges)
    streams = [_ranked(index, part, chunk) for part, chunk in zip(ranges, chunks, strict=True)]
    merged = heapq.merge(*streams, reverse=True)
    return (entry for entry in merged if query.after is None or entry < query.after)


def _ranked(index: ObjectIndex, part: ScoreRange, chunk: list[IndexEntry]) -> Iterator[IndexEntry]:
    yield from chunk
    while len(chunk) == part.count:
        part = replace(part, skip=part.skip + part.count, count=ENTRIES_PER_READ)
        [chunk] = index.ranked([part])
        yield from chunk


def _scanned_page(
    query: Query, ranked: Iterator[IndexEntry], index: ObjectIndex, class_names: ClassNames
) -> Page:
    """Read an index in its order until the page is full."""
    entries: list[IndexEntry] = []
    pages: list[Summaries] = []
    n_scanned = 0
    while chunk := list(islice(ranked, ENTRIES_PER_READ if n_scanned else query.limit + 1)):
        passing, summaries = _passing([entry.key for entry in chunk], query, index, class_names)
        current = [i for i, number in enumerate(passing) if _is_current(query, chunk[number], summaries, i)]
        n_left = query.limit + 1 - len(entries)  # one more shows that there is a next page
        entries += [chunk[passing[i]] for i in current[:n_left]]
        pages.append(summaries.take(current[:n_left]))
        n_scanned += len(chunk)
        if len(entries) > query.limit:
            return _page_of(entries[:-1], pages, entries[-2])
        if n_scanned >= MAX_SCANNED:
            return _page_of(entries, pages, chunk[-1])
    return _page_of(entries, pages, None)


def _page_of(
    entries: Sequence[IndexEntry], pages: Sequence[Summaries], next_after: IndexEntry | None
) -> Page:
    columns = np.concatenate([read_summaries([]).columns, *(summaries.columns for summaries in pages)])
    vectors = [vector for summaries in pages for vector in summaries.vectors]
    n = len(entries)
    return Page([entry.key for entry in entries], Summaries(columns[:n], vectors[:n]), next_after)


def _is_current(query: Query, entry: IndexEntry, summaries: Summaries, i: int) -> bool:
    """Return whether an index entry is up to date: otherwise the object appears elsewhere in the order."""
    row = summaries.columns[i]
    if query.sort == "-last_alert":
        return bool(row["last_mjd_tai"] == entry.score)
    if query.criteria.class_name is None:
        return bool(row["best_probability"] == entry.score)
    return True


def _sorted_page(query: Query, keys: Sequence[str], index: ObjectIndex, class_names: ClassNames) -> Page:
    """Read all candidates and sort those that pass."""
    keys = list(dict.fromkeys(keys))
    passing, summaries = _passing(keys, query, index, class_names)
    passing_keys = [keys[number] for number in passing]
    scores, is_descending = _scores(query, summaries, class_names)
    entries = [IndexEntry(score, key) for score, key in zip(scores, passing_keys, strict=True)]
    # Equal scores by name, backwards where the order is descending, as in the store.
    ranked = sorted(zip(entries, range(len(entries)), strict=True), reverse=is_descending)
    if query.after is not None:
        after = query.after
        ranked = [item for item in ranked if (item[0] < after if is_descending else item[0] > after)]
    shown = ranked[: query.limit]
    order = [i for _, i in shown]
    next_after = shown[-1][0] if len(ranked) > len(shown) else None
    return Page([passing_keys[i] for i in order], summaries.take(order), next_after)


def _scores(query: Query, summaries: Summaries, class_names: ClassNames) -> tuple[list[float], bool]:
    """Return the values to sort by, and whether the greatest comes first."""
    if query.sort == "distance":
        return query.criteria.distance_deg(summaries).tolist(), False
    if query.sort == "-last_alert":
        return np.nan_to_num(summaries.columns["last_mjd_tai"]).tolist(), True
    if query.criteria.class_name is None:
        return summaries.columns["best_probability"].tolist(), True
    return query.criteria.class_probability(summaries, class_names)[0].tolist(), True


def _passing(
    keys: Sequence[str], query: Query, index: ObjectIndex, class_names: ClassNames
) -> tuple[list[int], Summaries]:
    """Return the indices and summaries of the objects that pass; expired ones leave the index."""
    stored = index.summaries(keys)
    expired = [key for key, summary in zip(keys, stored, strict=True) if summary is None]
    if expired:
        index.forget(expired)
    present = [number for number, summary in enumerate(stored) if summary is not None]
    summaries = read_summaries([summary for summary in stored if summary is not None])
    surveys = [keys[number].partition(":")[0] for number in present]
    mask: NDArray[np.int64] = np.flatnonzero(query.criteria.mask(surveys, summaries, class_names))
    order = mask.tolist()
    return [present[i] for i in order], summaries.take(order)
