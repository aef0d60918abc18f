"""ZTF alerts, schema 3.0 to 4.02 (Masci et al. 2019, PASP 131, 018003; ztf-avro-alert)."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band, Kind, Survey
from service.core.photometry import (
    flux_njy_of_counts,
    flux_njy_of_magnitude,
    noise_njy_of_limit,
    relative_error_of_magnitude,
)
from service.core.times import mjd_tai_of_utc_exposure
from service.decoding.columns import MISSING_INTEGER, Column, ColumnType, Layout, RawAlerts, Table
from service.decoding.surveys.mapping import (
    NO_BAND,
    Checks,
    MappedAlerts,
    Rows,
    Triggers,
    first_given,
    in_unit_interval,
    light_curves,
    mapped_alerts,
)

__all__ = ["LAYOUT", "map_alerts"]

F, I, T = ColumnType.FLOAT, ColumnType.INTEGER, ColumnType.TEXT  # noqa: E741

MAX_NAME_BYTES = 64

LAYOUT = Layout(
    Survey.ZTF,
    (
        Column("objectId", T, MAX_NAME_BYTES + 1),
        Column("candid", I, required=False),  # some brokers drop it; candidate.candid is the same
        Column("candidate.candid", I),
        Column("candidate.jd", F),
        Column("candidate.exptime", F, required=False),  # from 3.1
        Column("candidate.fid", I),
        Column("candidate.ra", F),
        Column("candidate.dec", F),
        Column("candidate.magpsf", F),
        Column("candidate.sigmapsf", F),
        Column("candidate.isdiffpos", T, 4),
        Column("candidate.rb", F, required=False),
        Column("candidate.drb", F, required=False),  # from 3.3
        Column("candidate.sgscore1", F, required=False),
        Column("candidate.distpsnr1", F, required=False),
        Column("candidate.ssnamenr", T, 8, required=False),
        Column("candidate.ssdistnr", F, required=False),
    ),
    (
        Table(
            "prv_candidates",
            (
                Column("jd", F),
                Column("fid", I),
                Column("pid", I),
                Column("candid", I),
                Column("magpsf", F),
                Column("sigmapsf", F),
                Column("isdiffpos", T, 4),
                Column("diffmaglim", F),
            ),
        ),
        Table(
            "fp_hists",  # from 4.01
            (
                Column("jd", F),
                Column("fid", I),
                Column("pid", I),
                Column("exptime", F, required=False),
                Column("forcediffimflux", F),
                Column("forcediffimfluxunc", F),
                Column("magzpsci", F),
                Column("procstatus", T, 32, required=False),
            ),
        ),
    ),
)

NAME_BYTES = np.zeros(256, np.bool_)
NAME_BYTES[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+-")] = True
"""Bytes allowed in object names: those of real and test names, but none with a meaning in keys or paths."""

BANDS = np.full(4, NO_BAND, np.uint8)
BANDS[1:] = Band.G, Band.R, Band.I

POSITIVE, NEGATIVE = (b"t", b"1"), (b"f", b"0")
"""Both spellings occur within one packet."""

EXPOSURE_S = 30.0
"""The survey's standard exposure time, for rows without one (null, absent, or a broker's 0)."""

BRIGHTEST_MAG, FAINTEST_MAG = 5.0, 30.0
"""Range of plausible magnitudes. Real packets contain limits such as -1006.9."""

FAILED_DN = -99998.0
"""Failed forced photometry is written as -99999."""

FAILED_STATUS = re.compile(rb"(?:^|,)\s*(?:55|61)\s*(?:,|$)")
"""Status codes of failed forced photometry; 56 and 57 are warnings, and their fluxes are usable."""

ASTEROID_RADIUS_ARCSEC = 5.0
"""Matching radius: ssnamenr names asteroids up to 30 arcsec away, most of which are chance neighbours."""


def map_alerts(raw: RawAlerts) -> MappedAlerts:
    """Convert ZTF alerts to the common form.

    Parameters
    ----------
    raw
        Columns and tables of `LAYOUT`.
    """
    columns = raw.columns
    checks = Checks()
    names, sign = columns["objectId"], signs(columns["candidate.isdiffpos"])
    checks.given("objectId", names == b"")
    checks.valid("objectId", names, are_names(names))
    triggers = checked_triggers(columns, checks)
    checks.valid("candidate.isdiffpos", columns["candidate.isdiffpos"], sign != 0)
    history, forced = history_rows(raw), forced_rows(raw)
    checks.rows("prv_candidates", history)
    checks.rows("fp_hists", forced)
    flux_njy, flux_err_njy = detections(columns["candidate.magpsf"], columns["candidate.sigmapsf"], sign)
    star_galaxy, star_distance = stars(columns["candidate.sgscore1"], columns["candidate.distpsnr1"])
    return mapped_alerts(
        triggers,
        light_curves(Survey.ZTF, triggers, flux_njy, flux_err_njy, (history, forced)),
        checks,
        object_id=[name.decode("ascii", "replace") for name in names.tolist()],
        is_solar_system=asteroids(columns["candidate.ssnamenr"], columns["candidate.ssdistnr"]),
        real_bogus=real_bogus(columns["candidate.rb"], columns["candidate.drb"]),
        star_galaxy=star_galaxy,
        star_distance_arcsec=star_distance,
    )


def checked_triggers(columns: dict[str, NDArray[Any]], checks: Checks) -> Triggers:
    """Return the triggering exposures.

    Parameters
    ----------
    columns
        Columns of the layout.
    checks
        Receives the errors of invalid values.
    """
    alert_id = first_given(columns["candid"], columns["candidate.candid"])
    checks.valid("candid", alert_id, alert_id > 0)
    mjd_tai = mjd_tai_of_utc_exposure(columns["candidate.jd"], exposure_s(columns["candidate.exptime"]))
    checks.time("candidate.jd, as MJD", mjd_tai)
    ra_deg, dec_deg = columns["candidate.ra"], columns["candidate.dec"]
    checks.position(ra_deg, dec_deg, ("candidate.ra", "candidate.dec"))
    band = bands_of_filter(columns["candidate.fid"])
    checks.valid("candidate.fid", columns["candidate.fid"], band != NO_BAND)
    return Triggers(alert_id, mjd_tai, ra_deg, dec_deg, band)


def are_names(names: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """Return whether each value is a valid object name.

    Parameters
    ----------
    names
        bytes, shape (n,). A valid name has at most `MAX_NAME_BYTES` bytes, all of them `NAME_BYTES`, and
        begins with a letter or digit.
    """
    letters = np.ascontiguousarray(names).view(np.uint8).reshape(len(names), names.itemsize)
    is_plain = (NAME_BYTES[letters] | (letters == 0)).all(axis=1)
    # A truncated text fills its column to the last byte. str_len ignores trailing zeros only.
    length = np.strings.str_len(names)
    has_zero = (letters != 0).sum(axis=1) != length
    begins_alphanumeric = ~np.isin(letters[:, 0], list(b"_.+-"))
    return np.asarray(is_plain & ~has_zero & begins_alphanumeric & (length > 0) & (length <= MAX_NAME_BYTES))


def history_rows(raw: RawAlerts) -> Rows:
    """Return ``prv_candidates``: detections, and upper limits where ``candid`` is null.

    Parameters
    ----------
    raw
        Columns and tables of `LAYOUT`.
    """
    table = raw.tables["prv_candidates"]
    columns = table.columns
    is_limit = columns["candid"] == MISSING_INTEGER
    flux_njy, flux_err_njy = detections(columns["magpsf"], columns["sigmapsf"], signs(columns["isdiffpos"]))
    limit = np.where(is_magnitude(columns["diffmaglim"]), columns["diffmaglim"], np.nan)
    return Rows(
        table.owners(),
        mjd_tai_of_utc_exposure(columns["jd"], EXPOSURE_S),
        np.where(is_limit, 0.0, flux_njy),
        np.where(is_limit, noise_njy_of_limit(limit), flux_err_njy),
        bands_of_filter(columns["fid"]),
        np.where(is_limit, np.uint8(Kind.UPPER_LIMIT), np.uint8(Kind.DETECTION)),
        np.where(is_limit, columns["pid"], columns["candid"]),
    )


def forced_rows(raw: RawAlerts) -> Rows:
    """Return ``fp_hists``: forced photometry, which never contains the trigger.

    Parameters
    ----------
    raw
        Columns and tables of `LAYOUT`.
    """
    table = raw.tables["fp_hists"]
    columns = table.columns
    counts, noise, zero_point = (
        columns[name] for name in ("forcediffimflux", "forcediffimfluxunc", "magzpsci")
    )
    status = columns["procstatus"]
    failed = status != b"0"
    failed[failed] = [bool(FAILED_STATUS.search(codes)) for codes in status[failed].tolist()]
    is_usable = ~failed & (counts > FAILED_DN) & (noise > 0) & is_magnitude(zero_point)
    zero_point = np.where(is_usable, zero_point, np.nan)
    return Rows(
        table.owners(),
        mjd_tai_of_utc_exposure(columns["jd"], exposure_s(columns["exptime"])),
        flux_njy_of_counts(counts, zero_point),
        flux_njy_of_counts(noise, zero_point),
        bands_of_filter(columns["fid"]),
        Kind.FORCED,
        columns["pid"],
        is_usable,
    )


def detections(
    magpsf: NDArray[np.float64], sigmapsf: NDArray[np.float64], sign: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Convert difference magnitudes to signed fluxes.

    Parameters
    ----------
    magpsf, sigmapsf
        float64, shape (n,), AB magnitude of the absolute difference flux and its 1-sigma error.
    sign
        float64, shape (n,), from `signs`.

    Returns
    -------
    flux_njy, flux_err_njy : ndarray, shape (n,), float64
        NaN where there is no measurement.
    """
    is_measured = is_magnitude(magpsf) & (sign != 0)
    absolute_flux = flux_njy_of_magnitude(np.where(is_measured, magpsf, np.nan))
    return sign * absolute_flux, absolute_flux * relative_error_of_magnitude(sigmapsf)


