"""Alert packets as JSON, in the units that the service works in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from service.core.alerts import BAND_NAMES, AlertBatch, Kind, Survey
from service.decoding.decoder import Decoder, RawMessage
from service.errors import InputError

__all__ = ["alert_as_json", "decoded_lines"]

CONTEXT = ("real_bogus", "star_galaxy", "star_distance_arcsec", "redshift", "redshift_err", "mwebv")


def decoded_lines(decoder: Decoder, path: Path, survey: Survey) -> Iterator[bytes]:
    """Decode one file and yield a line of JSON for each alert.

    Parameters
    ----------
    decoder
        Decodes all surveys' packets.
    path
        The file: one Kafka message.
    survey
        The survey whose topic the packet would be on.

    Raises
    ------
    InputError
        The file cannot be read or decoded.
    """
    try:
        value = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    batch = decoder.decode([RawMessage(value, survey)])
    for rejected in batch.rejected:
        raise InputError(f"{path}: {rejected.error.code}: {rejected.error.message}")
    for index in range(len(batch.alerts)):
        yield orjson.dumps(alert_as_json(batch.alerts, index))


def alert_as_json(alerts: AlertBatch, index: int) -> dict[str, Any]:
    """Return one alert as JSON values, NaN for what its survey does not report.

    Parameters
    ----------
    alerts
        The batch that contains the alert.
    index
        Its position in the batch.
    """
    return {
        "survey": alerts.survey[index].value,
        "object_id": alerts.object_id[index],
        "alert_id": int(alerts.alert_id[index]),
        "ra_deg": float(alerts.ra_deg[index]),
        "dec_deg": float(alerts.dec_deg[index]),
        "mjd_tai": float(alerts.mjd_tai[index]),
        "band": BAND_NAMES[alerts.band[index]],
        "observations": [
            {
                "mjd_tai": float(row["mjd_tai"]),
                "band": BAND_NAMES[row["band"]],
                "flux_njy": float(row["flux_njy"]),
                "flux_err_njy": float(row["flux_err_njy"]),
                "kind": Kind(row["kind"]).name.lower(),
                "source_id": int(row["source_id"]),
            }
            for row in alerts.light_curve(index)
        ],
        "context": {
            # orjson writes NaN as null.
            **{name: float(getattr(alerts, name)[index]) for name in CONTEXT},
            "is_solar_system": bool(alerts.is_solar_system[index]),
        },
    }
