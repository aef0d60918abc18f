"""Models, and the schemas of what is published."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from . import fields

__all__ = ["Model", "ModelClass", "ModelList", "Schema", "SchemaList"]

_MODEL: dict[str, Any] = {
    "digest": "0123456789abcdef",
    "name": "nightjar-ztf",
    "version": "1.0.0",
    "survey": "ztf",
    "feature_version": 1,
    "classes": [{"class_id": 2222, "class_name": "Ia"}, {"class_id": 2224, "class_name": "II"}],
    "loaded": True,
}
_SCHEMA: dict[str, Any] = {
    "name": "classification.json",
    "kind": "json_schema",
    "description": "Records of the output topic as JSON",
    "path": "/v1/schemas/classification.json",
}


class ModelClass(BaseModel):
    """A class of a model."""

    class_id: fields.ClassId = Field(examples=[2222])
    class_name: fields.ClassName = Field(examples=["Ia"])


class Model(BaseModel):
    """A model that classifications refer to."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_MODEL]})

    digest: fields.Digest
    name: str = Field(description="Name of the model")
    version: str = Field(description="Version of the model")
    survey: fields.SurveyName = Field(description="Survey the model was trained on; lsst serves ELAsTiCC too")
    feature_version: fields.FeatureVersion
    classes: list[ModelClass] = Field(description="In the order of the class vector")
    loaded: bool = Field(description="Whether this server uses it for /v1/classify")


class ModelList(BaseModel):
    """All models that stored classifications may refer to."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"models": [_MODEL]}]})

    models: list[Model]


class Schema(BaseModel):
    """A schema of what the service publishes to Kafka."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_SCHEMA]})

    name: str = Field(description="Name under which it is served")
    kind: str = Field(description="json_schema or avro")
    description: str = Field(description="What it describes")
    path: str = Field(description="Path under which it is served")


class SchemaList(BaseModel):
    """Schemas of everything the service publishes to Kafka."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"schemas": [_SCHEMA]}]})

    schemas: list[Schema]
