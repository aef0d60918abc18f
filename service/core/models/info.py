"""What is stored and published about a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from service.core.alerts import Survey
from service.core.models.bundle import Bundle

__all__ = ["ModelInfo"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that some worker has used; a stored classification names it by its digest.

    Attributes
    ----------
    digest
        First 8 bytes of the bundle's digest, as in `service.core.classification.Classification.model`.
    survey
        The survey whose light curves it was trained on.
    name, version, feature_version
        As in the model's bundle.
    classes
        (taxonomy id, class name) in the order of the model's outputs.
    """

    digest: int
    survey: Survey
    name: str
    version: str
    feature_version: int
    classes: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """Return what is stored of a loaded model.

        Parameters
        ----------
        bundle
            The model.
        """
        classes = tuple(zip(bundle.class_ids, bundle.class_names, strict=True))
        return cls(bundle.digest, bundle.survey, bundle.name, bundle.version, bundle.feature_version, classes)

    @classmethod
    def from_fields(cls, digest: int, fields: Mapping[str, Any]) -> Self:
        """Return a model from its stored fields, the inverse of `fields`.

        Parameters
        ----------
        digest
            Of the model.
        fields
            As read from JSON.

        Raises
        ------
        KeyError, TypeError, ValueError
            These are not the fields of a model.
        """
        classes = tuple((int(class_id), str(name)) for class_id, name in fields["classes"])
        return cls(
            digest,
            Survey(fields["survey"]),
            fields["name"],
            fields["version"],
            fields["feature_version"],
            classes,
        )

    def fields(self) -> dict[str, Any]:
        """Return all fields but the digest, ready for JSON."""
        return {
            "survey": self.survey.value,
            "name": self.name,
            "version": self.version,
            "feature_version": self.feature_version,
            "classes": self.classes,
        }

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the model's outputs."""
        return tuple(name for _, name in self.classes)
