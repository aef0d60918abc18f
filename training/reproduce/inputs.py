"""What the experiments are made of: simulations, real light curves, base networks."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rich.console import Console

from service.core.alerts import Survey
from training.data.labels import PAPER_CLASSES
from training.data.light_curves import LightCurves
from training.model.crossvalidation import fresh_network
from training.model.fit import fit
from training.model.journal import Journal
from training.model.products import ZTF_SETS, real_ztf, simulated
from training.model.recipes import BASE_AUGMENTATION
from training.model.runs import Run, load_run, save_run
from training.reproduce.methods import LSST, REAL, Method, configuration, recipe
from training.reproduce.scale import Scale
from training.reproduce.splits import Split, split
from training.simulation.generate import chunks, generate_chunk
from training.simulation.light_curves import write_parquet
from training.simulation.recipe import make_recipe, metadata

__all__ = ["MEMBERS", "REAL_CLASSES", "Target", "experiments", "load_base", "make_base", "simulate", "target"]

REAL_CLASSES = ("Ia", "Ib/c", "II", "SLSN-I", "TDE")
# Which of the paper's 12 classes the five of real ZTF consist of (IIb with II, as the sets count it).
MEMBERS = {"Ia": ("Ia", "91bg", "Iax"), "Ib/c": ("Ib", "Ic", "Ic-BL"), "II": ("II", "IIn", "IIb")}
# Seeds of the two simulations and of the base networks.
SIMULATION_SEED = {Survey.ZTF: 101, Survey.LSST: 102}
BASE_SEED = 103
BASE_VALIDATION = 1500


@dataclass(frozen=True, slots=True)
class Target:
    """One experiment's labelled light curves, and how they are divided."""

    curves: LightCurves
    classes: tuple[str, ...]
    survey: Survey
    sizes: tuple[int, ...]
    validation: int
    test: int | None

    def split(self, seed: int) -> Split:
        """Divide the objects anew for each seed."""
        return split(
            self.curves.label, pool=self.sizes[-1], validation=self.validation, test=self.test, seed=seed
        )


def experiments(data: Path) -> tuple[str, ...]:
    """Name the experiments that can be made: real ZTF only where its light curves are."""
    here = all((data / name).is_dir() for name in ZTF_SETS)
    return (REAL, LSST) if here else (LSST,)


def simulation_path(work: Path, survey: Survey) -> Path:
    """Say where the simulation of a survey is kept."""
    return work / f"simulated-{survey.value}.parquet"


def simulate(work: Path, survey: Survey, count: int, data: Path, console: Console | None) -> None:
    """Simulate the 12 classes in equal shares, unless that was done before."""
    path = simulation_path(work, survey)
    if path.exists():
        return
    # A data directory without templates is as good as none.
    templates = data if (data / "sed_templates").is_dir() else None
    plan = make_recipe(
        survey, count, SIMULATION_SEED[survey], ",".join(PAPER_CLASSES), "bright",
        min_detections=3, detections_only=True, data=templates,
    )  # fmt: skip
    journal = Journal(None, console, title=f"simulate {survey.value}")
    work_list = chunks(plan)
    parts = (
        generate_chunk(work_list[index])
        for index in journal.progress(range(len(work_list)), total=len(work_list))
    )
    partial = path.with_suffix(".partial")
    write_parquet(partial, parts, metadata(plan))
    partial.replace(path)


@lru_cache(maxsize=2)
def simulation(work: Path, survey: Survey) -> LightCurves:
    """Read a simulation with the simulator's own classes."""
    return simulated(simulation_path(work, survey), survey, fine=True)


@lru_cache(maxsize=2)
def target(experiment: str, scale: Scale, work: Path, data: Path) -> Target:
    """Read an experiment's target, once a process."""
    if experiment == REAL:
        curves = real_ztf(data)
        return Target(curves, REAL_CLASSES, Survey.ZTF, scale.real_sizes, scale.real_validation, None)
    curves = simulation(work, Survey.LSST)
    return Target(
        curves, PAPER_CLASSES, Survey.LSST, scale.lsst_sizes, scale.lsst_validation, scale.lsst_test
    )


def base_path(work: Path, method: Method) -> Path:
    """Say where the base of a method is kept."""
    return work / ("base-paper" if method.paper else "base-ours")


def make_base(work: Path, method: Method, scale: Scale, console: Console | None) -> None:
    """Train a base on simulated ZTF light curves of the 12 classes, unless that was done before."""
    directory = base_path(work, method)
    if (directory / "run.json").exists():
        return
    curves = simulation(work, Survey.ZTF)
    order = split(
        curves.label, pool=len(curves) * 9 // 10, validation=min(BASE_VALIDATION, len(curves) // 12),
        test=0, seed=BASE_SEED,
    )  # fmt: skip
    train, validation = curves.take(order.pool), curves.take(order.validation)
    ours = recipe(method, Survey.ZTF, PAPER_CLASSES, scale.hidden)
    config = configuration(
        method, epochs=scale.base_epochs, patience=scale.patience, max_steps=scale.max_steps,
        objects_per_epoch=scale.base_objects, seed=BASE_SEED,
    ).model_copy(update={"learning_rate": 1e-3 if method.paper else 3e-3, "batch_size": 128})  # fmt: skip
    network = fresh_network(ours, train, dropout=0.0 if method.paper else 0.1, seed=BASE_SEED)
    result = fit(
        network, train, ours.featuriser, ours.classes, config, validation=validation,
        augmentation=None if method.paper else BASE_AUGMENTATION[Survey.ZTF],
        journal=Journal(directory / "log.jsonl", console, title=directory.name),
        checkpoint=directory / "checkpoint.pt",
    )  # fmt: skip
    story = f"{len(train)} simulated light curves, macro AUROC {result.best_score:.3f} on others."
    save_run(Run(network, ours, (story,)), directory, config=config)


@lru_cache(maxsize=2)
def load_base(work: Path, paper: bool) -> Run:
    """Read a base, once a process."""
    return load_run(work / ("base-paper" if paper else "base-ours"))
