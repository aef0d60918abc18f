import numpy as np
import pytest

from service.core.models.calibration import softmax
from training.eval.evaluate import StepLogits, probabilities_at
from training.eval.metrics import expected_calibration_error, macro_auroc
from training.model.calibrate import calibrate_by_fold, calibration_rows, fit_calibration


def drawn(count: int, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose honest form is known, and truths drawn from it; `sharpness` makes them boast."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0.0, 1.5, (count, 3))
    probability = softmax(logits)
    truth = (probability.cumsum(axis=1) < generator.random((count, 1))).sum(axis=1)
    return (logits * sharpness).astype(np.float32), np.minimum(truth, 2)


def test_calibration_finds_each_bins_own_temperature() -> None:
    early, truth_early = drawn(20_000, 3.0, 1)
    late, truth_late = drawn(20_000, 0.5, 2)
    calibration = fit_calibration(
        np.concatenate([early, late]),
        np.repeat([2, 50], 20_000),
        np.concatenate([truth_early, truth_late]),
        bins=(1, 10),
    )
    assert calibration.temperature == pytest.approx((3.0, 0.5), rel=0.05)
    probability = calibration.apply(early, np.full(len(early), 2))
    assert expected_calibration_error(probability, truth_early) < 0.015
    assert expected_calibration_error(softmax(early), truth_early) > 0.1


def test_calibration_undoes_class_weights() -> None:
    logits, truth = drawn(30_000, 1.0)
    shifted = logits + np.array([2.0, 0.0, 0.0], np.float32)
    calibration = fit_calibration(shifted, np.ones(len(truth), np.int64), truth, bins=(1,))
    np.testing.assert_allclose(
        calibration.apply(shifted, np.ones(len(truth), np.int64)), softmax(logits), atol=0.02
    )


def test_an_empty_bin_takes_its_neighbours_values() -> None:
    logits, truth = drawn(2_000, 2.0)
    calibration = fit_calibration(logits, np.full(len(truth), 3), truth, bins=(1, 100))
    assert calibration.temperature[1] == calibration.temperature[0]


def toy_steps(objects: int = 300, steps: int = 12) -> StepLogits:
    logits, truth = drawn(objects, 2.5)
    offsets = np.arange(objects + 1) * steps
    return StepLogits(
        np.repeat(logits, steps, axis=0), offsets, np.tile(np.arange(1, steps + 1), objects), truth
    )


def test_calibrating_by_fold_improves_honesty_and_keeps_the_ranking() -> None:
    result = toy_steps()
    fold = np.arange(300) % 5
    calibrated = calibrate_by_fold(result, fold, (), ())
    before = probabilities_at(result, 0)
    assert expected_calibration_error(calibrated[0], result.truth) < expected_calibration_error(
        before, result.truth
    )
    assert macro_auroc(calibrated[0], result.truth) > macro_auroc(before, result.truth) - 0.03


def test_rows_to_calibrate_on_hold_first_and_last_steps_of_every_object() -> None:
    result = toy_steps(5)
    rows, owner = calibration_rows(result)
    for index in range(5):
        mine = rows[owner == index] - result.offsets[index]
        assert {0, 1, 2, 11} <= set(mine.tolist())


def test_a_step_is_chosen_by_detections_not_by_rows() -> None:
    # Three steps, the second of which is no detection.
    steps = StepLogits(np.zeros((3, 2), np.float32), np.array([0, 3]), np.array([1, 1, 2]), np.array([0]))
    assert steps.rows_at(1).tolist() == [1]
    assert steps.rows_at(2).tolist() == [2]
    assert steps.rows_at(0).tolist() == [2]
