"""Whole light curves: determinism, rules of detection and selection, and the bare machine."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from service.core.alerts import Band, Kind, Survey
from service.errors import InputError
from tests.training.simulation.conftest import bare_sample
from training.scripts import simulate
from training.simulation.generate import chunks, generate
from training.simulation.light_curves import SimulatedLightCurves, concatenate, read_parquet, write_parquet
from training.simulation.recipe import class_counts, make_recipe
from training.simulation.sources.cosmology import Cosmology
from training.simulation.sources.populations import CLASS_NAMES
from training.simulation.survey.instruments import ZTF, instrument
from training.simulation.survey.noise import measure


def assert_equal(a: SimulatedLightCurves, b: SimulatedLightCurves) -> None:
    assert a.object_id == b.object_id
    assert a.template == b.template
    for name in ("offsets", "mjd_tai", "band", "kind", "flux_njy", "flux_err_njy", "redshift", "ra_deg"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def detections(sample: SimulatedLightCurves, index: int) -> NDArray[np.int64]:
    rows = np.arange(sample.offsets[index], sample.offsets[index + 1])
    detected: NDArray[np.int64] = rows[sample.kind[rows] == Kind.DETECTION]
    return detected


def test_equal_seeds_give_equal_light_curves() -> None:
    assert_equal(bare_sample(Survey.ZTF, 26, seed=9), bare_sample(Survey.ZTF, 26, seed=9))
    other = bare_sample(Survey.ZTF, 26, seed=10)
    assert not np.array_equal(other.ra_deg, bare_sample(Survey.ZTF, 26, seed=9).ra_deg)


def test_the_number_of_processes_changes_nothing() -> None:
    recipe = make_recipe(Survey.LSST, 13, seed=4)
    single = concatenate(list(generate(recipe)))
    parallel = concatenate(list(generate(recipe, processes=2)))
    assert_equal(single, parallel)


@pytest.mark.parametrize("survey", [Survey.ZTF, Survey.LSST])
def test_a_bare_machine_makes_every_class(survey: Survey) -> None:
    sample = bare_sample(survey, 39)
    assert Counter(sample.class_name) == dict.fromkeys(CLASS_NAMES, 3)
    assert np.all(np.isfinite(sample.flux_njy))
    assert np.all(sample.flux_err_njy > 0)
    stars = np.array([name == "Other" for name in sample.class_name])
    assert np.all(np.isnan(sample.redshift[stars]))
    assert np.all(sample.redshift[~stars] > 0)


def test_light_curves_start_at_their_trigger_and_are_in_order(
    ztf_sample: SimulatedLightCurves, lsst_sample: SimulatedLightCurves
) -> None:
    for sample in (ztf_sample, lsst_sample):
        for index in range(len(sample)):
            detected = detections(sample, index)
            assert len(detected) >= 3
            assert sample.mjd_tai[detected[0]] == sample.trigger_mjd_tai[index]
            rows = slice(sample.offsets[index], sample.offsets[index + 1])
            assert np.all(np.diff(sample.mjd_tai[rows]) >= 0)
            since = sample.mjd_tai[rows] - sample.trigger_mjd_tai[index]
            assert since.min() >= -40
            assert since.max() <= 90


def test_ztf_has_forced_photometry_of_every_exposure_and_limits_without_detection(
    ztf_sample: SimulatedLightCurves,
) -> None:
    for index in range(len(ztf_sample)):
        rows = slice(ztf_sample.offsets[index], ztf_sample.offsets[index + 1])
        keys = list(zip(ztf_sample.mjd_tai[rows].tolist(), ztf_sample.band[rows].tolist(), strict=True))
        kind = ztf_sample.kind[rows]
        by_kind = {
            each: [k for k, matches in zip(keys, kind == each, strict=True) if matches] for each in Kind
        }
        assert len(set(by_kind[Kind.FORCED])) == len(by_kind[Kind.FORCED])
        assert sorted(by_kind[Kind.DETECTION] + by_kind[Kind.UPPER_LIMIT]) == sorted(by_kind[Kind.FORCED])
        limits = kind == Kind.UPPER_LIMIT
        assert np.all(ztf_sample.flux_njy[rows][limits] == 0)


def test_lsst_has_one_row_an_exposure(lsst_sample: SimulatedLightCurves) -> None:
    for index in range(len(lsst_sample)):
        rows = slice(lsst_sample.offsets[index], lsst_sample.offsets[index + 1])
        keys = set(zip(lsst_sample.mjd_tai[rows].tolist(), lsst_sample.band[rows].tolist(), strict=True))
        assert len(keys) == rows.stop - rows.start
    assert set(lsst_sample.kind.tolist()) == {Kind.DETECTION, Kind.FORCED}


def test_detections_are_above_five_sigma(lsst_sample: SimulatedLightCurves) -> None:
    snr = np.abs(lsst_sample.flux_njy / lsst_sample.flux_err_njy)
    # The reported error has a systematic part that detection does not see.
    assert np.all(snr[lsst_sample.kind == Kind.DETECTION] > 4.9)
    assert np.all(snr[lsst_sample.kind == Kind.FORCED] < 5.0)


def test_noise_is_as_large_as_its_error_and_detection_as_deep_as_the_visit() -> None:
    rng = np.random.default_rng(1)
    n = 20_000
    band, depth = np.full(n, Band.R, np.uint8), np.full(n, 20.5 + ZTF.depth_loss_mag)
    empty = measure(rng, ZTF, np.zeros(n), band, depth)
    assert np.std(empty.flux_njy / empty.flux_err_njy) == pytest.approx(1.0, abs=0.03)
    assert empty.detected.mean() < 1e-3
    bright = measure(rng, ZTF, np.full(n, 1e6), band, depth)
    assert np.std(bright.flux_njy) / 1e6 == pytest.approx(ZTF.systematic, rel=0.2)
    # Half of the sources at the threshold are detected; a random loss of depth makes it a little less.
    threshold_njy = ZTF.detection_snr / 5 * 10 ** (-0.4 * (20.5 - 31.4))
    at_threshold = measure(rng, ZTF, np.full(n, threshold_njy), band, depth)
    assert 0.25 < at_threshold.detected.mean() < 0.5
    assert np.median(empty.limit_err_njy) == pytest.approx(threshold_njy / 5, rel=0.15)
    assert np.all(bright.detected)


def test_ztf_alert_errors_are_those_of_real_alerts() -> None:
    rng = np.random.default_rng(2)
    n = 4000
    band, depth = np.full(n, Band.R, np.uint8), np.full(n, 21.0)
    for magnitude, sigma in ((16.25, 0.034), (18.25, 0.073), (19.25, 0.123)):
        measured = measure(rng, ZTF, np.full(n, 10 ** (-0.4 * (magnitude - 31.4))), band, depth)
        reported = measured.alert_flux_err_njy / measured.alert_flux_njy * 2.5 / np.log(10)
        assert np.median(reported) == pytest.approx(sigma, rel=0.2)
        scatter = np.std(-2.5 * np.log10(measured.alert_flux_njy))
        assert 0.4 * sigma < scatter < 0.9 * sigma


def test_bright_samples_are_bright() -> None:
    recipe = make_recipe(Survey.ZTF, 40, seed=2, classes="Ia", selection="bright", min_detections=5)
    sample = concatenate(list(generate(recipe)))
    peaks = [31.4 - 2.5 * np.log10(sample.flux_njy[detections(sample, i)].max()) for i in range(len(sample))]
    assert max(peaks) < 19.4
    assert np.median(peaks) == pytest.approx(18.5, abs=0.3)
    assert min(len(detections(sample, i)) for i in range(len(sample))) >= 5
    # Magnitude-limited normal SNe Ia at 19 mag reach z ~ 0.1.
    assert 0.05 < np.median(sample.redshift) < 0.11


def test_bands_can_be_chosen() -> None:
    sample = concatenate(list(generate(make_recipe(Survey.ZTF, 6, seed=1, classes="Ia,AGN", bands="gri"))))
    assert set(sample.band.tolist()) == {Band.G, Band.R, Band.I}
    with pytest.raises(ValueError, match="ztf has no band Y"):
        instrument(Survey.ZTF, (Band.Y,))


def test_counts_add_up_whatever_the_weights() -> None:
    assert class_counts("Ia:3,II", 8) == (("Ia", 6), ("II", 2))
    for count in (1, 7, 100, 1001):
        assert sum(n for _, n in class_counts("all", count)) == count
        assert sum(c.count for c in chunks(make_recipe(Survey.ZTF, count, seed=1))) == count
    with pytest.raises(InputError, match="unknown class 'Id': choose among Ia, 91bg"):
        class_counts("Id", 10)
    with pytest.raises(InputError, match="'x' is not a number"):
        class_counts("Ia:x", 10)


def test_options_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose bright or alerts"):
        make_recipe(Survey.ZTF, 1, 1, selection="all")
    with pytest.raises(InputError, match="no such data directory"):
        make_recipe(Survey.ZTF, 1, 1, data=tmp_path / "none")
    with pytest.raises(InputError, match="unknown band 'x'"):
        make_recipe(Survey.ZTF, 1, 1, bands="gx")


def test_files_read_back_and_say_how_they_were_made(tmp_path: Path) -> None:
    output = tmp_path / "sample.parquet"
    simulate.main(simulate.Configuration(output, Survey.LSST, count=13, seed=7, days_after=100.0))
    written = concatenate(list(read_parquet(output)))
    assert len(written) == 13
    assert sorted(written.class_name) == sorted(CLASS_NAMES)
    metadata = pq.read_schema(output).metadata
    assert metadata[b"nightjar.seed"] == b"7"
    assert metadata[b"nightjar.survey"] == b"lsst"
    assert b'"templates": "parametric"' in metadata[b"nightjar.settings"]
    again = tmp_path / "again.parquet"
    assert write_parquet(again, [written], {}) == 13
    assert_equal(concatenate(list(read_parquet(again))), written)


def test_detections_only_leaves_the_same_objects() -> None:
    recipe = make_recipe(Survey.ZTF, 13, seed=6)
    everything = concatenate(list(generate(recipe)))
    only = replace(recipe, selection=replace(recipe.selection, kinds=(Kind.DETECTION,)))
    detected = concatenate(list(generate(only)))
    assert_equal(detected, everything.keep_rows(everything.kind == Kind.DETECTION))


def test_light_curves_can_be_taken_and_joined(ztf_sample: SimulatedLightCurves) -> None:
    back = concatenate([ztf_sample.take(np.array([i])) for i in range(len(ztf_sample))])
    assert_equal(back, ztf_sample)
    assert len(SimulatedLightCurves.empty()) == 0
    np.testing.assert_array_equal(np.bincount(ztf_sample.owner()), np.diff(ztf_sample.offsets))


def test_templates_give_supernovae_their_known_magnitudes(data_dir: Path) -> None:
    recipe = make_recipe(
        Survey.ZTF, 60, seed=2, classes="Ia", selection="bright", min_detections=8, data=data_dir
    )
    sample = concatenate(list(generate(recipe)))
    modulus = Cosmology.flat_lcdm().distance_modulus(sample.redshift)
    peaks = np.array(
        [31.4 - 2.5 * np.log10(sample.flux_njy[detections(sample, i)].max()) for i in range(len(sample))]
    )
    # ZTF's bright SNe Ia: -19.1 with a scatter of 0.4 as observed (no correction for dust).
    assert np.median(peaks - modulus) == pytest.approx(-19.15, abs=0.2)
    assert set(sample.template) == {"salt3-f22"}
