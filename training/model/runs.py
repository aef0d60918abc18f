"""A trained network on disk: ``network.safetensors`` and ``run.json``, which describes it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from service.core.alerts import Survey
from service.core.features.featuriser import FeatureSpec
from service.core.network.spec import NetworkSpec
from service.errors import InputError
from training.model.fit_config import FitConfig
from training.model.network import Network
from training.model.recipes import ModelRecipe

__all__ = ["Run", "load_run", "save_run"]

WEIGHTS_FILE = "network.safetensors"
CARD_FILE = "run.json"


@dataclass(frozen=True, slots=True)
class Run:
    """A trained network.

    Attributes
    ----------
    network, recipe
        The network, and its input and classes.
    history
        How it was trained, one sentence per step.
    """

    network: Network
    recipe: ModelRecipe
    history: tuple[str, ...]


def save_run(run: Run, directory: Path, *, config: FitConfig | None = None) -> None:
    """Write a run, replacing an earlier one in the same directory.

    Parameters
    ----------
    run
        The trained network.
    directory
        Created if missing.
    config
        Hyperparameters of the last training step, for the record.
    """
    directory.mkdir(parents=True, exist_ok=True)
    card: dict[str, Any] = {
        "survey": run.recipe.survey.value,
        "classes": run.recipe.classes,
        "features": run.recipe.features.model_dump(mode="json"),
        "network": run.recipe.network.model_dump(mode="json"),
        "history": run.history,
        "config": config.model_dump(mode="json") if config is not None else None,
    }
    state = {name: value.contiguous() for name, value in run.network.state_dict().items()}
    save_file(state, directory / WEIGHTS_FILE)
    (directory / CARD_FILE).write_bytes(orjson.dumps(card, option=orjson.OPT_INDENT_2) + b"\n")


def load_run(directory: Path, *, dropout: float = 0.0) -> Run:
    """Return a run read from disk.

    Parameters
    ----------
    directory
        What `save_run` wrote.
    dropout
        Probability of dropping a unit, should the network be trained further.

    Raises
    ------
    InputError
        The directory holds no run, or its files do not fit together.
    """
    try:
        card = orjson.loads((directory / CARD_FILE).read_bytes())
        recipe = ModelRecipe(
            survey=Survey(card["survey"]),
            classes=tuple(card["classes"]),
            features=FeatureSpec.model_validate_json(orjson.dumps(card["features"])),
            network=NetworkSpec.model_validate_json(orjson.dumps(card["network"])),
        )
        network = Network(recipe.network, dropout=dropout)
        network.load_state_dict(load_file(directory / WEIGHTS_FILE))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{directory}: not a run of nightjar-train fit or transfer: {reason}") from error
    return Run(network, recipe, tuple(card["history"]))
