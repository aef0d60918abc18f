"""``nightjar-train transfer``: a base network, fine-tuned on real light curves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.data.catalogue import data_directory
from training.data.real import read_real
from training.model.crossvalidation import TransferPlan, transfer
from training.model.journal import Journal
from training.model.products import PRODUCTS
from training.model.runs import Run, load_run, save_run
from training.model.transfer import Scheme
from training.scripts.stage import DataOption, DeviceOption, SeedOption, record, usable_device

__all__ = ["Configuration", "main"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Options of ``nightjar-train transfer``."""

    base: Annotated[Path, typer.Option(help="Directory that fit wrote")]
    output: Annotated[Path, typer.Option(help="Directory for the tuned network")]
    scheme: Annotated[Scheme, typer.Option(help="Which layers are trained")] = Scheme.EVERYTHING
    data: DataOption = None
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs")] = 30
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Initial learning rate")] = 1e-3
    seed: SeedOption = 0
    device: DeviceOption = "cpu"


def main(config: Configuration) -> None:
    """Fine-tune a base network on the real light curves of its survey.

    Parameters
    ----------
    config
        Options of the command.
    """
    console = Console(stderr=True)

    # Data and base network
    run = load_run(config.base)
    product = PRODUCTS[run.recipe.survey]
    curves = read_real(data_directory(config.data), run.recipe.survey)
    base = run.network.to(usable_device(config.device))
    record(config, config.output / "config.json", console)

    # Loop
    hyperparameters = product.config.model_copy(
        update={"epochs": config.epochs, "learning_rate": config.learning_rate}
    )
    plan = TransferPlan(run.recipe, hyperparameters, product.augmentation, config.scheme, product.dropout)
    journal = Journal(config.output / "log.jsonl", console, title=config.output.name)
    (network,) = transfer([base], curves, plan, seed=config.seed, journal=journal)

    # Result
    step = (
        f"Fine-tuned ({config.scheme}) on {len(curves)} real light curves: "
        f"{hyperparameters.model_dump_json()}."
    )
    save_run(Run(network, run.recipe, (*run.history, step)), config.output, config=hyperparameters)
