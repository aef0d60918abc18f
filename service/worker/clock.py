"""Time as the worker sees it, so that a test can supply its own."""

import random
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]

FIRST_PAUSE_S = 0.001
LONGEST_PAUSE_S = 0.1


class Clock(Protocol):
    """What the worker asks of time."""

    def now_ms(self) -> int:
        """Return the Unix time in milliseconds."""

    def pause(self, attempt: int) -> None:
        """Wait after a lost compare-and-set, `service.core.compare_and_set.Pause`."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return the Unix time in milliseconds."""
        return time.time_ns() // 1_000_000

    def pause(self, attempt: int) -> None:
        """Wait for up to `FIRST_PAUSE_S`, doubled with each attempt, at most `LONGEST_PAUSE_S`."""
        time.sleep(min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S) * random.random())  # noqa: S311
