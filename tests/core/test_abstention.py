from typing import Any

import numpy as np
import pytest

from service.core.abstention import AbstentionPolicy
from service.core.alerts import OBSERVATION, AlertBatch, Survey
from service.core.classification import Reason
from service.core.features.featuriser import LightCurveSummary

NAN = float("nan")
POLICY = AbstentionPolicy(min_real_bogus=0.65, max_star_score=0.76)


def alert(**columns: Any) -> AlertBatch:
    """Build one valid alert, changed in some columns."""
    values: dict[str, Any] = {
        "mjd_tai": 60010.0, "ra_deg": 1.0, "dec_deg": 2.0, "band": 1, "is_solar_system": False,
        "real_bogus": 0.9, "star_galaxy": 0.1, "star_distance_arcsec": 0.5,
        "redshift": NAN, "redshift_err": NAN, "mwebv": NAN,
    } | columns  # fmt: skip
    return AlertBatch(
        message=np.zeros(1, np.int64),
        survey=(Survey.ZTF,),
        object_id=("ZTF18a",),
        alert_id=np.ones(1, np.uint64),
        offsets=np.zeros(2, np.int64),
        observations=np.zeros(0, OBSERVATION),
        **{
            name: np.array(
                [value], {"is_solar_system": np.bool_, "mjd_tai": np.float64}.get(name, np.float32)
            )
            for name, value in values.items()
        },
    )


def reason(
    alerts: AlertBatch, n_detections: int = 5, trigger: float = 60000.0, policy: AbstentionPolicy = POLICY
) -> Reason:
    count = np.array([n_detections])
    summary = LightCurveSummary(count, count, count, count, np.array([trigger]))
    codes = policy.reasons(
        alerts, np.zeros(1, np.int64), summary, window_days=(-30.0, 70.0), min_detections=3
    )
    assert codes.dtype == np.uint8
    return Reason(int(codes[0]))


def test_good_alert_is_classified() -> None:
    assert reason(alert()) is Reason.CLASSIFIED


@pytest.mark.parametrize(
    ("columns", "n_detections", "trigger", "expected"),
    [
        ({"is_solar_system": True}, 5, 60000.0, Reason.SOLAR_SYSTEM),
        ({"real_bogus": 0.6}, 5, 60000.0, Reason.LOW_REAL_BOGUS),
        ({"star_galaxy": 0.8}, 5, 60000.0, Reason.STAR),
        ({}, 0, NAN, Reason.NO_PHOTOMETRY),
        ({}, 2, 60000.0, Reason.TOO_FEW_DETECTIONS),
        ({"mjd_tai": 60070.1}, 5, 60000.0, Reason.OUTSIDE_TIME_WINDOW),
    ],
)
def test_each_reason_is_found(
    columns: dict[str, Any], n_detections: int, trigger: float, expected: Reason
) -> None:
    assert reason(alert(**columns), n_detections, trigger) is expected


@pytest.mark.parametrize(
    ("columns", "n_detections", "trigger"),
    [
        ({"real_bogus": NAN}, 5, 60000.0),
        ({"real_bogus": 0.65}, 5, 60000.0),
        ({"star_galaxy": NAN}, 5, 60000.0),
        ({"star_galaxy": 0.99, "star_distance_arcsec": NAN}, 5, 60000.0),
        ({"star_galaxy": 0.99, "star_distance_arcsec": 1.6}, 5, 60000.0),
        ({"star_galaxy": 0.76}, 5, 60000.0),
        ({}, 3, 60000.0),
        ({"mjd_tai": 60070.0}, 5, 60000.0),
    ],
)
def test_what_is_unknown_or_just_within_bounds_is_no_reason(
    columns: dict[str, Any], n_detections: int, trigger: float
) -> None:
    assert reason(alert(**columns), n_detections, trigger) is Reason.CLASSIFIED


def test_default_policy_looks_at_no_score() -> None:
    worst = alert(real_bogus=0.0, star_galaxy=1.0, star_distance_arcsec=0.0)
    assert reason(worst, policy=AbstentionPolicy()) is Reason.CLASSIFIED


def test_deepest_reason_comes_first() -> None:
    order: list[tuple[dict[str, Any], Reason]] = [
        ({"is_solar_system": True}, Reason.SOLAR_SYSTEM),
        ({"real_bogus": 0.0}, Reason.LOW_REAL_BOGUS),
        ({"star_galaxy": 1.0}, Reason.STAR),
    ]
    for position in range(len(order)):
        columns: dict[str, Any] = {}
        for change, _ in order[position:]:
            columns |= change
        assert reason(alert(**columns), 0, NAN) is order[position][1]
    assert reason(alert(mjd_tai=70000.0), 1) is Reason.TOO_FEW_DETECTIONS


def test_alerts_are_picked_by_their_index() -> None:
    good, moving = alert(), alert(is_solar_system=True)
    both = AlertBatch(
        message=np.zeros(2, np.int64),
        survey=good.survey * 2,
        object_id=good.object_id * 2,
        offsets=np.zeros(3, np.int64),
        observations=good.observations,
        **{
            name: np.concatenate([getattr(good, name), getattr(moving, name)])
            for name in AlertBatch.__dataclass_fields__
            if name not in {"message", "survey", "object_id", "offsets", "observations"}
        },
    )
    five = np.array([5, 5])
    summary = LightCurveSummary(five, five, five, five, np.array([60000.0, 60000.0]))
    index = np.array([1, 0])
    codes = POLICY.reasons(both, index, summary, window_days=(-30.0, 70.0), min_detections=3)
    assert codes.tolist() == [Reason.SOLAR_SYSTEM, Reason.CLASSIFIED]


def test_a_survey_with_a_score_of_its_own_is_held_to_that() -> None:
    policy = AbstentionPolicy(0.95, survey_min_real_bogus={Survey.ZTF: 0.5})
    assert reason(alert(real_bogus=0.6), policy=policy) is Reason.CLASSIFIED
    assert reason(alert(real_bogus=0.4), policy=policy) is Reason.LOW_REAL_BOGUS
    other = AbstentionPolicy(0.5, survey_min_real_bogus={Survey.LSST: 0.95})
    assert reason(alert(real_bogus=0.6), policy=other) is Reason.CLASSIFIED
