"""Server-sent events."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Event", "read_events"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes
    ----------
    kind, data
        As sent; lines of data are joined by newlines. Without data where only an id was sent.
    last_id
        The id up to which the stream was read with this event; empty where none was ever sent.
    """

    kind: str
    data: str
    last_id: str


def read_events(lines: Iterable[str], last_id: str = "") -> Iterator[Event]:
    """Read events as the standard has them (WHATWG HTML, 9.2.6); an event that was cut off is left out.

    Parameters
    ----------
    lines
        Without their ends.
    last_id
        Up to where the stream was read before.
    """
    kind, data, has_id = "message", list[str](), False
    for line in lines:
        if not line:
            if data or has_id:
                yield Event(kind, "\n".join(data), last_id)
            kind, data, has_id = "message", [], False
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                kind = value
            case "data":
                data.append(value)
            case "id" if "\0" not in value:
                last_id, has_id = value, True
