"""``nightjar-train fit``: a base network, trained on simulated light curves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.core.alerts import Survey
from training.data.light_curves import concatenate
from training.data.simulated import read_simulated_like_real
from training.data.split import train_validation_split
from training.model.crossvalidation import fresh_network
from training.model.fit import fit
from training.model.fit_config import FitConfig
from training.model.journal import Journal
from training.model.recipes import BASE_AUGMENTATION, paper_recipe, survey_recipe
from training.model.runs import Run, save_run
from training.scripts.stage import DeviceOption, SeedOption, SurveyOption, record, usable_device

__all__ = ["Configuration", "main"]

BATCH_SIZE = 192
VALIDATE_EVERY = 4
PATIENCE = 5
DROPOUT = 0.1


@dataclass(frozen=True, slots=True)
class Configuration:
    """Options of ``nightjar-train fit``."""

    simulation: Annotated[list[Path], typer.Option(help="Parquet file of simulate; may be repeated")]
    output: Annotated[
        Path, typer.Option(help="Directory for the trained network; an interrupted run resumes")
    ]
    survey: SurveyOption = Survey.ZTF
    hidden: Annotated[int, typer.Option(min=1, help="Units of the GRU")] = 96
    paper: Annotated[bool, typer.Option("--paper", help="The paper's input and network instead")] = False
    epochs: Annotated[int, typer.Option(min=1, help="Upper bound on the number of epochs")] = 28
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Initial learning rate")] = 3e-3
    objects_per_epoch: Annotated[int, typer.Option(min=0, help="Objects drawn for each epoch; 0: all")] = (
        30_000
    )
    early_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the loss that falls off as 1 / step")
    ] = 0.5
    seed: SeedOption = 0
    device: DeviceOption = "cpu"


def main(config: Configuration) -> None:
    """Train a base network on simulated light curves.

    Parameters
    ----------
    config
        Options of the command.
    """
    console = Console(stderr=True)

    # Data
    device = usable_device(config.device)
    curves = concatenate([read_simulated_like_real(path, config.survey) for path in config.simulation])
    train, validation = train_validation_split(curves, config.seed)
    record(config, config.output / "config.json", console)

    # Model
    recipe = survey_recipe(config.survey, hidden=config.hidden)
    if config.paper:
        recipe = paper_recipe(config.survey, recipe.classes)
    network = fresh_network(recipe, train, dropout=DROPOUT, seed=config.seed).to(device)
    hyperparameters = FitConfig(
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        batch_size=BATCH_SIZE,
        seed=config.seed,
        objects_per_epoch=config.objects_per_epoch,
        validate_every=VALIDATE_EVERY,
        patience=PATIENCE,
        early_share=config.early_share,
    )

    # Loop
    augmentation = BASE_AUGMENTATION[config.survey]
    result = fit(
        network,
        train,
        recipe.featuriser,
        recipe.classes,
        hyperparameters,
        validation=validation,
        augmentation=augmentation,
        checkpoint=config.output / "checkpoint.pt",
        journal=Journal(config.output / "log.jsonl", console, title=config.output.name),
    )

    # Result
    names = ", ".join(path.name for path in config.simulation)
    step = (
        f"Base network trained on {len(train)} simulated light curves ({names}), best of "
        f"{len(result.history)} validations at epoch {result.best_epoch}, "
        f"{hyperparameters.model_dump_json()}, augmentation {augmentation}."
    )
    save_run(Run(network, recipe, (step,)), config.output, config=hyperparameters)
    console.print(
        f"{config.output}: macro AUROC {result.best_score:.3f} on {len(validation)} simulated objects"
    )
