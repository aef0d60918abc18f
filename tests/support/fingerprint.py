"""Print a hash of many classifications; run as a process of its own on other (pretended) processors."""

import hashlib

import numpy as np

from service.core.alerts import Survey
from service.core.classifier import LightCurveBatch, ObjectClassifier
from service.core.features.columns import COLUMNS
from service.core.features.featuriser import FeatureSpec, pack
from tests.support.bundles import random_bundle
from tests.support.curves import random_light_curve

__all__ = ["fingerprint"]

N = 200


def fingerprint() -> str:
    """Classify random light curves with every feature there is, and hash all that comes out."""
    bundle = random_bundle(survey=Survey.LSST, features=FeatureSpec(columns=tuple(COLUMNS)))
    classifier = ObjectClassifier(bundle)
    generator = np.random.default_rng(1)
    lengths = generator.integers(1, 60, N).tolist()
    rows, offsets = pack([random_light_curve(generator, n, (0, 1, 2, 3, 4, 5)) for n in lengths])
    redshift = generator.uniform(0, 1, N).astype(np.float32)
    batch = LightCurveBatch(rows, offsets, np.full(N, np.inf), redshift, redshift)
    result = classifier.classify(batch, classifier.empty_batch(N))
    return hashlib.sha256(result.hidden.tobytes() + result.probability.tobytes()).hexdigest()


if __name__ == "__main__":
    print(fingerprint())  # noqa: T201  what it is for
