"""Alerts to classify again, and what is stored of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, AlertBatch, Kind, Survey
from service.core.classification import Classification
from service.core.state.object_state import ObjectState

__all__ = ["PendingAlert", "alert_batch"]


class PendingAlert(NamedTuple):
    """One alert of an object, to be classified as of its time.

    Attributes
    ----------
    key
        The object's key.
    state
        The object as stored.
    earlier
        The deployed model's result for this alert.
    """

    key: str
    state: ObjectState
    earlier: Classification

    @property
    def name(self) -> bytes:
        """Unique name: ``survey:object_id:alert_id``."""
        return f"{self.key}:{self.earlier.alert_id}".encode()


def alert_batch(pending: Sequence[PendingAlert]) -> AlertBatch:
    """Return what is stored of alerts in the form in which they arrived.

    Parameters
    ----------
    pending
        n alerts.

    Returns
    -------
    AlertBatch
        n alerts without observations; scores and catalogue values are NaN.
    """
    n = len(pending)
    names = [alert.key.partition(":") for alert in pending]
    unknown = np.full(n, np.nan, np.float32)
    return AlertBatch(
        message=np.arange(n),
        survey=tuple(Survey(survey) for survey, _, _ in names),
        object_id=tuple(name for _, _, name in names),
        alert_id=np.array([alert.earlier.alert_id for alert in pending], np.uint64),
        mjd_tai=np.array([alert.earlier.mjd_tai for alert in pending]),
        ra_deg=np.array([alert.state.ra_deg for alert in pending]),
        dec_deg=np.array([alert.state.dec_deg for alert in pending]),
        band=_bands(pending),
        is_solar_system=np.zeros(n, np.bool_),
        real_bogus=unknown,
        star_galaxy=unknown,
        star_distance_arcsec=unknown,
        redshift=unknown,
        redshift_err=unknown,
        mwebv=unknown,
        offsets=np.zeros(n + 1, np.int64),
        observations=np.empty(0, OBSERVATION),
    )


def _bands(pending: Sequence[PendingAlert]) -> NDArray[np.uint8]:
    """Return the band of each alert: that of its detection, else of the row nearest in time."""
    bands = np.zeros(len(pending), np.uint8)
    for index, alert in enumerate(pending):
        rows = alert.state.observations
        is_source = (rows["source_id"] == alert.earlier.alert_id) & (rows["kind"] == Kind.DETECTION)
        nearest = int(np.argmin(np.abs(rows["mjd_tai"] - alert.earlier.mjd_tai)))
        bands[index] = rows["band"][int(is_source.argmax()) if is_source.any() else nearest]
    return bands
