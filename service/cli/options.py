"""Options that several subcommands share, and how their texts are read."""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from service.core.times import mjd_tai_of_unix_ms
from service.errors import InputError

__all__ = [
    "BrokersOption",
    "JsonCountsOption",
    "PartitionsOption",
    "duration",
    "mjd_tai",
    "night",
    "object_ids",
    "unix_ms",
]

BrokersOption = Annotated[
    str, typer.Option("--brokers", metavar="HOST:PORT", help="Instead of NIGHTJAR_BOOTSTRAP_SERVERS.")
]
JsonCountsOption = Annotated[bool, typer.Option("--json", help="Print the counts as one JSON object.")]
PartitionsOption = Annotated[
    int, typer.Option("--partitions", min=1, help="Partitions of a topic that does not exist yet.")
]


_DURATION = TypeAdapter(timedelta)


def duration(text: str, option: str) -> timedelta:
    """Parse a positive duration as the settings do: ISO 8601 or seconds.

    Parameters
    ----------
    text
        For instance ``P7D``, ``PT36H`` or ``90``.
    option
        The option's name, for the error message.

    Returns
    -------
    timedelta
        Greater than zero.

    Raises
    ------
    InputError
        The text is not a positive duration.
    """
    try:
        value = _DURATION.validate_python(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValidationError:
        value = timedelta()
    if value <= timedelta():
        raise InputError(f"{option}: {text} is not a duration; write P7D, PT36H or seconds")
    return value


def unix_ms(text: str, option: str) -> int:
    """Parse a time, or how long ago it was.

    Parameters
    ----------
    text
        ISO 8601 time (UTC unless it has an offset) or duration; may be empty.
    option
        The option's name, for the error message.

    Returns
    -------
    int
        Unix milliseconds; 0 for an empty text.

    Raises
    ------
    InputError
        The text is neither a time nor a duration.
    """
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return round((time.time() - duration(text, option).total_seconds()) * 1000)
        except InputError:
            raise InputError(f"{option}: {text} is not a time; write 2026-03-01T00:00 (UTC) or P2D") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def mjd_tai(text: str, option: str) -> float:
    """Parse a time, or how long ago it was, as `unix_ms` does.

    Parameters
    ----------
    text, option
        As for `unix_ms`.

    Returns
    -------
    float
        MJD TAI, days; minus infinity for an empty text.

    Raises
    ------
    InputError
        The text is neither a time nor a duration.
    """
    if not text:
        return float("-inf")
    return mjd_tai_of_unix_ms(unix_ms(text, option))


def night(text: str, option: str) -> date | None:
    """Parse the date of a night.

    Parameters
    ----------
    text
        ISO 8601 date; may be empty.
    option
        The option's name, for the error message.

    Returns
    -------
    date or None
        None for an empty text.

    Raises
    ------
    InputError
        The text is not a date.
    """
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InputError(f"{option}: {text} is not a night; write 2026-11-20") from None


def object_ids(values: Iterable[str], option: str) -> Iterator[str]:
    """Yield object ids; ``@FILE`` stands for the ids in a file, separated by white space.

    Parameters
    ----------
    values
        Ids and file names, as given on the command line.
    option
        The option's name, for the error message.

    Raises
    ------
    InputError
        A file cannot be read or is empty.
    """
    for text in values:
        if not text.startswith("@"):
            yield text
            continue
        try:
            ids = Path(text[1:]).read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{option}: {text[1:]} cannot be read: {error}") from error
        if not ids:
            raise InputError(f"{option}: {text[1:]} is empty")
        yield from ids
