"""Files and directories of an export; what cannot be written is reported in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import InputError

__all__ = ["make_directory", "writing"]


def make_directory(path: Path) -> None:
    """Create a directory if it is missing.

    Parameters
    ----------
    path
        Of the directory.

    Raises
    ------
    InputError
        The path is something else, or the directory cannot be created.
    """
    with writing(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise InputError(f"{path} is a file: name a directory") from None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Translate errors of writing a file or directory.

    Parameters
    ----------
    path
        What is written, for the message.

    Raises
    ------
    InputError
        It cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
