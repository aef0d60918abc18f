"""Small valid models with random weights, for tests that need one but not a good one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Survey
from service.core.features.featuriser import FeatureSpec, nightjar_features
from service.core.models.bundle import Bundle, make_bundle, write_bundle
from service.core.models.calibration import Calibration
from service.core.network.spec import DenseSpec, MetadataSpec, NetworkSpec

__all__ = ["CLASS_NAMES", "random_bundle", "random_weights", "write_random_bundle"]

CLASS_NAMES = ("Ia", "Ib/c", "II", "SLSN-I", "TDE", "AGN", "Other")


def random_weights(spec: NetworkSpec, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Draw weights that keep activations of order one, so that every unit matters."""
    generator = np.random.default_rng(seed)
    return {
        name: (generator.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        for name, shape in spec.shapes().items()
    }


def random_bundle(
    *,
    survey: Survey = Survey.ZTF,
    seed: int = 0,
    name: str = "random",
    version: str = "0",
    class_names: Sequence[str] = CLASS_NAMES,
    features: FeatureSpec | None = None,
    gru: tuple[int, ...] = (16, 12),
    metadata: bool = True,
    min_detections: int = 1,
) -> Bundle:
    """Make a bundle with random weights and a calibration that changes with the number of detections.

    ``gru=(100, 100)`` gives the size of the paper's network.
    """
    features = features or nightjar_features()
    n_classes = len(class_names)
    network = NetworkSpec(
        n_inputs=len(features.columns),
        gru=gru,
        trunk=(DenseSpec(size=gru[-1], activation="tanh"),),
        metadata=MetadataSpec(
            columns=("log_redshift", "mwebv"), layers=(DenseSpec(size=8, activation="relu"),)
        )
        if metadata
        else None,
        head=(DenseSpec(size=gru[-1], activation="relu"), DenseSpec(size=9, activation="relu")),
        n_classes=n_classes,
    )
    slope = tuple(0.1 * index for index in range(n_classes))
    calibration = Calibration(
        first_detections=(1, 3, 10),
        temperature=(2.0, 1.0, 0.8),
        bias=(slope, (0.0,) * n_classes, slope[::-1]),
    )
    return make_bundle(
        name=name,
        version=version,
        survey=survey,
        class_names=class_names,
        features=features,
        network=network,
        calibration=calibration,
        weights=random_weights(network, seed),
        min_detections=min_detections,
        provenance={"data": "none: random weights", "seed": seed},
        readme=f"# {name}\n\nRandom weights, seed {seed}.\n",
    )


def write_random_bundle(
    directory: Path, *, survey: Survey = Survey.ZTF, seed: int = 0, name: str = "random", version: str = "0"
) -> Path:
    """Write a small valid bundle and give its directory back; the same arguments write the same bytes."""
    write_bundle(random_bundle(survey=survey, seed=seed, name=name, version=version), directory)
    return directory
