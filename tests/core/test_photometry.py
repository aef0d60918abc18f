import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.photometry import (
    flux_njy_of_counts,
    flux_njy_of_magnitude,
    magnitude_of_flux_njy,
    njy_of_fluxcal,
    noise_njy_of_limit,
    relative_error_of_magnitude,
)


def test_one_nanojansky_is_magnitude_31_4() -> None:
    assert flux_njy_of_magnitude(31.4) == 1.0
    assert flux_njy_of_magnitude(20.0) == pytest.approx(36307.805, rel=1e-7)


@given(st.floats(5.0, 30.0))
def test_magnitude_of_a_flux_is_the_magnitude_it_was_made_from(magnitude: float) -> None:
    assert magnitude_of_flux_njy(flux_njy_of_magnitude(magnitude)) == pytest.approx(magnitude, abs=1e-9)


def test_a_flux_that_is_not_positive_has_no_magnitude() -> None:
    assert np.isnan(magnitude_of_flux_njy([0.0, -1.0, np.nan])).all()


def test_an_error_of_a_hundredth_of_a_magnitude_is_almost_one_percent_of_the_flux() -> None:
    assert relative_error_of_magnitude(0.01) == pytest.approx(0.00921034)


def test_a_limit_is_five_times_the_noise() -> None:
    assert 5 * noise_njy_of_limit(20.5) == pytest.approx(flux_njy_of_magnitude(20.5))


def test_counts_at_the_zero_point_of_the_image_are_nanojanskys() -> None:
    assert flux_njy_of_counts(-150.0, 26.4) == pytest.approx(-150.0 * 100.0)


def test_fluxcal_is_0_027542_of_a_nanojansky_to_the_published_digits() -> None:
    assert 1 / njy_of_fluxcal() == pytest.approx(0.027542, abs=5e-7)
