"""Putting the surveys' alerts together as one batch, in the order of the messages."""

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
"""The plain columns of an `AlertBatch`."""


@dataclass(frozen=True, slots=True)
class Part:
    """Alerts of one survey, and the message that each came in; int64, shape (n_alerts,)."""

    alerts: MappedAlerts
    message: NDArray[np.int64]


def assemble(parts: Sequence[Part], errors: dict[int, RejectedAlertError]) -> DecodedBatch:
    """Put parts together, leaving out every alert of a message that is rejected.

    Parameters
    ----------
    parts
        In any order; a message's alerts are all in one part, in order.
    errors
        By message: why it is rejected. The errors of alerts are added.
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
        survey=_chosen([[part.alerts.survey] * len(part.message) for part in parts], order),
        object_id=_chosen([part.alerts.object_id for part in parts], order),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        observations=observations,
        **columns,
    )
    return DecodedBatch(alerts, tuple(RejectedMessage(index, errors[index]) for index in sorted(errors)))


def _order(message: NDArray[np.int64], errors: dict[int, RejectedAlertError]) -> NDArray[np.int64] | None:
    """Give the alerts to keep in the order of their messages; None for all of them as they are."""
    if not errors and (np.diff(message) >= 0).all():
        return None
    order = np.argsort(message, kind="stable")
    return order[~np.isin(message[order], list(errors))]


def _reordered(rows: NDArray[Any], lengths: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[Any]:
    """Put the rows of alerts, so many of each, in another order of the alerts."""
    starts = (np.cumsum(lengths) - lengths)[order]
    n_rows = lengths[order]
    ends = np.cumsum(n_rows)
    # Row r of an alert is at its old start + r, and r is the new place less the new start.
    place = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + n_rows, n_rows)
    return np.asarray(rows[place])


def _joined(arrays: Sequence[NDArray[Any]], dtype: np.dtype[Any] | type[np.generic]) -> NDArray[Any]:
    """Concatenate any number of arrays, also none."""
    return arrays[0] if len(arrays) == 1 else np.concatenate([np.empty(0, dtype), *arrays])


def _chosen(lists: Sequence[list[T]], order: NDArray[np.int64] | None) -> tuple[T, ...]:
    """Concatenate lists and put them in order."""
    joined = lists[0] if len(lists) == 1 else [item for part in lists for item in part]
    return tuple(joined) if order is None else tuple(map(joined.__getitem__, order.tolist()))
