"""Follow the output topic, and write its records as text."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from rich.text import Text

from service.backoff import Backoff
from service.core.records.published import Record, parse_record
from service.core.records.result_batch import Vocabulary, result_batch
from service.core.search.criteria import Criteria
from service.core.taxonomy import CLASS_IDS
from service.errors import BrokerUnavailableError, InputError
from service.kafka.topic_reader import TopicReader
from service.wiring.tools import KafkaClients

__all__ = [
    "RecordSelection",
    "known_class_names",
    "matching_records",
    "open_reader",
    "record_line",
    "result_text",
]

POLL = timedelta(milliseconds=200)
INITIAL_DELAY = timedelta(seconds=0.5)
MAXIMUM_DELAY = timedelta(seconds=5)
CLASSES_SHOWN = 3


@dataclass(frozen=True)
class RecordSelection:
    """Which records to print.

    Attributes
    ----------
    criteria
        A record must pass one of these.
    status
        ``classified`` or ``abstained``; None for both.
    object_ids
        One of these objects, by the survey's own name or by qualified id; empty for all.
    """

    criteria: Sequence[Criteria]
    status: str | None = None
    object_ids: frozenset[str] = frozenset()

    def select(self, records: Sequence[Record]) -> list[Record]:
        """Return the records to print, in their order.

        Parameters
        ----------
        records
            Published records.
        """
        # Criteria on class, probability and survey need nothing of the stored objects.
        batch = result_batch(records, lambda keys: [None] * len(keys), Vocabulary())
        passes = np.zeros(len(records), np.bool_)
        for criteria in self.criteria:
            passes |= criteria.mask(batch.surveys, batch.summaries, batch.vocabulary.names)
        return [
            record
            for record, key, is_passing in zip(records, batch.keys, passes.tolist(), strict=True)
            if is_passing
            and (self.status is None or record["status"] == self.status)
            and (not self.object_ids or {record["object_id"], key} & self.object_ids)
        ]


def known_class_names(names: Sequence[str] | None) -> list[str | None]:
    """Return classes, given in any case, as the taxonomy names them.

    Parameters
    ----------
    names
        Class names; empty or None for any class.

    Returns
    -------
    list
        The names; a single None for any class.

    Raises
    ------
    InputError
        A name is unknown; the message lists those that exist.
    """
    known = {name.casefold(): name for name in CLASS_IDS}
    for name in names or ():
        if name.casefold() not in known:
            raise InputError(f"unknown class {name!r}; known classes: {', '.join(CLASS_IDS)}")
    return [known[name.casefold()] for name in names] if names else [None]


def open_reader(
    clients: KafkaClients,
    topic: str,
    *,
    from_beginning: bool,
    on_wait: Callable[[BrokerUnavailableError], None] | None,
) -> TopicReader:
    """Start to read a topic.

    Parameters
    ----------
    clients
        Make the Kafka clients.
    topic
        The topic.
    from_beginning
        Start with the oldest record instead of the next one to arrive.
    on_wait
        Called once if the broker or the topic is not there yet, which is then waited for; None to raise
        instead.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer or the topic does not exist, and `on_wait` is None.
    """
    backoff = Backoff(INITIAL_DELAY, MAXIMUM_DELAY)
    while True:
        try:
            return clients.topic_reader([topic], from_beginning=from_beginning)
        except BrokerUnavailableError as error:
            if on_wait is None:
                raise
            if not backoff.failures:
                on_wait(error)
            time.sleep(backoff.next_s())


def matching_records(
    reader: TopicReader, selection: RecordSelection, on_silence: Callable[[], None]
) -> Iterator[Record]:
    """Yield the selected records of the topic, forever.

    Parameters
    ----------
    reader
        Reader of an output topic.
    selection
        Which records to yield.
    on_silence
        Called each time the broker stops answering.

    Raises
    ------
    InputError
        The topic holds something else than classifications.
    BrokerUnavailableError
        The broker reports a permanent error.
    """
    was_waiting = False
    while True:
        yield from selection.select([parse_record(message.value) for message in reader.read(POLL)])
        if reader.waiting and not was_waiting:
            on_silence()
        was_waiting = reader.waiting


def record_line(record: Record) -> Text:
    """Return one record as one line of text.

    Parameters
    ----------
    record
        A published record.
    """
    classified_at = datetime.fromtimestamp(record["timestamps"]["classified"] / 1000, UTC)
    start = f"{classified_at:%Y-%m-%d %H:%M:%S}  {record['survey']:<8} {record['object_id']:<20} "
    context = f"  mjd {record['mjd_tai']:.4f} {record['band']}  {record['n_detections']} detections"
    return Text.assemble(start, result_text(record), (context, "dim"))


def result_text(record: Mapping[str, Any]) -> Text:
    """Return the most probable classes of a record, or its reason for abstaining.

    Parameters
    ----------
    record
        A published record.
    """
    if record["status"] == "abstained":
        return Text(f"abstained: {record['reason']}", "yellow")
    best = sorted(record["classifications"], key=lambda entry: -entry["probability"])[:CLASSES_SHOWN]
    first, *others = (f"{entry['class_name']} {entry['probability']:.2f}" for entry in best)
    return Text.assemble((first, "bold green"), "".join(f", {text}" for text in others))
