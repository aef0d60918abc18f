from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.core.alerts import OBSERVATION, Kind, Observations, Survey
from service.core.features.columns import COLUMNS
from service.core.features.featuriser import (
    WAVELENGTH_UM,
    FeatureSpec,
    Featuriser,
    KindName,
    nightjar_features,
    pack,
    paper_features,
)
from tests.support.curves import light_curves

DETECTION, FORCED, LIMIT = Kind.DETECTION, Kind.FORCED, Kind.UPPER_LIMIT
G, R = 1, 2
KINDS: tuple[KindName, ...] = ("detection", "forced", "upper_limit")

ALL = FeatureSpec(columns=tuple(COLUMNS), kinds=KINDS, window_days=(-30.0, 70.0), softening_njy=500.0)
# The first example of a test may compile.
SPECS = [ALL, ALL.model_copy(update={"kinds": ("detection",)}), paper_features(), nightjar_features()]


def curve(*rows: tuple[float, float, float, int, int]) -> Observations:
    """Build a light curve of (day, flux_njy, flux_err_njy, band, kind)."""
    built = np.zeros(len(rows), OBSERVATION)
    for index, (day, flux, error, band, kind) in enumerate(rows):
        built[index] = (60000.0 + day, flux, error, band, kind, index, 0)
    return built


def encode(featuriser: Featuriser, rows: Observations) -> np.ndarray:
    return featuriser.encode(*pack([rows])).x


def column(name: str, rows: Observations, survey: Survey = Survey.ZTF) -> list[float]:
    spec = FeatureSpec(columns=(name,), kinds=KINDS, softening_njy=500.0)
    return [float(value) for value in encode(Featuriser(spec, survey), rows)[:, 0]]


def test_paper_input_is_wavelength_time_flux_and_error_as_published() -> None:
    rows = curve(
        (-40, 0, 90, G, LIMIT),
        (-10, 0, 100, R, LIMIT),
        (0, 1e4, 500, G, DETECTION),
        (5.5, -2e4, 800, R, FORCED),
        (70, 3e4, 900, G, DETECTION),
        (70.5, 1, 1, G, DETECTION),
    )
    fluxcal = 10 ** (-0.4 * (31.4 - 27.5))
    expected = [
        [0.6223, 0.20, 0.0, 100 * fluxcal / 500],
        [0.4827, 0.30, 1e4 * fluxcal / 500, 500 * fluxcal / 500],
        [0.6223, 0.355, -2e4 * fluxcal / 500, 800 * fluxcal / 500],
        [0.4827, 1.00, 3e4 * fluxcal / 500, 900 * fluxcal / 500],
    ]
    x = encode(Featuriser(paper_features(), Survey.ZTF), rows)
    # The constant of the format notes, 0.027542, is rounded to five digits.
    np.testing.assert_allclose(x, expected, rtol=2e-5)


RISING = curve(
    (0, 500, 100, G, DETECTION),
    (2, 1500, 100, R, DETECTION),
    (3, 0, 200, G, LIMIT),
    (5, 1000, 100, G, DETECTION),
    (9, 3000, 100, G, FORCED),
)
A500, A1000, A1500, A3000 = (float(np.arcsinh(value)) for value in (1, 2, 3, 6))
LOG = {days: float(np.log1p(days)) for days in range(10)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("time", [0, 0.02, 0.03, 0.05, 0.09]),
        ("log_time", [0, LOG[2], LOG[3], LOG[5], LOG[9]]),
        ("log_gap", [0, LOG[2], LOG[1], LOG[2], LOG[4]]),
        ("flux", [A500, A1500, 0, A1000, A3000]),
        ("flux_err", [float(np.arcsinh(e / 500)) for e in (100, 100, 200, 100, 100)]),
        ("snr", [float(np.arcsinh(s)) for s in (5, 15, 0, 10, 30)]),
        ("is_detection", [1, 1, 0, 1, 0]),
        ("is_forced", [0, 0, 0, 0, 1]),
        ("is_upper_limit", [0, 0, 1, 0, 0]),
        ("log_detections", [LOG[1], LOG[2], LOG[2], LOG[3], LOG[3]]),
        ("peak", [A500, A1500, A1500, A1500, A3000]),
        ("relative_flux", [1, 1, 0, 2 / 3, 1]),
        ("log_since_peak", [0, 0, LOG[1], LOG[3], 0]),
        ("change", [0, 0, -A500, A1000 - A500, A3000 - A1000]),
        ("log_change_gap", [-1, -1, LOG[3], LOG[5], LOG[4]]),
        ("colour", [0, A500 - A1500, -A1500, A1000 - A1500, A3000 - A1500]),
        ("log_colour_gap", [-1, LOG[2], LOG[1], LOG[3], LOG[7]]),
        ("other_wavelength", [0, 0.4827, 0.6223, 0.6223, 0.6223]),
        ("is_g", [1, 0, 1, 1, 1]),
        ("is_r", [0, 1, 0, 0, 0]),
        ("last_g", [A500, A500, A500, A1000, A3000]),
        ("last_r", [0, A1500, A1500, A1500, A1500]),
        ("last_i", [0, 0, 0, 0, 0]),
        ("log_age_g", [0, LOG[2], LOG[3], 0, 0]),
        ("log_age_r", [-1, 0, LOG[1], LOG[3], LOG[7]]),
    ],
)
def test_column_has_its_reference_values(name: str, expected: list[float]) -> None:
    np.testing.assert_allclose(column(name, RISING), expected, rtol=1e-6, atol=1e-7)


