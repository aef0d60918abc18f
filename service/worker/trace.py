"""Where the time of a batch goes: spans for whoever wants them, nothing for all others."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

__all__ = ["NO_TRACE", "NoTrace", "Tracer"]


class Tracer(Protocol):
    """Records spans; what is begun within another's context is a part of it."""

    def span(self, name: str, count: int = 0) -> AbstractContextManager[object]:
        """Time what is done in the context.

        Parameters
        ----------
        name
            What is done.
        count
            With how many messages, alerts or objects.
        """


class NoTrace:
    """Records nothing, in a tenth of a microsecond."""

    def __init__(self) -> None:
        self._nothing: AbstractContextManager[object] = nullcontext()

    def span(self, name: str, count: int = 0) -> AbstractContextManager[object]:  # noqa: ARG002  not needed here
        """Give a context that does nothing."""
        return self._nothing


NO_TRACE = NoTrace()
