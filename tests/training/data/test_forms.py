import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.core.alerts import Kind, Survey
from training.data.forms import (
    detections_around_peak,
    merge_same_objects,
    same_object_groups,
    stratified_folds,
)
from training.data.light_curves import LabelledLightCurves, PhotometryTable, assemble


def light_curves(
    objects: dict[str, list[tuple[float, float]]],
    *,
    canonical: list[str] | None = None,
    ra: list[float] | None = None,
) -> LabelledLightCurves:
    """Objects as (mjd, flux) with an error of 1 nJy, all in g."""
    names = np.array(list(objects))
    points = [(name, mjd, flux) for name, rows in objects.items() for mjd, flux in rows]
    n = len(points)
    columns = {
        "object_id": names,
        "label": np.full(len(names), "Ia"),
        "ra_deg": np.array(ra if ra else np.arange(len(names)) * 10.0),
        "dec_deg": np.zeros(len(names)),
    }
    if canonical:
        columns["canonical_id"] = np.array(canonical)
    rows = PhotometryTable(
        np.array([name for name, _, _ in points]),
        np.array([mjd for _, mjd, _ in points]),
        np.array([flux for _, _, flux in points]),
        np.ones(n),
        np.ones(n, np.uint8),
        np.full(n, Kind.FORCED, np.uint8),
    )
    return assemble(Survey.ZTF, "s", columns, rows)


def test_only_positive_detections_around_the_brightest_point_stay() -> None:
    curves = light_curves(
        {"a": [(0.0, 50.0), (150.0, 4.9), (151.0, -60.0), (200.0, 90.0), (449.0, 6.0), (451.0, 6.0)]}
    )
    kept = detections_around_peak(curves)
    assert kept.observations["mjd_tai"].tolist() == [200.0, 449.0]
    assert set(kept.observations["kind"].tolist()) == {Kind.DETECTION}


def test_an_object_without_detections_is_dropped() -> None:
    assert len(detections_around_peak(light_curves({"a": [(0.0, 2.0)], "b": [(0.0, 20.0)]}))) == 1


def test_one_canonical_name_or_one_position_is_one_object() -> None:
    arcsec = 1.0 / 3600.0
    curves = light_curves(
        {"a": [(0.0, 9.0)], "b": [(0.0, 9.0)], "c": [(0.0, 9.0)], "d": [(0.0, 9.0)]},
        canonical=["x", "y", "x", "z"],
        ra=[10.0, 20.0, 30.0, 20.0 + 2.0 * arcsec],
    )
    assert same_object_groups(curves).tolist() == [0, 1, 0, 1]


def test_positions_match_across_right_ascension_zero() -> None:
    curves = light_curves({"a": [(0.0, 9.0)], "b": [(0.0, 9.0)]}, ra=[359.9999, 0.0001])
    assert same_object_groups(curves).tolist() == [0, 0]


def test_merging_keeps_each_exposure_once_and_double_visits_twice() -> None:
    curves = light_curves(
        {"a": [(0.0, 10.0), (5.0, 20.0), (5.0001, 21.0)], "b": [(5.0, 20.5), (7.0, 15.0)]},
        canonical=["x", "x"],
    )
    merged = merge_same_objects(curves)
    assert len(merged) == 1
    assert merged.observations["flux_njy"].tolist() == [10.0, 20.0, 21.0, 15.0]


@given(st.integers(2, 60), st.integers(2, 6), st.integers(0, 1000))
def test_folds_share_each_class_evenly(per_class: int, folds: int, seed: int) -> None:
    label = np.repeat(["a", "b", "c"], [per_class, 2 * per_class, 7])
    fold = stratified_folds(label, folds, seed)
    for name in ("a", "b", "c"):
        counts = np.bincount(fold[label == name], minlength=folds)
        assert counts.max() - counts.min() <= 1
