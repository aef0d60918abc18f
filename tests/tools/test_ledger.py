"""The ledger says what a plain count with dictionaries says, in a few bytes per alert."""

import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tools.audit import ledger as module
from service.tools.audit.ledger import Ledger, PartitionAccount, Problem

PLACE = ("in", 0)


def settled(
    n_alerts: dict[int, int],
    answers: list[tuple[int, int]] = [],  # noqa: B006  never changed
    dead_letters: list[int] = [],  # noqa: B006
    *,
    span: range = range(8),
    position: int | None = None,
    kept_from: int = 0,
) -> tuple[PartitionAccount, Ledger]:
    """Settle one partition: alerts by offset, results as (offset, record), offsets of dead letters."""
    ledger = Ledger({PLACE: span})
    for offset, count in n_alerts.items():
        ledger.expect(PLACE, offset, count)
    ledger.prepare({PLACE: kept_from})
    for offset, record in answers:
        ledger.add(PLACE, offset, record, is_classified=record == 0)
    for offset in dead_letters:
        ledger.add_dead_letter(PLACE, offset)
    (account,) = ledger.close({PLACE: span.stop if position is None else position}, {PLACE: 20})
    return account, ledger


def test_one_result_for_each_alert_adds_up() -> None:
    account, ledger = settled({0: 1, 1: 3, 3: 1, 7: 2}, [(0, 0), (1, 0), (1, 1), (1, 2), (3, 0)], [7])
    assert account == PartitionAccount(
        topic="in",
        partition=0,
        consumed=6,
        classified=3,
        abstained=2,
        rejected=1,
        missing=0,
        duplicated=0,
        unexplained=0,
        expired=0,
        waiting=12,
    )
    assert account.adds_up
    assert not any(ledger.examples.values())


@pytest.mark.parametrize(
    ("answers", "dead_letters", "problem", "example"),
    [
        ([(4, 0)], [], Problem.MISSING, "in:0:5"),
        ([(4, 0), (5, 0), (5, 0)], [], Problem.DUPLICATED, "in:0:5"),
        ([(4, 0), (5, 0)], [5], Problem.DUPLICATED, "in:0:5"),
        ([(4, 0)], [5, 5], Problem.DUPLICATED, "in:0:5"),
        ([(4, 0), (5, 0), (6, 0)], [], Problem.UNEXPLAINED, "in:0:6"),
        ([(4, 0), (5, 0)], [6], Problem.UNEXPLAINED, "in:0:6"),
        ([(4, 0), (5, 0), (5, 1)], [], Problem.UNEXPLAINED, "in:0:5, record 1"),
        ([(4, 0), (5, 0), (11, 0)], [], Problem.UNEXPLAINED, "in:0:11"),
    ],
)
def test_what_is_wrong_is_counted_and_placed(
    answers: list[tuple[int, int]], dead_letters: list[int], problem: Problem, example: str
) -> None:
    account, ledger = settled({4: 1, 5: 1}, answers, dead_letters)
    found = {name: getattr(account, name) for name in Problem}
    assert found == dict.fromkeys(Problem, 0) | {problem: 1}
    assert ledger.examples == {name: [example] if name is problem else [] for name in Problem}
    assert not account.adds_up


def test_results_that_came_while_reading_are_explained_by_the_later_position() -> None:
    account, _ = settled({0: 1}, [(0, 0), (9, 0), (11, 0)], span=range(1), position=10)
    assert account.unexplained == 1  # the group has not come to 11


def test_results_of_alerts_that_expired_are_not_judged() -> None:
    account, _ = settled({5: 1}, [(2, 0), (5, 0)], [3], span=range(5, 8))
    assert (account.expired, account.adds_up) == (2, True)


def test_alerts_that_expire_while_reading_are_not_judged() -> None:
    account, _ = settled({5: 1, 6: 2}, [(2, 0), (6, 0), (6, 1)], kept_from=6)
    assert (account.consumed, account.expired, account.adds_up) == (2, 1, True)


def test_result_of_an_unknown_partition_is_a_stranger() -> None:
    ledger = Ledger({PLACE: range(1)})
    ledger.prepare({PLACE: 0})
    ledger.add(("elsewhere", 3), 7, 0, is_classified=True)
    assert ledger.strangers == 1
    assert ledger.examples[Problem.UNEXPLAINED] == ["elsewhere:3:7"]


def test_examples_are_limited_and_counts_are_not() -> None:
    ledger = Ledger({PLACE: range(30)}, n_examples=4)
    for offset in range(30):
        ledger.expect(PLACE, offset, 2)
    ledger.prepare({PLACE: 0})
    (account,) = ledger.close({PLACE: 30}, {PLACE: 30})
    assert account.missing == 60
    assert ledger.examples[Problem.MISSING] == ["in:0:0", "in:0:0, record 1", "in:0:1", "in:0:1, record 1"]


@given(
    n_alerts=st.dictionaries(st.integers(0, 7), st.integers(1, 3)),
    answers=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=25),
    dead_letters=st.lists(st.integers(0, 9), max_size=6),
    chunk=st.integers(1, 9),
)
def test_it_counts_as_dictionaries_do(
    n_alerts: dict[int, int], answers: list[tuple[int, int]], dead_letters: list[int], chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        account, _ = settled(n_alerts, answers, dead_letters)

    alerts = {(offset, record) for offset, count in n_alerts.items() for record in range(count)}
    answered, dead = Counter(answers), Counter(dead_letters)
    assert account.consumed == len({alert for alert in alerts if not dead[alert[0]]}) + len(
        dead.keys() & n_alerts.keys()
    )
    assert account.missing == sum(not answered[alert] and not dead[alert[0]] for alert in alerts)
    assert account.duplicated == sum(
        answered[alert] > 1
        or (answered[alert] > 0 and dead[alert[0]] > 0)
        or (dead[alert[0]] > 1 and not alert[1])
        for alert in alerts
    )
    assert account.unexplained == sum(
        count for alert, count in answered.items() if alert not in alerts
    ) + sum(count for offset, count in dead.items() if offset not in n_alerts)
    assert account.classified + account.abstained == sum(answered[alert] for alert in alerts)
    assert account.rejected == sum(dead[offset] for offset in n_alerts)


def test_a_million_alerts_take_a_few_megabytes() -> None:
    count = 1_000_000
    tracemalloc.start()
    try:
        ledger = Ledger({PLACE: range(count)})
        for offset in range(count):
            ledger.expect(PLACE, offset, 1)
        ledger.prepare({PLACE: 0})
        kept_bytes, _ = tracemalloc.get_traced_memory()
        ledger.close({PLACE: count}, {PLACE: count})
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 8 * count
    assert peak_bytes < 100 * count
