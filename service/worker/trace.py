"""Spans of a batch and its steps, recorded where tracing is enabled."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

__all__ = ["NO_TRACE", "NoTrace", "Tracer"]


class Tracer(Protocol):
    """Records spans; a span started within another's context is its child."""

    def span(self, name: str, count: int = 0) -> AbstractContextManager[object]:
        """Return a context whose duration is recorded.

        Parameters
        ----------
        name
            Name of the step.
        count
            Number of messages, alerts or objects.
        """


class NoTrace:
    """Records nothing, in a tenth of a microsecond."""

    def __init__(self) -> None:
        self._nothing: AbstractContextManager[object] = nullcontext()

    def span(self, name: str, count: int = 0) -> AbstractContextManager[object]:  # noqa: ARG002  unused
        """Return a context that does nothing."""
        return self._nothing


NO_TRACE = NoTrace()
