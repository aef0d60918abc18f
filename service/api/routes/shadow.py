"""What models that are not at work said of an object: shadows, and runs over stored light curves."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from service.api.context import ContextDependency
from service.api.render import views
from service.api.routes.objects import ONE_OBJECT, ObjectId, find_object
from service.api.schemas.objects import ClassifierName, Epoch
from service.core.alerts import Survey, object_key
from service.core.state.shadow_history import read_histories

__all__ = ["router"]

router = APIRouter(prefix="/v1/objects", tags=["objects"])

_EXAMPLE: dict[str, Any] = {
    "id": "ztf:ZTF21abiuvdk",
    "survey": "ztf",
    "object_id": "ZTF21abiuvdk",
    "models": [
        {
            "classifier": {
                "name": "nightjar-ztf",
                "version": "1.1.0",
                "feature_version": 1,
                "digest": "fedcba9876543210",
            },
            "classifications": [],
        }
    ],
}


class ShadowModel(BaseModel):
    """What one model said of one object."""

    classifier: ClassifierName
    classifications: list[Epoch] = Field(description="By the time of the alert, oldest first")


class ShadowClassifications(BaseModel):
    """What models that are not at work said of one object."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_EXAMPLE]})

    id: str = Field(description="Survey and object id")
    survey: Survey
    object_id: str = Field(description="As the survey has it")
    models: list[ShadowModel] = Field(description="Those that said anything, by name and version")


@router.get("/{object_id}/others", responses=ONE_OBJECT, summary="Results of other models")
def get_shadow_classifications(object_id: ObjectId, needs: ContextDependency) -> ShadowClassifications:
    """Give what shadow models and `nightjar reclassify` said of an object, by model."""
    survey, name, _state = find_object(object_id, needs.store)
    key = object_key(survey, name)
    found = []
    for model in needs.registry.all():
        (history,) = read_histories(needs.store.for_model(model.digest), [key])
        if len(history):
            items = sorted(history, key=lambda item: item.mjd_tai)
            epochs = [views.epoch(item, needs.registry) for item in items]
            found.append(ShadowModel(classifier=views.classifier_name(model), classifications=epochs))
    return ShadowClassifications(id=key, survey=survey, object_id=name, models=found)
