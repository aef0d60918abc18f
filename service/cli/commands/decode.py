"""``nightjar decode``: what alert packets contain, in the units the service works in."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from service.core.alerts import BAND_NAMES, AlertBatch, Kind, Survey
from service.decoding.decoder import Decoder, RawMessage
from service.decoding.wire.schemas import SchemaStore
from service.errors import InputError
from service.settings import read_settings

__all__ = ["alert_as_json", "decode"]

CONTEXT = ("real_bogus", "star_galaxy", "star_distance_arcsec", "redshift", "redshift_err", "mwebv")


def decode(
    files: Annotated[list[Path], typer.Argument(help="Alert packets, one Kafka message per file.")],
    survey: Annotated[
        Survey,
        typer.Option(help="Whose topic a packet would be on: only ELAsTiCC's may be bodies without framing."),
    ] = Survey.ELASTICC,
    schemas: Annotated[
        Path | None, typer.Option(help="Directory of further Avro schemas [NIGHTJAR_SCHEMA_DIR].")
    ] = None,
) -> None:
    """Print each alert of the packets as one line of JSON.

    The survey is told by the bytes: an Avro container by its schema, Confluent framing by its schema id, a
    body without either as ELAsTiCC's. A file that cannot be decoded gives a line on stderr, and exit code 1.
    """
    settings = read_settings()
    decoder = Decoder(SchemaStore(schemas or settings.schema_dir), settings.max_message_bytes)
    failed = False
    for path in files:
        try:
            for line in decoded_lines(decoder, path, survey):
                sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()
        except InputError as error:
            failed = True
            typer.echo(f"nightjar: {error}", err=True)
    if failed:
        raise typer.Exit(1)


def decoded_lines(decoder: Decoder, path: Path, survey: Survey) -> Iterator[bytes]:
    """Decode one file; give a line of JSON for each alert.

    Raises
    ------
    InputError
        If the file cannot be read or decoded.
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
    """Give one alert of a batch as JSON takes it, null for what the survey does not give."""
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
