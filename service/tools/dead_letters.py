"""Dead letters back to where they came from, once what rejected them is mended."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any

from service.core.ports.messages import SOURCE_HEADER, OutgoingMessage, Partition
from service.errors import InputError, RejectionCode
from service.kafka.group_offsets import committed_offsets, group_offsets
from service.kafka.records import TopicRecord, source_of
from service.kafka.sink import KafkaSink
from service.kafka.topic_admin import TopicAdmin
from service.kafka.topic_ranges import RangeReader
from service.settings import Settings
from service.tools.audit.topic_extents import true_extents
from service.tools.transactions import abort_and_close, connected_sink

__all__ = ["REPLAYED_HEADER", "DeadLetterReplay"]

CLASS_HEADER = "error_class"
REPLAYED_HEADER = "replayed"
"""Of a message sent again: where the message lies that was rejected."""

# A letter may be as large as any message, and a transaction is held in memory.
LETTERS_PER_TRANSACTION = 50
PATIENCE = timedelta(minutes=1)


@dataclass(slots=True)
class DeadLetterReplay:
    """Sends dead letters again, each once.

    How far the letters of each error class were sent is kept in a consumer group of its own, and written
    in the same transaction as the messages: who was interrupted goes on where they stopped, and letters of
    one class can be sent today and those of another next year.

    Parameters
    ----------
    settings
        Name the rejected topic and the service's group.
    options
        librdkafka options, the brokers among them.
    classes
        Error classes to send.
    topic
        Where to, instead of the topic that each letter came from; empty for that.
    again
        Send those that were sent before as well.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer, or there is no topic of dead letters.
    """

    settings: Settings
    options: Mapping[str, Any]
    classes: Collection[RejectionCode]
    topic: str = ""
    again: bool = False
    _positions: dict[str, dict[Partition, int]] = field(init=False)
    _ends: dict[Partition, int] = field(init=False)

    def __post_init__(self) -> None:
        found = true_extents(self.options, [self.settings.rejected_topic])
        self._ends = {place: extent.high for place, extent in found.items()}
        self._positions = {}
        for code in self.classes:
            before = (
                {} if self.again else committed_offsets(self.options, self._group(code.value), list(found))
            )
            self._positions[code.value] = {
                place: max(before.get(place, 0), extent.low) for place, extent in found.items()
            }

    def due(self) -> Counter[tuple[str, str]]:
        """Count what there is to send, by error class and topic."""
        return Counter((_class_of(letter), self._topic_of(letter)) for letter in self._letters())

    def send(self, topics: Collection[str], advance: Callable[[int], None]) -> None:
        """Send everything that is due.

        Parameters
        ----------
        topics
            Where to, as `due` told.
        advance
            Told how many more were sent.

        Raises
        ------
        InputError
            A topic that letters came from is there no more.
        TransientError
            The broker does not answer; what was committed is not sent again.
        FencedError
            Somebody else sends letters of this service.
        """
        missing = sorted(set(topics) - TopicAdmin(self.options).partitions().keys())
        if missing:
            raise InputError(f"topic {missing[0]} is not there: choose another one with --topic")
        if not topics:
            return
        sink = connected_sink(self.settings, self.options, "resend")
        try:
            letters = self._letters()
            while batch := list(islice(letters, LETTERS_PER_TRANSACTION)):
                self._send(sink, batch)
                advance(len(batch))
        finally:
            sink.close()

    def _send(self, sink: KafkaSink, batch: list[TopicRecord]) -> None:
        """Send some letters and note it, both or neither."""
        sink.begin()
        sink.produce(map(self._message, batch))
        for letter in batch:
            self._positions[_class_of(letter)][letter.topic, letter.partition] = letter.offset + 1
        for code in {_class_of(letter) for letter in batch}:
            progress = group_offsets(self.options, self._group(code), self._positions[code])
            sink.send_offsets(progress, abort_and_close)
        sink.commit(abort_and_close)

    def _letters(self) -> Iterator[TopicRecord]:
        """Read the letters that are due."""
        starts = {place: min(one[place] for one in self._positions.values()) for place in self._ends}
        ranges = {place: range(start, self._ends[place]) for place, start in starts.items()}
        with RangeReader(self.options, ranges, PATIENCE) as reader:
            for letter in reader:
                positions = self._positions.get(_class_of(letter))
                if positions is not None and letter.offset >= positions[letter.topic, letter.partition]:
                    yield letter

    def _topic_of(self, letter: TopicRecord) -> str:
        return self.topic or source_of(letter).topic

    def _message(self, letter: TopicRecord) -> OutgoingMessage:
        headers = [(REPLAYED_HEADER, letter.headers[SOURCE_HEADER])]
        return OutgoingMessage(self._topic_of(letter), letter.key, letter.value, headers)

    def _group(self, code: str) -> str:
        return f"{self.settings.group_id}-resend-{code}"


def _class_of(letter: TopicRecord) -> str:
    return letter.headers.get(CLASS_HEADER, b"").decode(errors="replace")
