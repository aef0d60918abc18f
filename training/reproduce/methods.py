"""The compared methods: the paper's network and freezing, ours, and each from scratch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.core.alerts import Survey
from training.data.augment import Augmentation
from training.model.fit_config import FitConfig
from training.model.recipes import (
    BASE_AUGMENTATION,
    ModelRecipe,
    paper_recipe,
    survey_recipe,
    with_classes,
)
from training.model.transfer import Scheme

__all__ = ["LSST", "METHODS", "REAL", "Method", "method_augmentation", "method_config", "method_recipe"]

# The two experiments: simulated ZTF to real ZTF, and ZTF to LSST.
REAL, LSST = "real-ztf", "lsst"


@dataclass(frozen=True, slots=True)
class Method:
    """One way of training a network for the target.

    Attributes
    ----------
    title
        In figures and tables.
    paper
        The paper's input, network, loss and optimiser instead of ours.
    schemes
        Which layers are trained after the base's weights were copied, by experiment; empty: from scratch.
    """

    title: str
    paper: bool
    schemes: Mapping[str, Scheme] = field(default_factory=dict)

    @property
    def transfers(self) -> bool:
        """Whether it starts from a base network."""
        return bool(self.schemes)

    @property
    def dropout(self) -> float:
        """Probability of dropping a unit; the paper has no dropout."""
        return 0.0 if self.paper else 0.2


METHODS: Mapping[str, Method] = {
    "paper-scratch": Method("paper, from scratch", paper=True),
    "paper-transfer": Method(
        "paper, transfer", paper=True, schemes={REAL: Scheme.LAST_TWO, LSST: Scheme.GRUS_AND_LAST_TWO}
    ),
    "ours-scratch": Method("ours, from scratch", paper=False),
    "ours-transfer": Method(
        "ours, transfer", paper=False, schemes={REAL: Scheme.EVERYTHING, LSST: Scheme.EVERYTHING}
    ),
    # The paper's further baselines.
    "paper-output": Method(
        "paper, output layer only", paper=True, schemes={REAL: Scheme.OUTPUT, LSST: Scheme.OUTPUT}
    ),
    "paper-everything": Method(
        "paper, all layers", paper=True, schemes={REAL: Scheme.EVERYTHING, LSST: Scheme.EVERYTHING}
    ),
}


def method_recipe(method: Method, survey: Survey, classes: tuple[str, ...], hidden: int) -> ModelRecipe:
    """Return a method's input and network, without metadata, as in the paper's transfer runs.

    Parameters
    ----------
    method
        One of `METHODS`.
    survey
        Whose light curves the network reads.
    classes
        Names of its outputs.
    hidden
        Units of our GRU; the paper's network has its own size.
    """
    if method.paper:
        return paper_recipe(survey, classes)
    return with_classes(survey_recipe(survey, hidden=hidden, metadata=False), classes)


def method_config(method: Method, **common: int) -> FitConfig:
    """Return a method's loss and optimiser.

    Parameters
    ----------
    method
        One of `METHODS`.
    common
        Values that all methods share: epochs, patience, seed ...
    """
    values: dict[str, float | bool] = {**common}
    if method.paper:
        # Adam at its default rate, classes weighted by N / n, the loss at the end of the light curve only,
        # and the smallest gain that counts for early stopping (arXiv:2502.18558, section 3).
        values |= {"batch_size": 128, "learning_rate": 1e-3, "weight_decay": 0.0, "cosine": False}
        values |= {"class_power": 1.0, "per_step": False, "min_delta": 1e-3}
    else:
        values |= {"batch_size": 64, "learning_rate": 1e-3 if method.transfers else 3e-3}
    return FitConfig.model_validate(values)


def method_augmentation(method: Method, experiment: str) -> Augmentation | None:
    """Return a method's data augmentation: none for the paper, ours stronger from scratch.

    Parameters
    ----------
    method
        One of `METHODS`.
    experiment
        `REAL` or `LSST`.
    """
    if method.paper:
        return None
    if experiment == LSST:
        return BASE_AUGMENTATION[Survey.LSST]
    return Augmentation(dim_mag=0.7, drop=0.3, late=0.1, thin=0.2) if method.transfers else Augmentation()
