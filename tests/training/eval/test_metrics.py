import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.eval.metrics import (
    auroc_by_class,
    bootstrap,
    brier_score,
    confusion_matrix,
    expected_calibration_error,
    macro_auroc,
    macro_f1,
    renormalised,
)


def pairwise_auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """The definition: chance that a positive scores above a negative, ties half."""
    wins = [(p > n) + 0.5 * (p == n) for p in score[positive] for n in score[~positive]]
    return float(np.mean(wins))


@given(st.integers(0, 10_000))
def test_auroc_is_the_chance_that_a_positive_ranks_above_a_negative(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.permutation(np.repeat([0, 1, 2], [5, 4, 3]))
    probability = generator.integers(0, 4, (12, 3)) / 4.0
    areas = auroc_by_class(probability, truth)
    for index in range(3):
        assert areas[index] == pytest.approx(pairwise_auroc(probability[:, index], truth == index))
    assert macro_auroc(probability, truth) == pytest.approx(areas.mean())


def test_a_class_that_does_not_occur_counts_in_no_mean() -> None:
    probability = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    truth = np.array([0, 1])
    assert np.isnan(auroc_by_class(probability, truth)[2])
    assert macro_auroc(probability, truth) == 1.0
    assert macro_f1(probability, truth) == 1.0


def test_f1_by_hand() -> None:
    probability = np.eye(2)[[0, 0, 0, 1, 1]]
    truth = np.array([0, 0, 1, 1, 1])
    # Class 0: precision 2/3, recall 1; class 1: precision 1, recall 2/3.
    assert macro_f1(probability, truth) == pytest.approx(0.8)
    assert confusion_matrix(probability, truth).tolist() == [[2, 0], [1, 2]]


def test_calibration_error_is_zero_for_honest_and_large_for_boastful_probabilities() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1.0, 200_000)
    truth = (generator.random(200_000) > confidence).astype(np.int64)
    honest = np.column_stack([confidence, 1 - confidence])
    assert expected_calibration_error(honest, truth) < 0.01
    boastful = np.column_stack([np.ones(200_000), np.zeros(200_000)])
    assert expected_calibration_error(boastful, truth) == pytest.approx(0.25, abs=0.01)


def test_brier_of_a_certain_wrong_answer_is_two() -> None:
    assert brier_score(np.array([[1.0, 0.0]]), np.array([1])) == 2.0


def test_renormalised_rows_sum_to_one_even_where_nothing_was_left() -> None:
    kept = renormalised(np.array([[0.2, 0.3, 0.5], [0.0, 0.0, 1.0]]), np.array([0, 1]))
    np.testing.assert_allclose(kept, [[0.4, 0.6], [0.5, 0.5]])


def test_an_interval_holds_the_value_and_narrows_with_more_objects() -> None:
    def interval(count: int) -> float:
        generator = np.random.default_rng(1)
        truth = generator.integers(0, 2, count)
        score = np.clip(truth * 0.3 + generator.random(count) * 0.7, 0, 1)
        interval = bootstrap(macro_auroc, np.column_stack([1 - score, score]), truth, draws=200)
        assert interval.low <= interval.value <= interval.high
        return interval.high - interval.low

    assert interval(2000) < interval(100) / 2
