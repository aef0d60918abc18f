"""Send dead letters back to their topics, once the cause of their rejection is fixed."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice

from service.core.ports.messages import SOURCE_HEADER, OutgoingMessage, Partition
from service.errors import InputError, RejectionCode
from service.kafka.records import TopicRecord, source_of
from service.kafka.sink import KafkaSink
from service.settings import Settings
from service.tools.audit.topic_extents import true_extents
from service.wiring.tools import KafkaClients, connected_sink, fail_fast

__all__ = ["REPLAYED_HEADER", "DeadLetterReplay"]

CLASS_HEADER = "error_class"
REPLAYED_HEADER = "replayed"
"""Of a message sent again: the position of the message that was rejected."""

# A letter may be as large as any message, and a transaction is held in memory.
LETTERS_PER_TRANSACTION = 50
READ_TIMEOUT = timedelta(minutes=1)


@dataclass(slots=True)
class DeadLetterReplay:
    """Sends dead letters again, each once.

    The progress through the letters of each error class is kept in a consumer group of that class, and
    committed in the transaction that sends the messages: an interrupted run continues where it stopped, and
    the classes can be sent at different times.

    Parameters
    ----------
    settings
        Name the rejected topic and the service's group.
    clients
        Make the Kafka clients.
    classes
        Error classes to send.
    topic
        Destination, instead of the topic that each letter came from; empty for that.
    resend
        Also send letters that were sent before.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer, or the topic of dead letters does not exist.
    """

    settings: Settings
    clients: KafkaClients
    classes: Collection[RejectionCode]
    topic: str = ""
    resend: bool = False
    _positions: dict[str, dict[Partition, int]] = field(init=False)
    _ends: dict[Partition, int] = field(init=False)

    def __post_init__(self) -> None:
        extents = true_extents(self.clients.options, [self.settings.rejected_topic])
        self._ends = {partition: extent.high for partition, extent in extents.items()}
        self._positions = {}
        for code in self.classes:
            committed = {} if self.resend else self._committed(code.value)
            self._positions[code.value] = {
                partition: max(committed.get(partition, 0), extent.low)
                for partition, extent in extents.items()
            }

    def _committed(self, code: str) -> dict[Partition, int]:
        return self.clients.committed_offsets(self._group(code), list(self._ends))

    def due(self) -> Counter[tuple[str, str]]:
        """Count the letters to send by error class and destination.

        Raises
        ------
        BrokerUnavailableError
            The broker does not answer.
        """
        return Counter((_class_of(letter), self._destination(letter)) for letter in self._letters())

    def send(self, topics: Collection[str], advance: Callable[[int], None]) -> None:
        """Send every letter that is due.

        Parameters
        ----------
        topics
            The destinations that `due` returned.
        advance
            Called with the number of letters of each committed transaction.

        Raises
        ------
        InputError
            A destination does not exist any more.
        TransientError
            The broker does not answer; what was committed is not sent again.
        FencedError
            Another process sends letters of this service.
        """
        missing = sorted(set(topics) - self.clients.topic_admin().partitions().keys())
        if missing:
            raise InputError(f"topic {missing[0]} does not exist: choose another one with --topic")
        if not topics:
            return
        sink = connected_sink(self.settings, self.clients, "resend")
        try:
            letters = self._letters()
            while batch := list(islice(letters, LETTERS_PER_TRANSACTION)):
                self._send(sink, batch)
                advance(len(batch))
        finally:
            sink.close()

    def _send(self, sink: KafkaSink, batch: list[TopicRecord]) -> None:
        """Send letters and commit the progress, both or neither."""
        sink.begin()
        sink.produce(map(self._message, batch))
        for letter in batch:
            self._positions[_class_of(letter)][letter.topic, letter.partition] = letter.offset + 1
        for code in {_class_of(letter) for letter in batch}:
            progress = self.clients.group_offsets(self._group(code), self._positions[code])
            sink.send_offsets(progress, fail_fast)
        sink.commit(fail_fast)

    def _letters(self) -> Iterator[TopicRecord]:
        """Read the letters that are due."""
        ranges = {
            partition: range(min(positions[partition] for positions in self._positions.values()), end)
            for partition, end in self._ends.items()
        }
        with self.clients.range_reader(ranges, READ_TIMEOUT) as reader:
            for letter in reader:
                positions = self._positions.get(_class_of(letter))
                if positions is not None and letter.offset >= positions[letter.topic, letter.partition]:
                    yield letter

    def _destination(self, letter: TopicRecord) -> str:
        return self.topic or source_of(letter).topic

    def _message(self, letter: TopicRecord) -> OutgoingMessage:
        headers = [(REPLAYED_HEADER, letter.headers[SOURCE_HEADER])]
        return OutgoingMessage(self._destination(letter), letter.key, letter.value, headers)

    def _group(self, code: str) -> str:
        return f"{self.settings.group_id}-resend-{code}"


def _class_of(letter: TopicRecord) -> str:
    return letter.headers.get(CLASS_HEADER, b"").decode(errors="replace")
