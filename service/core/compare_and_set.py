"""Read-modify-write against a store that others write to."""

from collections.abc import Callable, Sized
from typing import TypeVar

from service.errors import StoreUnavailableError

__all__ = ["MAX_ATTEMPTS", "Pause", "save_until_current"]

MAX_ATTEMPTS = 30
"""Whenever a writer loses a race another wins it: so many losses in a row mean that something is wrong."""

Pause = Callable[[], None]
"""Waits before another attempt, longer each time: `service.backoff.conflict_pause`."""

Pending = TypeVar("Pending", bound=Sized)


def save_until_current(pending: Pending, attempt: Callable[[Pending], Pending], pause: Pause) -> None:
    """Repeat a read-modify-write for the objects that another writer changed meanwhile.

    Parameters
    ----------
    pending
        The objects to be written.
    attempt
        Loads, changes and saves objects, and returns those that lost their compare-and-set.
    pause
        Called between two attempts.

    Raises
    ------
    StoreUnavailableError
        Other writers won at each of `MAX_ATTEMPTS` attempts.
    """
    for _ in range(MAX_ATTEMPTS):
        pending = attempt(pending)
        if not pending:
            return
        pause()
    raise StoreUnavailableError(
        f"{len(pending)} objects were changed by other writers at each of {MAX_ATTEMPTS} attempts"
    )