def test_colour_has_one_sign_whichever_band_came_last() -> None:
    blue_object = curve((0, 3000, 1, G, DETECTION), (1, 1000, 1, R, DETECTION), (2, 3000, 1, G, DETECTION))
    assert column("colour", blue_object)[1:] == pytest.approx([A3000 - A1000, A3000 - A1000])


def test_time_differences_keep_seconds() -> None:
    second = 1 / 86400
    rows = curve(
        (0, 1, 1, G, DETECTION), (50 + second, 1, 1, G, DETECTION), (50 + 2 * second, 1, 1, G, DETECTION)
    )
    assert column("log_gap", rows)[2] == pytest.approx(second, rel=1e-4)


@pytest.mark.parametrize("survey", list(Survey))
def test_every_band_of_a_survey_has_its_wavelength(survey: Survey) -> None:
    rows = curve(*((band, 1.0, 1.0, band, DETECTION) for band in range(6)))
    expected = [value for value in WAVELENGTH_UM[survey] if not np.isnan(value)]
    assert column("wavelength", rows, survey) == pytest.approx(expected)
    assert len(expected) == (3 if survey is Survey.ZTF else 6)


def test_rows_ahead_of_the_first_detection_are_steps_within_the_window_only() -> None:
    rows = curve(
        (-31, 0, 1, G, LIMIT), (-30, 5, 1, G, FORCED), (0, 9, 1, G, DETECTION), (71, 9, 1, G, DETECTION)
    )
    batch = Featuriser(ALL, Survey.ZTF).encode(*pack([rows]))
    assert batch.row_index.tolist() == [1, 2]


def test_light_curve_without_detection_has_no_steps() -> None:
    rows = curve((0, 5, 1, G, FORCED), (1, 0, 1, G, LIMIT))
    summary = Featuriser(ALL, Survey.ZTF).summarise(*pack([rows]))
    assert (summary.n_steps[0], summary.n_detections[0], summary.n_observations[0]) == (0, 0, 2)
    assert np.isnan(summary.trigger_mjd_tai[0])


@pytest.mark.parametrize(
    "row",
    [(1, np.nan, 1, G, DETECTION), (1, 1, 0, G, DETECTION), (1, 1, np.inf, G, DETECTION),
     (-np.inf, 1, 1, G, DETECTION), (1, 1, 1, 0, DETECTION), (1, 1, 1, 200, DETECTION), (1, 1, 1, G, 77)],
)  # fmt: skip
def test_unusable_rows_are_passed_over(row: tuple[float, float, float, int, int]) -> None:
    good = curve((0, 5, 1, G, DETECTION), (2, 6, 1, R, DETECTION))
    mixed = np.concatenate([curve(row), good]) if np.isinf(row[0]) else np.insert(good, 1, curve(row))
    np.testing.assert_array_equal(
        encode(Featuriser(ALL, Survey.ZTF), mixed), encode(Featuriser(ALL, Survey.ZTF), good)
    )


