"""The directory of an export, where the user may have named one that cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import InputError

__all__ = ["make_directory", "writing"]


def make_directory(path: Path) -> None:
    """Make a directory where it is missing.

    Raises
    ------
    InputError
        There is something else, or it cannot be made.
    """
    with writing(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise InputError(f"{path} is a file: name a directory") from None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one line that a file or directory cannot be written.

    Raises
    ------
    InputError
        It could not.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
