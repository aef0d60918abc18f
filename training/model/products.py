"""The two models that the service ships, from base networks to a bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.core.alerts import Survey
from service.core.models.bundle import Bundle
from training.data.augment import Augmentation
from training.data.light_curves import LabelledLightCurves
from training.data.real import MALLORN_CLASSES, REAL_ZTF_CLASSES
from training.eval.evaluate import Scores, StepLogits, score_by_detections
from training.model.bundle import DataSource, ModelCard, export_bundle
from training.model.calibrate import calibrate, calibrate_by_fold
from training.model.crossvalidation import CrossValidation, TransferPlan, cross_validate, tune
from training.model.fit_config import FitConfig
from training.model.journal import Journal
from training.model.network import Network
from training.model.predict import step_logits
from training.model.recipes import ModelRecipe, lsst_recipe, ztf_recipe
from training.model.transfer import Scheme

__all__ = ["LSST", "PRODUCTS", "ZTF", "Product", "build_product"]

# Total weight, in the calibration, of the simulated objects of classes without real light curves.
SIMULATED_EXTRAS_SHARE = 0.1
FINAL_SEED = 10_000

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
UNSTATED_LICENCE = ("not stated", "A data set of the user.")


@dataclass(frozen=True, slots=True)
class Product:
    """A shipped model.

    Attributes
    ----------
    name, version
        As published.
    recipe
        Input, classes and layers.
    among
        Classes on which it is scored: those with real light curves.
    summary, limits
        For the model card.
    config, augmentation, dropout
        Of the fine-tuning.
    simulated_extras_per_class
        Simulated objects to train on for each class without real ones.
    """

    name: str
    version: str
    recipe: ModelRecipe
    among: tuple[str, ...]
    summary: str
    limits: tuple[str, ...]
    config: FitConfig
    augmentation: Augmentation
    dropout: float = 0.2
    simulated_extras_per_class: int = 300


ZTF = Product(
    name="nightjar-ztf",
    version="0.3.0",
    recipe=ztf_recipe(),
    among=REAL_ZTF_CLASSES,
    summary=(
        "Classifies transients of the ZTF alert stream from their detections alone: the network was trained "
        "on simulated ZTF light curves and fine-tuned on real, spectroscopically classified ones. Redshift "
        "and Milky Way E(B-V) help where they are known and may be missing."
    ),
    limits=(
        (
            "Real SLSNe-I and TDEs are few and come from data sets deeper than alerts; their scores are "
            "optimistic for the stream if the network recognises them by that."
        ),
        (
            "AGN and Other (variable stars, dwarf novae, novae) are learnt from simulations; how well they "
            "are separated from transients on the real stream is not measured here."
        ),
        (
            "Magnitude-limited spectroscopic samples: the class frequencies behind the calibrated "
            "probabilities are those of the Bright Transient Survey with SLSN-I and TDE sets added."
        ),
        "Bogus detections and moving objects are not classes; filter them by real-bogus score first.",
    ),
    # Light augmentation and most of the loss on early steps: strong augmentation costs more on the first
    # steps of light curves than it gains on the last ones (training/LOG.md).
    config=FitConfig(epochs=30, learning_rate=1e-3, early_share=0.9),
    augmentation=Augmentation(dim_mag=0.3, drop=0.15, late=0.0, thin=0.1, stretch=0.04),
)

LSST = Product(
    name="nightjar-lsst",
    version="0.3.0",
    recipe=lsst_recipe(),
    among=MALLORN_CLASSES,
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

PRODUCTS = {Survey.ZTF: ZTF, Survey.LSST: LSST}


def build_product(
    product: Product,
    bases: Sequence[Network],
    real: LabelledLightCurves,
    simulation: LabelledLightCurves,
    *,
    recipe: ModelRecipe | None = None,
    seed: int = 0,
    folds: int = 5,
    base_steps: Sequence[str] = (),
    directory: Path | None = None,
    journal: Journal | None = None,
) -> tuple[Bundle, CrossValidation]:
    """Cross-validate, calibrate, score, train on all objects, and return the bundle.

    Parameters
    ----------
    product
        Which model.
    bases
        Networks trained on the simulation; several are distilled into one.
    real
        Real light curves, each object once.
    simulation
        Light curves that the bases were trained on.
    recipe
        Of the bases, if it is not the product's own.
    seed
        Of everything.
    folds
        Number of folds of the cross-validation.
    base_steps
        How the bases were trained, for the model card.
    directory
        Where the bundle is written; None: nowhere.
    journal
        Where progress is reported.

    Returns
    -------
    bundle
        The model.
    cross_validation
        Its uncalibrated out-of-fold predictions.
    """
    recipe = recipe or product.recipe
    train_extras, calibration_extras = _simulated_extras(product, recipe, real, simulation, seed)
    plan = TransferPlan(
        recipe, product.config, product.augmentation, Scheme.EVERYTHING, product.dropout, train_extras
    )
    result = cross_validate(bases, real, plan, folds=folds, seed=seed, journal=journal)
    network = tune(bases, real, plan, seed=seed + FINAL_SEED, journal=journal)
    extras = step_logits([network], calibration_extras, recipe, hide_metadata=True)

    def out_of_fold_scores(steps: StepLogits) -> dict[int, Scores]:
        probability = calibrate_by_fold(steps, result.fold, [extras], [SIMULATED_EXTRAS_SHARE])
        return score_by_detections(probability, steps.truth, recipe.classes, product.among)

    scores = {
        "Out of fold, no redshift": out_of_fold_scores(result.without_redshift),
        "Out of fold, with redshift and E(B-V)": out_of_fold_scores(result.with_redshift),
    }
    calibration = calibrate([result.without_redshift, extras], [1.0, SIMULATED_EXTRAS_SHARE])
    card = ModelCard(
        name=product.name,
        version=product.version,
        summary=product.summary,
        data=_data_sources(real, simulation),
        training=(*base_steps, *_training_steps(product, folds, len(bases))),
        scores=scores,
        limits=product.limits,
        seeds=(seed,),
    )
    return export_bundle(network, recipe, calibration, card, directory), result


def _simulated_extras(
    product: Product,
    recipe: ModelRecipe,
    real: LabelledLightCurves,
    simulation: LabelledLightCurves,
    seed: int,
) -> tuple[LabelledLightCurves, LabelledLightCurves]:
    """Draw simulated objects of the classes without real ones: half to train on, half to calibrate on."""
    generator = np.random.default_rng(seed)
    missing = [name for name in recipe.classes if name not in set(real.label)]
    largest = 2 * product.simulated_extras_per_class
    chosen = [generator.permutation(np.flatnonzero(simulation.label == name))[:largest] for name in missing]
    drawn = simulation.take(np.sort(np.concatenate(chosen)))
    return drawn.take(slice(0, None, 2)), drawn.take(slice(1, None, 2))


def _data_sources(real: LabelledLightCurves, simulation: LabelledLightCurves) -> tuple[DataSource, ...]:
    parts = {str(name): real.take(real.source == name) for name in dict.fromkeys(real.source)}
    parts["simulated"] = simulation
    return tuple(
        DataSource(name, _counts(part), *LICENCES.get(name, UNSTATED_LICENCE)) for name, part in parts.items()
    )


def _counts(curves: LabelledLightCurves) -> Mapping[str, int]:
    names, counts = np.unique(curves.label, return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}


def _training_steps(product: Product, folds: int, n_bases: int) -> list[str]:
    """Return what the model card says of the training after the bases."""
    fine_tuning = (
        "Fine-tuned, all layers, on the real light curves, with simulated objects of the classes that have "
        f"no real ones: {product.config.model_dump_json()}; augmentation {product.augmentation}."
    )
    distillation = f"The {n_bases} tuned networks were distilled into one of the same size."
    scoring = (
        f"Scored and calibrated on {folds} folds, stratified by class, objects merged by IAU name and "
        "position before the split: each fold by a network made in the same way without it; the "
        "calibration of each fold comes from the others."
    )
    final = "The shipped weights were then trained on all objects in the same way."
    return [fine_tuning, *([distillation] if n_bases > 1 else []), scoring, final]
