"""Finding objects: which index to ask, in what order, and what of its answer passes."""

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

MOST_CANDIDATES = 200_000
"""Objects in a cone at most: reading the summaries of so many takes about a second."""

FEW = 5_000
"""So many objects of a class are read and sorted here rather than looked for among all by time."""

MOST_SCANNED = 50_000
"""Objects looked at for one page at most; a page may then be short, and its cursor leads on."""

CHUNK = 500


class TooManyError(ValueError):
    """A cone holds more objects than are searched."""


@dataclass(frozen=True, slots=True)
class Query:
    """A search.

    Attributes
    ----------
    criteria
        What the objects must have.
    sort
        Their order; ``distance`` only with a cone.
    limit
        Objects per page.
    after
        Where the last page ended: its place in the order.
    class_names
        Gives every class there is, by which a search for the most probable objects of any class goes.
    """

    criteria: Criteria
    sort: Sort
    limit: int
    after: IndexEntry | None
    class_names: Callable[[], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Page:
    """What was found.

    Attributes
    ----------
    keys
        Shape (n,), `service.core.alerts.object_key` of each object, in the order asked for.
    summaries
        Of the same objects.
    next_after
        Where the next page begins; None where there is none.
    """

    keys: list[str]
    summaries: Summaries
    next_after: IndexEntry | None


def find(query: Query, index: ObjectIndex, class_names: ClassNames) -> Page:
    """Give one page of what is asked for.

    Raises
    ------
    TooManyError
        The cone holds too much.
    StoreUnavailableError
        The store does not answer.
    """
    keys = _few_candidates(query, index)
    if keys is not None:
        return _sorted_page(query, keys, index, class_names)
    ranked = _by_class(query, index) if query.sort == "-probability" else _by_time(query, index)
    return _scanned_page(query, ranked, index, class_names)


def _surveys(query: Query) -> Sequence[Survey]:
    return query.criteria.surveys or tuple(Survey)


def _few_candidates(query: Query, index: ObjectIndex) -> list[str] | None:
    """Give all objects that may pass where an index says that they are few; None where none does."""
    criteria = query.criteria
    if criteria.cone is not None:
        ranges = cone_ranges(criteria.cone)
        found = index.within(_surveys(query), ranges, limit=MOST_CANDIDATES)
        if len(found) > MOST_CANDIDATES:
            raise TooManyError(f"more than {MOST_CANDIDATES} objects lie there: make the cone smaller")
        return found
    if criteria.class_name is None:
        return None
    least = max(criteria.min_probability or 0.0, 0.0)
    names: list[IndexName] = [("c", survey.value, criteria.class_name) for survey in _surveys(query)]
    if sum(index.count(name, math.inf, least) for name in names) > FEW:
        return None
    spans = [ScoreRange(name, math.inf, least, 0, FEW) for name in names]
    return [one.key for found in index.ranked(spans) for one in found]


def _by_time(query: Query, index: ObjectIndex) -> Iterator[IndexEntry]:
    criteria, after = query.criteria, query.after
    most = math.inf if criteria.until_mjd_tai is None else criteria.until_mjd_tai
    least = -math.inf if criteria.since_mjd_tai is None else criteria.since_mjd_tai
    names: list[IndexName] = [("t", survey.value) for survey in _surveys(query)]
    return _merged(query, index, names, min(most, after.score) if after else most, least)


def _by_class(query: Query, index: ObjectIndex) -> Iterator[IndexEntry]:
    """Go through classes by probability; an object that stands in several comes with its greatest first."""
    criteria, after = query.criteria, query.after
    classes = [criteria.class_name] if criteria.class_name is not None else query.class_names()
    names: list[IndexName] = [("c", survey.value, one) for survey in _surveys(query) for one in classes]
    least = float(np.float32(criteria.min_probability or 0.0))
    return _merged(query, index, names, after.score if after else math.inf, least)


def _merged(
    query: Query, index: ObjectIndex, names: Sequence[IndexName], most: float, least: float
) -> Iterator[IndexEntry]:
    """Go through several indexes as one; what a page usually needs is read in one round trip."""
    spans = [ScoreRange(name, most, least, 0, query.limit + 1) for name in names]
    firsts = index.ranked(spans)
    streams = [_ranked(index, span, first) for span, first in zip(spans, firsts, strict=True)]
    merged = heapq.merge(*streams, reverse=True)
    return (one for one in merged if query.after is None or one < query.after)


def _ranked(index: ObjectIndex, span: ScoreRange, chunk: list[IndexEntry]) -> Iterator[IndexEntry]:
    yield from chunk
    while len(chunk) == span.count:
        span = replace(span, skip=span.skip + span.count, count=CHUNK)
        [chunk] = index.ranked([span])
        yield from chunk


def _scanned_page(
    query: Query, ranked: Iterator[IndexEntry], index: ObjectIndex, class_names: ClassNames
) -> Page:
    """Read an index in its order until the page is full."""
    places: list[IndexEntry] = []
    found: list[Summaries] = []
    scanned = 0
    while chunk := list(islice(ranked, CHUNK if scanned else query.limit + 1)):
        chosen, summaries = _passing([one.key for one in chunk], query, index, class_names)
        order = [i for i, at in enumerate(chosen) if _stands_there(query, chunk[at], summaries, i)]
        room = query.limit + 1 - len(places)  # one more tells that there is a next page
        places += [chunk[chosen[i]] for i in order[:room]]
        found.append(summaries.take(order[:room]))
        scanned += len(chunk)
        if len(places) > query.limit:
            return _page_of(places[:-1], found, places[-2])
        if scanned >= MOST_SCANNED:
            return _page_of(places, found, chunk[-1])
    return _page_of(places, found, None)


def _page_of(
    places: Sequence[IndexEntry], summaries: Sequence[Summaries], next_after: IndexEntry | None
) -> Page:
    heads = np.concatenate([read_summaries([]).columns, *(one.columns for one in summaries)])
    vectors = [vector for one in summaries for vector in one.vectors]
    n = len(places)
    return Page([one.key for one in places], Summaries(heads[:n], vectors[:n]), next_after)


def _stands_there(query: Query, place: IndexEntry, summaries: Summaries, i: int) -> bool:
    """Say whether an object is where the index has it: else it comes, or came, elsewhere in the order."""
    head = summaries.columns[i]
    if query.sort == "-last_alert":
        return bool(head["last_mjd_tai"] == place.score)
    if query.criteria.class_name is None:
        return bool(head["best_probability"] == place.score)
    return True


def _sorted_page(query: Query, keys: Sequence[str], index: ObjectIndex, class_names: ClassNames) -> Page:
    """Read all candidates and sort those that pass."""
    keys = list(dict.fromkeys(keys))
    passing, summaries = _passing(keys, query, index, class_names)
    chosen = [keys[at] for at in passing]
    scores, is_descending = _scores(query, summaries, class_names)
    places = [IndexEntry(score, key) for score, key in zip(scores, chosen, strict=True)]
    # Equal ones by name; backwards where the order is descending, as the store has them.
    ranked = sorted(zip(places, range(len(places)), strict=True), reverse=is_descending)
    if query.after is not None:
        after = query.after
        ranked = [item for item in ranked if (item[0] < after if is_descending else item[0] > after)]
    shown = ranked[: query.limit]
    order = [i for _, i in shown]
    more = len(ranked) > len(shown)
    return Page([chosen[i] for i in order], summaries.take(order), shown[-1][0] if more else None)


def _scores(query: Query, summaries: Summaries, class_names: ClassNames) -> tuple[list[float], bool]:
    """Give what to sort by, and whether the greatest comes first."""
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
    """Read the summaries of objects, and say which pass; what is gone leaves the index."""
    stored = index.summaries(keys)
    gone = [key for key, one in zip(keys, stored, strict=True) if one is None]
    if gone:
        index.forget(gone)
    there = [at for at, one in enumerate(stored) if one is not None]
    summaries = read_summaries([one for one in stored if one is not None])
    surveys = [keys[at].partition(":")[0] for at in there]
    passes: NDArray[np.int64] = np.flatnonzero(query.criteria.mask(surveys, summaries, class_names))
    order = passes.tolist()
    return [there[i] for i in order], summaries.take(order)
