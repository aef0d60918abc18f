import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.conftest import toy_light_curves
from training.data.augment import Augmentation, augment

NOTHING = Augmentation(
    dim_mag=0.0,
    brighten_mag=0.0,
    stretch=0.0,
    drop=0.0,
    late=0.0,
    thin=0.0,
    band_drop=0.0,
    zero_point_mag=0.0,
    snr=-np.inf,
)


def test_with_all_strengths_zero_nothing_changes() -> None:
    curves = toy_light_curves(20)
    same = augment(curves, NOTHING, np.random.default_rng(0))
    np.testing.assert_allclose(same.observations["flux_njy"], curves.observations["flux_njy"], rtol=1e-6)
    np.testing.assert_allclose(same.observations["mjd_tai"], curves.observations["mjd_tai"], atol=1e-6)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_a_variation_keeps_every_object_in_order_of_time_and_above_threshold(seed: int) -> None:
    curves = toy_light_curves(30, seed)
    varied = augment(curves, Augmentation(night_drop=0.5), np.random.default_rng(seed))
    assert (varied.counts >= 1).all()
    assert (varied.counts <= curves.counts).all()
    rows, owner = varied.observations, varied.owner
    assert (np.diff(rows["mjd_tai"])[owner[1:] == owner[:-1]] >= 0).all()
    untouched = varied.counts == curves.counts
    changed = ~untouched[owner]
    assert (rows["flux_njy"][changed] > 5 * rows["flux_err_njy"][changed]).all()


def test_equal_seeds_give_equal_variations() -> None:
    curves = toy_light_curves(30)
    first, second = (augment(curves, Augmentation(), np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first.observations, second.observations)


def test_dimming_scales_the_flux_and_adds_the_noise_that_is_missing() -> None:
    curves = toy_light_curves(400)
    how = Augmentation(
        dim_mag=1.0,
        brighten_mag=-1.0,
        stretch=0.0,
        drop=0.0,
        late=0.0,
        thin=0.0,
        band_drop=0.0,
        zero_point_mag=0.0,
        snr=-np.inf,
    )
    dimmed = augment(curves, how, np.random.default_rng(1))
    scale = 10**-0.4
    before, after = curves.observations, dimmed.observations
    # Half of the variance is sky, which stays.
    wanted = before["flux_err_njy"] * np.sqrt(0.5 + 0.5 * scale)
    np.testing.assert_allclose(after["flux_err_njy"], wanted, rtol=1e-5)
    added = (after["flux_njy"] - scale * before["flux_njy"]).std()
    expected = np.sqrt(np.mean(wanted**2 - (scale * before["flux_err_njy"]) ** 2))
    np.testing.assert_allclose(added, expected, rtol=0.05)


def test_missed_nights_take_all_their_rows() -> None:
    curves = toy_light_curves(200)
    rows = curves.observations.copy()
    # Pairs of rows in one night.
    rows["mjd_tai"] = np.floor(rows["mjd_tai"]) + 0.2
    paired = type(curves)(
        **{name: getattr(curves, name) for name in curves.__slots__} | {"observations": rows}
    )
    how = Augmentation(
        dim_mag=0.0,
        brighten_mag=0.0,
        stretch=0.0,
        drop=0.0,
        night_drop=0.8,
        late=0.0,
        thin=0.0,
        band_drop=0.0,
        zero_point_mag=0.0,
        snr=-np.inf,
    )
    kept = augment(paired, how, np.random.default_rng(3))
    before = np.unique(np.column_stack([paired.owner, rows["mjd_tai"]]), axis=0, return_counts=True)
    after = np.unique(np.column_stack([kept.owner, kept.observations["mjd_tai"]]), axis=0, return_counts=True)
    size = {tuple(key): count for key, count in zip(*before, strict=True)}
    assert len(after[0]) < 0.8 * len(before[0])
    assert all(size[tuple(key)] == count for key, count in zip(*after, strict=True))
