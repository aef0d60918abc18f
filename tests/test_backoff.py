"""Delays between attempts double up to a cap, with jitter, and start again after a success."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.backoff import Backoff

INITIAL, MAXIMUM = timedelta(milliseconds=100), timedelta(seconds=2)


def test_delays_double_up_to_the_cap() -> None:
    backoff = Backoff(INITIAL, MAXIMUM, jitter=0)
    assert [backoff.next_s() for _ in range(7)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
    assert backoff.failures == 7


def test_success_starts_again_with_the_initial_delay() -> None:
    backoff = Backoff(INITIAL, MAXIMUM, jitter=0)
    for _ in range(5):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() == pytest.approx(0.1)


@given(jitter=st.floats(0, 1), chance=st.floats(0, 1, exclude_max=True), failures=st.integers(0, 40))
def test_jitter_only_shortens_a_delay_and_by_no_more_than_its_fraction(
    jitter: float, chance: float, failures: int
) -> None:
    exact, drawn = (
        Backoff(INITIAL, MAXIMUM, jitter=0),
        Backoff(INITIAL, MAXIMUM, jitter=jitter, uniform=lambda: chance),
    )
    exact.failures = drawn.failures = failures
    delay_s = exact.next_s()
    assert (1 - jitter) * delay_s - 1e-12 <= drawn.next_s() <= delay_s


def test_outage_of_any_length_does_not_overflow() -> None:
    backoff = Backoff(INITIAL, MAXIMUM)
    backoff.failures = 1_000_000
    assert 1.0 <= backoff.next_s() <= 2.0
