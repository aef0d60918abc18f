"""The header by which a result names the alert message that it answers."""

from service.errors import InputError
from service.kafka.topic_writer import Position, TopicRecord

__all__ = ["SOURCE_HEADER", "parse_source", "source_of"]

SOURCE_HEADER = "source"
"""``topic:partition:offset``, as `service.core.ports.messages.SourceMessage.source` writes it."""


def parse_source(header: bytes) -> Position | None:
    """Parse the value of a source header.

    Parameters
    ----------
    header
        ``topic:partition:offset``.

    Returns
    -------
    tuple or None
        (topic, partition, offset); None where the value has another form.
    """
    topic, _, rest = header.decode(errors="replace").partition(":")
    partition, _, offset = rest.partition(":")
    return (topic, int(partition), int(offset)) if partition.isdigit() and offset.isdigit() else None


def source_of(record: TopicRecord) -> Position:
    """Return (topic, partition, offset) of the input message that a result answers.

    Parameters
    ----------
    record
        A result or a dead letter.

    Raises
    ------
    InputError
        The record has no such header, so this service did not write it.
    """
    source = parse_source(record.headers.get(SOURCE_HEADER, b""))
    if source is None:
        raise InputError(f"a record of {record.topic} does not say which alert it belongs to")
    return source
