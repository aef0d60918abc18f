"""Which objects are trained on, stopped by and scored."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InputError
from tests.training.conftest import toy_light_curves
from training.data.split import stratified_order, stratified_split, train_validation_split


@given(st.integers(0, 1000), st.integers(20, 200))
def test_every_beginning_of_the_pool_has_the_classes_in_proportion(seed: int, beginning: int) -> None:
    label = np.repeat(["a", "b", "c"], [140, 50, 10])
    order = stratified_order(label, seed)
    assert sorted(order) == list(range(200))
    first = label[order[:beginning]]
    for name, share in (("a", 0.7), ("b", 0.25), ("c", 0.05)):
        assert abs(np.count_nonzero(first == name) - share * beginning) <= 1.5


def test_the_three_sets_of_a_split_share_no_object_and_differ_between_seeds() -> None:
    label = np.repeat(["a", "b"], [80, 20])
    first, other = (stratified_split(label, pool=40, validation=20, test=None, seed=seed) for seed in (0, 1))
    assert sorted(np.concatenate([first.pool, first.validation, first.test])) == list(range(100))
    assert set(first.pool.tolist()) != set(other.pool.tolist())
    with pytest.raises(InputError, match="100 labelled"):
        stratified_split(label, pool=90, validation=20, test=None, seed=0)


def test_a_fifth_of_the_objects_is_for_validation_and_none_is_in_both_sets() -> None:
    curves = toy_light_curves(50)
    train, validation = train_validation_split(curves, seed=3)
    assert (len(train), len(validation)) == (40, 10)
    assert sorted([*train.object_id, *validation.object_id]) == sorted(curves.object_id)
    assert validation.object_id.tolist() != train_validation_split(curves, seed=4)[1].object_id.tolist()
