"""``nightjar-train evaluate``: scores of a network on the real sets, or of a table of predictions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from service.errors import InputError
from training.data.catalogue import data_directory
from training.data.real import REAL_ZTF_CLASSES, read_real
from training.eval.evaluate import DETECTION_COUNTS, probabilities_at, score_by_detections, score_table
from training.eval.predictions import read_predictions
from training.model.predict import step_logits
from training.model.products import PRODUCTS
from training.model.runs import load_run
from training.scripts.stage import DataOption, record

__all__ = ["Configuration", "main"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Options of ``nightjar-train evaluate``."""

    run: Annotated[
        Path, typer.Argument(help="Directory of a trained network, or a table that nightjar classify wrote")
    ]
    truth: Annotated[
        Path | None, typer.Option(help="Table with object_id and class, for a table of predictions")
    ] = None
    data: DataOption = None
    among: Annotated[str, typer.Option(help="Classes to score, comma-separated; empty: the survey's")] = ""
    output: Annotated[Path | None, typer.Option(help="JSON file to write the scores to as well")] = None


def main(config: Configuration) -> None:
    """Score a network on the real sets (which it must not have seen), or a table of predictions.

    Parameters
    ----------
    config
        Options of the command.
    """
    # Predictions
    if config.run.is_dir():
        run = load_run(config.run)
        classes, default = run.recipe.classes, PRODUCTS[run.recipe.survey].among
        curves = read_real(data_directory(config.data), run.recipe.survey)
        steps = step_logits([run.network], curves, run.recipe, hide_metadata=True)
        probability = {count: probabilities_at(steps, count) for count in DETECTION_COUNTS}
        truth = steps.truth
    else:
        if config.truth is None:
            raise InputError("a table of predictions needs --truth, a table with object_id and class")
        classes, values, truth = read_predictions(config.run, config.truth)
        default, probability = REAL_ZTF_CLASSES, {0: values}

    # Scores
    among = tuple(config.among.split(",")) if config.among else default
    if unknown := set(among) - set(classes):
        raise InputError(f"--among: the model has no class {', '.join(sorted(unknown))}")
    scores = score_by_detections(probability, truth, classes, among)

    # Result
    typer.echo(score_table(scores))
    if config.output is not None:
        record(config, config.output.with_suffix(".config.json"), Console(stderr=True))
        content = {str(count): score.as_json() for count, score in scores.items()}
        config.output.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