def test_extreme_values_stay_finite() -> None:
    rows = curve(
        (0, 3e38, 1e-38, G, DETECTION), (1e-9, -3e38, 3e38, R, DETECTION), (2, 1e-38, 1e-38, G, LIMIT)
    )
    assert np.isfinite(encode(Featuriser(ALL, Survey.LSST), rows)).all()


@given(st.sampled_from(SPECS), light_curves(), st.data())
def test_prefix_of_a_light_curve_encodes_to_a_prefix(
    spec: FeatureSpec, rows: Observations, data: st.DataObject
) -> None:
    featuriser = Featuriser(spec, Survey.LSST)
    n_seen = data.draw(st.integers(0, len(rows)))
    part, whole = encode(featuriser, rows[:n_seen]), encode(featuriser, rows)
    np.testing.assert_array_equal(part, whole[: len(part)])
    trigger = featuriser.summarise(*pack([rows])).trigger_mjd_tai[0]
    if n_seen and (rows["mjd_tai"][:n_seen] > trigger).any():
        steps = featuriser.encode(*pack([rows])).row_index
        assert len(part) == (steps < n_seen).sum()


@given(st.sampled_from(SPECS), st.lists(light_curves(), max_size=4), st.data())
def test_encoding_from_a_later_step_gives_the_same_bits(
    spec: FeatureSpec, curves: list[Observations], data: st.DataObject
) -> None:
    featuriser = Featuriser(spec, Survey.LSST)
    rows, offsets = pack(curves)
    whole = featuriser.encode(rows, offsets)
    lengths = np.diff(whole.offsets)
    first = np.array([data.draw(st.integers(0, int(length))) for length in lengths], np.int64)
    part = featuriser.encode(rows, offsets, first)
    ends = whole.offsets[1:]
    steps = [np.arange(end - n, end) for end, n in zip(ends, lengths - first, strict=True)]
    index = np.concatenate([np.zeros(0, np.int64), *steps])
    assert part.x.tobytes() == whole.x[index].tobytes()
    np.testing.assert_array_equal(part.row_index, whole.row_index[index])
    np.testing.assert_array_equal(np.diff(part.offsets), lengths - first)


@given(st.sampled_from(SPECS), st.lists(light_curves(), max_size=4))
def test_light_curve_encodes_alike_alone_and_in_company(
    spec: FeatureSpec, curves: list[Observations]
) -> None:
    featuriser = Featuriser(spec, Survey.LSST)
    together = featuriser.encode(*pack(curves))
    for rows, (start, stop) in zip(curves, pairwise(together.offsets), strict=True):
        assert encode(featuriser, rows).tobytes() == together.x[start:stop].tobytes()


def test_many_light_curves_are_encoded_in_parts_without_a_seam() -> None:
    generator = np.random.default_rng(1)
    curves = []
    for length in (0, 3, 20_000, 0, 17_000, 40, 2):
        rows = np.zeros(length, OBSERVATION)
        rows["mjd_tai"] = 60000 + np.sort(generator.uniform(0, 60, length))
        rows["flux_njy"], rows["flux_err_njy"] = generator.normal(0, 1e3, length), 10.0
        rows["band"] = generator.integers(0, 6, length)
        curves.append(rows)
    featuriser = Featuriser(ALL, Survey.LSST)
    together = featuriser.encode(*pack(curves))
    np.testing.assert_array_equal(np.diff(together.offsets), [len(rows) for rows in curves])
    np.testing.assert_array_equal(together.row_index, np.arange(len(together.x)))
    assert together.x.tobytes() == b"".join(encode(featuriser, rows).tobytes() for rows in curves)


@given(light_curves(), st.floats(59999.0, 60121.0))
def test_counts_as_of_a_time_are_those_of_the_light_curve_cut_there(rows: Observations, as_of: float) -> None:
    featuriser = Featuriser(ALL, Survey.LSST)
    whole = featuriser.summarise(*pack([rows]), np.array([as_of]))
    cut = featuriser.summarise(*pack([rows[rows["mjd_tai"] <= as_of]]))
    assert whole.n_steps_as_of[0] == cut.n_steps[0]
    assert whole.n_detections[0] == cut.n_detections[0]
    assert whole.n_observations[0] == cut.n_observations[0]


