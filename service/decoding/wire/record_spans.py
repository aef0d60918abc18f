"""Where the records of many messages are located."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.decoding.vm.memory import addresses_of
from service.decoding.wire.framing import Block

__all__ = ["RecordSpans"]


@dataclass(frozen=True, slots=True)
class RecordSpans:
    """Spans of records: blocks of many messages, as columns.

    Attributes
    ----------
    data
        The bytes that contain each span. Keeping them here keeps the addresses valid.
    address, start, stop, n_records
        int64, shape (n,): see `service.decoding.vm.storage`.
    schema
        int64, shape (n,), number of the schema in the `SchemaCache`.
    message
        int64, shape (n,), index of the message.
    """

    data: list[bytes]
    address: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    n_records: NDArray[np.int64]
    schema: NDArray[np.int64]
    message: NDArray[np.int64]

    @classmethod
    def of(cls, blocks: Sequence[Block], schema: Sequence[int], message: Sequence[int]) -> "RecordSpans":
        """Build spans from blocks.

        Parameters
        ----------
        blocks
            n blocks.
        schema, message
            Number of the schema and index of the message of each.
        """
        bounds = np.array([(b.start, b.end, b.n_records) for b in blocks], np.int64).reshape(-1, 3)
        data = [block.data for block in blocks]
        numbers = np.array([schema, message], np.int64)
        return cls(data, addresses_of(data), *bounds.T, *numbers)

    def concat(self, others: "RecordSpans") -> "RecordSpans":
        """Return the spans of both, these first.

        Parameters
        ----------
        others
            Spans to append.
        """
        if not others.data:
            return self
        columns = (np.concatenate(pair) for pair in zip(self.columns(), others.columns(), strict=True))
        return RecordSpans(self.data + others.data, *columns)

    def take(self, index: NDArray[np.int64]) -> "RecordSpans":
        """Return some of the spans.

        Parameters
        ----------
        index
            int64, ascending and without repetitions.
        """
        if len(index) == len(self.data):
            return self
        data = [self.data[i] for i in index.tolist()]
        return RecordSpans(data, *(column[index] for column in self.columns()))

    def blocks(self) -> Iterator[tuple[Block, int, int]]:
        """Yield each span as a block, with the number of its schema and the index of its message."""
        rows = zip(*(column.tolist() for column in self.columns()[1:]), strict=True)
        for data, (start, stop, n_records, schema, message) in zip(self.data, rows, strict=True):
            yield Block(data, start, stop, n_records), schema, message

    def for_programs(self, programs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the spans in the layout of the interpreter.

        Parameters
        ----------
        programs
            int64, shape (n,), first instruction of the program for each span.

        Returns
        -------
        ndarray, shape (n, 5), int64
            See `service.decoding.vm.storage`.
        """
        return np.column_stack([self.address, self.start, self.stop, self.n_records, programs])

    def columns(self) -> tuple[NDArray[np.int64], ...]:
        """Return all columns but `data`, in order."""
        return self.address, self.start, self.stop, self.n_records, self.schema, self.message
