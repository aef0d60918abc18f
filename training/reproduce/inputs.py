"""Inputs of the experiments: simulations, real light curves, base networks."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rich.console import Console

from service.core.alerts import Survey
from training.data.labels import PAPER_CLASSES
from training.data.light_curves import LabelledLightCurves
from training.data.real import REAL_ZTF_CLASSES, REAL_ZTF_SETS, read_real_ztf
from training.data.simulated import read_simulated_like_real
from training.data.split import Split, stratified_split
from training.model.crossvalidation import fresh_network
from training.model.fit import fit
from training.model.journal import Journal
from training.model.recipes import BASE_AUGMENTATION, ModelRecipe
from training.model.runs import Run, load_run, save_run
from training.reproduce.methods import LSST, REAL, Method, method_config, method_recipe
from training.reproduce.scale import Scale
from training.simulation.generate import chunks, generate_chunk
from training.simulation.light_curves import write_parquet
from training.simulation.recipe import file_metadata, make_recipe

__all__ = ["MEMBERS", "Target", "experiments", "load_base", "load_target", "make_base", "simulate"]

# Which of the paper's 12 classes the five of real ZTF consist of (the sets count IIb as II).
MEMBERS = {"Ia": ("Ia", "91bg", "Iax"), "Ib/c": ("Ib", "Ic", "Ic-BL"), "II": ("II", "IIn", "IIb")}
# Seeds of the two simulations and of the base networks.
SIMULATION_SEED = {Survey.ZTF: 101, Survey.LSST: 102}
BASE_SEED = 103
BASE_VALIDATION = 1500
BASE_BATCH_SIZE = 128


@dataclass(frozen=True, slots=True)
class Target:
    """The labelled light curves of an experiment, and how they are split.

    Attributes
    ----------
    curves, classes, survey
        Objects, the names of their classes, and whose bands they have.
    sizes
        Numbers of labels, ascending.
    validation, test
        Numbers of objects; None: all the others.
    """

    curves: LabelledLightCurves
    classes: tuple[str, ...]
    survey: Survey
    sizes: tuple[int, ...]
    validation: int
    test: int | None

    def split(self, seed: int) -> Split:
        """Return the split of a seed.

        Parameters
        ----------
        seed
            Each seed has its own split.
        """
        return stratified_split(
            self.curves.label, pool=self.sizes[-1], validation=self.validation, test=self.test, seed=seed
        )


def experiments(data: Path) -> tuple[str, ...]:
    """Return the experiments that a data directory allows: real ZTF needs its light curves.

    Parameters
    ----------
    data
        Data directory.
    """
    complete = all((data / name).is_dir() for name in REAL_ZTF_SETS)
    return (REAL, LSST) if complete else (LSST,)


def simulate(work: Path, survey: Survey, count: int, data: Path, console: Console | None) -> None:
    """Simulate the 12 classes in equal shares, unless the file exists.

    Parameters
    ----------
    work
        Directory of the experiments.
    survey
        ZTF or LSST.
    count
        Number of light curves.
    data
        Data directory; its templates are used if it has any.
    console
        Where progress is shown; None: nowhere.
    """
    path = _simulation_path(work, survey)
    if path.exists():
        return
    recipe = make_recipe(
        survey,
        count,
        SIMULATION_SEED[survey],
        classes=",".join(PAPER_CLASSES),
        selection="bright",
        min_detections=3,
        detections_only=True,
        # A data directory without templates is of no use here.
        data=data if (data / "sed_templates").is_dir() else None,
    )
    journal = Journal(None, console, title=f"simulate {survey.value}")
    work_list = chunks(recipe)
    indices = journal.progress(range(len(work_list)), total=len(work_list))
    partial = path.with_suffix(".partial")
    write_parquet(partial, (generate_chunk(work_list[i]) for i in indices), file_metadata(recipe))
    partial.replace(path)


@lru_cache(maxsize=2)
def load_target(experiment: str, scale: Scale, work: Path, data: Path) -> Target:
    """Read an experiment's target, once per process.

    Parameters
    ----------
    experiment
        `REAL` or `LSST`.
    scale
        Numbers of objects.
    work
        Directory of the experiments.
    data
        Data directory.
    """
    if experiment == REAL:
        curves = read_real_ztf(data)
        return Target(curves, REAL_ZTF_CLASSES, Survey.ZTF, scale.real_sizes, scale.real_validation, None)
    curves = _read_simulation(work, Survey.LSST)
    return Target(
        curves, PAPER_CLASSES, Survey.LSST, scale.lsst_sizes, scale.lsst_validation, scale.lsst_test
    )


def make_base(work: Path, method: Method, scale: Scale, console: Console | None) -> None:
    """Train a base on simulated ZTF light curves of the 12 classes, unless it exists.

    Parameters
    ----------
    work
        Directory of the experiments.
    method
        Input, network, loss and optimiser.
    scale
        Numbers of objects and epochs.
    console
        Where progress is shown; None: nowhere.
    """
    directory = _base_path(work, paper=method.paper)
    if (directory / "run.json").exists():
        return
    curves = _read_simulation(work, Survey.ZTF)
    parts = stratified_split(
        curves.label,
        pool=len(curves) * 9 // 10,
        validation=min(BASE_VALIDATION, len(curves) // 12),
        test=0,
        seed=BASE_SEED,
    )
    train, validation = curves.take(parts.pool), curves.take(parts.validation)
    recipe: ModelRecipe = method_recipe(method, Survey.ZTF, PAPER_CLASSES, scale.hidden)
    config = method_config(
        method,
        epochs=scale.base_epochs,
        patience=scale.patience,
        max_steps=scale.max_steps,
        objects_per_epoch=scale.base_objects,
        seed=BASE_SEED,
    ).model_copy(update={"learning_rate": 1e-3 if method.paper else 3e-3, "batch_size": BASE_BATCH_SIZE})
    network = fresh_network(recipe, train, dropout=0.0 if method.paper else 0.1, seed=BASE_SEED)
    result = fit(
        network,
        train,
        recipe.featuriser,
        recipe.classes,
        config,
        validation=validation,
        augmentation=None if method.paper else BASE_AUGMENTATION[Survey.ZTF],
        journal=Journal(directory / "log.jsonl", console, title=directory.name),
        checkpoint=directory / "checkpoint.pt",
    )
    step = f"{len(train)} simulated light curves, macro AUROC {result.best_score:.3f} on others."
    save_run(Run(network, recipe, (step,)), directory, config=config)


@lru_cache(maxsize=2)
def load_base(work: Path, *, paper: bool) -> Run:
    """Read a base, once per process.

    Parameters
    ----------
    work
        Directory of the experiments.
    paper
        The paper's network instead of ours.
    """
    return load_run(_base_path(work, paper=paper))


def _base_path(work: Path, *, paper: bool) -> Path:
    return work / ("base-paper" if paper else "base-ours")


def _simulation_path(work: Path, survey: Survey) -> Path:
    return work / f"simulated-{survey.value}.parquet"


@lru_cache(maxsize=2)
def _read_simulation(work: Path, survey: Survey) -> LabelledLightCurves:
    """Read a simulation with the simulator's own classes, once per process."""
    return read_simulated_like_real(_simulation_path(work, survey), survey, fine=True)
