"""Small simulated samples, made on a bare machine (no data directory)."""

import os
from pathlib import Path

import pytest

from service.core.alerts import Survey
from training.simulation.generate import generate
from training.simulation.light_curves import SimulatedLightCurves, concatenate
from training.simulation.recipe import make_recipe

REPOSITORY = Path(__file__).parents[3]


def bare_sample(
    survey: Survey, count: int = 26, seed: int = 3, days_after: float = 400.0
) -> SimulatedLightCurves:
    return concatenate(list(generate(make_recipe(survey, count, seed, days_after=days_after))))


@pytest.fixture(scope="session")
def ztf_sample() -> SimulatedLightCurves:
    return bare_sample(Survey.ZTF, days_after=90.0)


@pytest.fixture(scope="session")
def lsst_sample() -> SimulatedLightCurves:
    return bare_sample(Survey.LSST, days_after=90.0)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Give the directory with templates, bandpasses and visit lists."""
    shared = Path(os.environ.get("NIGHTJAR_SHARED", REPOSITORY.parent / "shared"))
    directory = Path(os.environ.get("NIGHTJAR_TRAINING_DATA", shared / "lightcurves"))
    if not (directory / "sed_templates").is_dir():
        pytest.skip(f"no template files in {directory}")
    return directory
