"""Distances, dust, bandpasses and spectra against published or analytic values."""

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM

from service.core.alerts import Band, Survey
from training.simulation.photometry import Photometer, ab_magnitude, absolute_magnitude, flux_njy
from training.simulation.sources.cosmology import Cosmology
from training.simulation.sources.dust import (
    draw_milky_way_ebv,
    extinction_per_ebv,
    galactic_latitude_deg,
    transmission,
)
from training.simulation.sources.luminosity import BrokenPowerLaw, Gaussian, draw_visible
from training.simulation.sources.magnetar import load_magnetar_priors, magnetar_light_curve
from training.simulation.sources.spectra import (
    AREA_10_PC_CM2,
    BLACK_BODY_EDGES_ANGSTROM,
    LOG_TEMPERATURE,
    black_bodies,
)
from training.simulation.survey.bandpasses import Bandpass, load_bandpasses

COSMOLOGY = Cosmology.flat_lcdm()


@pytest.mark.parametrize(
    ("redshift", "modulus"),
    # astropy 8, FlatLambdaCDM(H0=70, Om0=0.3).distmod
    [(0.01, 33.1753), (0.05, 36.7346), (0.1, 38.3152), (0.5, 42.2612), (1.0, 44.1002), (2.0, 45.9572)],
)
def test_distance_modulus_is_that_of_astropy(redshift: float, modulus: float) -> None:
    assert float(COSMOLOGY.distance_modulus(redshift)) == pytest.approx(modulus, abs=2e-4)
    assert float(COSMOLOGY.redshift_at(modulus)) == pytest.approx(redshift, rel=1e-3)


def test_distances_agree_with_astropy_to_a_millionth() -> None:
    redshift = np.geomspace(0.0005, 4.9, 500)
    modulus = FlatLambdaCDM(H0=70.0, Om0=0.3, Tcmb0=0.0).distmod(redshift).value
    np.testing.assert_allclose(COSMOLOGY.distance_modulus(redshift), modulus, rtol=0, atol=1e-6)


def test_nearby_redshifts_fill_a_euclidean_volume() -> None:
    z = COSMOLOGY.draw_redshifts(np.random.default_rng(1), 40_000, 0.0005, 0.02, rate_power=0.0)
    # Half of the volume within 0.02 lies beyond 0.02 / 2^(1/3).
    assert np.mean(z > 0.02 / 2 ** (1 / 3)) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("wavelength_angstrom", "per_ebv"),
    # Fitzpatrick 1999, table 3, R_V = 3.1.
    [
        (26_500, 0.265),
        (12_200, 0.829),
        (6000, 2.688),
        (5470, 3.055),
        (4670, 3.806),
        (4110, 4.315),
        (2600, 6.591),
    ],
)
def test_extinction_curve_passes_through_its_anchors(wavelength_angstrom: float, per_ebv: float) -> None:
    assert float(extinction_per_ebv(wavelength_angstrom)) == pytest.approx(per_ebv, rel=0.01)


def test_extinction_has_the_bump_at_2175_angstrom() -> None:
    low, bump, high = extinction_per_ebv([2500.0, 2175.0, 1900.0])
    assert bump > low
    assert bump > high
    assert transmission(2.5) == pytest.approx(0.1)


def test_milky_way_dust_is_thick_near_the_plane() -> None:
    assert galactic_latitude_deg(192.85948, 27.12825) == pytest.approx(90.0, abs=1e-3)
    assert galactic_latitude_deg(266.405, -28.936) == pytest.approx(0.0, abs=0.02)
    rng = np.random.default_rng(2)
    pole = draw_milky_way_ebv(rng, np.full(2000, 192.86), np.full(2000, 27.13))
    plane = draw_milky_way_ebv(rng, np.full(2000, 83.0), np.full(2000, 22.0))
    assert 0.015 < np.median(pole) < 0.03
    assert np.median(plane) > 4 * np.median(pole)


def test_a_flat_spectrum_has_its_magnitude_in_every_band() -> None:
    # 3631 Jy at every frequency is AB magnitude 0, whatever the band.
    middle = (BLACK_BODY_EDGES_ANGSTROM[1:] + BLACK_BODY_EDGES_ANGSTROM[:-1]) / 2
    flat = 3.6307805e-20 * 2.99792458e18 / middle**2
    for survey in (Survey.ZTF, Survey.LSST):
        for passband in load_bandpasses(survey, None).values():
            magnitude = absolute_magnitude(flat, BLACK_BODY_EDGES_ANGSTROM, passband)
            assert float(magnitude) == pytest.approx(0.0, abs=2e-3)


def test_made_up_bandpasses_lie_where_the_surveys_do() -> None:
    ztf = load_bandpasses(Survey.ZTF, None)
    # The wavelengths that classification papers use, in A.
    assert ztf[Band.G].effective_angstrom() == pytest.approx(4827, abs=60)
    assert ztf[Band.R].effective_angstrom() == pytest.approx(6400, abs=200)
    lsst = [passband.effective_angstrom() for passband in load_bandpasses(Survey.LSST, None).values()]
    np.testing.assert_allclose(lsst, [3670, 4800, 6220, 7550, 8700, 9850], atol=150)


