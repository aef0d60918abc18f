"""The two models that the service ships, from data directory to bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Kind, Survey
from service.core.bundle import Bundle
from training.data.augment import Augmentation
from training.data.forms import detections_around_peak, merge_same_objects
from training.data.labels import coarse_classes
from training.data.light_curves import LightCurves, concatenate
from training.data.public import read_public
from training.data.simulated import read_simulated
from training.eval.evaluate import Scores, StepLogits
from training.model.bundle import Card, DataSource, ship
from training.model.crossvalidation import (
    Crossvalidation,
    TransferPlan,
    calibrate,
    calibrate_by_fold,
    companions_of,
    crossvalidate,
    score_all,
    simulated_steps,
    tune,
)
from training.model.fit import FitConfig
from training.model.journal import Journal
from training.model.network import Network
from training.model.recipes import Recipe, lsst_recipe, ztf_recipe
from training.model.transfer import Scheme

__all__ = ["LSST", "ZTF", "Product", "build_product", "real_lsst", "real_ztf", "simulated"]

ZTF_SETS = ("ztf_bts_antares", "ztf_bts_snia_antares", "ztf_slsn", "ztf_tde")
FIVE = ("Ia", "Ib/c", "II", "SLSN-I", "TDE")
SIX = (*FIVE, "AGN")
# Share of the calibration's objects that are of classes without real light curves.
COMPANION_SHARE = 0.1

LICENCES = {
    "ztf_bts_antares": (
        "MIT; public ZTF photometry",
        "Demianenko et al. 2023; Perley et al. 2020.",
    ),
    "ztf_bts_snia_antares": ("none stated; public ZTF photometry", "Lavrukhina & Malanchev 2023."),
    "ztf_slsn": ("MIT", "Gomez et al. 2024, arXiv:2407.07946."),
    "ztf_tde": ("none stated; public ZTF photometry", "Mummery, van Velzen et al. 2023, arXiv:2308.08255."),
    "lsst_mallorn": ("none stated; for development and evaluation", "Magill et al. 2025, arXiv:2512.04946."),
    "simulated": ("MIT (our simulator)", "training/simulation of this project."),
}

UNSTATED = ("not stated", "A set of the user's own.")


@dataclass(frozen=True, slots=True)
class Product:
    """One shipped model: what it is called, learns from and is scored on."""

    name: str
    version: str
    recipe: Recipe
    among: tuple[str, ...]
    summary: str
    limits: tuple[str, ...]
    config: FitConfig
    augmentation: Augmentation
    dropout: float = 0.2
    companions_each: int = 300


ZTF = Product(
    name="nightjar-ztf",
    version="0.3.0",
    recipe=ztf_recipe(),
    among=FIVE,
    summary=(
        "Classifies transients of the ZTF alert stream from their detections alone: the network was trained "
        "on simulated ZTF light curves and fine-tuned on real, spectroscopically classified ones. Redshift "
        "and Milky Way E(B-V) help where they are known and may be missing."
    ),
    limits=(
        (
            "Real SLSNe-I and TDEs are few, and come from sets deeper than alerts; their scores are "
            "optimistic for the stream if that is how a network tells them."
        ),
        (
            "AGN and Other (variable stars, dwarf novae, novae) are learnt from simulations; how well they "
            "are told from transients on the real stream is not measured here."
        ),
        (
            "Magnitude-limited spectroscopic samples: the class frequencies behind the calibrated "
            "probabilities are the Bright Transient Survey's with SLSN-I and TDE sets added."
        ),
        "Bogus detections and moving objects are not classes; filter them by real-bogus score before.",
    ),
    # Light variation and most of the loss on early steps: what strong variation takes from the beginnings
    # of light curves it does not give back at their ends (training/LOG.md).
    config=FitConfig(epochs=30, learning_rate=1e-3, early_share=0.9),
    augmentation=Augmentation(dim_mag=0.3, drop=0.15, late=0.0, thin=0.1, stretch=0.04),
)

LSST = Product(
    name="nightjar-lsst",
    version="0.3.0",
    recipe=lsst_recipe(),
    among=SIX,
    summary=(
        "Classifies transients of the LSST alert stream from their detections alone: the network was "
        "trained on simulated LSST light curves and fine-tuned on MALLORN, LSST-like light curves made of "
        "real ZTF nuclear transients."
    ),
    limits=(
        (
            "No real LSST light curve was used; MALLORN's are Gaussian-process fits of ZTF objects, as if "
            "observed by Rubin in u g r i z y, listed from 3 sigma on."
        ),
        "MALLORN has ten SLSNe-I and 28 Ib/c: their scores have wide intervals.",
        "Class frequencies behind the calibrated probabilities are MALLORN's: more than half AGN.",
    ),
    config=FitConfig(epochs=40, learning_rate=1e-3),
    augmentation=Augmentation(
        snr=3.0, dim_mag=0.7, drop=0.3, late=0.1, late_days=60.0, thin=0.1, shallow=0.4
    ),
)


def real_ztf(data: Path, *, bands: Sequence[int] = (1, 2)) -> LightCurves:
    """Read all real ZTF sets in one form: g and r detections above 5 sigma around the peak.

    i is left out: only the SLSN and TDE sets have it, so that it would tell the source.
    """
    parts = [detections_around_peak(read_public(data, name)) for name in ZTF_SETS]
    parts = [part.keep_rows(np.isin(part.observations["band"], bands)) for part in parts]
    return _labelled(merge_same_objects(concatenate(parts)), FIVE)


def real_lsst(data: Path) -> LightCurves:
    """Read MALLORN."""
    return _labelled(read_public(data, "lsst_mallorn"), SIX)


def simulated(path: Path, survey: Survey, *, fine: bool = False) -> LightCurves:
    """Read our simulation as the real sets are: detections only, and for ZTF around the peak.

    Parameters
    ----------
    fine
        Keep the simulator's own classes instead of the heads' coarse ones.
    """
    curves = read_simulated(path, survey)
    if not fine:
        curves = curves.relabel(coarse_classes(curves.label))
    recurring = np.isin(curves.label, ("AGN", "Other"))
    if survey is Survey.LSST:
        kept = curves.keep_rows(curves.observations["kind"] == Kind.DETECTION)
    else:
        transients = detections_around_peak(curves.take(~recurring))
        others = curves.take(recurring)
        # Variable sources keep their detections of either sign.
        kept = concatenate([transients, others.keep_rows(others.observations["kind"] == Kind.DETECTION)])
    return kept.take((kept.counts > 0) & (kept.label != ""))


def build_product(
    product: Product, bases: Sequence[Network], real: LightCurves, simulation: LightCurves, *,
    recipe: Recipe | None = None, seed: int = 0,
    folds: int = 5, base_steps: Sequence[str] = (), directory: Path | None = None,
    journal: Journal | None = None,
) -> tuple[Bundle, Crossvalidation]:  # fmt: skip
    """Cross-validate, calibrate, score, train on everything and ship.

    Parameters
    ----------
    bases
        Networks trained on the simulation; several are distilled into one at the end.
    base_steps
        How these came about, for the model card.
    recipe
        Of the bases, where it is not the product's own.
    """
    recipe = recipe or product.recipe
    missing = [name for name in recipe.classes if name not in set(real.label)]
    drawn = companions_of(simulation, missing, 2 * product.companions_each, seed)
    # One half is trained on, the other stands for these classes in the calibration.
    companions, others = drawn.take(slice(0, None, 2)), drawn.take(slice(1, None, 2))
    plan = TransferPlan(
        recipe, product.config, product.augmentation, Scheme.EVERYTHING, product.dropout, companions
    )
    result = crossvalidate(bases, real, plan, folds=folds, seed=seed, journal=journal)
    final = tune(bases, real, plan, seed=seed + 10_000, journal=journal)
    beside = [simulated_steps([final], others, recipe)]
    shares = [COMPANION_SHARE]
    scores = {
        "Out of fold, no redshift": _scores(result.hidden, result, beside, shares, recipe, product.among),
        "Out of fold, with redshift and E(B-V)": _scores(
            result.known, result, beside, shares, recipe, product.among
        ),
    }
    calibration = calibrate([result.hidden, *beside], [1.0, *shares])
    card = _card(product, real, simulation, scores, base_steps, (seed,), folds, len(bases))
    return ship(final, recipe, calibration, card, directory), result


def _scores(
    steps: StepLogits, result: Crossvalidation, beside: Sequence[StepLogits], shares: Sequence[float],
    recipe: Recipe, among: Sequence[str],
) -> dict[int, Scores]:  # fmt: skip
    probability = calibrate_by_fold(steps, result.fold, beside, shares)
    return score_all(probability, result.hidden.truth, recipe, among)


def _labelled(curves: LightCurves, classes: Sequence[str]) -> LightCurves:
    label: NDArray[np.str_] = coarse_classes(curves.label)
    return curves.relabel(label).take(np.isin(label, classes) & (curves.counts > 0))


def _counts(curves: LightCurves) -> Mapping[str, int]:
    names, counts = np.unique(curves.label, return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}


def _card(
    product: Product, real: LightCurves, simulation: LightCurves, scores: Mapping[str, dict[int, Scores]],
    base_steps: Sequence[str], seeds: tuple[int, ...], folds: int, n_bases: int,
) -> Card:  # fmt: skip
    sources = [
        DataSource(str(name), _counts(real.take(real.source == name)), *LICENCES.get(str(name), UNSTATED))
        for name in dict.fromkeys(real.source)
    ]
    sources.append(DataSource("simulated", _counts(simulation), *LICENCES["simulated"]))
    steps = [
        *base_steps,
        (
            "Fine-tuned, all layers, on the real light curves, with simulated objects where a class has "
            f"no real ones: {product.config.model_dump_json()}; augmentation {product.augmentation}."
        ),
        *([f"The {n_bases} tuned networks were distilled into one of the same size."] if n_bases > 1 else []),
        (
            f"Scored and calibrated on {folds} folds, stratified by class, objects merged by IAU name and "
            "position before the split: each fold by a network made in this very way without it; the "
            "calibration of each fold comes from the others."
        ),
        "The weights shipped were then made of all objects in the same way.",
    ]
    return Card(
        product.name, product.version, product.summary, tuple(sources), tuple(steps), scores,
        product.limits, seeds,
    )  # fmt: skip
