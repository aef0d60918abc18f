import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.alerts import Survey
from tests.training.conftest import toy_light_curves
from training.data.light_curves import (
    LabelledLightCurves,
    PhotometryTable,
    assemble,
    concatenate,
    ragged_index,
)


def test_rows_come_out_by_object_and_time_whatever_their_order_in_the_table() -> None:
    rows = PhotometryTable(
        object_id=np.array(["b", "a", "b", "x"]),
        mjd_tai=np.array([3.0, 1.0, 2.0, 9.0]),
        flux_njy=np.array([30.0, 10.0, 20.0, 90.0]),
        flux_err_njy=np.ones(4),
        band=np.zeros(4, np.uint8),
        kind=np.zeros(4, np.uint8),
    )
    curves = assemble(Survey.ZTF, "s", {"object_id": np.array(["b", "a", "empty"])}, rows)
    assert curves.rows(0)["flux_njy"].tolist() == [20.0, 30.0]
    assert curves.rows(1)["flux_njy"].tolist() == [10.0]
    assert curves.counts.tolist() == [2, 1, 0]


@pytest.mark.parametrize(("flux", "error"), [(np.nan, 1.0), (1.0, 0.0), (1.0, np.nan), (np.inf, 1.0)])
def test_unusable_measurements_are_left_out(flux: float, error: float) -> None:
    names = np.array(["a"])
    rows = PhotometryTable(
        names, np.ones(1), np.array([flux]), np.array([error]), np.zeros(1, np.uint8), np.zeros(1, np.uint8)
    )
    assert len(assemble(Survey.ZTF, "s", {"object_id": names}, rows).observations) == 0


def test_taking_objects_takes_their_rows(toy: LabelledLightCurves) -> None:
    taken = toy.take([7, 3])
    assert taken.object_id.tolist() == ["toy0007", "toy0003"]
    np.testing.assert_array_equal(taken.rows(0), toy.rows(7))
    np.testing.assert_array_equal(taken.rows(1), toy.rows(3))


def test_concatenating_halves_gives_the_whole(toy: LabelledLightCurves) -> None:
    whole = concatenate([toy.take(slice(0, 50)), toy.take(slice(50, None))])
    np.testing.assert_array_equal(whole.offsets, toy.offsets)
    np.testing.assert_array_equal(whole.observations, toy.observations)


def test_sets_of_different_surveys_are_not_mixed(toy: LabelledLightCurves) -> None:
    names = np.array(["a"])
    rows = PhotometryTable(
        names, np.ones(1), np.ones(1), np.ones(1), np.zeros(1, np.uint8), np.zeros(1, np.uint8)
    )
    with pytest.raises(ValueError, match="passbands"):
        concatenate([toy, assemble(Survey.LSST, "s", {"object_id": names}, rows)])


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6)), max_size=12))
def test_a_ragged_index_is_the_ranges_end_to_end(ranges: list[tuple[int, int]]) -> None:
    starts = np.array([start for start, _ in ranges], np.int64)
    lengths = np.array([length for _, length in ranges], np.int64)
    wanted = [value for start, length in ranges for value in range(start, start + length)]
    assert ragged_index(starts, lengths).tolist() == wanted


@given(st.integers(0, 2**32 - 1))
def test_keeping_rows_keeps_every_object(seed: int) -> None:
    curves = toy_light_curves(10, seed)
    keep = np.random.default_rng(seed).random(len(curves.observations)) < 0.5
    kept = curves.keep_rows(keep)
    assert len(kept) == 10
    np.testing.assert_array_equal(kept.observations, curves.observations[keep])
    np.testing.assert_array_equal(kept.owner, curves.owner[keep])
