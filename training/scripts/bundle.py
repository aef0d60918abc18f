"""``nightjar-train bundle``: from base networks to a bundle that the service loads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.errors import InputError
from training.data.catalogue import data_directory
from training.data.light_curves import concatenate
from training.data.real import read_real
from training.data.simulated import read_simulated_like_real
from training.model.journal import Journal
from training.model.products import PRODUCTS, build_product
from training.model.runs import load_run
from training.scripts.stage import DataOption, DeviceOption, FoldsOption, SeedOption, record, usable_device

__all__ = ["Configuration", "main"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Options of ``nightjar-train bundle``."""

    base: Annotated[list[Path], typer.Option(help="Directory of fit; if repeated, the ensemble is distilled")]
    simulation: Annotated[list[Path], typer.Option(help="Parquet file that the bases were trained on")]
    output: Annotated[Path, typer.Option(help="Directory of the bundle, e.g. service/models/ztf")]
    data: DataOption = None
    folds: FoldsOption = 5
    seed: SeedOption = 0
    device: DeviceOption = "cpu"


def main(config: Configuration) -> None:
    """Transfer, cross-validate, calibrate, train on everything and write a bundle with its model card.

    Parameters
    ----------
    config
        Options of the command.
    """
    console = Console(stderr=True)

    # Base networks
    runs = [load_run(directory) for directory in config.base]
    recipe = runs[0].recipe
    if any(run.recipe != recipe for run in runs):
        raise InputError("--base: the networks differ in their recipes")
    device = usable_device(config.device)
    bases = [run.network.to(device) for run in runs]

    # Data
    real = read_real(data_directory(config.data), recipe.survey)
    simulation = concatenate([read_simulated_like_real(path, recipe.survey) for path in config.simulation])
    record(config, config.output / "config.json", console)

    # Cross-validation, calibration, final training
    bundle, _ = build_product(
        PRODUCTS[recipe.survey],
        bases,
        real,
        simulation,
        recipe=recipe,
        seed=config.seed,
        folds=config.folds,
        directory=config.output,
        base_steps=[step for run in runs for step in run.history],
        journal=Journal(None, console, title="bundle"),
    )

    # Result
    typer.echo(bundle.readme)
