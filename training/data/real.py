"""The real light curves of each survey, in the uniform form in which networks are trained and scored."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from service.core.alerts import Band, Survey
from service.errors import InputError
from training.data.forms import detections_around_peak, merge_same_objects
from training.data.labels import coarse_classes
from training.data.light_curves import LabelledLightCurves, concatenate
from training.data.public import read_public

__all__ = [
    "MALLORN_CLASSES",
    "REAL_ZTF_CLASSES",
    "REAL_ZTF_SETS",
    "read_real",
    "read_real_lsst",
    "read_real_ztf",
]

REAL_ZTF_SETS = ("ztf_bts_antares", "ztf_bts_snia_antares", "ztf_slsn", "ztf_tde")
REAL_ZTF_CLASSES = ("Ia", "Ib/c", "II", "SLSN-I", "TDE")
MALLORN_CLASSES = (*REAL_ZTF_CLASSES, "AGN")


def read_real(directory: Path, survey: Survey) -> LabelledLightCurves:
    """Read the real light curves of a survey.

    Parameters
    ----------
    directory
        The data directory.
    survey
        ZTF or LSST.

    Raises
    ------
    InputError
        The directory or one of its data sets is missing, or cannot be read.
    """
    if not directory.is_dir():
        raise InputError(f"{directory}: no data directory; nightjar-train data says where to get the sets")
    return read_real_ztf(directory) if survey is Survey.ZTF else read_real_lsst(directory)


def read_real_ztf(directory: Path, *, bands: Sequence[int] = (Band.G, Band.R)) -> LabelledLightCurves:
    """Read all real ZTF sets in one form: detections above 5 sigma around the peak, each object once.

    Parameters
    ----------
    directory
        The data directory.
    bands
        Bands to keep. i is left out by default: only the SLSN and TDE sets have it, so that a network could
        recognise them by it.
    """
    parts = [detections_around_peak(read_public(directory, name)) for name in REAL_ZTF_SETS]
    parts = [part.keep_rows(np.isin(part.observations["band"], bands)) for part in parts]
    return _with_classes(merge_same_objects(concatenate(parts)), REAL_ZTF_CLASSES)


def read_real_lsst(directory: Path) -> LabelledLightCurves:
    """Read MALLORN, LSST-like light curves made of real ZTF ones.

    Parameters
    ----------
    directory
        The data directory.
    """
    return _with_classes(read_public(directory, "lsst_mallorn"), MALLORN_CLASSES)


def _with_classes(curves: LabelledLightCurves, classes: Sequence[str]) -> LabelledLightCurves:
    """Return the non-empty objects of some classes, labelled by them."""
    label = coarse_classes(curves.label)
    return curves.relabel(label).take(np.isin(label, classes) & (curves.counts > 0))
