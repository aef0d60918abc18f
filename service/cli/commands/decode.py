"""``nightjar decode``: print what alert packets contain."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from service.core.alerts import Survey
from service.errors import InputError
from service.settings import read_settings
from service.tools.decode import decoded_lines
from service.wiring.decoding import offline_decoder

__all__ = ["decode"]


def decode(
    files: Annotated[list[Path], typer.Argument(help="Alert packets, one Kafka message per file.")],
    survey: Annotated[
        Survey,
        typer.Option(help="Survey whose topic a packet would be on: only ELAsTiCC's may lack framing."),
    ] = Survey.ELASTICC,
    schemas: Annotated[
        Path | None, typer.Option(help="Directory of further Avro schemas [NIGHTJAR_SCHEMA_DIR].")
    ] = None,
) -> None:
    """Print each alert of the packets as one line of JSON.

    The bytes tell the survey: an Avro container by its schema, Confluent framing by its schema id, and a body
    without either is ELAsTiCC's. A file that cannot be decoded is reported on stderr, and the exit code is 1.
    """
    decoder = offline_decoder(read_settings(), schemas)
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
