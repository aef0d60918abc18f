"""Assembling the alerts of all surveys to one batch, in the order of their messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, AlertBatch, DecodedBatch, RejectedMessage
from service.decoding.surveys.mapping import MappedAlerts
from service.errors import RejectedAlertError

__all__ = ["Part", "assemble"]

T = TypeVar("T")

COLUMN_TYPES: dict[str, type[np.generic]] = {
    "alert_id": np.uint64,
    "mjd_tai": np.float64,
    "ra_deg": np.float64,
    "dec_deg": np.float64,
    "band": np.uint8,
    "is_solar_system": np.bool_,
    "real_bogus": np.float32,
    "star_galaxy": np.float32,
    "star_distance_arcsec": np.float32,
    "redshift": np.float32,
    "redshift_err": np.float32,
    "mwebv": np.float32,
}
"""Columns of an `AlertBatch` with one value per alert."""


@dataclass(frozen=True, slots=True)
class Part:
    """Alerts of one survey.

    Attributes
    ----------
    alerts
        The alerts.
    message
        int64, shape (n_alerts,), index of each alert's message.
    """

    alerts: MappedAlerts
    message: NDArray[np.int64]


def assemble(parts: Sequence[Part], errors: dict[int, RejectedAlertError]) -> DecodedBatch:
    """Combine parts to one batch without the alerts of rejected messages.

    Parameters
    ----------
    parts
        In any order; the alerts of one message are all in one part, in order.
    errors
        Reasons for rejection by message index; the errors of the parts' alerts are added to it.

    Returns
    -------
    DecodedBatch
        Alerts in the order of their messages, and the rejected messages in order.
    """
    for part in parts:
        for index, error in part.alerts.errors.items():
            errors.setdefault(int(part.message[index]), error)
    message = _joined([part.message for part in parts], np.int64)
    order = _order(message, errors)
    columns = {
        name: _joined([getattr(part.alerts, name) for part in parts], dtype)
        for name, dtype in COLUMN_TYPES.items()
    }
    lengths = _joined([np.diff(part.alerts.offsets) for part in parts], np.int64)
    observations = _joined([part.alerts.observations for part in parts], OBSERVATION)
    if order is not None:
        observations = _reordered(observations, lengths, order)
        message, lengths = message[order], lengths[order]
        columns = {name: column[order] for name, column in columns.items()}
    alerts = AlertBatch(
        message=message,
        survey=_concatenated([[part.alerts.survey] * len(part.message) for part in parts], order),
        object_id=_concatenated([part.alerts.object_id for part in parts], order),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        observations=observations,
        **columns,
    )
    return DecodedBatch(alerts, tuple(RejectedMessage(index, errors[index]) for index in sorted(errors)))


def _order(message: NDArray[np.int64], errors: dict[int, RejectedAlertError]) -> NDArray[np.int64] | None:
    """Return the indices of the alerts to keep, in the order of messages; None to keep all as they are."""
    if not errors and (np.diff(message) >= 0).all():
        return None
    order = np.argsort(message, kind="stable")
    return order[~np.isin(message[order], list(errors))]


def _reordered(rows: NDArray[Any], lengths: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[Any]:
    """Reorder rows with a new order of the alerts, where alert i has ``lengths[i]`` rows."""
    starts = (np.cumsum(lengths) - lengths)[order]
    n_rows = lengths[order]
    ends = np.cumsum(n_rows)
    # Row r of an alert moves from old start + r to new start + r.
    source = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + n_rows, n_rows)
    return np.asarray(rows[source])


def _joined(arrays: Sequence[NDArray[Any]], dtype: np.dtype[Any] | type[np.generic]) -> NDArray[Any]:
    """Concatenate any number of arrays, including none."""
    return arrays[0] if len(arrays) == 1 else np.concatenate([np.empty(0, dtype), *arrays])


def _concatenated(lists: Sequence[list[T]], order: NDArray[np.int64] | None) -> tuple[T, ...]:
    """Concatenate lists and reorder the result."""
    joined = lists[0] if len(lists) == 1 else [item for part in lists for item in part]
    return tuple(joined) if order is None else tuple(map(joined.__getitem__, order.tolist()))
