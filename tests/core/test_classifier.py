import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.alerts import OBSERVATION, Observations, Survey
from service.core.classifier import ClassifiedBatch, LightCurveBatch, ObjectClassifier
from service.core.features.columns import COLUMNS
from service.core.features.featuriser import FeatureSpec, pack
from service.core.lightcurve.merge import merge
from service.core.state.object_state import EMPTY_STATE, ObjectState
from tests.support.bundles import random_bundle
from tests.support.curves import light_curves, random_light_curve
from tests.support.fingerprint import fingerprint

ALL_KINDS = FeatureSpec(columns=tuple(COLUMNS), kinds=("detection", "forced", "upper_limit"))
CLASSIFIERS = {
    "detections": ObjectClassifier(random_bundle(survey=Survey.LSST)),
    "all kinds": ObjectClassifier(random_bundle(survey=Survey.LSST, features=ALL_KINDS, metadata=False)),
}
ONE = CLASSIFIERS["detections"]


def batch_of(curves: list[Observations], as_of: list[float] | None = None) -> LightCurveBatch:
    rows, offsets = pack(curves)
    times = [np.inf] * len(curves) if as_of is None else as_of
    redshift = np.linspace(0.01, 0.5, len(curves), dtype=np.float32)
    redshift[1::2] = np.nan
    mwebv = (redshift / 10).astype(np.float32)
    return LightCurveBatch(rows, offsets, np.array(times, np.float64), redshift, mwebv)


def state_after(
    classifier: ObjectClassifier, curve: Observations, result: ClassifiedBatch, index: int
) -> ObjectState:
    return dataclasses.replace(
        EMPTY_STATE,
        model=classifier.bundle.digest,
        hidden=result.hidden[index].copy(),
        hidden_step=int(result.hidden_step[index]),
        observations=curve,
    )


@st.composite
def alerts_of_an_object(draw: st.DrawFn) -> list[tuple[Observations, float]]:
    """Draw alerts as they may arrive: late ones, repeated ones, revised rows, rows that fill gaps."""
    sky = draw(light_curves(max_rows=14, span_days=90))
    alerts = []
    for report in range(draw(st.integers(1, 6))):
        chosen = np.array(draw(st.lists(st.booleans(), min_size=len(sky), max_size=len(sky))), np.bool_)
        rows = sky[chosen].copy()
        rows["reported_s"] = report
        if len(rows) and draw(st.booleans()):
            rows["flux_njy"][draw(st.integers(0, len(rows) - 1))] = 77.0 + report
        as_of = draw(st.sampled_from(sky["mjd_tai"].tolist() or [60000.0]) | st.just(np.inf))
        alerts.append((rows, as_of))
    return alerts


@pytest.mark.parametrize("classifier", CLASSIFIERS.values(), ids=CLASSIFIERS)
@settings(max_examples=60)
@given(histories=st.lists(alerts_of_an_object(), min_size=1, max_size=4), is_told_what_changed=st.booleans())
def test_any_history_of_alerts_gives_the_bits_of_a_full_recompute(
    classifier: ObjectClassifier,
    histories: list[list[tuple[Observations, float]]],
    is_told_what_changed: bool,
) -> None:
    states = [EMPTY_STATE] * len(histories)
    for report in range(max(len(alerts) for alerts in histories)):
        live = [index for index, alerts in enumerate(histories) if report < len(alerts)]
        new = [histories[index][report] for index in live]
        merged = [
            merge(states[index].observations, rows, one_per_exposure=True)
            for index, (rows, _) in zip(live, new, strict=True)
        ]
        curves = [one.rows for one in merged]
        batch = batch_of(curves, [as_of for _, as_of in new])
        unchanged = np.array([one.first_changed for one in merged]) if is_told_what_changed else None
        stored = classifier.stored_batch([states[index] for index in live], unchanged=unchanged)
        result = classifier.classify(batch, stored)
        whole = classifier.classify(batch, classifier.empty_batch(len(live)))
        cut = batch_of(
            [curve[curve["mjd_tai"] <= as_of] for curve, (_, as_of) in zip(curves, new, strict=True)]
        )
        seen = classifier.classify(cut, classifier.empty_batch(len(live)))
        assert result.hidden.tobytes() == whole.hidden.tobytes()
        assert result.hidden_step.tobytes() == whole.hidden_step.tobytes() == whole.steps_run.tobytes()
        for name in ("logits", "raw_probability", "probability"):
            assert getattr(result, name).tobytes() == getattr(seen, name).tobytes()
        assert result.summary.n_detections.tobytes() == seen.summary.n_detections.tobytes()
        for position, index in enumerate(live):
            states[index] = state_after(classifier, curves[position], result, position)


