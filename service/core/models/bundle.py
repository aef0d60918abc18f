"""Model bundles: a directory with ``bundle.json``, ``weights.safetensors`` and ``README.md``.

A bundle is rejected as a whole if anything is wrong with it: unknown keys, an unsupported feature version, a
class without a taxonomy id, or weights that do not match their hash, names, shapes or types.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import orjson
from pydantic import JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from service.core.alerts import Survey
from service.core.features.featuriser import FeatureSpec, Featuriser
from service.core.models.calibration import Calibration
from service.core.models.card import FORMAT_VERSION, BundleCard, ModelClass
from service.core.models.files import (
    CARD_FILE,
    WEIGHTS_FILE,
    BundleFiles,
    find_bundle_directory,
    read_bundle_files,
    shipped_bundles,
    write_bundle_files,
)
from service.core.network.spec import NetworkSpec, Weights, check_weights
from service.core.taxonomy import CLASS_IDS
from service.errors import BundleError, UnknownBundleError

__all__ = [
    "Bundle",
    "BundleCard",
    "ModelClass",
    "load_bundle",
    "make_bundle",
    "shipped_bundles",
    "write_bundle",
]


@dataclass(frozen=True)
class Bundle:
    """A validated model.

    Attributes
    ----------
    card
        Content of ``bundle.json``.
    weights
        Read-only float32 arrays by name.
    readme
        Human-readable model card, Markdown.
    """

    card: BundleCard
    weights: Weights = field(repr=False)
    readme: str = field(repr=False)

    @cached_property
    def digest(self) -> int:
        """Identifier of the model: the first 8 bytes, big-endian, of a SHA-256 of its card.

        The card includes the hash of the weights, so the digest covers everything that determines a
        classification. It does not depend on the formatting of the file.
        """
        content = orjson.dumps(self.card.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
        return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")

    @property
    def name(self) -> str:
        """Published name."""
        return self.card.name

    @property
    def version(self) -> str:
        """Published version."""
        return self.card.version

    @property
    def survey(self) -> Survey:
        """Survey that the model was trained for."""
        return self.card.survey

    @property
    def classes(self) -> tuple[ModelClass, ...]:
        """Classes in the order of the outputs."""
        return self.card.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the outputs."""
        return tuple(model_class.name for model_class in self.card.classes)

    @property
    def class_ids(self) -> tuple[int, ...]:
        """Taxonomy ids in the order of the outputs; classes finer than the taxonomy share an id."""
        return tuple(model_class.class_id for model_class in self.card.classes)

    @property
    def feature_version(self) -> int:
        """Published version of the features."""
        return self.card.features.version

    @property
    def network(self) -> NetworkSpec:
        """Architecture of the network."""
        return self.card.network

    @property
    def calibration(self) -> Calibration:
        """Calibration that turns logits into probabilities."""
        return self.card.calibration

    @property
    def window_days(self) -> tuple[float, float]:
        """First and last day relative to the trigger that the model was trained on."""
        return self.card.features.window_days

    @property
    def min_detections(self) -> int:
        """Minimum number of detections for a classification."""
        return self.card.min_detections

    @cached_property
    def featuriser(self) -> Featuriser:
        """Featuriser that turns light curves into the network's input."""
        return Featuriser(self.card.features, self.card.survey)


def make_bundle(
    *,
    name: str,
    version: str,
    survey: Survey,
    class_names: Sequence[str],
    features: FeatureSpec,
    network: NetworkSpec,
    calibration: Calibration,
    weights: Weights,
    min_detections: int = 1,
    provenance: dict[str, JsonValue] | None = None,
    readme: str = "",
) -> Bundle:
    """Build a bundle in memory.

    Parameters
    ----------
    name, version
        As published with every classification.
    survey
        Survey that the model was trained for.
    class_names
        Names of `service.core.taxonomy.CLASS_IDS`, in the order of the network's outputs.
    features, network, calibration
        Input, architecture and calibration of the network.
    weights
        float32 arrays by the names of `NetworkSpec.shapes`.
    min_detections
        Light curves with fewer detections are not classified.
    provenance
        Where the model comes from: data, counts, seeds, metrics, licence.
    readme
        Human-readable model card, Markdown.

    Raises
    ------
    BundleError
        If the parts do not match each other.
    """
    content = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "version": version,
        "survey": survey.value,
        "classes": [{"name": label, "class_id": CLASS_IDS.get(label, 0)} for label in class_names],
        "features": features.model_dump(mode="json"),
        "network": network.model_dump(mode="json"),
        "calibration": calibration.model_dump(mode="json"),
        "min_detections": min_detections,
        "weights_sha256": hashlib.sha256(_weights_bytes(weights)).hexdigest(),
        "provenance": provenance or {},
    }
    card = _parse_card(orjson.dumps(content), name)
    return Bundle(card, check_weights(card.network, weights), readme)


def write_bundle(bundle: Bundle, directory: Path) -> None:
    """Write a bundle to disk.

    Parameters
    ----------
    bundle
        The model.
    directory
        Created if missing; existing files of the same names are replaced.

    Raises
    ------
    OSError
        If the directory or a file cannot be written.
    """
    card = orjson.dumps(bundle.card.model_dump(mode="json"), option=orjson.OPT_INDENT_2) + b"\n"
    write_bundle_files(directory, BundleFiles(card, _weights_bytes(bundle.weights), bundle.readme))


def load_bundle(source: str | Path) -> Bundle:
    """Load a bundle.

    Parameters
    ----------
    source
        The name of a shipped bundle, or a directory.

    Raises
    ------
    UnknownBundleError
        If there is no such bundle.
    BundleError
        If the bundle is invalid or cannot be read; the message contains `source` and the reason.
    """
    directory = find_bundle_directory(source)
    if directory is None:
        names = ", ".join(sorted(shipped_bundles())) or "none"
        raise UnknownBundleError(
            f"model {str(source)!r} is neither a directory with a {CARD_FILE} nor shipped (shipped: {names})"
        )
    try:
        content = read_bundle_files(directory)
    except OSError as error:
        raise BundleError(f"model {str(source)!r} cannot be read: {error}") from error
    return _parse(content, str(source))


def _parse(content: BundleFiles, source: str) -> Bundle:
    card = _parse_card(content.card, source)
    if hashlib.sha256(content.weights).hexdigest() != card.weights_sha256:
        raise BundleError(f"model {source!r}: {WEIGHTS_FILE} does not match weights_sha256 of {CARD_FILE}")
    try:
        weights = check_weights(card.network, load_safetensors(content.weights))
    except (SafetensorError, BundleError) as error:
        raise BundleError(f"model {source!r}: {error}") from error
    return Bundle(card, weights, content.readme)


def _parse_card(content: bytes, source: str) -> BundleCard:
    try:
        return BundleCard.model_validate_json(content)
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc']) or CARD_FILE}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise BundleError(f"model {source!r}: {'; '.join(faults)}") from error


def _weights_bytes(weights: Weights) -> bytes:
    # Sorted by name, so that equal weights give equal bytes.
    return save_safetensors({name: weights[name] for name in sorted(weights)})
