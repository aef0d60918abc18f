"""The schema of ``bundle.json``."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from service.core.alerts import Survey
from service.core.features.featuriser import FeatureSpec
from service.core.models.calibration import Calibration
from service.core.network.spec import NetworkSpec
from service.core.taxonomy import CLASS_IDS

__all__ = ["FORMAT_VERSION", "BundleCard", "ModelClass"]

FORMAT_VERSION = 1
"""Layout of ``bundle.json``."""


class ModelClass(BaseModel):
    """One class of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    class_id: int

    @model_validator(mode="after")
    def check(self) -> Self:
        """Reject an id that is not the taxonomy id of the name."""
        expected = CLASS_IDS.get(self.name)
        if expected is None:
            raise ValueError(f"class {self.name!r} has no taxonomy id")
        if expected != self.class_id:
            raise ValueError(f"class {self.name!r} has taxonomy id {expected}, not {self.class_id}")
        return self


class BundleCard(BaseModel):
    """The content of ``bundle.json``.

    Attributes
    ----------
    format_version
        Layout of this file; only `FORMAT_VERSION` is supported.
    name, version
        As published with every classification.
    survey
        Survey that the network was trained for; models of ``lsst`` also classify ELAsTiCC.
    classes
        In the order of the network's outputs.
    min_detections
        Light curves with fewer detections are not classified.
    weights_sha256
        SHA-256 of the weights file, 64 hex digits.
    provenance
        Where the model comes from: data, counts, seeds, metrics, licence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    format_version: Literal[1]
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")
    survey: Survey
    classes: tuple[ModelClass, ...] = Field(min_length=2)
    features: FeatureSpec
    network: NetworkSpec
    calibration: Calibration
    min_detections: int = Field(ge=1)
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    provenance: dict[str, JsonValue]

    @model_validator(mode="after")
    def check(self) -> Self:
        """Reject parts that do not match each other."""
        names = [model_class.name for model_class in self.classes]
        if len(set(names)) < len(names):
            raise ValueError("a class is listed twice")
        if self.network.n_classes != len(names):
            raise ValueError(f"the network has {self.network.n_classes} outputs for {len(names)} classes")
        if self.calibration.n_classes != len(names):
            raise ValueError(f"the calibration has {self.calibration.n_classes} of {len(names)} classes")
        if self.network.n_inputs != len(self.features.columns):
            raise ValueError(
                f"the network has {self.network.n_inputs} inputs for {len(self.features.columns)} columns"
            )
        return self
