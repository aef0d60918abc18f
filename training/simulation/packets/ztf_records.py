"""The records of ZTF packets: detections, forced photometry and what those of an exposure share."""

from typing import Any

import numpy as np

from service.core.alerts import Band, Kind
from service.core.times import SECONDS_PER_DAY, TAI_MINUS_UTC_S
from training.simulation.packets.object_photometry import ObjectPhotometry
from training.simulation.photometry import ab_magnitude

__all__ = ["FIRST_NIGHT_JD", "detection", "exposures", "forced", "limit_mag"]

MJD_TO_JD = 2_400_000.5
FIRST_NIGHT_JD = 2_457_754.5  # night 0 of ``nid``: 2017-01-01
START_OF_EXPOSURE_DAYS = (
    TAI_MINUS_UTC_S + 15.0
) / SECONDS_PER_DAY  # from the middle in TAI to the start in UTC
FAILED = -99_999.0
FAILED_FRACTION = 0.01
_FILTER = {Band.G: 1, Band.R: 2, Band.I: 3}
_LN10_OVER_2P5 = np.log(10) / 2.5


def exposures(
    rows: ObjectPhotometry, rng: np.random.Generator, quadrant: int
) -> dict[tuple[float, int], dict[str, Any]]:
    """Return the fields that all measurements of an exposure share.

    Parameters
    ----------
    rows
        Photometry of one object.
    rng
        Source of randomness.
    quadrant
        Of the camera, 0..63.

    Returns
    -------
    dict
        (MJD TAI, band) of an exposure to its fields.
    """
    result: dict[tuple[float, int], dict[str, Any]] = {}
    for mjd, band in zip(rows.mjd_tai.tolist(), rows.band.tolist(), strict=True):
        if (mjd, band) in result:
            continue
        jd = mjd - START_OF_EXPOSURE_DAYS + MJD_TO_JD
        night, fraction = divmod(jd - FIRST_NIGHT_JD, 1.0)
        result[mjd, band] = {
            "jd": jd,
            "fid": _FILTER[Band(band)],
            "nid": int(night),
            "pid": (int(night) * 1_000_000 + int(fraction * 1_000_000)) * 1000 + 100 + quadrant,
            "rcid": quadrant,
            "field": 500 + quadrant,
            "programid": 1,
            "programpi": "Kulkarni",
            "magzpsci": float(np.float32(rng.normal(26.2, 0.1))),
            "magzpscirms": 0.03,
        }
    return result


def detection(
    rows: ObjectPhotometry,
    i: int,
    exposure: dict[str, Any],
    position_deg: tuple[float, float],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return the fields of a detection.

    Parameters
    ----------
    rows
        Photometry of one object.
    i
        Row of the detection.
    exposure
        Fields of its exposure.
    position_deg
        Right ascension and declination.
    rng
        Source of randomness.
    """
    flux, error = rows.flux_njy[i], rows.flux_err_njy[i]
    magnitude = float(ab_magnitude(np.abs(flux)))
    # The depth of this exposure is that of its empty apertures: the forced error where there is one.
    same = (rows.mjd_tai == rows.mjd_tai[i]) & (rows.band == rows.band[i]) & (rows.kind == Kind.FORCED)
    noise = float(rows.flux_err_njy[same][0]) if same.any() else float(error)
    scatter = rng.normal(0, 0.08, 2) / 3600
    ra, dec = position_deg[0] + scatter[0], position_deg[1] + scatter[1]
    return exposure | {
        "candid": exposure["pid"] * 1_000_000 + 15_000 + int(rng.integers(0, 900)),
        "isdiffpos": "t" if flux > 0 else "f",
        "magpsf": magnitude,
        "sigmapsf": float(error / np.abs(flux) / _LN10_OVER_2P5),
        "diffmaglim": min(limit_mag(noise), 21.5),
        "ra": ra % 360,
        "dec": dec,
        "ranr": ra % 360,
        "decnr": dec,
        "distnr": float(rng.exponential(1.5)),
        "magnr": float(rng.uniform(16, 21)),
        "magap": magnitude + 0.02,
        "sigmagap": 0.05,
        "fwhm": float(rng.uniform(1.8, 3.5)),
        "classtar": float(rng.uniform(0.8, 1.0)),
        "scorr": float(np.abs(flux) / noise),
        "rb": float(rng.uniform(0.6, 0.95)),
        "rbversion": "t17_f5_c3",
        "nneg": 0,
        "nbad": 0,
        "rfid": 0,
        "nframesref": 20,
        "nmatches": 1500,
        "tooflag": 0,
    }


def forced(
    rows: ObjectPhotometry,
    i: int,
    exposure: dict[str, Any],
    position_deg: tuple[float, float],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return the fields of forced photometry, which fails at random.

    Parameters
    ----------
    rows, i, exposure, position_deg, rng
        As in `detection`.
    """
    failed = rng.random() < FAILED_FRACTION
    per_count = 10 ** (0.4 * (31.4 - exposure["magzpsci"]))
    return exposure | {
        "rfid": 0,
        "exptime": 30.0,
        "diffmaglim": limit_mag(rows.flux_err_njy[i]),
        "forcediffimflux": FAILED if failed else float(rows.flux_njy[i] / per_count),
        "forcediffimfluxunc": FAILED if failed else float(rows.flux_err_njy[i] / per_count),
        "procstatus": "61" if failed else "0",
        "ranr": position_deg[0],
        "decnr": position_deg[1],
    }


def limit_mag(noise_njy: float) -> float:
    """Return the 5 sigma limiting magnitude of a noise in nJy.

    Parameters
    ----------
    noise_njy
        1 sigma.
    """
    return float(31.4 - 2.5 * np.log10(5 * noise_njy))
