"""Endpoints about models and schemas."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.caching import IfNoneMatch, with_etag
from service.api.context import ContextDependency
from service.api.problems import ProblemError, ProblemType, documented
from service.core.alerts import Survey
from service.core.ports.store import ModelInfo
from service.core.records.encoding import RecordSchema, record_schema

__all__ = ["Model", "ModelList", "Schema", "SchemaList", "router"]

router = APIRouter(prefix="/v1", tags=["catalogue"])


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
    "describes": "Records of the output topic as JSON",
    "path": "/v1/schemas/classification.json",
}

_DESCRIPTIONS = {
    RecordSchema.NATIVE_JSON: "Records of the output topic as JSON",
    RecordSchema.NATIVE_AVRO: "Records of the output topic as Avro, single-object encoding",
    RecordSchema.ELASTICC: "Records of the DESC topic: ELAsTiCC 0.9.1, schemaless Avro",
}
_AVRO_SUFFIX = ".avsc"


class ModelClass(BaseModel):
    """A class of a model."""

    class_id: int = Field(
        description="Id in the DESC taxonomy; several classes may share one", examples=[2222]
    )
    class_name: str = Field(description="The model's own name", examples=["Ia"])


class Model(BaseModel):
    """A model that classifications refer to."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_MODEL]})

    digest: str = Field(
        pattern="^[0-9a-f]{16}$", description="Of everything that decides the meaning of a classification"
    )
    name: str
    version: str
    survey: Survey = Field(description="Trained on; lsst serves ELAsTiCC too")
    feature_version: int = Field(description="Version of what the network reads")
    classes: list[ModelClass] = Field(description="In the order of the class vector")
    loaded: bool = Field(description="Used by this server for /v1/classify")


class ModelList(BaseModel):
    """All models that stored classifications may refer to."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"models": [_MODEL]}]})

    models: list[Model]


class Schema(BaseModel):
    """A schema of what the service publishes to Kafka."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_SCHEMA]})

    name: str
    kind: str = Field(description="json_schema or avro")
    describes: str
    path: str = Field(description="Where it is served")


class SchemaList(BaseModel):
    """Schemas of everything the service publishes to Kafka."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"schemas": [_SCHEMA]}]})

    schemas: list[Schema]


@router.get("/models", responses=documented(ProblemType.STORE_UNAVAILABLE), summary="Models")
def get_models(needs: ContextDependency) -> ModelList:
    """List the models that workers have used, and those that this server has loaded."""
    loaded = needs.registry.loaded
    return ModelList(models=[_model(one, loaded=one.digest in loaded) for one in needs.registry.all()])


@router.get("/schemas", responses=documented(), summary="Schemas of the published records")
async def get_schemas() -> SchemaList:
    """List the schemas of what is published to Kafka."""
    return SchemaList(
        schemas=[
            Schema(
                name=name.value,
                kind="avro" if name.value.endswith(_AVRO_SUFFIX) else "json_schema",
                describes=_DESCRIPTIONS[name],
                path=f"/v1/schemas/{name.value}",
            )
            for name in RecordSchema
        ]
    )


@router.get(
    "/schemas/{name}",
    responses=documented(ProblemType.UNKNOWN_SCHEMA)
    | {200: {"description": "The schema itself", "content": {"application/schema+json": {}}}},
    response_class=Response,
    summary="One schema",
)
async def get_schema(
    name: Annotated[str, Path(description="As /v1/schemas lists it", examples=["classification.json"])],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Give a schema as the package carries it: JSON Schema or Avro."""
    known = {schema.value: schema for schema in RecordSchema}
    if name not in known:
        raise ProblemError(
            ProblemType.UNKNOWN_SCHEMA, f"no schema {name[:80]!r}; there are {', '.join(known)}"
        )
    # The media type that Avro's own documentation uses for schemas is plain JSON.
    media_type = "application/json" if name.endswith(_AVRO_SUFFIX) else "application/schema+json"
    body = orjson.dumps(record_schema(known[name]), option=orjson.OPT_INDENT_2)
    # It changes with the service's version alone.
    return with_etag(Response(body, media_type=media_type), if_none_match, cache_control="max-age=3600")


def _model(model: ModelInfo, *, loaded: bool) -> Model:
    classes = [ModelClass(class_id=number, class_name=name) for number, name in model.classifier.classes]
    return Model(
        digest=f"{model.digest:016x}",
        name=model.classifier.name,
        version=model.classifier.version,
        survey=model.survey,
        feature_version=model.classifier.feature_version,
        classes=classes,
        loaded=loaded,
    )
