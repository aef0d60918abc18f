"""The commands of ``nightjar-train`` that train and score."""

from pathlib import Path
from typing import Annotated

import numpy as np
import orjson
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from service.core.alerts import Survey
from service.core.calibration import Calibration
from service.decoding.light_curve_table import read_table
from service.errors import InputError
from training.data.catalogue import CATALOGUE, DATA_VARIABLE, data_directory
from training.data.labels import coarse_classes
from training.data.light_curves import LightCurves, concatenate
from training.data.tables import column_numbers, column_text
from training.eval.evaluate import DETECTION_COUNTS, probabilities_at, score_at, score_table
from training.model.crossvalidation import (
    TransferPlan,
    calibrate_by_fold,
    crossvalidate,
    fresh_network,
    score_all,
)
from training.model.crossvalidation import calibrate as calibrate_steps
from training.model.crossvalidation import transfer as transfer_networks
from training.model.fit import FitConfig
from training.model.fit import fit as fit_network
from training.model.journal import Journal
from training.model.predict import step_logits
from training.model.products import LSST, ZTF, Product, build_product, real_lsst, real_ztf, simulated
from training.model.recipes import BASE_AUGMENTATION, lsst_recipe, paper_recipe, ztf_recipe
from training.model.runs import Run, load_run, save_run
from training.model.transfer import Scheme

__all__ = ["bundle", "calibrate", "data", "evaluate", "fit", "transfer"]

PRODUCTS = {Survey.ZTF: ZTF, Survey.LSST: LSST}
VALIDATION_OBJECTS = 1500

DataOption = Annotated[
    Path | None, typer.Option(envvar=DATA_VARIABLE, help="Directory of the public light-curve sets")
]
SurveyOption = Annotated[Survey, typer.Option(help="ztf or lsst")]
SeedOption = Annotated[int, typer.Option(help="Equal seeds give equal weights on one machine")]
EpochsOption = Annotated[int, typer.Option(min=1)]
RateOption = Annotated[float, typer.Option(min=0.0, help="Learning rate at the start")]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps: whatever this PyTorch has")]
RunArgument = Annotated[Path, typer.Argument(help="Directory that fit or transfer wrote")]


def data(data: DataOption = None) -> None:
    """List the data sets: what each is, whether it is here, and where it comes from."""
    directory = data_directory(data)
    table = Table("folder", "here", "what", "from", "licence", "needed for", title=str(directory))
    for one in CATALOGUE:
        here = "yes" if (directory / one.folder).is_dir() else "no"
        table.add_row(one.folder, here, one.what, one.origin, one.licence, one.needed_for)
    Console(width=200 if not Console().is_terminal else None).print(table)


