"""Small labelled light curves that need no data outside the repository."""

import numpy as np
import pytest

from service.core.alerts import Band, Kind, Survey
from training.data.light_curves import LabelledLightCurves, PhotometryTable, assemble


def toy_light_curves(count: int, seed: int = 0) -> LabelledLightCurves:
    """Two classes that a network can tell: Ia fades in weeks, II stays."""
    generator = np.random.default_rng(seed)
    label = np.array(["Ia", "II"])[np.arange(count) % 2]
    names = np.array([f"toy{index:04d}" for index in range(count)])
    steps = generator.integers(6, 20, count)
    owner = np.repeat(np.arange(count), steps)
    days = np.concatenate([np.sort(generator.uniform(0.0, 60.0, n)) for n in steps])
    fade = np.where(label[owner] == "Ia", np.exp(-days / 15.0), 1.0)
    flux = 1e5 * generator.uniform(0.5, 2.0, count)[owner] * fade
    error = np.full(len(flux), 2000.0)
    return assemble(
        Survey.ZTF,
        "toy",
        {
            "object_id": names,
            "label": label,
            "redshift": np.full(count, 0.05),
            "mwebv": np.full(count, 0.02),
            "ra_deg": np.linspace(0.0, 350.0, count),
            "dec_deg": np.zeros(count),
        },
        PhotometryTable(
            names[owner],
            59000.0 + days,
            flux + generator.normal(0.0, error),
            error,
            np.where(np.arange(len(flux)) % 2 == 0, Band.G, Band.R).astype(np.uint8),
            np.full(len(flux), Kind.DETECTION, np.uint8),
        ),
    )


@pytest.fixture
def toy() -> LabelledLightCurves:
    return toy_light_curves(120)
