import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from service.core.models.calibration import Calibration, identity_calibration, softmax

BINS = Calibration(first_detections=(2, 5), temperature=(2.0, 0.5), bias=((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)))
LOGITS = hnp.arrays(np.float32, (40, 3), elements=st.floats(-80, 80, width=32))


def reference(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return np.asarray(weights / weights.sum())


@given(LOGITS)
def test_identity_is_the_softmax(logits: np.ndarray) -> None:
    n_detections = np.arange(40)
    calibrated = identity_calibration(3).apply(logits, n_detections)
    assert calibrated.tobytes() == softmax(logits).tobytes()
    for row, probability in zip(logits.astype(np.float64), calibrated, strict=True):
        np.testing.assert_allclose(probability, reference(row), rtol=1e-6, atol=1e-30)


@given(LOGITS)
def test_probabilities_sum_to_one(logits: np.ndarray) -> None:
    for probability in (softmax(logits), BINS.apply(logits, np.arange(40))):
        assert np.abs(probability.astype(np.float64).sum(axis=1) - 1).max() < 1e-6
        assert (probability >= 0).all()


@pytest.mark.parametrize(("n_detections", "bin_index"), [(0, 0), (1, 0), (2, 0), (4, 0), (5, 1), (500, 1)])
def test_light_curve_is_calibrated_by_the_bin_of_its_detections(n_detections: int, bin_index: int) -> None:
    logits = np.array([[1.0, -2.0, 0.5]], np.float32)
    expected = reference(logits[0] / BINS.temperature[bin_index] + np.array(BINS.bias[bin_index]))
    np.testing.assert_allclose(BINS.apply(logits, np.array([n_detections]))[0], expected, rtol=1e-6)


@given(LOGITS, st.lists(st.integers(0, 39), min_size=1, max_size=80))
def test_row_has_the_same_bits_in_any_company(logits: np.ndarray, rows: list[int]) -> None:
    n_detections = np.arange(40) % 7
    whole = BINS.apply(logits, n_detections)
    part = BINS.apply(logits[rows], n_detections[rows])
    assert part.tobytes() == whole[rows].tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first_detections": (5, 2)}, "ascend"),
        ({"first_detections": (2, 2)}, "ascend"),
        ({"temperature": (1.0,)}, "same length"),
        ({"temperature": (1.0, 0.0)}, "temperatures"),
        ({"bias": ((0.0, 0.0), (0.0,))}, "one bias for each class"),
        ({"bias": ((0.0, float("nan"), 0.0), (0.0, 0.0, 0.0))}, "finite"),
        ({"slope": 1.0}, "Extra inputs"),
    ],
)
def test_impossible_calibration_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Calibration.model_validate(BINS.model_dump() | change)
