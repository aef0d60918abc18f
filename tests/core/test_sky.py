"""Ranges of pixels cover a cone, whatever and wherever it is."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.core.sky import NOWHERE, ORDER, Cone, cone_ranges, pixels, separation_deg

Column = NDArray[np.float64]

RA = st.floats(0, 360)
DEC = st.floats(-90, 90)
LOG_RADIUS = st.floats(-6, 1.0)


@given(RA, DEC, LOG_RADIUS, st.integers(0, 2**32 - 1))
def test_every_position_in_a_cone_is_in_its_ranges(
    ra_deg: float, dec_deg: float, log_radius: float, seed: int
) -> None:
    cone = Cone(ra_deg, dec_deg, 10**log_radius)
    generator = np.random.default_rng(seed)
    distance = np.radians(cone.radius_deg * np.sqrt(generator.uniform(0, 1, 200)))
    angle = generator.uniform(0, 2 * np.pi, 200)
    ra, dec = _offset(cone, distance, angle)
    inside = separation_deg(ra, dec, ra_deg, dec_deg) <= cone.radius_deg
    numbers = pixels(ra, dec)[inside]
    ranges = np.array(cone_ranges(cone))
    index = np.searchsorted(ranges[:, 0], numbers, side="right") - 1
    assert np.all(index >= 0)
    assert np.all(numbers < ranges[index, 1])


def _offset(cone: Cone, distance: Column, angle: Column) -> tuple[Column, Column]:
    dec_0 = np.radians(cone.dec_deg)
    sine = np.sin(dec_0) * np.cos(distance) + np.cos(dec_0) * np.sin(distance) * np.cos(angle)
    dec = np.arcsin(np.clip(sine, -1, 1))
    ra = np.arctan2(
        np.sin(angle) * np.sin(distance) * np.cos(dec_0), np.cos(distance) - np.sin(dec_0) * np.sin(dec)
    )
    return (cone.ra_deg + np.degrees(ra)) % 360, np.degrees(dec)


@given(RA, DEC, LOG_RADIUS)
def test_ranges_are_few_apart_and_not_much_larger_than_the_cone(
    ra_deg: float, dec_deg: float, log_radius: float
) -> None:
    cone = Cone(ra_deg, dec_deg, 10**log_radius)
    ranges = cone_ranges(cone)
    assert len(ranges) <= 60
    assert all(start < stop for start, stop in ranges)
    assert all(stop < start for (_, stop), (start, _) in pairwise(ranges))
    area = sum(stop - start for start, stop in ranges) / (12 * 4**ORDER)
    cap = (1 - np.cos(np.radians(cone.radius_deg))) / 2
    assert area < 6 * cap + 12 * 4.0**-ORDER * 60


def test_the_whole_sky_is_one_range() -> None:
    assert cone_ranges(Cone(0.0, 0.0, 180.0)) == [(0, 12 * 4**ORDER)]


def test_what_is_not_on_the_sky_is_nowhere() -> None:
    ra, dec = np.array([np.nan, 10.0, 10.0, 370.0]), np.array([0.0, np.nan, 91.0, 5.0])
    numbers = pixels(ra, dec).tolist()
    assert numbers[:3] == [NOWHERE] * 3
    assert numbers[3] == pixels(np.array([10.0]), np.array([5.0]))[0]


@pytest.mark.parametrize("dec_deg", [-90.0, -41.8, 0.0, 41.8, 90.0])
def test_numbers_are_exact_as_the_scores_of_a_sorted_set(dec_deg: float) -> None:
    numbers = pixels(np.linspace(0, 360, 999), np.full(999, dec_deg))
    assert [int(float(number)) for number in numbers] == numbers.tolist()
    assert numbers.max() < 2**53
