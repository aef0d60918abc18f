"""Model bundles: a directory with ``bundle.json``, ``weights.safetensors`` and ``README.md``.

A bundle is loaded whole or refused: unknown keys, a feature version this program does not compute, a
class without a taxonomy id, weights that do not match their hash, name, shape or type.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
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

CARD_FILE = "bundle.json"
WEIGHTS_FILE = "weights.safetensors"
README_FILE = "README.md"


@dataclass(frozen=True)
class Bundle:
    """A model, checked.

    Attributes
    ----------
    card
        What ``bundle.json`` says.
    weights
        Read-only float32 arrays by name.
    readme
        The model card for people, Markdown.
    """

    card: BundleCard
    weights: Weights = field(repr=False)
    readme: str = field(repr=False)

    @cached_property
    def digest(self) -> int:
        """First 8 bytes of a SHA-256, big-endian, over all that decides a classification's meaning.

        That is the card, its hash of the weights included, in a form that does not depend on the layout
        of the file.
        """
        content = orjson.dumps(self.card.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
        return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")

    @property
    def name(self) -> str:
        """Name as published."""
        return self.card.name

    @property
    def version(self) -> str:
        """Version as published."""
        return self.card.version

    @property
    def survey(self) -> Survey:
        """Survey the model is for."""
        return self.card.survey

    @property
    def classes(self) -> tuple[ModelClass, ...]:
        """Classes in the order of the outputs."""
        return self.card.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of the outputs."""
        return tuple(one.name for one in self.card.classes)

    @property
    def class_ids(self) -> tuple[int, ...]:
        """Taxonomy ids in the order of the outputs; finer classes of ours may share one."""
        return tuple(one.class_id for one in self.card.classes)

    @property
    def feature_version(self) -> int:
        """Version of the features as published."""
        return self.card.features.version

    @property
    def network(self) -> NetworkSpec:
        """What the network is made of."""
        return self.card.network

    @property
    def calibration(self) -> Calibration:
        """How logits become probabilities."""
        return self.card.calibration

    @property
    def window_days(self) -> tuple[float, float]:
        """First and last day about the trigger that the model was trained on."""
        return self.card.features.window_days

    @property
    def min_detections(self) -> int:
        """Light curves with fewer are not classified."""
        return self.card.min_detections

    @cached_property
    def featuriser(self) -> Featuriser:
        """How light curves become the network's input."""
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
    """Put a bundle together in memory.

    Raises
    ------
    BundleError
        If its parts do not fit together.
    """
    content = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "version": version,
        "survey": survey.value,
        "classes": [{"name": one, "class_id": CLASS_IDS.get(one, 0)} for one in class_names],
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
    """Write a bundle; the directory is made, files in it that have the same names are replaced."""
    directory.mkdir(parents=True, exist_ok=True)
    card = orjson.dumps(bundle.card.model_dump(mode="json"), option=orjson.OPT_INDENT_2)
    (directory / WEIGHTS_FILE).write_bytes(_weights_bytes(bundle.weights))
    (directory / CARD_FILE).write_bytes(card + b"\n")
    (directory / README_FILE).write_text(bundle.readme, encoding="utf-8")


def shipped_bundles() -> dict[str, Traversable]:
    """Give the bundles that come with the package, by name."""
    models = resources.files("service") / "models"
    if not models.is_dir():
        return {}
    return {one.name: one for one in models.iterdir() if one.is_dir() and (one / CARD_FILE).is_file()}


def load_bundle(source: str | Path) -> Bundle:
    """Load a bundle.

    Parameters
    ----------
    source
        The name of a shipped bundle, or a directory.

    Raises
    ------
    UnknownBundleError
        If there is none.
    BundleError
        If it must not be loaded; the message names the bundle and says why.
    """
    shipped = shipped_bundles()
    directory = shipped[source] if isinstance(source, str) and source in shipped else Path(source)
    if not (directory / CARD_FILE).is_file():
        known = ", ".join(sorted(shipped)) or "none"
        raise UnknownBundleError(
            f"model {str(source)!r} is neither a directory with a {CARD_FILE} nor shipped (shipped: {known})"
        )
    try:
        return _load(directory, str(source))
    except OSError as error:
        raise BundleError(f"model {str(source)!r} cannot be read: {error}") from error


def _load(directory: Traversable, source: str) -> Bundle:
    card = _parse_card((directory / CARD_FILE).read_bytes(), source)
    content = (directory / WEIGHTS_FILE).read_bytes()
    if hashlib.sha256(content).hexdigest() != card.weights_sha256:
        raise BundleError(f"model {source!r}: {WEIGHTS_FILE} does not match weights_sha256 of {CARD_FILE}")
    try:
        weights = check_weights(card.network, load_safetensors(content))
    except (SafetensorError, BundleError) as error:
        raise BundleError(f"model {source!r}: {error}") from error
    readme = directory / README_FILE
    return Bundle(card, weights, readme.read_text(encoding="utf-8") if readme.is_file() else "")


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
    # Sorted, so that equal weights give equal bytes.
    return save_safetensors({name: weights[name] for name in sorted(weights)})