@given(st.sampled_from(SPECS), light_curves(max_rows=12), st.data())
def test_known_steps_are_a_common_beginning_of_both_encodings(
    spec: FeatureSpec, rows: Observations, data: st.DataObject
) -> None:
    featuriser = Featuriser(spec, Survey.LSST)
    stored = rows[
        np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), np.bool_)
    ]
    same = 0
    while same < len(stored) and stored[same] == rows[same]:
        same += 1
    n_kept = n_kept_steps(featuriser, stored, rows)
    assert n_kept == n_kept_steps(featuriser, stored, rows, unchanged=data.draw(st.integers(0, same)))
    before, after = encode(featuriser, stored), encode(featuriser, rows)
    read_before, read_after = rows_read(spec, stored), rows_read(spec, rows)
    if read_before == read_after[: len(read_before)]:
        assert len(before) == n_kept
        assert before.tobytes() == after[:n_kept].tobytes()
    else:
        assert n_kept == -1


def n_kept_steps(featuriser: Featuriser, stored: Observations, rows: Observations, unchanged: int = 0) -> int:
    as_of = np.full(1, np.inf)
    _, n_kept = featuriser.compare(*pack([stored]), *pack([rows]), as_of, np.array([unchanged]))
    return int(n_kept[0])


def rows_read(spec: FeatureSpec, rows: Observations) -> list[bytes]:
    """List what a model reads of the rows that it reads, in its window or not."""
    kinds = [Kind[name.upper()] for name in spec.kinds]
    usable = np.isfinite(rows["flux_njy"]) & np.isfinite(rows["flux_err_njy"]) & (rows["flux_err_njy"] > 0)
    read = rows[usable & np.isin(rows["kind"], kinds)].copy()
    # Two measurements may differ in nothing but their ids.
    read["source_id"] = 0
    return [row.tobytes() for row in read]


@pytest.mark.parametrize("changed", ["flux_njy", "flux_err_njy", "mjd_tai", "band", "kind"])
def test_revised_step_is_not_known(changed: str) -> None:
    rows = curve((0, 5, 1, G, DETECTION), (2, 6, 1, G, DETECTION), (4, 7, 1, G, DETECTION))
    stored = rows[:2].copy()
    stored[changed][1] += 1
    assert n_kept_steps(Featuriser(ALL, Survey.ZTF), stored, rows) == -1


@pytest.mark.parametrize("unchanged", [0, 1, 2, 3])
def test_steps_are_compared_from_where_they_may_differ(unchanged: int) -> None:
    featuriser = Featuriser(nightjar_features(), Survey.ZTF)
    rows = curve(*((day, 5, 1, G, FORCED if day == 1 else DETECTION) for day in range(5)))
    assert n_kept_steps(featuriser, rows[:3], rows, unchanged) == 2
    revised = rows.copy()
    revised["flux_njy"][2] = 6
    assert n_kept_steps(featuriser, rows[:3], revised, unchanged) == (-1 if unchanged < 3 else 2)


def test_rows_the_model_does_not_read_leave_steps_known() -> None:
    detections = curve((0, 5, 1, G, DETECTION), (2, 6, 1, R, DETECTION))
    others = curve((-3, 1, 1, G, FORCED), (1, 0, 1, R, LIMIT), (3, 7, 1, R, DETECTION))
    merged = np.sort(np.concatenate([detections, others]), order="mjd_tai")
    featuriser = Featuriser(nightjar_features(), Survey.ZTF)
    assert n_kept_steps(featuriser, detections, merged) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "feature version 2"),
        ({"columns": ("flux", "colour_of_magic")}, "unknown feature columns: colour_of_magic"),
        ({"columns": ("flux", "flux")}, "twice"),
        ({"kinds": ("forced",)}, "must include detection"),
        ({"kinds": ("detection", "detection")}, "twice"),
        ({"window_days": (1.0, 70.0)}, "span the trigger"),
        ({"softening_njy": 0.0}, "greater than 0"),
        ({"scale": 1.0}, "Extra inputs"),
    ],
)
def test_impossible_features_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FeatureSpec.model_validate(nightjar_features().model_dump() | change)
