"""Training itself, on light curves small enough for seconds."""

from pathlib import Path

import numpy as np
import pytest
import torch

from service.core.classifier import LightCurveBatch, ObjectClassifier
from service.core.models.bundle import load_bundle
from service.core.models.calibration import identity_calibration
from tests.training.conftest import toy_light_curves
from training.data.augment import Augmentation
from training.data.light_curves import LabelledLightCurves
from training.eval.evaluate import probabilities_at
from training.eval.metrics import macro_auroc
from training.model.bundle import DataSource, ModelCard, export_bundle
from training.model.crossvalidation import TransferPlan, fresh_network, transfer
from training.model.encode import batches_of_like_length, encode, pad
from training.model.fit import fit, step_weights
from training.model.fit_config import FitConfig
from training.model.journal import Journal
from training.model.network import Network
from training.model.predict import predict_logits, predict_out_of_fold, step_logits
from training.model.recipes import ModelRecipe, ztf_recipe
from training.model.runs import Run, load_run, save_run
from training.model.transfer import Scheme, carry_over, freeze, parameter_groups

RECIPE = ztf_recipe(hidden=12)
CONFIG = FitConfig(epochs=6, learning_rate=1e-2, batch_size=16)


def trained(curves: LabelledLightCurves, seed: int = 0, **options: object) -> Network:
    network = fresh_network(RECIPE, curves, dropout=0.1, seed=seed)
    config = CONFIG.model_copy(update={"seed": seed})
    fit(network, curves, RECIPE.featuriser, RECIPE.classes, config, **options)  # type: ignore[arg-type]
    return network


def weights(network: Network) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in network.state_dict().items()}


def same(first: Network, second: Network) -> bool:
    return all(
        np.array_equal(a, b) for a, b in zip(weights(first).values(), weights(second).values(), strict=True)
    )


def test_a_network_learns_what_can_be_told_apart(toy: LabelledLightCurves) -> None:
    network = trained(toy)
    steps = step_logits([network], toy_light_curves(100, seed=9), RECIPE, hide_metadata=True)
    assert macro_auroc(probabilities_at(steps, 0), steps.truth) > 0.95


def test_equal_seeds_give_equal_weights_and_others_do_not(toy: LabelledLightCurves) -> None:
    options = {"augmentation": Augmentation()}
    assert same(trained(toy, 3, **options), trained(toy, 3, **options))
    assert not same(trained(toy, 3, **options), trained(toy, 4, **options))


