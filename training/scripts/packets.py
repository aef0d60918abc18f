"""``nightjar-train packets``: simulated light curves as a stream of alert packets."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.core.alerts import Survey
from service.errors import InputError
from training.scripts.stage import OptionalSimulatorData, record
from training.simulation.generate import generate
from training.simulation.light_curves import concatenate
from training.simulation.packets import CUTOUTS, make_packets, shifted, write_packets
from training.simulation.recipe import make_recipe

__all__ = ["Configuration", "main"]

# A stream worth watching: mostly supernovae, and something of every class.
DEMO_CLASSES = "Ia:6,II:3,Ib:1,Ic:1,IIn:1,SLSN-I:2,TDE:2,AGN:2,Other:2"


@dataclass(frozen=True, slots=True)
class Configuration:
    """Options of ``nightjar-train packets``."""

    output: Annotated[Path, typer.Option(help="Directory of .avro files, or an archive named *.tar.xz")]
    survey: Annotated[
        list[Survey] | None, typer.Option(help="ztf or lsst; may be repeated [default: both]")
    ] = None
    objects: Annotated[int, typer.Option(min=1, help="Objects of each survey")] = 20
    limit: Annotated[int | None, typer.Option(min=1, help="Largest number of packets")] = None
    seed: Annotated[int, typer.Option(help="Equal seeds give equal bytes")] = 1
    classes: Annotated[str, typer.Option(help="'all', or names with optional weights: Ia:3,II,TDE:0.5")] = (
        DEMO_CLASSES
    )
    selection: Annotated[str, typer.Option(help="bright or alerts, as for simulate")] = "alerts"
    min_detections: Annotated[int, typer.Option(min=1, help="Leave out objects with fewer")] = 3
    cutouts: Annotated[str, typer.Option(help=f"Image stamps: {', '.join(CUTOUTS)}")] = "small"
    start_mjd: Annotated[float, typer.Option(help="First day of the stream, MJD TAI")] = 61_100.0
    days: Annotated[
        float, typer.Option(min=1, help="Days within which all objects have their first alert")
    ] = 60.0
    days_after: Annotated[
        float, typer.Option(min=0, help="Days for which an object is followed after its trigger")
    ] = 100.0
    data: OptionalSimulatorData = None


def main(config: Configuration) -> None:
    """Simulate a stream of alert packets in the surveys' own formats: ZTF 4.02 and LSST 10.0.

    Parameters
    ----------
    config
        Options of the command.
    """
    console = Console(stderr=True)
    if config.cutouts not in CUTOUTS:
        raise InputError(f"unknown cutouts {config.cutouts!r}: choose among {', '.join(CUTOUTS)}")
    samples = []
    for survey in config.survey or (Survey.ZTF, Survey.LSST):
        recipe = make_recipe(
            survey,
            config.objects,
            config.seed,
            classes=config.classes,
            selection=config.selection,
            min_detections=config.min_detections,
            days_after=config.days_after,
            data=config.data,
        )
        light_curves = concatenate(list(generate(recipe)))
        samples.append((survey, shifted(light_curves, config.start_mjd, config.days, config.seed)))
    record(config, config.output.with_name(f"{config.output.name}.config.json"), console)
    stream = islice(make_packets(samples, config.seed, config.cutouts), config.limit)
    with console.status("packets"):
        count = write_packets(stream, config.output)
    console.print(f"{count} packets: {config.output}")
