"""Results on their way to clients: each written once, whoever hears of it."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.api.render.json import json_bytes
from service.api.render.summaries import items
from service.core.ports.result_feed import FeedRecord, Positions, write_positions
from service.core.records.published import parse_record
from service.core.records.result_batch import LoadStates, ResultBatch, Vocabulary, result_batch
from service.core.search.criteria import Criteria
from service.core.search.filters import FilterSpec
from service.core.state.summary import Summaries
from service.errors import InputError

__all__ = ["ReplayBuffer", "ResultEventEncoder", "ResultEvents", "StreamQuery"]

MERGED_UP_TO = 500


class StreamQuery(NamedTuple):
    """What a client asked for: results that pass the criteria and the named filter, where there is one."""

    criteria: Criteria
    filter_name: str = ""


@dataclass(frozen=True, slots=True)
class ResultEvents:
    """n results in the order in which they were read.

    Attributes
    ----------
    places
        Partition and offset of each.
    ids
        Of each, its id line: where a client stands that has heard of everything up to it.
    payloads
        Of each, the other lines of its event.
    surveys, summaries
        Of each.
    by_filter
        Named filters that there were when the results were read: bool, shape (n,).
    """

    places: list[tuple[int, int]]
    ids: list[bytes]
    payloads: list[bytes]
    surveys: list[str]
    summaries: Summaries
    by_filter: dict[str, NDArray[np.bool_]]

    def select(self, wanted: StreamQuery, vocabulary: Vocabulary) -> list[int]:
        """Say which results a client is to hear of."""
        mask = wanted.criteria.mask(self.surveys, self.summaries, vocabulary.names)
        if wanted.filter_name:
            mask &= self.by_filter.get(wanted.filter_name, np.zeros(len(mask), np.bool_))
        chosen: list[int] = np.flatnonzero(mask).tolist()
        return chosen

    def events(self, chosen: Sequence[int]) -> bytes:
        """Give the events of some results, as they are sent."""
        return b"".join([self.ids[i] + self.payloads[i] for i in chosen])

    def joined(self, other: "ResultEvents") -> "ResultEvents":
        """Give this and a later one as one."""
        heads = np.concatenate([self.summaries.columns, other.summaries.columns])
        names = self.by_filter.keys() | other.by_filter.keys()
        return ResultEvents(
            self.places + other.places,
            self.ids + other.ids,
            self.payloads + other.payloads,
            self.surveys + other.surveys,
            Summaries(heads, self.summaries.vectors + other.summaries.vectors),
            {name: np.concatenate([_mask(self, name), _mask(other, name)]) for name in names},
        )


def _mask(batch: ResultEvents, name: str) -> NDArray[np.bool_]:
    return batch.by_filter.get(name, np.zeros(len(batch.places), np.bool_))


class ResultEventEncoder:
    """Makes batches of records.

    Parameters
    ----------
    load
        Gives the stored states of objects by their keys; None for each that is not known, also where the
        store does not answer.
    """

    def __init__(self, load: LoadStates) -> None:
        self._load = load
        self.vocabulary = Vocabulary()

    def make(
        self, records: Sequence[FeedRecord], positions: dict[int, int], filters: Sequence[FilterSpec]
    ) -> ResultEvents:
        """Make a batch, and move `positions` behind it; what is no result is passed over."""
        places, ids, native = [], [], []
        for one in records:
            positions[one.partition] = one.offset + 1
            try:
                native.append(parse_record(one.value))
            except InputError:
                continue
            places.append((one.partition, one.offset))
            ids.append(f"id: {write_positions(positions)}\n".encode())
        results = result_batch(native, self._load, self.vocabulary)
        by_filter = {spec.name: spec.mask(results) for spec in filters}
        return ResultEvents(places, ids, _payloads(results), results.surveys, results.summaries, by_filter)


def _payloads(results: ResultBatch) -> list[bytes]:
    models = [
        f"{one['classifier']['name']} {one['classifier']['version']}" if one["classifier"] else None
        for one in results.records
    ]
    described = items(results.keys, results.summaries, results.vocabulary.names, lambda _: None)
    return [
        b"event: classification\ndata: " + json_bytes(one | {"model": model}) + b"\n\n"
        for one, model in zip(described, models, strict=True)
    ]


class ReplayBuffer:
    """The latest results, for clients that come back soon.

    Parameters
    ----------
    most
        Results kept, to within a batch.
    starts
        Where the reading began.
    """

    def __init__(self, most: int, starts: Positions) -> None:
        self._most = most
        self._batches: deque[ResultEvents] = deque()
        self._size = 0
        self._low = dict(starts)  # from here on it holds everything

    def begin(self, starts: Positions) -> None:
        """Know of partitions that were not there before."""
        self._low = {**starts, **self._low}

    def add(self, batch: ResultEvents) -> None:
        """Take up the next batch, and forget the oldest."""
        if self._batches and len(self._batches[-1].places) + len(batch.places) <= MERGED_UP_TO:
            self._batches[-1] = self._batches[-1].joined(batch)
        else:
            self._batches.append(batch)
        self._size += len(batch.places)
        while self._size > self._most and len(self._batches) > 1:
            gone = self._batches.popleft()
            self._size -= len(gone.places)
            for partition, offset in gone.places:
                self._low[partition] = offset + 1

    def covers(self, positions: Positions) -> bool:
        """Say whether everything from some positions on is here."""
        return all(positions.get(partition, 0) >= low for partition, low in self._low.items())

    def since(self, positions: Positions) -> Iterator[tuple[ResultEvents, list[int]]]:
        """Give, batch by batch, which results lie behind some positions."""
        for batch in self._batches:
            new = [i for i, (part, offset) in enumerate(batch.places) if offset >= positions.get(part, 0)]
            if new:
                yield batch, new
