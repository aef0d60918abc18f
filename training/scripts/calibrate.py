"""``nightjar-train calibrate``: a calibration fitted on out-of-fold predictions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.data.catalogue import data_directory
from training.data.real import read_real
from training.eval.evaluate import DETECTION_COUNTS, probabilities_at, score_by_detections, score_table
from training.model.calibrate import calibrate, calibrate_by_fold
from training.model.crossvalidation import TransferPlan, cross_validate
from training.model.products import PRODUCTS
from training.model.runs import load_run
from training.model.transfer import Scheme
from training.scripts.stage import DataOption, FoldsOption, SeedOption, record

__all__ = ["Configuration", "main"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Options of ``nightjar-train calibrate``."""

    base: Annotated[Path, typer.Option(help="Directory that fit wrote")]
    output: Annotated[Path, typer.Option(help="JSON file for the calibration")]
    data: DataOption = None
    folds: FoldsOption = 5
    seed: SeedOption = 0


def main(config: Configuration) -> None:
    """Fit the calibration on out-of-fold predictions of the transferred network; scores before and after.

    Parameters
    ----------
    config
        Options of the command.
    """
    # Data and base network
    run = load_run(config.base)
    recipe, product = run.recipe, PRODUCTS[run.recipe.survey]
    curves = read_real(data_directory(config.data), recipe.survey)
    record(config, config.output.with_suffix(".config.json"), Console(stderr=True))

    # Out-of-fold predictions
    plan = TransferPlan(recipe, product.config, product.augmentation, Scheme.EVERYTHING, product.dropout)
    result = cross_validate([run.network], curves, plan, folds=config.folds, seed=config.seed)
    steps = result.without_redshift

    # Scores
    before = {count: probabilities_at(steps, count) for count in DETECTION_COUNTS}
    after = calibrate_by_fold(steps, result.fold, (), ())
    for heading, probability in (("before", before), ("after", after)):
        scores = score_by_detections(probability, steps.truth, recipe.classes, product.among)
        typer.echo(f"{heading} calibration\n\n{score_table(scores)}\n")

    # Result
    calibration = calibrate([steps], [1.0])
    config.output.write_text(calibration.model_dump_json(indent=2) + "\n")
