"""From base networks to a bundle, on light curves small enough for seconds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.core.classifier import LightCurveBatch, ObjectClassifier
from service.core.models.bundle import load_bundle
from tests.training.conftest import toy_light_curves
from training.data.labels import ZTF_CLASSES
from training.data.light_curves import LabelledLightCurves
from training.model.crossvalidation import TransferPlan, cross_validate, fresh_network, tune
from training.model.fit_config import FitConfig
from training.model.predict import step_logits
from training.model.products import ZTF, build_product
from training.model.recipes import ztf_recipe
from training.model.transfer import Scheme

RECIPE = ztf_recipe(hidden=8)
PRODUCT = replace(
    ZTF,
    name="toy",
    recipe=RECIPE,
    among=("Ia", "II"),
    config=FitConfig(epochs=2, learning_rate=1e-2),
    simulated_extras_per_class=6,
)


@pytest.fixture(scope="module")
def simulation() -> LabelledLightCurves:
    curves = toy_light_curves(140, seed=5)
    return curves.relabel(np.array(ZTF_CLASSES)[np.arange(140) % len(ZTF_CLASSES)])


@pytest.mark.parametrize("bases", [1, 2])
def test_a_product_is_scored_out_of_fold_calibrated_and_shipped(
    simulation: LabelledLightCurves, tmp_path: Path, bases: int
) -> None:
    real = toy_light_curves(60)
    networks = [fresh_network(RECIPE, simulation, dropout=0.1, seed=seed) for seed in range(bases)]
    made, result = build_product(
        PRODUCT, networks, real, simulation, folds=2, base_steps=("A toy base.",), directory=tmp_path
    )
    assert set(result.fold.tolist()) == {0, 1}
    np.testing.assert_array_equal(result.without_redshift.truth, np.tile([0, 2], 30))
    bundle = load_bundle(tmp_path)
    assert bundle.digest == made.digest
    assert bundle.class_names == ZTF_CLASSES
    for text in ("A toy base.", "Out of fold, no redshift", "toy**: II 30, Ia 30", "## Limits"):
        assert text in bundle.readme
    classifier = ObjectClassifier(bundle)
    batch = LightCurveBatch(real.observations, real.offsets, np.full(60, np.inf), real.redshift, real.mwebv)
    probability = classifier.classify(batch, classifier.empty_batch(60)).probability
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, atol=1e-5)


def test_an_ensemble_is_scored_by_the_one_network_that_it_becomes(simulation: LabelledLightCurves) -> None:
    real = toy_light_curves(40)
    bases = [fresh_network(RECIPE, simulation, dropout=0.1, seed=seed) for seed in range(2)]
    plan = TransferPlan(RECIPE, PRODUCT.config, None, Scheme.EVERYTHING, 0.1)
    result = cross_validate(bases, real, plan, folds=2, seed=3)
    first = np.flatnonzero(result.fold == 0)
    network = tune(bases, real.take(np.flatnonzero(result.fold == 1)), plan, seed=103)
    alone = step_logits([network], real.take(first), RECIPE, hide_metadata=True)
    np.testing.assert_array_equal(
        result.without_redshift.logits[result.without_redshift.rows_at(0)[first]],
        alone.logits[alone.rows_at(0)],
    )