def fit(
    simulation: Annotated[list[Path], typer.Option(help="Parquet of simulate; several add up")],
    output: Annotated[Path, typer.Option(help="Directory for the trained network; a cut-off run resumes")],
    survey: SurveyOption = Survey.ZTF,
    hidden: Annotated[int, typer.Option(min=1, help="Units of the GRU")] = 96,
    paper: Annotated[bool, typer.Option("--paper", help="The paper's input and network instead")] = False,
    epochs: EpochsOption = 28,
    learning_rate: RateOption = 3e-3,
    objects_per_epoch: Annotated[int, typer.Option(min=0, help="Drawn anew each epoch; 0: all")] = 30_000,
    early_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the loss that falls off as 1 / step")
    ] = 0.5,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
) -> None:
    """Train a base network on simulated light curves."""
    make = ztf_recipe if survey is Survey.ZTF else lsst_recipe
    recipe = make(hidden=hidden)
    if paper:
        recipe = paper_recipe(survey, recipe.classes)
    curves = concatenate([simulated(path, survey) for path in simulation])
    order = np.random.default_rng(seed).permutation(len(curves))
    n_validation = min(VALIDATION_OBJECTS, len(curves) // 5)
    validation, train = curves.take(order[:n_validation]), curves.take(order[n_validation:])
    config = FitConfig(
        epochs=epochs, learning_rate=learning_rate, batch_size=192, seed=seed,
        objects_per_epoch=objects_per_epoch, validate_every=4, patience=5, early_share=early_share,
    )  # fmt: skip
    network = fresh_network(recipe, train, dropout=0.1, seed=seed).to(_device(device))
    console = Console(stderr=True)
    result = fit_network(
        network, train, recipe.featuriser, recipe.classes, config, validation=validation,
        augmentation=BASE_AUGMENTATION[survey], checkpoint=output / "checkpoint.pt",
        journal=Journal(output / "log.jsonl", console, title=output.name),
    )  # fmt: skip
    names = ", ".join(path.name for path in simulation)
    story = (
        f"Base network trained on {len(train)} simulated light curves ({names}), best of "
        f"{len(result.history)} validations at epoch {result.best_epoch}, {config.model_dump_json()}, "
        f"augmentation {BASE_AUGMENTATION[survey]}."
    )
    save_run(Run(network, recipe, (story,)), output, config=config)
    console.print(f"{output}: macro AUROC {result.best_score:.3f} on {len(validation)} simulated objects")


def transfer(
    base: Annotated[Path, typer.Option(help="Directory that fit wrote")],
    output: Annotated[Path, typer.Option(help="Directory for the tuned network")],
    scheme: Annotated[Scheme, typer.Option(help="What may move")] = Scheme.EVERYTHING,
    data: DataOption = None,
    epochs: EpochsOption = 30,
    learning_rate: RateOption = 1e-3,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
) -> None:
    """Fine-tune a base network on the real light curves of its survey."""
    run = load_run(base)
    product = PRODUCTS[run.recipe.survey]
    curves = _real(product, data)
    config = product.config.model_copy(update={"epochs": epochs, "learning_rate": learning_rate})
    plan = TransferPlan(run.recipe, config, product.augmentation, scheme, product.dropout)
    journal = Journal(output / "log.jsonl", Console(stderr=True), title=output.name)
    network = transfer_networks([run.network.to(_device(device))], curves, plan, seed=seed, journal=journal)[
        0
    ]
    story = f"Fine-tuned ({scheme}) on {len(curves)} real light curves: {config.model_dump_json()}."
    save_run(Run(network, run.recipe, (*run.history, story)), output, config=config)


def evaluate(
    run: Annotated[
        Path, typer.Argument(help="Directory of a trained network, or a table that nightjar classify wrote")
    ],
    truth: Annotated[
        Path | None, typer.Option(help="Table with object_id and class, for a table of predictions")
    ] = None,
    data: DataOption = None,
    among: Annotated[str, typer.Option(help="Classes to score, comma-separated; empty: the survey's")] = "",
    output: Annotated[Path | None, typer.Option(help="Write the scores as JSON, too")] = None,
) -> None:
    """Score a network on the real sets (which it must not have seen), or a table of predictions."""
    if run.is_dir():
        loaded = load_run(run)
        product = PRODUCTS[loaded.recipe.survey]
        steps = step_logits([loaded.network], _real(product, data), loaded.recipe, hide_metadata=True)
        probability = {count: probabilities_at(steps, count) for count in DETECTION_COUNTS}
        classes, target = loaded.recipe.classes, steps.truth
    else:
        if truth is None:
            raise InputError("a table of predictions needs --truth, a table with object_id and class")
        classes, values, target = _read_predictions(run, truth)
        product, probability = ZTF, {0: values}
    chosen = tuple(among.split(",")) if among else product.among
    if unknown := set(chosen) - set(classes):
        raise InputError(f"--among: the model has no class {', '.join(sorted(unknown))}")
    scores = {count: score_at(p, target, classes, chosen) for count, p in probability.items()}
    typer.echo(score_table(scores))
    if output is not None:
        content = {str(count): one.as_json() for count, one in scores.items()}
        output.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")


def calibrate(
    base: Annotated[Path, typer.Option(help="Directory that fit wrote")],
    output: Annotated[Path, typer.Option(help="JSON file for the calibration")],
    data: DataOption = None,
    folds: Annotated[int, typer.Option(min=2)] = 5,
    seed: SeedOption = 0,
) -> None:
    """Fit the calibration on out-of-fold predictions of the transferred network; scores before and after."""
    run = load_run(base)
    product = PRODUCTS[run.recipe.survey]
    plan = TransferPlan(run.recipe, product.config, product.augmentation, Scheme.EVERYTHING, product.dropout)
    result = crossvalidate([run.network], _real(product, data), plan, folds=folds, seed=seed)
    before = {count: probabilities_at(result.hidden, count) for count in DETECTION_COUNTS}
    after = calibrate_by_fold(result.hidden, result.fold, (), ())
    for heading, probability in (("before", before), ("after", after)):
        table = score_table(score_all(probability, result.hidden.truth, run.recipe, product.among))
        typer.echo(f"{heading} calibration\n\n{table}\n")
    found: Calibration = calibrate_steps([result.hidden], [1.0])
    output.write_text(found.model_dump_json(indent=2) + "\n")


def bundle(
    base: Annotated[list[Path], typer.Option(help="Directory of fit; several: an ensemble, distilled")],
    simulation: Annotated[list[Path], typer.Option(help="Parquet the bases were trained on")],
    output: Annotated[Path, typer.Option(help="Directory of the bundle, e.g. service/models/ztf")],
    data: DataOption = None,
    folds: Annotated[int, typer.Option(min=2)] = 5,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
) -> None:
    """Transfer, cross-validate, calibrate, train on everything and write a bundle with its model card."""
    runs = [load_run(one) for one in base]
    recipe = runs[0].recipe
    if any(run.recipe != recipe for run in runs):
        raise InputError("--base: the networks differ in their recipes")
    product = PRODUCTS[recipe.survey]
    made, _ = build_product(
        product, [run.network.to(_device(device)) for run in runs], _real(product, data),
        concatenate([simulated(path, recipe.survey) for path in simulation]),
        recipe=recipe, seed=seed, folds=folds, directory=output,
        base_steps=[step for run in runs for step in run.history],
        journal=Journal(None, Console(stderr=True), title="bundle"),
    )  # fmt: skip
    typer.echo(made.readme)


def _device(name: str) -> torch.device:
    """Give a device that works, or say why not."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: {str(error).splitlines()[0]}") from error
    return device


def _real(product: Product, data: Path | None) -> LightCurves:
    directory = data_directory(data)
    if not directory.is_dir():
        raise InputError(f"{directory}: no data directory; nightjar-train data says where to get the sets")
    return real_ztf(directory) if product.recipe.survey is Survey.ZTF else real_lsst(directory)


def _read_predictions(
    predictions: Path, truth: Path
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.int64]]:
    """Join predictions and true classes by object_id; abstentions and unknown classes are left out."""
    table, labels = read_table(predictions), read_table(truth)
    for path, columns, name in ((predictions, table, "object_id"), (truth, labels, "class")):
        if name not in columns.column_names:
            raise InputError(f"{path}: no column {name!r}")
    known = {"object_id", "n_observations", "n_detections", "status", "reason"}
    classes = tuple(name for name in table.column_names if name not in known)
    values = np.column_stack([column_numbers(table, name) for name in classes])
    of = dict(
        zip(column_text(labels, "object_id"), coarse_classes(column_text(labels, "class")), strict=True)
    )
    index = {name: number for number, name in enumerate(classes)}
    target = np.array([index.get(of.get(name, ""), -1) for name in column_text(table, "object_id")])
    good = (target >= 0) & np.isfinite(values).all(axis=1)
    return classes, values[good], target[good].astype(np.int64)
