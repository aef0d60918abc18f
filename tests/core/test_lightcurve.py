from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.alerts import OBSERVATION, Kind, Observations, Survey
from service.core.lightcurve.merge import (
    canonical,
    days,
    merge,
    merge_many,
    one_per_exposure,
    reported_seconds,
)
from service.decoding.decoder import Decoder, RawMessage
from service.decoding.wire.schemas import SchemaStore
from tests.support.streams import real_packets

DETECTION, FORCED, LIMIT = int(Kind.DETECTION), int(Kind.FORCED), int(Kind.UPPER_LIMIT)


def row(
    mjd_tai: float,
    source_id: int,
    *,
    kind: int = DETECTION,
    flux: float = 100.0,
    band: int = 1,
    reported: int = 0,
) -> Observations:
    return np.array([(mjd_tai, flux, 1.0, band, kind, source_id, reported)], OBSERVATION)


def light_curve(*rows: Observations) -> Observations:
    return np.concatenate([np.empty(0, OBSERVATION), *rows])


# Few values of each column, so that overlaps, revisions and shared exposures are the rule.
ROWS = st.builds(
    row,
    st.sampled_from([60000.0, 60000.5, 60001.0, 60003.25]),
    st.integers(1, 4),
    kind=st.sampled_from([DETECTION, FORCED, LIMIT]),
    flux=st.sampled_from([-50.0, 0.0, 50.0, 1e5, float("nan")]),
    band=st.integers(0, 2),
    reported=st.integers(0, 3),
)
ALERTS = st.lists(st.lists(ROWS, max_size=8).map(lambda rows: light_curve(*rows)), min_size=1, max_size=6)


def accumulate(alerts: list[Observations], *, by_exposure: bool) -> Observations:
    stored = light_curve()
    for alert in alerts:
        stored = merge(stored, alert, one_per_exposure=by_exposure).rows
    return stored


@given(alerts=ALERTS, by_exposure=st.booleans(), data=st.data())
@settings(max_examples=400)
def test_any_order_and_any_repetition_of_alerts_gives_the_same_bytes(
    alerts: list[Observations], by_exposure: bool, data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(range(len(alerts))), max_size=4))
    order = data.draw(st.permutations([*range(len(alerts)), *again]))
    expected = accumulate(alerts, by_exposure=by_exposure)
    assert accumulate([alerts[i] for i in order], by_exposure=by_exposure).tobytes() == expected.tobytes()


@given(alerts=ALERTS, by_exposure=st.booleans())
def test_merging_one_by_one_equals_merging_all_at_once(alerts: list[Observations], by_exposure: bool) -> None:
    at_once = canonical(light_curve(*alerts), one_per_exposure=by_exposure)
    assert accumulate(alerts, by_exposure=by_exposure).tobytes() == at_once.tobytes()


@given(alerts=st.tuples(*[ALERTS.map(lambda alerts: alerts[0])] * 3), by_exposure=st.booleans())
def test_merging_is_associative_and_idempotent(
    alerts: tuple[Observations, Observations, Observations], by_exposure: bool
) -> None:
    def join(a: Observations, b: Observations) -> Observations:
        return merge(canonical(a, one_per_exposure=by_exposure), b, one_per_exposure=by_exposure).rows

    a, b, c = alerts
    assert join(join(a, b), c).tobytes() == join(a, join(b, c)).tobytes()
    assert join(join(a, b), join(a, b)).tobytes() == join(a, b).tobytes()


@given(stored=ALERTS, new=ALERTS, by_exposure=st.booleans())
def test_first_changed_is_the_length_of_the_common_beginning(
    stored: list[Observations], new: list[Observations], by_exposure: bool
) -> None:
    before = canonical(light_curve(*stored), one_per_exposure=by_exposure)
    merged = merge(before, light_curve(*new), one_per_exposure=by_exposure)
    after = merged.rows.copy()
    for rows in (before, after):
        rows["reported_s"] = 0
    same = [a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=False)]
    assert merged.first_changed == (same.index(False) if False in same else len(same))


