"""Endpoints about models and schemas."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Path
from fastapi.responses import Response

from service.api.caching import IfNoneMatch, with_etag
from service.api.context import ContextDependency
from service.api.problems import ProblemError, ProblemType, documented
from service.client.schemas.models import Model, ModelClass, ModelList, Schema, SchemaList
from service.core.models.info import ModelInfo
from service.core.records.encoding import RecordSchema, record_schema

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["catalogue"])

_DESCRIPTIONS = {
    RecordSchema.NATIVE_JSON: "Records of the output topic as JSON",
    RecordSchema.NATIVE_AVRO: "Records of the output topic as Avro, single-object encoding",
    RecordSchema.ELASTICC: "Records of the DESC topic: ELAsTiCC 0.9.1, schemaless Avro",
}
_AVRO_SUFFIX = ".avsc"


@router.get("/models", responses=documented(ProblemType.STORE_UNAVAILABLE), summary="Models")
def get_models(context: ContextDependency) -> ModelList:
    """Return the models that workers have used, and those that this server has loaded."""
    loaded = context.registry.loaded
    models = context.registry.all()
    return ModelList(models=[_model(model, is_loaded=model.digest in loaded) for model in models])


@router.get("/schemas", responses=documented(), summary="Schemas of the published records")
async def get_schemas() -> SchemaList:
    """Return the schemas of what is published to Kafka."""
    return SchemaList(
        schemas=[
            Schema(
                name=name.value,
                kind="avro" if name.value.endswith(_AVRO_SUFFIX) else "json_schema",
                description=_DESCRIPTIONS[name],
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
    name: Annotated[
        str, Path(description="Name of the schema, as /v1/schemas lists it", examples=["classification.json"])
    ],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return a schema as the package ships it: JSON Schema or Avro."""
    known = {schema.value: schema for schema in RecordSchema}
    if name not in known:
        raise ProblemError(
            ProblemType.UNKNOWN_SCHEMA, f"no schema {name[:80]!r}; known schemas: {', '.join(known)}"
        )
    # The media type that Avro's own documentation uses for schemas is plain JSON.
    media_type = "application/json" if name.endswith(_AVRO_SUFFIX) else "application/schema+json"
    body = orjson.dumps(record_schema(known[name]), option=orjson.OPT_INDENT_2)
    # It changes only with the version of the service.
    return with_etag(Response(body, media_type=media_type), if_none_match, cache_control="max-age=3600")


def _model(model: ModelInfo, *, is_loaded: bool) -> Model:
    classes = [ModelClass(class_id=number, class_name=name) for number, name in model.classes]
    return Model(
        digest=f"{model.digest:016x}",
        name=model.name,
        version=model.version,
        survey=model.survey.value,
        feature_version=model.feature_version,
        classes=classes,
        loaded=is_loaded,
    )
