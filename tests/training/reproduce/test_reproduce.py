"""The paper's experiments in small: what is drawn, read off, resumed and reported."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from service.core.alerts import Band
from service.errors import InputError
from tests.training.conftest import toy_light_curves
from training.model.crossvalidation import fresh_network
from training.model.recipes import lsst_recipe, with_classes, ztf_recipe
from training.model.transfer import carry_over
from training.reproduce.inputs import load_target
from training.reproduce.methods import LSST, METHODS
from training.reproduce.runs import Task, adapt_base
from training.reproduce.scale import SCALES, Scale
from training.reproduce.summary import Curve, fraction_at_part, label_reduction, labels_needed
from training.scripts.reproduce import run_all

TINY = SCALES["quick"].model_copy(
    update={
        "name": "tiny",
        "seeds": 2,
        "ztf_simulated": 96,
        "lsst_simulated": 110,
        "base_epochs": 1,
        "base_objects": 60,
        "hidden": 6,
        "lsst_sizes": (12, 36),
        "lsst_validation": 24,
        "lsst_test": 48,
        "epochs": 1,
        "objects_per_epoch": 20,
        "most_objects_per_epoch": 20,
        "max_steps": 8,
    }
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("reproduce")
    run_all(TINY, output, output / "no-data")
    return output


def read(path: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads(path.read_bytes())
    del content["seconds"]
    return content


def test_a_bare_machine_makes_the_second_experiment_and_a_self_contained_page(finished: Path) -> None:
    summary = json.loads((finished / "results.json").read_text())
    (experiment,) = summary["experiments"]
    assert experiment["experiment"] == LSST
    assert experiment["seeds"] == 2
    assert set(experiment["macro_auroc"]["0"]["ours-transfer"]) == {"0", "12", "36"}
    assert set(experiment["macro_auroc"]["0"]["paper-scratch"]) == {"12", "36"}
    page = (finished / "report.html").read_text()
    assert page.count("<svg") == 11
    for reference in ("src=", "@import", "<script", "<link"):
        assert reference not in page
    for drawing in (finished / "figures").iterdir():
        assert ElementTree.parse(drawing).getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314  our own file


def test_a_run_that_is_missing_is_made_again_as_it_was_and_no_other(finished: Path) -> None:
    lost = Task(LSST, "ours-transfer", 36, 1).path(finished)
    kept = Task(LSST, "ours-transfer", 12, 1).path(finished)
    before, untouched = read(lost), kept.stat().st_mtime_ns
    lost.unlink()
    run_all(TINY, finished, finished / "no-data", processes=2)
    assert read(lost) == before
    assert kept.stat().st_mtime_ns == untouched


def test_without_labels_the_base_reads_the_bands_that_its_own_survey_lacks(finished: Path) -> None:
    target = load_target(LSST, TINY, finished, finished)
    rows = target.curves.observations
    only_z = target.curves.keep_rows(rows["band"] == Band.Z)
    only_z = only_z.take(only_z.counts > 0)
    _, recipe = adapt_base(METHODS["ours-transfer"], target, target.classes, TINY, finished)
    assert len(only_z) > 0
    assert (np.diff(recipe.featuriser.encode(only_z.observations, only_z.offsets).offsets) > 0).all()


def test_results_of_another_size_are_not_mixed_in(finished: Path) -> None:
    with pytest.raises(InputError, match="another size"):
        run_all(TINY.model_copy(update={"epochs": 2}), finished, finished / "no-data")


def test_more_seeds_may_be_added_later(finished: Path) -> None:
    assert "seeds" not in json.loads((finished / "scale.json").read_text())
    assert set(Scale.model_fields) - set(json.loads((finished / "scale.json").read_text())) == {"seeds"}


@pytest.mark.parametrize(
    ("sizes", "scores", "wanted", "needed"),
    [
        ((100, 1000), [0.8, 0.9], 0.85, 100 * 10**0.5),  # half way in the logarithm
        ((0, 100, 1000), [0.8, 0.85, 0.9], 0.7, 0.0),  # no label is needed
        ((0, 100, 1000), [0.8, 0.85, 0.9], 0.84, 100.0),  # 0 has no logarithm: the next size
        ((100, 1000), [0.8, 0.9], 0.95, float("inf")),
        ((100, 300, 1000), [0.8, 0.7, 0.9], 0.75, 100.0),  # the best so far counts
    ],
)
def test_labels_needed_for_a_score(
    sizes: tuple[int, ...], scores: list[float], wanted: float, needed: float
) -> None:
    assert labels_needed(sizes, np.array(scores), wanted) == pytest.approx(needed)


def test_reduction_and_fraction_are_read_off_the_means_of_the_seeds() -> None:
    generator = np.random.default_rng(0)
    scratch = Curve((100, 300, 1000), np.array([[0.5, 0.6, 0.8], [0.5, 0.6, 0.8]]))
    transfer = Curve((0, 100, 300, 1000), np.array([[0.6, 0.7, 0.75, 0.9], [0.6, 0.9, 0.77, 0.9]]))
    reduction = label_reduction(transfer, scratch, generator)
    assert reduction.value == pytest.approx(0.9)  # the mean at 100 labels is 0.8
    assert reduction.low < 0.9 <= reduction.high  # resampled to the first seed alone it needs more
    assert fraction_at_part(transfer, scratch, generator).value == pytest.approx(0.76 / 0.8)


def test_a_base_of_another_survey_is_carried_over_input_by_input() -> None:
    toy = toy_light_curves(20)
    ztf = ztf_recipe(hidden=5, metadata=False)
    lsst = with_classes(lsst_recipe(hidden=5, metadata=False), ("SLSN-I", "Ib/c"))
    base = fresh_network(ztf, toy, dropout=0.0, seed=1)
    network = carry_over(
        base,
        lsst,
        ztf.classes,
        dropout=0.0,
        base_columns=ztf.features.columns,
        members={"Ib/c": ("Ia", "II")},
    )
    weights, base_weights = network.state_dict(), base.state_dict()
    for index, name in enumerate(lsst.features.columns):
        weight = weights["gru.0.weight_ih_l0"][:, index]
        if name in ztf.features.columns:
            column = ztf.features.columns.index(name)
            assert bool((weight == base_weights["gru.0.weight_ih_l0"][:, column]).all())
            assert weights["input_scale"][index] == base_weights["input_scale"][column]
        else:
            assert not weight.any()
    assert bool((weights["gru.0.weight_hh_l0"] == base_weights["gru.0.weight_hh_l0"]).all())
    wanted = base_weights["output.weight"][[ztf.classes.index("Ia"), ztf.classes.index("II")]].mean(dim=0)
    np.testing.assert_allclose(weights["output.weight"][1].numpy(), wanted.numpy(), rtol=1e-6)