@given(stored=ALERTS, new=ALERTS, data=st.data())
def test_many_light_curves_at_once_equal_one_after_another(
    stored: list[Observations], new: list[Observations], data: st.DataObject
) -> None:
    n = min(len(stored), len(new))
    rule = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    before = [canonical(rows, one_per_exposure=flag) for rows, flag in zip(stored, rule, strict=False)]
    merged = merge_many(
        light_curve(*before),
        np.cumsum([0, *map(len, before)]),
        light_curve(*new[:n]),
        np.cumsum([0, *map(len, new[:n])]),
        np.array(rule),
    )
    for i in range(n):
        alone = merge(before[i], new[i], one_per_exposure=rule[i])
        rows = merged.rows[merged.offsets[i] : merged.offsets[i + 1]]
        assert rows.tobytes() == alone.rows.tobytes()
        assert merged.first_changed[i] == alone.first_changed


def test_merging_nothing_into_no_light_curves_gives_none() -> None:
    nothing = merge_many(light_curve(), np.array([0]), light_curve(), np.array([0]), np.array([], np.bool_))
    assert len(nothing.rows) == 0
    assert nothing.offsets.tolist() == [0]


def test_rows_are_sorted_by_time_then_kind_then_id() -> None:
    rows = canonical(
        light_curve(
            row(60002.0, 1),
            row(60001.0, 9, kind=LIMIT),
            row(60001.0, 8, kind=FORCED),
            row(60001.0, 7),
            row(60001.0, 3),
        ),
        one_per_exposure=False,
    )
    assert rows["source_id"].tolist() == [3, 7, 8, 9, 1]


def test_the_later_report_of_a_measurement_wins_in_either_order() -> None:
    old, revised = row(60000.0, 1, flux=10.0, reported=5), row(60000.0, 1, flux=7.0, reported=6)
    for first, second in [(old, revised), (revised, old)]:
        assert merge(first, second, one_per_exposure=True).rows.tobytes() == revised.tobytes()


def test_of_two_reports_of_the_same_second_the_greater_bits_win() -> None:
    low, high = row(60000.0, 1, flux=7.0), row(60000.0, 1, flux=10.0)
    assert canonical(light_curve(high, low), one_per_exposure=False).tobytes() == high.tobytes()


def test_a_detection_supersedes_the_forced_row_and_the_limit_of_its_exposure() -> None:
    forced, limit = row(60000.0, 5, kind=FORCED), row(60000.0, 6, kind=LIMIT)
    other_band = row(60000.0, 7, kind=FORCED, band=2)
    detection = row(60000.0, 1)
    merged = merge(light_curve(forced, limit, other_band), detection, one_per_exposure=True)
    assert merged.rows.tobytes() == light_curve(detection, other_band).tobytes()
    assert merged.first_changed == 0


def test_a_forced_row_dropped_once_stays_away_when_the_detection_is_revised() -> None:
    forced, detection = row(60000.0, 5, kind=FORCED), row(60000.0, 1)
    revised = row(60000.0, 1, flux=120.0, reported=9)
    stored = accumulate([detection, forced, revised, forced], by_exposure=True)
    assert stored.tobytes() == revised.tobytes()


def test_ztf_forced_photometry_stays_beside_the_detection() -> None:
    rows = light_curve(row(60000.0, 1), row(60000.0, 5, kind=FORCED))
    assert canonical(rows, one_per_exposure=one_per_exposure(Survey.ZTF)).tobytes() == rows.tobytes()


def test_two_detections_of_one_exposure_both_stay() -> None:
    rows = light_curve(row(60000.0, 1), row(60000.0, 2))
    assert canonical(rows, one_per_exposure=one_per_exposure(Survey.LSST)).tobytes() == rows.tobytes()


def test_a_moved_ztf_measurement_takes_its_new_place() -> None:
    stored = light_curve(row(60000.25, 1), row(60000.5, 2))
    merged = merge(stored, row(60000.75, 1, reported=1), one_per_exposure=False)
    assert merged.rows["source_id"].tolist() == [2, 1]
    assert merged.first_changed == 0


def test_the_same_id_on_another_day_is_another_measurement() -> None:
    stored = light_curve(row(60000.25, 1))
    merged = merge(stored, row(60001.25, 1, reported=1), one_per_exposure=False)
    assert merged.rows["mjd_tai"].tolist() == [60000.25, 60001.25]


