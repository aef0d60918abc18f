"""Counts add up exactly when every message has its results, once each."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.ports.messages import MessagePosition
from service.errors import InputError
from service.kafka.records import TopicRecord, source_of
from service.tools.demo.accounting import ResultAccounting

OUTPUT, REJECTED = "out", "rejected"


def result(offset: int, alert_id: int = 1, *, reason: str | None = None, source: str = "in") -> TopicRecord:
    value = {
        "status": "abstained" if reason else "classified",
        "reason": reason,
        "alert_id": alert_id,
        "survey": "ztf",
        "object_id": f"object-{alert_id}",
    }
    return TopicRecord(OUTPUT, 0, 0, 0, orjson.dumps(value), {"source": f"{source}:0:{offset}".encode()})


def dead_letter(offset: int) -> TopicRecord:
    return TopicRecord(REJECTED, 0, 0, 0, b"bytes", {"source": f"in:0:{offset}".encode()})


def accounting(*records: TopicRecord, alerts: list[int]) -> ResultAccounting:
    made = ResultAccounting(REJECTED)
    for offset, n_alerts in enumerate(alerts):
        made.expect(MessagePosition("in", 0, offset), n_alerts)
    for record in records:
        made.add(record)
    return made


def test_summary_counts_alerts_by_what_became_of_them() -> None:
    count = accounting(
        *(result(0), result(1, 2, reason="star"), result(2, 3), result(2, 4, reason="star"), dead_letter(3)),
        alerts=[1, 1, 2, 1],
    )
    assert count.problems() == []
    assert count.adds_up
    assert count.answered == 4
    assert count.summary(1.234) == {
        "consumed": 5,
        "classified": 2,
        "abstained": {"star": 2},
        "rejected": 1,
        "objects": 4,
        "seconds": 1.23,
    }


def test_rejected_container_counts_once_however_many_alerts_it_announced() -> None:
    count = accounting(dead_letter(0), alerts=[3])
    assert count.adds_up
    assert count.consumed == 1


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ([], "1 messages have no result"),
        ([result(0), result(0)], "1 messages have duplicate results"),
        ([dead_letter(0), dead_letter(0)], "1 messages have duplicate results"),
        ([result(0), dead_letter(0)], "1 messages are both rejected and classified"),
        ([result(0), result(7)], "1 messages have results but were not sent"),
        ([result(0), result(0, source="elsewhere")], "1 messages have results but were not sent"),
    ],
)
def test_what_is_lost_or_doubled_is_named(records: list[TopicRecord], problem: str) -> None:
    count = accounting(*records, alerts=[1])
    assert count.problems() == [problem]
    assert not count.adds_up


def test_missing_alert_of_a_container_is_noticed() -> None:
    count = accounting(result(0, 1), alerts=[2])
    assert count.problems() == ["1 messages have fewer results than alerts"]


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["ok", "abstain", "reject"])), max_size=12))
def test_complete_results_always_add_up_and_one_less_never_does(fates: list[tuple[int, str]]) -> None:
    records = []
    for offset, (n_alerts, fate) in enumerate(fates):
        if fate == "reject":
            records.append(dead_letter(offset))
        else:
            reason = "star" if fate == "abstain" else None
            records.extend(result(offset, 10 * offset + n, reason=reason) for n in range(n_alerts))
    alerts = [n_alerts for n_alerts, _ in fates]
    assert accounting(*records, alerts=alerts).adds_up
    for missing in range(len(records)):
        assert not accounting(*records[:missing], *records[missing + 1 :], alerts=alerts).adds_up


@pytest.mark.parametrize("header", [None, b"", b"topic", b"topic:1", b"topic:x:2", b"\xff"])
def test_record_without_its_source_is_an_error(header: bytes | None) -> None:
    headers = {} if header is None else {"source": header}
    with pytest.raises(InputError, match="does not name the alert"):
        source_of(TopicRecord(OUTPUT, 0, 0, 0, b"", headers))
