"""Results encoded as events: each once, for all clients."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.api.render.json import json_bytes
from service.api.render.summaries import object_fields
from service.core.ports.result_feed import FeedRecord, Positions, write_positions
from service.core.records.published import parse_record
from service.core.records.result_batch import LoadStates, ResultBatch, Vocabulary, result_batch
from service.core.search.criteria import Criteria
from service.core.search.filters import FilterSpec
from service.core.state.summary import Summaries
from service.errors import InputError

__all__ = ["ReplayBuffer", "ResultEventEncoder", "ResultEvents", "StreamQuery"]

MAX_MERGED = 500
"""Small batches are joined up to this many results, since a buffer of many is slow to search."""


class StreamQuery(NamedTuple):
    """Which results a client receives: those that pass the criteria and, if named, the stored filter."""

    criteria: Criteria
    filter_name: str = ""


@dataclass(frozen=True, slots=True)
class ResultEvents:
    """n results in the order in which they were read.

    Attributes
    ----------
    offsets
        Partition and offset of each.
    ids
        Id line of each: the position of a client that has received everything up to it.
    payloads
        Remaining lines of each event.
    surveys, summaries
        Survey and summary of each.
    by_filter
        Name of a filter stored when the results were read to which results pass it: bool, shape (n,).
    """

    offsets: list[tuple[int, int]]
    ids: list[bytes]
    payloads: list[bytes]
    surveys: list[str]
    summaries: Summaries
    by_filter: dict[str, NDArray[np.bool_]]

    def select(self, query: StreamQuery, vocabulary: Vocabulary) -> list[int]:
        """Return the indices of the results that a client receives.

        Parameters
        ----------
        query
            What the client asked for.
        vocabulary
            Class names of the results.
        """
        mask = query.criteria.mask(self.surveys, self.summaries, vocabulary.names)
        if query.filter_name:
            mask &= self.by_filter.get(query.filter_name, np.zeros(len(mask), np.bool_))
        indices: list[int] = np.flatnonzero(mask).tolist()
        return indices

    def events(self, indices: Sequence[int]) -> bytes:
        """Return the events of some results, as they are sent.

        Parameters
        ----------
        indices
            Indices of results.
        """
        return b"".join([self.ids[i] + self.payloads[i] for i in indices])

    def joined(self, other: "ResultEvents") -> "ResultEvents":
        """Return these and later results as one batch.

        Parameters
        ----------
        other
            Results that follow these.
        """
        columns = np.concatenate([self.summaries.columns, other.summaries.columns])
        names = self.by_filter.keys() | other.by_filter.keys()
        return ResultEvents(
            self.offsets + other.offsets,
            self.ids + other.ids,
            self.payloads + other.payloads,
            self.surveys + other.surveys,
            Summaries(columns, self.summaries.vectors + other.summaries.vectors),
            {name: np.concatenate([_mask(self, name), _mask(other, name)]) for name in names},
        )


def _mask(batch: ResultEvents, name: str) -> NDArray[np.bool_]:
    return batch.by_filter.get(name, np.zeros(len(batch.offsets), np.bool_))


class ResultEventEncoder:
    """Encodes published records as events.

    Parameters
    ----------
    load
        Returns the stored states of objects by their keys; None for each that is not stored, and for all
        where the store does not answer.
    """

    def __init__(self, load: LoadStates) -> None:
        self._load = load
        self.vocabulary = Vocabulary()

    def encode(
        self, records: Sequence[FeedRecord], positions: dict[int, int], filters: Sequence[FilterSpec]
    ) -> ResultEvents:
        """Return the events of records, and advance `positions` past them; what is no result is ignored.

        Parameters
        ----------
        records
            Records of the output topic.
        positions
            Partition to the offset of its next record; advanced in place.
        filters
            The stored filters.
        """
        offsets, ids, native = [], [], []
        for record in records:
            positions[record.partition] = record.offset + 1
            try:
                native.append(parse_record(record.value))
            except InputError:
                continue
            offsets.append((record.partition, record.offset))
            ids.append(f"id: {write_positions(positions)}\n".encode())
        results = result_batch(native, self._load, self.vocabulary)
        by_filter = {spec.name: spec.mask(results) for spec in filters}
        return ResultEvents(offsets, ids, _payloads(results), results.surveys, results.summaries, by_filter)


def _payloads(results: ResultBatch) -> list[bytes]:
    """Return the data of events: `service.client.schemas.objects.StreamedResult`."""
    objects = object_fields(results.keys, results.summaries, results.vocabulary.names, lambda _: None)
    return [
        b"event: classification\ndata: "
        + json_bytes(
            fields | {"classifier": _classifier(record["classifier"]), "alert_id": record["alert_id"]}
        )
        + b"\n\n"
        for fields, record in zip(objects, results.records, strict=True)
    ]


def _classifier(published: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return ``classifier`` of a record, which does not carry the digest."""
    return None if published is None else {**published, "digest": None}


class ReplayBuffer:
    """The latest results, for clients that reconnect soon.

    Parameters
    ----------
    max_results
        Results kept, to within a batch.
    starts
        Positions at which reading began.
    """

    def __init__(self, max_results: int, starts: Positions) -> None:
        self._max_results = max_results
        self._batches: deque[ResultEvents] = deque()
        self._size = 0
        self._low = dict(starts)  # it holds everything from here

    def add_partitions(self, starts: Positions) -> None:
        """Add partitions that are new, from where they are read.

        Parameters
        ----------
        starts
            Partition to the offset of the first record that is read.
        """
        self._low = {**starts, **self._low}

    def add(self, batch: ResultEvents) -> None:
        """Add the next batch, and drop the oldest ones beyond the limit.

        Parameters
        ----------
        batch
            Results that follow those in the buffer.
        """
        if self._batches and len(self._batches[-1].offsets) + len(batch.offsets) <= MAX_MERGED:
            self._batches[-1] = self._batches[-1].joined(batch)
        else:
            self._batches.append(batch)
        self._size += len(batch.offsets)
        while self._size > self._max_results and len(self._batches) > 1:
            dropped = self._batches.popleft()
            self._size -= len(dropped.offsets)
            for partition, offset in dropped.offsets:
                self._low[partition] = offset + 1

    def covers(self, positions: Positions) -> bool:
        """Return whether it holds everything from some positions on.

        Parameters
        ----------
        positions
            Partition to the offset of the next record wanted.
        """
        return all(positions.get(partition, 0) >= low for partition, low in self._low.items())

    def since(self, positions: Positions) -> Iterator[tuple[ResultEvents, list[int]]]:
        """Iterate over batches with the indices of the results after some positions.

        Parameters
        ----------
        positions
            Partition to the offset of the next record wanted.
        """
        for batch in self._batches:
            new = [i for i, (part, offset) in enumerate(batch.offsets) if offset >= positions.get(part, 0)]
            if new:
                yield batch, new
