"""Models for services under test, as the settings that name them."""

from pathlib import Path

from service.core.alerts import Survey
from tests.support.bundles import write_random_bundle

__all__ = ["model_settings"]


def model_settings(directory: Path) -> dict[str, str]:
    """Write a small model of random weights for each survey that has one of its own."""
    return {
        "ztf_model": str(write_random_bundle(directory / "ztf", survey=Survey.ZTF, name="ztf-test")),
        "lsst_model": str(write_random_bundle(directory / "lsst", survey=Survey.LSST, name="lsst-test")),
    }