@given(st.lists(st.floats(40000, 70000), min_size=2, max_size=5))
def test_days_begin_at_midnight_and_are_numbered_in_order(times: list[float]) -> None:
    numbers = days(np.array(sorted(times)))
    assert (np.diff(numbers.astype(np.int64)) >= 0).all()
    whole = np.floor(np.array(sorted(times)))
    assert (days(whole) == numbers).all()


def test_a_day_of_this_decade_is_one_day() -> None:
    assert np.diff(days(np.arange(59000.0, 62000.0)).astype(np.int64)).tolist() == [1] * 2999


def test_an_append_changes_nothing_before_the_end() -> None:
    stored = light_curve(row(60000.0, 1), row(60001.0, 2))
    merged = merge(stored, light_curve(stored, row(60002.0, 3)), one_per_exposure=True)
    assert merged.first_changed == 2
    assert len(merged.rows) == 3


def test_rows_reported_again_are_kept_as_of_the_last_report_and_count_as_unchanged() -> None:
    stored = light_curve(row(60000.0, 1), row(60001.0, 2))
    repeated = stored.copy()
    repeated["reported_s"] = 8
    merged = merge(stored, repeated, one_per_exposure=True)
    assert merged.first_changed == len(merged.rows) == 2
    assert merged.rows["reported_s"].tolist() == [8, 8]


def test_an_earlier_observation_changes_from_its_own_place() -> None:
    stored = light_curve(row(60000.0, 1), row(60001.0, 2), row(60002.0, 3))
    merged = merge(stored, row(60000.5, 9), one_per_exposure=True)
    assert merged.first_changed == 1


def test_the_given_rows_are_left_as_they_were() -> None:
    stored, new = light_curve(row(60001.0, 2), row(60002.0, 3)), light_curve(row(60000.0, 1), row(60001.0, 2))
    before = stored.tobytes(), new.tobytes()
    merge(stored, new, one_per_exposure=True)
    assert (stored.tobytes(), new.tobytes()) == before


def test_a_thousand_rows_in_falling_order_come_out_rising() -> None:
    rows = light_curve(*(row(60000.0 + i, i) for i in range(1000, 0, -1)))
    merged = canonical(rows, one_per_exposure=False)
    np.testing.assert_array_equal(merged["source_id"], np.arange(1, 1001))


@pytest.mark.parametrize(
    ("mjd_tai", "expected"),
    [(40000.0, 0), (40001.5, 129600), (60000.0, 1_728_000_000), (-1e9, 0), (1e9, 2**32 - 1)],
)
def test_report_times_are_seconds_that_fit_32_bits(mjd_tai: float, expected: int) -> None:
    assert reported_seconds(np.array([mjd_tai])).tolist() == [expected]


def test_real_alerts_give_one_light_curve_in_any_order_and_sources_do_not_move(shared: Path) -> None:
    messages = [RawMessage(value, survey) for survey, value in real_packets(shared)]
    alerts = Decoder(SchemaStore(), max_message_bytes=2**24).decode(messages).alerts
    brought: dict[tuple[Survey, str], list[Observations]] = defaultdict(list)
    for index, key in enumerate(zip(alerts.survey, alerts.object_id, strict=True)):
        brought[key].append(alerts.light_curve(index))
    assert max(map(len, brought.values())) > 10
    generator = np.random.default_rng(0)
    for (survey, _), parts in brought.items():
        rule = one_per_exposure(survey)
        rows = np.concatenate(parts)
        expected = canonical(rows, one_per_exposure=rule)
        shuffled = [parts[index] for index in generator.permutation(np.repeat(np.arange(len(parts)), 2))]
        assert accumulate(shuffled, by_exposure=rule).tobytes() == expected.tobytes()
        exposures = {tuple(row) for row in rows[["kind", "source_id", "mjd_tai", "band"]].tolist()}
        assert len(exposures) == len({exposure[:2] for exposure in exposures})


def test_many_shuffled_rows_are_sorted_as_few_are() -> None:
    rows = np.zeros(20_000, OBSERVATION)
    rows["mjd_tai"] = 60_000 + np.random.default_rng(7).random(len(rows)) * 1000
    rows["source_id"] = np.arange(len(rows))
    np.testing.assert_array_equal(
        canonical(rows, one_per_exposure=False), rows[np.argsort(rows["mjd_tai"], kind="stable")]
    )
