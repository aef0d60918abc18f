"""The ledger agrees with a plain count by dictionaries, in a few bytes per alert."""

import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tools.audit import ledger as module
from service.tools.audit.ledger import Ledger, PartitionAccount, Problem

PARTITION = ("in", 0)


def closed(
    n_alerts: dict[int, int],
    answers: list[tuple[int, int]] = [],  # noqa: B006  never modified
    dead_letters: list[int] = [],  # noqa: B006
    *,
    span: range = range(8),
    position: int | None = None,
    first_offset: int = 0,
    drop_repetitions: bool = False,
) -> tuple[PartitionAccount, Ledger]:
    """Close one partition: alerts by offset, results as (offset, record), offsets of dead letters."""
    ledger = Ledger({PARTITION: span}, drop_repetitions=drop_repetitions)
    for offset, count in n_alerts.items():
        ledger.expect(PARTITION, offset, count)
    ledger.prepare({PARTITION: first_offset})
    for offset, record in answers:
        ledger.add(PARTITION, offset, record, is_classified=record == 0)
    for offset in dead_letters:
        ledger.add_dead_letter(PARTITION, offset)
    (account,) = ledger.close({PARTITION: span.stop if position is None else position}, {PARTITION: 20})
    return account, ledger


def test_one_result_for_each_alert_adds_up() -> None:
    account, ledger = closed({0: 1, 1: 3, 3: 1, 7: 2}, [(0, 0), (1, 0), (1, 1), (1, 2), (3, 0)], [7])
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
def test_each_problem_is_counted_and_located(
    answers: list[tuple[int, int]], dead_letters: list[int], problem: Problem, example: str
) -> None:
    account, ledger = closed({4: 1, 5: 1}, answers, dead_letters)
    found = {name: getattr(account, name) for name in Problem}
    assert found == dict.fromkeys(Problem, 0) | {problem: 1}
    assert ledger.examples == {name: [example] if name is problem else [] for name in Problem}
    assert not account.adds_up


def test_results_written_during_the_audit_are_explained_by_the_later_position() -> None:
    account, _ = closed({0: 1}, [(0, 0), (9, 0), (11, 0)], span=range(1), position=10)
    assert account.unexplained == 1  # the group has not reached 11


def test_dropping_repetitions_counts_the_first_result_of_each_alert() -> None:
    account, _ = closed(
        {0: 1, 1: 2, 2: 1}, [(0, 0), (1, 0), (1, 1), (1, 0), (1, 1)], [2, 2], drop_repetitions=True
    )
    assert (account.classified, account.abstained, account.rejected) == (2, 1, 1)
    assert account.adds_up


def test_dropping_repetitions_ignores_results_ahead_of_the_group_but_not_beyond_the_source() -> None:
    results = [(0, 0), (9, 0), (19, 0), (20, 0)]
    account, ledger = closed({0: 1}, results, span=range(1), position=5, drop_repetitions=True)
    assert account.unexplained == 1
    assert ledger.examples[Problem.UNEXPLAINED] == ["in:0:20"]


def test_dropping_repetitions_still_finds_missing_results_and_conflicting_answers() -> None:
    account, _ = closed({0: 1, 1: 1}, [(0, 0)], [0], drop_repetitions=True)
    assert (account.missing, account.duplicated) == (1, 1)


def test_results_of_expired_alerts_are_not_audited() -> None:
    account, _ = closed({5: 1}, [(2, 0), (5, 0)], [3], span=range(5, 8))
    assert (account.expired, account.adds_up) == (2, True)


def test_alerts_that_expire_during_the_audit_are_not_audited() -> None:
    account, _ = closed({5: 1, 6: 2}, [(2, 0), (6, 0), (6, 1)], first_offset=6)
    assert (account.consumed, account.expired, account.adds_up) == (2, 1, True)


def test_result_of_an_unknown_partition_is_unmatched() -> None:
    ledger = Ledger({PARTITION: range(1)})
    ledger.prepare({PARTITION: 0})
    ledger.add(("elsewhere", 3), 7, 0, is_classified=True)
    assert ledger.unmatched == 1
    assert ledger.examples[Problem.UNEXPLAINED] == ["elsewhere:3:7"]


def test_examples_are_limited_and_counts_are_not() -> None:
    ledger = Ledger({PARTITION: range(30)}, n_examples=4)
    for offset in range(30):
        ledger.expect(PARTITION, offset, 2)
    ledger.prepare({PARTITION: 0})
    (account,) = ledger.close({PARTITION: 30}, {PARTITION: 30})
    assert account.missing == 60
    assert ledger.examples[Problem.MISSING] == ["in:0:0", "in:0:0, record 1", "in:0:1", "in:0:1, record 1"]


@given(
    n_alerts=st.dictionaries(st.integers(0, 7), st.integers(1, 3)),
    answers=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=25),
    dead_letters=st.lists(st.integers(0, 9), max_size=6),
    chunk=st.integers(1, 9),
)
def test_counts_equal_those_of_dictionaries(
    n_alerts: dict[int, int], answers: list[tuple[int, int]], dead_letters: list[int], chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        account, _ = closed(n_alerts, answers, dead_letters)

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
        ledger = Ledger({PARTITION: range(count)})
        for offset in range(count):
            ledger.expect(PARTITION, offset, 1)
        ledger.prepare({PARTITION: 0})
        kept_bytes, _ = tracemalloc.get_traced_memory()
        ledger.close({PARTITION: count}, {PARTITION: count})
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 8 * count
    assert peak_bytes < 100 * count
