"""Where the records of many messages lie."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.decoding.vm.memory import addresses_of
from service.decoding.wire.framing import Block

__all__ = ["RecordSpans"]


@dataclass(frozen=True, slots=True)
class RecordSpans:
    """Blocks of records to read.

    Attributes
    ----------
    data
        The bytes each lies in, which are kept for as long as anything points to them.
    address, start, stop, n_records
        int64, shape (n,): see `service.decoding.vm.storage`.
    schema
        int64, shape (n,), number of the schema.
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
        """Take blocks found one by one."""
        places = np.array([(b.start, b.end, b.n_records) for b in blocks], np.int64).reshape(-1, 3)
        data = [block.data for block in blocks]
        numbers = np.array([schema, message], np.int64)
        return cls(data, addresses_of(data), *places.T, *numbers)

    def concat(self, others: "RecordSpans") -> "RecordSpans":
        """Put the bodies of both one behind the other."""
        if not others.data:
            return self
        columns = (np.concatenate(pair) for pair in zip(self.columns(), others.columns(), strict=True))
        return RecordSpans(self.data + others.data, *columns)

    def take(self, index: NDArray[np.int64]) -> "RecordSpans":
        """Give some of the bodies."""
        if len(index) == len(self.data):
            return self
        data = [self.data[place] for place in index.tolist()]
        return RecordSpans(data, *(column[index] for column in self.columns()))

    def blocks(self) -> Iterator[tuple[Block, int, int]]:
        """Give each as a block, with the number of its schema and the index of its message."""
        places = zip(*(column.tolist() for column in self.columns()[1:]), strict=True)
        for data, (start, stop, n_records, schema, message) in zip(self.data, places, strict=True):
            yield Block(data, start, stop, n_records), schema, message

    def for_programs(self, programs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the bodies as the interpreter takes them; int64, shape (n, 5)."""
        return np.column_stack([self.address, self.start, self.stop, self.n_records, programs])

    def columns(self) -> tuple[NDArray[np.int64], ...]:
        """Give all but the data."""
        return self.address, self.start, self.stop, self.n_records, self.schema, self.message