def growing(n_rows: int) -> Observations:
    return random_light_curve(np.random.default_rng(n_rows), n_rows, (0, 1, 2, 3, 4, 5))


def test_appended_rows_cost_their_own_steps_alone() -> None:
    curve = growing(40)
    first = ONE.classify(batch_of([curve[:37]]), ONE.empty_batch(1))
    assert first.steps_run.tolist() == [37]
    states = ONE.stored_batch([state_after(ONE, curve[:37], first, 0)])
    assert ONE.classify(batch_of([curve]), states).steps_run.tolist() == [3]
    assert ONE.classify(batch_of([curve[:37]]), states).steps_run.tolist() == [0]


def test_alert_older_than_the_stored_state_is_classified_as_of_its_own_time() -> None:
    curve = growing(10)
    stored = ONE.stored_batch(
        [state_after(ONE, curve, ONE.classify(batch_of([curve]), ONE.empty_batch(1)), 0)]
    )
    old = ONE.classify(batch_of([curve], [float(curve["mjd_tai"][3])]), stored)
    fresh = ONE.classify(batch_of([curve[:4]]), ONE.empty_batch(1))
    assert old.probability.tobytes() == fresh.probability.tobytes()
    assert old.hidden.tobytes() == stored.hidden.tobytes()
    assert old.hidden_step.tolist() == [10]


@pytest.mark.parametrize(
    "change", [{"model": 1}, {"hidden": np.zeros(3, np.float32)}, {"hidden_step": 4}, {"hidden_step": 0}]
)
def test_state_of_another_model_or_another_length_is_not_used(change: dict[str, object]) -> None:
    curve = growing(6)
    fresh = ONE.classify(batch_of([curve]), ONE.empty_batch(1))
    state = state_after(ONE, curve[:5], ONE.classify(batch_of([curve[:5]]), ONE.empty_batch(1)), 0)
    stale = ONE.stored_batch([dataclasses.replace(state, **change)])  # type: ignore[arg-type]
    result = ONE.classify(batch_of([curve]), stale)
    assert result.steps_run.tolist() == [6]
    assert result.hidden.tobytes() == fresh.hidden.tobytes()


def test_light_curve_without_a_step_has_no_probabilities() -> None:
    rows = growing(2)
    rows["kind"] = 1
    result = ONE.classify(batch_of([rows, growing(3)], [np.inf, 0.0]), ONE.empty_batch(2))
    assert np.isnan(result.probability).all()
    assert result.summary.n_detections.tolist() == [0, 0]
    assert result.hidden_step.tolist() == [0, 3]


def test_probabilities_sum_to_one_and_are_calibrated_by_number_of_detections() -> None:
    curve = growing(12)
    result = ONE.classify(batch_of([curve[:1], curve[:4], curve]), ONE.empty_batch(3))
    assert np.abs(result.probability.sum(axis=1) - 1).max() < 1e-6
    assert result.summary.n_detections.tolist() == [1, 4, 12]
    bundle = ONE.bundle
    expected = bundle.calibration.apply(result.logits, np.array([1, 4, 12]))
    np.testing.assert_array_equal(result.probability, expected)
    assert (result.probability[1] == result.raw_probability[1]).all()  # the middle bin changes nothing
    assert (result.probability[0] != result.raw_probability[0]).all()


def test_redshift_changes_the_result_without_touching_the_state() -> None:
    batch = batch_of([growing(5)])
    near, far = (dataclasses.replace(batch, redshift=np.array([z], np.float32)) for z in (0.02, 0.9))
    one, two = (ONE.classify(one, ONE.empty_batch(1)) for one in (near, far))
    assert (one.probability != two.probability).any()
    assert one.hidden.tobytes() == two.hidden.tobytes()


@pytest.mark.parametrize("classifier", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_empty_batch_and_warm_up_are_no_special_case(classifier: ObjectClassifier) -> None:
    classifier.warm_up()
    rows = np.zeros(0, OBSERVATION)
    nothing = np.zeros(0, np.float32)
    batch = LightCurveBatch(rows, np.zeros(1, np.int64), np.zeros(0), nothing, nothing)
    assert classifier.classify(batch, classifier.empty_batch(0)).probability.shape == (0, 7)


def test_plain_processor_gives_the_same_bits(tmp_path: Path) -> None:
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    plain = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
        "NPY_DISABLE_CPU_FEATURES": " ".join(found),
    }
    command = [sys.executable, "-m", "tests.support.fingerprint"]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, env=os.environ | plain, cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == fingerprint()
