"""Classifications by other models than the active one: shadow models, and runs over stored objects."""

from fastapi import APIRouter

from service.api.context import ContextDependency
from service.api.render import views
from service.api.routes.objects import ONE_OBJECT, ObjectId, find_object
from service.client.schemas.objects import ShadowClassifications, ShadowModel
from service.core.alerts import object_key
from service.core.state.shadow_history import read_histories

__all__ = ["router"]

router = APIRouter(prefix="/v1/objects", tags=["objects"])


@router.get(
    "/{object_id}/shadow-classifications",
    responses=ONE_OBJECT,
    summary="Classifications by other models",
)
def get_shadow_classifications(object_id: ObjectId, context: ContextDependency) -> ShadowClassifications:
    """Return the classifications of an object by shadow models and by `nightjar reclassify`, by model."""
    survey, name, _ = find_object(object_id, context.store)
    key = object_key(survey, name)
    models = []
    for model in context.registry.all():
        (history,) = read_histories(context.store.for_model(model.digest), [key])
        if len(history):
            items = sorted(history, key=lambda item: item.mjd_tai)
            epochs = [views.epoch(item, context.registry) for item in items]
            models.append(ShadowModel(classifier=views.classifier_of(model), epochs=epochs))
    return ShadowClassifications(id=key, survey=survey.value, object_id=name, models=models)