def test_weights_dilute_redden_and_shift() -> None:
    passband = {
        Band.R: Bandpass.of(np.array([6000.0, 6001.0, 6999.0, 7000.0]), np.array([0.0, 1.0, 1.0, 0.0]))
    }
    photometer = Photometer(BLACK_BODY_EDGES_ANGSTROM, passband, COSMOLOGY)
    at = photometer.weights(np.array([0.1, 0.1, 1.0]), np.array([0.0, 0.1, 0.0]))[:, 0]
    middle = photometer.middle_angstrom
    # At z = 1 the band sees rest-frame 3000-3500 A.
    assert np.all(at[2][(middle < 2950) | (middle > 3550)] == 0)
    assert np.all(at[2][(middle > 3050) & (middle < 3450)] > 0)
    reddened = -2.5 * np.log10(at[1].sum() / at[0].sum())
    assert reddened == pytest.approx(0.1 * float(extinction_per_ebv(6500.0)), rel=0.03)
    # A spectrum flat per frequency keeps, apart from distance, a factor 1 + z.
    flat = 1 / middle**2
    dimming = -2.5 * np.log10((at[2] @ flat) / (at[0] @ flat))
    modulus = COSMOLOGY.distance_modulus([0.1, 1.0])
    assert dimming == pytest.approx(modulus[1] - modulus[0] - 2.5 * np.log10(2 / 1.1), abs=0.01)


def test_black_bodies_carry_unit_luminosity() -> None:
    table = black_bodies(np.arange(100.0, 400_000.0, 50.0))
    total = table.sum(axis=1) * 50.0 * AREA_10_PC_CM2
    np.testing.assert_allclose(total[LOG_TEMPERATURE < 4.5], 1.0, rtol=0.01)


def test_the_sun_at_10_pc_has_its_magnitude() -> None:
    # The sun: 3.828e33 erg/s; AB magnitude in r 4.65 (Willmer 2018), near a black body of 5772 K.
    magnitude = absolute_magnitude(
        black_bodies() * 3.828e33, BLACK_BODY_EDGES_ANGSTROM, load_bandpasses(Survey.ZTF, None)[Band.R]
    )
    assert np.interp(np.log10(5772), LOG_TEMPERATURE, magnitude) == pytest.approx(4.65, abs=0.1)


def test_fluxes_and_magnitudes_are_inverse() -> None:
    magnitude = np.array([14.0, 20.0, 26.5])
    np.testing.assert_allclose(ab_magnitude(flux_njy(magnitude)), magnitude)
    assert flux_njy(np.array([31.4]))[0] == pytest.approx(1.0)
    assert ab_magnitude(np.array([-5.0, 0.0])).tolist() == [np.inf, np.inf]


def test_magnetars_radiate_no_more_than_they_lose() -> None:
    magnetars, _ = load_magnetar_priors(None).draw(np.random.default_rng(4), 50)
    days = np.linspace(0, 600, 1201)
    luminosity, temperature = magnetar_light_curve(magnetars, days)
    radiated = np.sum((luminosity[:, 1:] + luminosity[:, :-1]) / 2, axis=1) * 0.5 * 86_400
    spin_energy = 2.6e52 * (magnetars.star_mass_msun / 1.4) ** 1.5 * magnetars.spin_ms**-2
    assert np.all(radiated < 1.02 * spin_energy)
    assert np.all(temperature >= magnetars.floor_kelvin[:, None] * (1 - 1e-12))
    assert np.all(luminosity.argmax(axis=1) > 5)


def test_luminosity_functions_have_their_shapes() -> None:
    rng = np.random.default_rng(5)
    bell = Gaussian(-17.0, 0.8, -19.0).draw(rng, 50_000)
    assert bell.min() >= -19.0
    assert np.median(bell) == pytest.approx(-17.0, abs=0.03)
    steep = BrokenPowerLaw(faintest=-16.0, brightest=-22.0, slope=1.5).draw(rng, 200_000)
    # One magnitude brighter is 10^(0.4 * 1.5) times as rare.
    ratio = np.mean((steep > -17) & (steep < -16)) / np.mean((steep > -18) & (steep < -17))
    assert ratio == pytest.approx(10**0.6, rel=0.05)


def test_a_flux_limit_favours_the_luminous() -> None:
    rng = np.random.default_rng(6)
    function = Gaussian(-17.0, 0.8, -20.0)
    sample = draw_visible(
        rng,
        COSMOLOGY,
        4000,
        function.draw,
        function.brightest,
        limit_mag=19.0,
        rate_power=1.0,
        z_range=(0.001, 1.0),
    )
    assert sample.redshift.size == 4000
    assert np.all(sample.magnitude + COSMOLOGY.distance_modulus(sample.redshift) < 19.0)
    # Malmquist: a Gaussian shifts by 0.6 ln(10) sigma^2 in Euclidean space.
    assert np.mean(sample.magnitude) == pytest.approx(-17.0 - 0.6 * np.log(10) * 0.64, abs=0.12)
