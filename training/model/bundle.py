"""Trained networks as bundles with model cards."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
import torch
from pydantic import JsonValue

from service.core.models.bundle import Bundle, make_bundle, write_bundle
from service.core.models.calibration import Calibration
from training.eval.evaluate import Scores, score_table
from training.model.network import Network
from training.model.recipes import ModelRecipe

__all__ = ["DataSource", "ModelCard", "export_bundle"]


@dataclass(frozen=True, slots=True)
class DataSource:
    """A data set that a model was trained on.

    Attributes
    ----------
    name
        Of the data set.
    counts
        Objects by class.
    licence, citation
        As its source states them.
    """

    name: str
    counts: Mapping[str, int]
    licence: str
    citation: str


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The contents of a model card.

    Attributes
    ----------
    name, version
        As published.
    summary
        What the model is and what it is for, a few sentences.
    data
        Where its light curves come from.
    training
        How it was trained, one item per step.
    scores
        By heading (for instance "Out of fold, no redshift"), scores by number of detections.
    limits
        What it cannot do.
    seeds
        Of the training.
    """

    name: str
    version: str
    summary: str
    data: tuple[DataSource, ...]
    training: tuple[str, ...]
    scores: Mapping[str, dict[int, Scores]]
    limits: tuple[str, ...]
    seeds: tuple[int, ...] = ()


def export_bundle(
    network: Network,
    recipe: ModelRecipe,
    calibration: Calibration,
    card: ModelCard,
    directory: Path | None = None,
) -> Bundle:
    """Return a network as a bundle, and write it if a directory is given.

    Parameters
    ----------
    network, recipe, calibration
        What the bundle consists of.
    card
        Becomes its provenance and its README.
    directory
        Where to write it; None: nowhere.

    Raises
    ------
    BundleError
        The parts do not fit together.
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


def _provenance(card: ModelCard) -> dict[str, JsonValue]:
    content: dict[str, Any] = {
        "data": [
            {"name": source.name, "counts": dict(source.counts), "licence": source.licence}
            for source in card.data
        ],
        "training": list(card.training),
        "seeds": list(card.seeds),
        "scores": {
            heading: {str(count): scores.as_json() for count, scores in table.items()}
            for heading, table in card.scores.items()
        },
        "limits": list(card.limits),
        "made_with": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }
    # orjson writes NaN, the AUROC of an absent class, as null.
    return cast("dict[str, JsonValue]", orjson.loads(orjson.dumps(content)))


def _readme(recipe: ModelRecipe, card: ModelCard) -> str:
    spec = recipe.network
    columns, kinds = len(recipe.features.columns), ", ".join(recipe.features.kinds)
    begin, end = recipe.features.window_days
    sources = [
        f"- **{source.name}**: {', '.join(f'{name} {count}' for name, count in source.counts.items())}. "
        f"Licence: {source.licence}. {source.citation}"
        for source in card.data
    ]
    scores = [f"### {heading}\n\n{score_table(table)}\n" for heading, table in card.scores.items()]
    lines = [
        f"# {card.name} {card.version}\n",
        card.summary + "\n",
        f"- Classes: {', '.join(recipe.classes)}",
        f"- Network: GRU {' + '.join(map(str, spec.gru))}, {spec.n_weights} weights",
        f"- Input: {columns} values a step; a step is a row of kind {kinds}",
        f"- Window: {begin:g} to {end:g} d from the first detection",
        f"- Seeds: {', '.join(map(str, card.seeds)) or 'none'}\n",
        "## Data\n",
        *sources,
        "\n## Training\n",
        *(f"{number}. {step}" for number, step in enumerate(card.training, 1)),
        "\n## Scores\n",
        "With 95% bootstrap intervals over objects; probabilities renormalised over the classes.\n",
        *scores,
        "\n## Limits\n",
        *(f"- {limit}" for limit in card.limits),
        "",
    ]
    return "\n".join(lines)
