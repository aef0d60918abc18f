"""What to simulate, made of a command's options."""

import json
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from service.core.alerts import BAND_NAMES, Band, Kind, Survey
from service.errors import InputError
from training.simulation.sources.populations import CLASS_NAMES
from training.simulation.survey.selection import Selection, bright_transients, every_alert

__all__ = ["SimulationRecipe", "class_counts", "file_metadata", "make_recipe"]


@dataclass(frozen=True, slots=True)
class SimulationRecipe:
    """What to simulate; equal recipes give equal light curves.

    Attributes
    ----------
    survey
        ZTF or LSST.
    counts
        Pairs of a class and its number of objects.
    seed
        Of everything.
    selection
        Which objects the sample contains, and which of their rows.
    data_dir
        Directory with templates, bandpasses, visits; None: formulas instead.
    bands
        None: the survey's usual ones.
    """

    survey: Survey
    counts: tuple[tuple[str, int], ...]
    seed: int
    selection: Selection
    data_dir: Path | None = None
    bands: tuple[Band, ...] | None = None


def make_recipe(
    survey: Survey,
    count: int,
    seed: int,
    *,
    classes: str = "all",
    selection: str = "alerts",
    min_detections: int = 3,
    bands: str = "",
    detections_only: bool = False,
    data: Path | None = None,
    days_after: float = 400.0,
) -> SimulationRecipe:
    """Return the recipe that a command's options describe.

    Parameters
    ----------
    survey
        ZTF or LSST.
    count
        Number of objects.
    seed
        Of everything.
    classes
        ``all``, or names with optional weights, as for `class_counts`.
    selection
        ``bright`` or ``alerts``.
    min_detections
        Objects with fewer are left out.
    bands
        Letters such as ``gri``; empty: the survey's usual ones.
    detections_only
        Leave out forced photometry and upper limits.
    data
        Directory with templates, bandpasses, visits; None: formulas instead.
    days_after
        Days for which an object is followed after its trigger.

    Raises
    ------
    InputError
        An option is not valid; the message lists the values that are.
    """
    rules = {"bright": bright_transients, "alerts": every_alert}
    if selection not in rules:
        raise InputError(f"unknown selection {selection!r}: choose bright or alerts")
    if data is not None and not data.is_dir():
        raise InputError(f"no such data directory: {data}")
    sample = replace(rules[selection](survey, min_detections), days_after=days_after)
    if detections_only:
        sample = replace(sample, kinds=(Kind.DETECTION,))
    unknown = [letter for letter in bands if letter not in BAND_NAMES]
    if unknown:
        raise InputError(f"unknown band {unknown[0]!r}: choose among {''.join(BAND_NAMES)}")
    return SimulationRecipe(
        survey=survey,
        counts=class_counts(classes, count),
        seed=seed,
        selection=sample,
        data_dir=data,
        bands=tuple(Band(BAND_NAMES.index(letter)) for letter in bands) or None,
    )


def class_counts(classes: str, count: int) -> tuple[tuple[str, int], ...]:
    """Return the number of objects of each class; ``Ia:3,II`` assigns three quarters of them to Ia.

    Parameters
    ----------
    classes
        Comma-separated names with optional weights, or ``all``.
    count
        Sum of the numbers.

    Raises
    ------
    InputError
        A class is unknown, or a weight is not a number.
    """
    weights: dict[str, float] = {}
    for item in CLASS_NAMES if classes == "all" else classes.split(","):
        name, _, weight = item.strip().partition(":")
        if name not in CLASS_NAMES:
            raise InputError(f"unknown class {name!r}: choose among {', '.join(CLASS_NAMES)}")
        try:
            weights[name] = float(weight or 1)
        except ValueError as error:
            raise InputError(f"class {name}: {weight!r} is not a number") from error
    share = np.cumsum(list(weights.values())) / sum(weights.values())
    bounds = np.rint(np.concatenate([[0.0], share]) * count).astype(int)
    return tuple((name, int(n)) for name, n in zip(weights, np.diff(bounds), strict=True))


def file_metadata(recipe: SimulationRecipe) -> dict[str, str]:
    """Return how a sample was made, as the metadata of its Parquet file.

    Parameters
    ----------
    recipe
        Of the sample.
    """
    settings = {
        "counts": dict(recipe.counts),
        "bands": [band.name.lower() for band in recipe.bands] if recipe.bands else None,
        "selection": asdict(recipe.selection),
        "templates": "data directory" if recipe.data_dir is not None else "parametric",
    }
    return {
        "nightjar.survey": recipe.survey.value,
        "nightjar.seed": str(recipe.seed),
        "nightjar.version": version("nightjar"),
        "nightjar.settings": json.dumps(settings, default=list),
    }