def signs(isdiffpos: NDArray[np.bytes_]) -> NDArray[np.float64]:
    """Return the signs of difference fluxes.

    Parameters
    ----------
    isdiffpos
        bytes, shape (n,).

    Returns
    -------
    ndarray, shape (n,), float64
        +1 for brighter than the reference image, -1 for fainter, 0 for any other value.
    """
    is_positive = (isdiffpos == POSITIVE[0]) | (isdiffpos == POSITIVE[1])
    is_negative = (isdiffpos == NEGATIVE[0]) | (isdiffpos == NEGATIVE[1])
    return np.asarray(is_positive.astype(np.float64) - is_negative)


def bands_of_filter(fid: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the bands of filter ids.

    Parameters
    ----------
    fid
        int64, shape (n,): 1, 2, 3 for g, r, i.

    Returns
    -------
    ndarray, shape (n,), uint8
        `Band`, or `NO_BAND` for any other id.
    """
    return np.asarray(BANDS[np.where((fid >= 0) & (fid < len(BANDS)), fid, 0)])


def exposure_s(exptime: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return exposure times, with `EXPOSURE_S` where a packet has none.

    Parameters
    ----------
    exptime
        float64, shape (n,), seconds; NaN where missing.
    """
    return np.where((exptime > 0) & (exptime < 3600), exptime, EXPOSURE_S)


def is_magnitude(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether each value is a plausible magnitude.

    Parameters
    ----------
    values
        float64, shape (n,); NaN is not a magnitude.
    """
    return (values > BRIGHTEST_MAG) & (values < FAINTEST_MAG)


def asteroids(name: NDArray[np.bytes_], distance_arcsec: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether a known solar-system object is at the position of each alert.

    Parameters
    ----------
    name
        bytes, shape (n,), name of the nearest one: null or the string ``null`` for none.
    distance_arcsec
        float64, shape (n,).
    """
    is_named = (name != b"") & (name != b"null")
    # If the distance is negative or missing, the name decides.
    return np.asarray(is_named & ~(distance_arcsec > ASTEROID_RADIUS_ARCSEC))


def real_bogus(rb: NDArray[np.float64], drb: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the deep-learning score, else the random forest's.

    Parameters
    ----------
    rb, drb
        float64, shape (n,), scores of the random forest and the neural network.

    Returns
    -------
    ndarray, shape (n,), float32
        In [0, 1]; NaN where there is neither.
    """
    deep = in_unit_interval(drb)
    return np.where(np.isnan(deep), in_unit_interval(rb), deep)


def stars(
    sgscore1: NDArray[np.float64], distpsnr1: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return star-galaxy score and distance of the nearest PS1 source.

    Parameters
    ----------
    sgscore1
        float64, shape (n,), 1 for a star (Tachibana & Miller 2018, PASP 130, 128001); -999 for none.
    distpsnr1
        float64, shape (n,), arcsec; -999 for none.

    Returns
    -------
    star_galaxy, star_distance_arcsec : ndarray, shape (n,), float32
        Both NaN where there is no such source.
    """
    has_source = (distpsnr1 >= 0) & (sgscore1 >= 0) & (sgscore1 <= 1)
    return (
        np.where(has_source, sgscore1, np.nan).astype(np.float32),
        np.where(has_source, distpsnr1, np.nan).astype(np.float32),
    )