def test_a_run_that_was_cut_off_ends_in_the_same_weights(toy: LabelledLightCurves, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"

    class CutOff(Journal):
        def write(self, **values: object) -> None:
            if values["epoch"] == 4:
                raise KeyboardInterrupt

    whole = trained(toy, augmentation=Augmentation(), validation=toy)
    with pytest.raises(KeyboardInterrupt):
        trained(toy, augmentation=Augmentation(), validation=toy, journal=CutOff(), checkpoint=checkpoint)
    resumed = trained(toy, augmentation=Augmentation(), validation=toy, checkpoint=checkpoint)
    assert same(whole, resumed)


def test_a_checkpoint_of_another_configuration_is_refused(toy: LabelledLightCurves, tmp_path: Path) -> None:
    trained(toy, checkpoint=tmp_path / "c.pt")
    with pytest.raises(ValueError, match="another configuration"):
        trained(toy, seed=1, checkpoint=tmp_path / "c.pt")


def test_training_stops_early_and_keeps_the_best_weights(toy: LabelledLightCurves) -> None:
    network = fresh_network(RECIPE, toy, dropout=0.0, seed=0)
    config = CONFIG.model_copy(update={"epochs": 60, "patience": 2})
    result = fit(network, toy, RECIPE.featuriser, RECIPE.classes, config, validation=toy)
    assert len(result.history) < 60
    assert result.best_score == max(score for _, _, score in result.history)


def test_step_weights_sum_to_one_over_real_steps_and_favour_early_ones(toy: LabelledLightCurves) -> None:
    data = encode(toy, RECIPE.featuriser, RECIPE.classes)
    batch = pad(data, np.arange(10), 100, RECIPE.network.metadata)
    weight = step_weights(batch, CONFIG)
    torch.testing.assert_close(weight.sum(dim=1), torch.ones(10))
    assert (weight[~batch.mask] == 0).all()
    assert (weight[:, 0] > weight[:, 4]).all()
    last = step_weights(batch, CONFIG.model_copy(update={"per_step": False}))
    assert (last.argmax(dim=1) == batch.lengths - 1).all()


def test_every_object_is_in_one_batch(toy: LabelledLightCurves) -> None:
    lengths = toy.counts
    dealt = np.concatenate(list(batches_of_like_length(lengths, 16, np.random.default_rng(0))))
    assert sorted(dealt) == list(range(len(toy)))


def test_predictions_do_not_depend_on_how_objects_were_batched(toy: LabelledLightCurves) -> None:
    data = encode(toy, RECIPE.featuriser, RECIPE.classes)
    network = fresh_network(RECIPE, toy, dropout=0.1, seed=0)
    np.testing.assert_allclose(
        predict_logits(network, data, batch_size=7), predict_logits(network, data, batch_size=200), atol=1e-5
    )


def test_cross_validation_predicts_each_object_by_networks_that_never_saw_it(
    toy: LabelledLightCurves,
) -> None:
    fold = np.arange(len(toy)) % 3
    seen: dict[int, set[str]] = {}

    def train(part: LabelledLightCurves, number: int) -> list[Network]:
        seen[number] = set(part.object_id.tolist())
        return [fresh_network(RECIPE, part, dropout=0.0, seed=number)]

    steps = predict_out_of_fold(toy, fold, RECIPE, train)
    for number in range(3):
        held_out = toy.take(fold == number)
        assert not seen[number] & set(held_out.object_id.tolist())
        network = fresh_network(RECIPE, toy.take(fold != number), dropout=0.0, seed=number)
        alone = step_logits([network], held_out, RECIPE)
        first = int(np.flatnonzero(fold == number)[0])
        rows = slice(steps.offsets[first], steps.offsets[first + 1])
        np.testing.assert_allclose(steps.logits[rows], alone.logits[: alone.offsets[1]], atol=1e-5)
    np.testing.assert_array_equal(steps.truth, encode(toy, RECIPE.featuriser, RECIPE.classes).truth)


@pytest.mark.parametrize(
    ("scheme", "moves"),
    [
        (Scheme.OUTPUT, {"output"}),
        (Scheme.LAST_TWO, {"head", "output"}),
        (Scheme.GRUS_AND_LAST_TWO, {"gru", "head", "output"}),
        (Scheme.EVERYTHING, {"gru", "trunk", "metadata", "head", "output"}),
        (Scheme.DISCRIMINATIVE, {"gru", "trunk", "metadata", "head", "output"}),
    ],
)
def test_a_scheme_moves_its_layers_and_no_others(
    toy: LabelledLightCurves, scheme: Scheme, moves: set[str]
) -> None:
    base = fresh_network(RECIPE, toy, dropout=0.0, seed=0)
    plan = TransferPlan(RECIPE, FitConfig(epochs=1, weight_decay=0.0), None, scheme, 0.0)
    (tuned,) = transfer([base], toy, plan, seed=1)
    before, after = weights(base), weights(tuned)
    changed = {name.split(".")[0] for name in before if not np.array_equal(before[name], after[name])}
    assert changed == moves


def test_discriminative_rates_fall_towards_the_input() -> None:
    network = Network(RECIPE.network)
    groups = parameter_groups(Scheme.DISCRIMINATIVE)
    assert groups is not None
    made = groups(network, 1.0)
    rates = [float(str(group["lr"])) for group in made]
    assert rates == sorted(rates, reverse=True)
    assert len({id(p) for group in made for p in group["params"]}) == len(list(network.parameters()))  # type: ignore[attr-defined]


def test_outputs_are_carried_over_by_class_name(toy: LabelledLightCurves) -> None:
    base = fresh_network(RECIPE, toy, dropout=0.0, seed=0)
    other = ModelRecipe(
        RECIPE.survey,
        ("TDE", "Ia", "AGN"),
        RECIPE.features,
        RECIPE.network.model_copy(update={"n_classes": 3}),
    )
    carried = carry_over(base, other, RECIPE.classes, dropout=0.0)
    freeze(carried, Scheme.EVERYTHING)
    for index, name in enumerate(other.classes):
        wanted = base.output.weight[RECIPE.classes.index(name)]
        torch.testing.assert_close(carried.output.weight[index], wanted)


def test_a_run_comes_back_from_disk(toy: LabelledLightCurves, tmp_path: Path) -> None:
    network = trained(toy)
    save_run(Run(network, RECIPE, ("trained on toys",)), tmp_path, config=CONFIG)
    run = load_run(tmp_path)
    assert same(run.network, network)
    assert run.recipe == RECIPE
    assert run.history == ("trained on toys",)


def test_the_service_gives_the_training_codes_numbers_step_by_step(
    toy: LabelledLightCurves, tmp_path: Path
) -> None:
    network = trained(toy)
    card = ModelCard(
        "toy", "1", "A toy.", (DataSource("toy", {"Ia": 60}, "MIT", "-"),), ("one",), {}, ("all",)
    )
    export_bundle(network, RECIPE, identity_calibration(len(RECIPE.classes)), card, tmp_path / "toy")
    bundle = load_bundle(tmp_path / "toy")
    assert "A toy." in bundle.readme
    classifier = ObjectClassifier(bundle)
    expected = step_logits([network], toy, RECIPE)
    for count in (1, 2, 5, 9):
        part = toy.take(slice(0, 30))
        batch = LightCurveBatch(
            part.observations,
            part.offsets,
            np.array([part.rows(i)["mjd_tai"][min(count, len(part.rows(i))) - 1] for i in range(30)]),
            part.redshift,
            part.mwebv,
        )
        got = classifier.classify(batch, classifier.empty_batch(30)).logits
        np.testing.assert_allclose(got, expected.logits[expected.rows_at(count)[:30]], atol=1e-5)
