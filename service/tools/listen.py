"""Follow the output topic, and write its records as text."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.text import Text

from service.backoff import Backoff
from service.core.records.published import Filter, Record, parse_record
from service.core.taxonomy import CLASS_IDS
from service.errors import BrokerUnavailableError, InputError
from service.kafka.topic_reader import TopicReader
from service.wiring.tools import KafkaClients

__all__ = ["check_classes", "matching_records", "open_reader", "record_line", "result_text"]

POLL = timedelta(milliseconds=200)
INITIAL_DELAY = timedelta(seconds=0.5)
MAXIMUM_DELAY = timedelta(seconds=5)
CLASSES_SHOWN = 3


def check_classes(names: Iterable[str]) -> None:
    """Refuse names that no class has.

    Parameters
    ----------
    names
        Class names, in any case.

    Raises
    ------
    InputError
        A name is unknown; the message lists those that exist.
    """
    known = {name.casefold() for name in CLASS_IDS}
    for name in names:
        if name.casefold() not in known:
            raise InputError(f"no class {name!r}; there are {', '.join(CLASS_IDS)}")


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
    reader: TopicReader, criteria: Filter, on_silence: Callable[[], None]
) -> Iterator[Record]:
    """Yield records of the topic that meet the criteria, forever.

    Parameters
    ----------
    reader
        Reader of an output topic.
    criteria
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
        for message in reader.read(POLL):
            record = parse_record(message.value)
            if criteria.passes(record):
                yield record
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
