"""Published results as a worker writes them, and the states of their objects."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from service.core.alerts import BAND_NAMES, OBSERVATION, Kind
from service.core.classification import Classification, Reason
from service.core.state.history import History
from service.core.state.object_state import EMPTY_STATE, ObjectState

__all__ = ["CLASSES", "DIGEST", "Epoch", "object_after", "record", "records_of"]

CLASSES = ("Ia", "II", "TDE")
DIGEST = 0x1000
START_MJD_TAI = 60000.0


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One alert of an object: the flux of its detection, and what was said."""

    flux_njy: float
    probability: Sequence[float] = ()
    band: int = 1
    flux_err_njy: float = 100.0


def record(
    object_id: str, number: int, epoch: Epoch, *, survey: str = "ztf", ra_deg: float = 150.0
) -> dict[str, Any]:
    """Give the native record of an object's alert `number`, counted from 1."""
    classes = [
        {"class_id": 2222, "class_name": name, "probability": value, "raw_probability": value}
        for name, value in zip(CLASSES, np.array(epoch.probability, np.float32), strict=False)
    ]
    model = {"name": "some-model", "version": "2.1", "feature_version": 1} if classes else None
    return {
        "schema_version": "1.0",
        "survey": survey,
        "object_id": object_id,
        "alert_id": number,
        "ra_deg": ra_deg,
        "dec_deg": 2.0,
        "mjd_tai": START_MJD_TAI + number,
        "band": BAND_NAMES[epoch.band],
        "n_detections": number,
        "n_observations": number,
        "status": "classified" if classes else "abstained",
        "reason": None if classes else "too_few_detections",
        "classifier": model,
        "classifications": classes,
        "timestamps": {"alert_published": None, "ingested": 1, "classified": 2},
    }


def records_of(object_id: str, epochs: Sequence[Epoch], *, first: int = 1, **options: Any) -> list[bytes]:
    """Give the published values of alerts of an object, which are numbered from `first` on."""
    made = [record(object_id, number, epoch, **options) for number, epoch in enumerate(epochs, start=first)]
    return [orjson.dumps(one, option=orjson.OPT_SERIALIZE_NUMPY) for one in made]


def object_after(epochs: Sequence[Epoch]) -> ObjectState:
    """Give the state of an object after these alerts."""
    rows = np.zeros(len(epochs), OBSERVATION)
    history = []
    for number, (row, epoch) in enumerate(zip(rows, epochs, strict=True), start=1):
        row["mjd_tai"] = START_MJD_TAI + number
        row["flux_njy"], row["flux_err_njy"] = epoch.flux_njy, epoch.flux_err_njy
        row["band"], row["kind"], row["source_id"] = epoch.band, Kind.DETECTION, number
        vector = np.array(epoch.probability, np.float32)
        reason = Reason.CLASSIFIED if len(vector) else Reason.TOO_FEW_DETECTIONS
        history.append(
            Classification(number, START_MJD_TAI + number, 2, number, number, reason, DIGEST, vector, vector)
        )
    return dataclasses.replace(
        EMPTY_STATE,
        ra_deg=150.0,
        dec_deg=2.0,
        last_alert_mjd_tai=START_MJD_TAI + len(epochs),
        observations=rows,
        history=History.of(history),
    )
