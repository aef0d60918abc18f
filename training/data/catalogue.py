"""The data sets that training can use, and where they come from."""

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CATALOGUE", "DATA_VARIABLE", "DataSet", "data_directory"]

DATA_VARIABLE = "NIGHTJAR_TRAINING_DATA"
SHARED_VARIABLE = "NIGHTJAR_SHARED"


@dataclass(frozen=True, slots=True)
class DataSet:
    """A folder of a data directory.

    Attributes
    ----------
    folder
        Its name there.
    what
        Its contents.
    origin
        Where it comes from: repository, commit and files.
    licence
        As stated by its source.
    needed_for
        Commands that use it.
    """

    folder: str
    what: str
    origin: str
    licence: str
    needed_for: str


CATALOGUE = (
    DataSet(
        "ztf_bts_antares",
        "real ZTF alert detections of BTS objects, all classes: lightcurves.csv.gz, objects.csv",
        "GitHub HSE-LAMBDA/light_curve_approx, commit 05428c6, data/ANTARES/*.csv and the BTS tables",
        "MIT",
        "transfer, bundle --survey ztf",
    ),
    DataSet(
        "ztf_bts_snia_antares",
        "further real ZTF SNe Ia, in the same form",
        "GitHub light-curve/test-data, commit 3c8d987, SNIa/light-curves/*.csv and SNIa/bts.csv",
        "none stated",
        "transfer, bundle --survey ztf",
    ),
    DataSet(
        "ztf_slsn",
        "real ZTF light curves of SLSNe-I, with limits",
        "GitHub gmzsebastian/SLSNe, commit 2b8c1a8, slsne/ref_data (rows of instrument ZTF)",
        "MIT",
        "transfer, bundle --survey ztf",
    ),
    DataSet(
        "ztf_tde",
        "real ZTF forced photometry of TDEs, Jy",
        "GitHub sjoertvv/manyTDE, commit 7afa338, data/sources/*.json (filters g.ztf, r.ztf, i.ztf)",
        "none stated",
        "transfer, bundle --survey ztf",
    ),
    DataSet(
        "lsst_mallorn",
        "LSST light curves made of real ZTF transients, microjansky",
        "the MALLORN Astronomical Classification Challenge's training set (Kaggle; arXiv:2512.04946)",
        "for development and evaluation; not to be redistributed",
        "transfer, bundle --survey lsst",
    ),
    DataSet(
        "lsst_elasticc_fink",
        "ELAsTiCC alerts with truth: Ia, II, KN",
        "GitHub astrolabsoftware/fink-tutorials, commit d0346f4, and tallamjr/elasticc, commit cf36833",
        "Apache-2.0, MIT",
        "evaluate",
    ),
    DataSet(
        "sed_templates",
        "SED time series of SNe Ia and core-collapse SNe",
        "SALT3 (sncosmo) and Vincenzi et al. 2019",
        "see the folder's README",
        "simulate (else parametric SEDs)",
    ),
    DataSet(
        "bandpasses",
        "transmission of the ZTF and LSST bands",
        "SVO filter service; GitHub lsst/throughputs",
        "see the folder's README",
        "simulate (else analytic bands)",
    ),
    DataSet(
        "cadence",
        "visits and depths of ZTF and the LSST baseline",
        "ZTF observing logs; Rubin scheduler simulations",
        "see the folder's README",
        "simulate (else generated visits)",
    ),
)


def data_directory(given: Path | None) -> Path:
    """Return the data directory.

    Parameters
    ----------
    given
        As asked for; None: ``lightcurves`` below the directory that NIGHTJAR_SHARED names.
    """
    return given if given is not None else Path(os.environ.get(SHARED_VARIABLE, "../shared")) / "lightcurves"
