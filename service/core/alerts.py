"""The common form of every survey's alerts: a batch is arrays, one column per quantity."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum, StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from service.errors import RejectedAlertError

__all__ = [
    "BAND_NAMES",
    "OBSERVATION",
    "AlertBatch",
    "Band",
    "DecodedBatch",
    "Kind",
    "Observations",
    "RejectedMessage",
    "Survey",
    "model_survey",
    "object_key",
    "surveys_of_model",
]


class Survey(StrEnum):
    """Where an alert comes from; the prefix of a qualified object id."""

    ZTF = "ztf"
    LSST = "lsst"
    ELASTICC = "elasticc"


class Band(IntEnum):
    """Passband as stored; the survey decides whose g, r, i it is."""

    U = 0
    G = 1
    R = 2
    I = 3  # noqa: E741  the band's name
    Z = 4
    Y = 5


BAND_NAMES = ("u", "g", "r", "i", "z", "y")


class Kind(IntEnum):
    """Kind of measurement of one row of a light curve, in order of preference."""

    DETECTION = 0
    FORCED = 1
    UPPER_LIMIT = 2


OBSERVATION = np.dtype(
    [
        ("mjd_tai", "<f8"),  # days, middle of the exposure
        ("flux_njy", "<f4"),  # difference flux, signed; 0 for an upper limit
        ("flux_err_njy", "<f4"),  # 1 sigma
        ("band", "u1"),  # Band
        ("kind", "u1"),  # Kind
        ("source_id", "<u8"),  # the survey's id of this measurement
        ("reported_s", "<u4"),  # time of the alert that brought this row: seconds since MJD 40000 TAI
    ]
)
"""One measurement: 30 bytes, packed, little-endian, as stored."""

Observations = NDArray[np.void]
"""A one-dimensional array of `OBSERVATION`."""


@dataclass(frozen=True, slots=True)
class AlertBatch:
    """Decoded alerts as columns; row i of every column is one alert.

    All arrays have shape (n,) unless stated otherwise. A value the survey does not provide is NaN.

    Attributes
    ----------
    message
        int64, index of each alert's Kafka message in the decoded list. The records of one container are
        alerts of one message.
    survey
        `Survey` of each alert.
    object_id
        The survey's own name: ``ZTF21abiuvdk``, or the decimal diaObjectId. An LSST solar-system alert
        has no diaObject: its name is ``ss`` and the decimal ssObjectId, or ``src`` and the diaSourceId.
    alert_id
        uint64: candid, or diaSourceId.
    mjd_tai
        float64, days, middle of the exposure that triggered the alert.
    ra_deg, dec_deg
        float64, ICRS degrees.
    band
        uint8, `Band` of the triggering exposure.
    is_solar_system
        bool, whether the survey associates the source with a solar-system object.
    real_bogus
        float32 in [0, 1]: drb, else rb (ZTF); reliability (LSST).
    star_galaxy
        float32 in [0, 1], 1 = star: sgscore1 of a counterpart within the survey's radius.
    star_distance_arcsec
        float32, distance of that counterpart.
    redshift, redshift_err
        float32, of the host, where the packet carries one.
    mwebv
        float32, Milky Way E(B-V), mag, where the packet carries one.
    offsets
        int64, shape (n + 1,): rows ``offsets[i]:offsets[i + 1]`` of `observations` belong to alert i.
    observations
        `OBSERVATION`, the packet's whole light curve, the trigger included, sorted by
        (mjd_tai, kind, source_id) within an alert.
    """

    message: NDArray[np.int64]
    survey: tuple[Survey, ...]
    object_id: tuple[str, ...]
    alert_id: NDArray[np.uint64]
    mjd_tai: NDArray[np.float64]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    band: NDArray[np.uint8]
    is_solar_system: NDArray[np.bool_]
    real_bogus: NDArray[np.float32]
    star_galaxy: NDArray[np.float32]
    star_distance_arcsec: NDArray[np.float32]
    redshift: NDArray[np.float32]
    redshift_err: NDArray[np.float32]
    mwebv: NDArray[np.float32]
    offsets: NDArray[np.int64]
    observations: Observations

    def __len__(self) -> int:
        """Return the number of alerts."""
        return len(self.object_id)

    def light_curve(self, index: int) -> Observations:
        """Return the light curve of one alert.

        Parameters
        ----------
        index
            Row of the alert in this batch.

        Returns
        -------
        ndarray of OBSERVATION
            A view of `observations`, sorted as described there.
        """
        return self.observations[self.offsets[index] : self.offsets[index + 1]]

    def without_rows(self, index: Sequence[int]) -> Self:
        """Return some of the alerts with empty light curves.

        Parameters
        ----------
        index
            Rows of the wanted alerts in this batch, in the order wanted.
        """
        rows = np.array(index, np.int64)
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        del columns["offsets"], columns["observations"]
        selected: dict[str, Any] = {
            name: column[rows] if isinstance(column, np.ndarray) else tuple(column[i] for i in index)
            for name, column in columns.items()
        }
        no_rows = np.zeros(len(index) + 1, np.int64)
        return type(self)(**selected, offsets=no_rows, observations=self.observations[:0])


@dataclass(frozen=True, slots=True)
class RejectedMessage:
    """A message without alerts.

    Attributes
    ----------
    message
        Its index in the decoded list.
    error
        Why it was rejected.
    """

    message: int
    error: RejectedAlertError


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """A decoded list of messages: every message is either in `alerts` or in `rejected`, never in both."""

    alerts: AlertBatch
    rejected: tuple[RejectedMessage, ...]


def object_key(survey: Survey, object_id: str) -> str:
    """Return a survey-qualified object id.

    Parameters
    ----------
    survey, object_id
        The survey and its own name of the object.

    Returns
    -------
    str
        For instance ``ztf:ZTF21abiuvdk``.
    """
    return f"{survey.value}:{object_id}"


def model_survey(survey: Survey) -> Survey:
    """Return the survey whose models classify a survey's alerts.

    ELAsTiCC simulates LSST in LSST's bands and flux unit, so LSST's models serve it too.

    Parameters
    ----------
    survey
        Survey of the alerts.
    """
    return Survey.LSST if survey is Survey.ELASTICC else survey


def surveys_of_model(survey: Survey) -> tuple[Survey, ...]:
    """Return the surveys whose alerts a model can classify; the inverse of `model_survey`.

    Parameters
    ----------
    survey
        Survey that the model was trained for.
    """
    return tuple(member for member in Survey if model_survey(member) is model_survey(survey))
