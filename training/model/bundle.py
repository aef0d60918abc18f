"""Turn a trained network into a bundle with its model card."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
import torch
from pydantic import JsonValue

from service.core.bundle import Bundle, make_bundle, write_bundle
from service.core.calibration import Calibration
from training.eval.evaluate import Scores, score_table
from training.model.network import Network
from training.model.recipes import Recipe

__all__ = ["Card", "DataSource", "ship"]


@dataclass(frozen=True, slots=True)
class DataSource:
    """One data set that a model learnt from."""

    name: str
    counts: Mapping[str, int]
    licence: str
    citation: str


@dataclass(frozen=True, slots=True)
class Card:
    """What a model card says.

    Attributes
    ----------
    name, version
        As published.
    summary
        What the model is and is for, a few sentences.
    data
        Where its light curves come from.
    training
        How it was trained, one item a step.
    scores
        By heading (for instance "Real ZTF, cross-validated"), scores by number of detections.
    limits
        What it cannot do.
    seeds
        Of all that was drawn.
    """

    name: str
    version: str
    summary: str
    data: tuple[DataSource, ...]
    training: tuple[str, ...]
    scores: Mapping[str, dict[int, Scores]]
    limits: tuple[str, ...]
    seeds: tuple[int, ...] = ()
    measurements: Mapping[str, str] = field(default_factory=dict)


def ship(
    network: Network, recipe: Recipe, calibration: Calibration, card: Card, directory: Path | None = None
) -> Bundle:
    """Make a bundle, and write it where a directory is given.

    Raises
    ------
    BundleError
        If its parts do not fit together.
    """
    bundle = make_bundle(
        name=card.name,
        version=card.version,
        survey=recipe.survey,
        class_names=recipe.classes,
        features=recipe.features,
        network=recipe.network,
        calibration=calibration,
        weights=network.export_weights(),
        min_detections=1,
        provenance=_provenance(card),
        readme=_readme(recipe, card),
    )
    if directory is not None:
        write_bundle(bundle, directory)
    return bundle


def _provenance(card: Card) -> dict[str, JsonValue]:
    content: dict[str, Any] = {
        "data": [
            {"name": one.name, "counts": dict(one.counts), "licence": one.licence} for one in card.data
        ],
        "training": list(card.training),
        "seeds": list(card.seeds),
        "scores": {
            heading: {str(count): scores.as_json() for count, scores in table.items()}
            for heading, table in card.scores.items()
        },
        "measurements": dict(card.measurements),
        "limits": list(card.limits),
        "made_with": {
            "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
        },
    }  # fmt: skip
    # A NaN, the AUROC of an absent class, becomes null on the way.
    return cast("dict[str, JsonValue]", orjson.loads(orjson.dumps(content)))


def _readme(recipe: Recipe, card: Card) -> str:
    spec = recipe.network
    columns, kinds = len(recipe.features.columns), ", ".join(recipe.features.kinds)
    begin, end = recipe.features.window_days
    data = [
        f"- **{one.name}**: {', '.join(f'{name} {count}' for name, count in one.counts.items())}. "
        f"Licence: {one.licence}. {one.citation}"
        for one in card.data
    ]
    scores = [f"### {heading}\n\n{score_table(table)}\n" for heading, table in card.scores.items()]
    measured = [f"- {what}: {value}" for what, value in card.measurements.items()]
    return "\n".join(
        [
            f"# {card.name} {card.version}\n",
            card.summary + "\n",
            f"- Classes: {', '.join(recipe.classes)}",
            f"- Network: GRU {' + '.join(map(str, spec.gru))}, {spec.n_weights} weights",
            f"- Input: {columns} values a step; a step is a row of kind {kinds}",
            f"- Window: {begin:g} to {end:g} d from the first detection",
            f"- Seeds: {', '.join(map(str, card.seeds)) or 'none'}\n",
            "## Data\n",
            *data,
            "\n## Training\n",
            *(f"{number}. {step}" for number, step in enumerate(card.training, 1)),
            "\n## Scores\n",
            "With 95% bootstrap intervals over objects; probabilities renormalised over the classes.\n",
            *scores,
            *measured,
            "\n## Limits\n",
            *(f"- {limit}" for limit in card.limits),
            "",
        ]
    )
