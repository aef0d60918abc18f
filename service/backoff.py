"""How long to wait before the next attempt: exponential backoff with jitter and a cap."""

import random
from collections.abc import Callable
from datetime import timedelta

__all__ = ["Backoff", "conflict_pause"]

FIRST_CONFLICT_DELAY = timedelta(milliseconds=1)
MAXIMUM_CONFLICT_DELAY = timedelta(milliseconds=100)


class Backoff:
    """Delays that double with each failure, up to a cap.

    It neither sleeps nor reads a clock: the caller waits, by whatever can be interrupted there.

    Parameters
    ----------
    initial
        Delay after the first failure, before jitter.
    maximum
        Cap of the delays.
    jitter
        Fraction of each delay that is drawn at random, from 0 (none) to 1 (anything down to no delay at
        all): clients that failed together should not come back together.
    uniform
        Source of randomness: returns numbers from [0, 1).

    Attributes
    ----------
    failures
        Delays handed out since the last `reset`.
    """

    def __init__(
        self,
        initial: timedelta,
        maximum: timedelta,
        *,
        jitter: float = 0.5,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._initial_s = initial.total_seconds()
        self._maximum_s = maximum.total_seconds()
        self._jitter = jitter
        self._uniform = uniform
        self.failures = 0

    def next_s(self) -> float:
        """Return the delay before the next attempt, in seconds, and count a failure."""
        # The exponent is bounded, because 2.0**1024 overflows: an outage may last for days.
        delay_s = min(self._initial_s * 2.0 ** min(self.failures, 64), self._maximum_s)
        self.failures += 1
        return delay_s * (1.0 - self._jitter * self._uniform())

    def reset(self) -> None:
        """Start again with the initial delay, after a success."""
        self.failures = 0


def conflict_pause(sleep: Callable[[float], None]) -> Callable[[], None]:
    """Return a pause between attempts at a compare-and-set, `service.core.compare_and_set.Pause`.

    Its delays are fully random: otherwise two writers of the same objects could collide for ever.

    Parameters
    ----------
    sleep
        Waits for some seconds.
    """
    backoff = Backoff(FIRST_CONFLICT_DELAY, MAXIMUM_CONFLICT_DELAY, jitter=1.0)
    return lambda: sleep(backoff.next_s())
