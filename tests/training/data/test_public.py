"""The public sets, where they are."""

from pathlib import Path

import numpy as np
import pytest

from service.core.alerts import Kind
from training.data.forms import same_object_groups
from training.data.public import read_public
from training.data.real import MALLORN_CLASSES, REAL_ZTF_CLASSES, read_real_lsst, read_real_ztf


@pytest.fixture(scope="module")
def light_curve_sets(shared: Path) -> Path:
    return shared / "lightcurves"


@pytest.mark.parametrize(
    ("name", "objects"),
    [
        ("ztf_bts_antares", 1805),
        ("ztf_bts_snia_antares", 211),
        ("ztf_slsn", 90),
        ("ztf_tde", 54),
        ("lsst_mallorn", 2029),
        ("lsst_elasticc_fink", 4465),
    ],
)
def test_a_public_set_has_all_objects_with_photometry(
    light_curve_sets: Path, name: str, objects: int
) -> None:
    curves = read_public(light_curve_sets, name)
    assert len(curves) == objects
    assert (curves.counts > 0).mean() > 0.99
    assert (curves.label != "").all()


def test_fluxes_of_the_sets_are_of_one_scale(light_curve_sets: Path) -> None:
    # A magnitude of 18 to 20 is 2.3e5 to 3.6e4 nJy, whatever unit the source has.
    for name in ("ztf_bts_antares", "ztf_slsn", "ztf_tde"):
        curves = read_public(light_curve_sets, name)
        rows = curves.observations
        bright = rows[(rows["kind"] == Kind.DETECTION) & (rows["flux_njy"] > 0)]
        assert 2e4 < np.median(bright["flux_njy"]) < 3e5


def test_real_ztf_is_one_form_and_each_object_once(light_curve_sets: Path) -> None:
    curves = read_real_ztf(light_curve_sets)
    rows = curves.observations
    assert set(np.unique(curves.label)) == set(REAL_ZTF_CLASSES)
    assert (rows["flux_njy"] > 5 * rows["flux_err_njy"]).all()
    assert set(np.unique(rows["band"])) == {1, 2}
    assert len(np.unique(same_object_groups(curves))) == len(curves)
    # Some SLSNe and TDEs are in two sets: fewer remain than were read.
    assert len(curves) < 1805 + 211 + 90 + 54


def test_mallorn_has_six_classes(light_curve_sets: Path) -> None:
    assert set(np.unique(read_real_lsst(light_curve_sets).label)) == set(MALLORN_CLASSES)
