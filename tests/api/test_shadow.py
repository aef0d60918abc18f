import time
from dataclasses import replace

import httpx

from service.backoff import conflict_pause
from service.core.models.info import ModelInfo
from service.core.state.shadow_history import add_results
from service.redis.store import RedisStore
from tests.api.test_objects import KEY, get, problem
from tests.support.bundles import random_bundle
from tests.support.objects import classification, object_state, put


def test_results_of_other_models_stand_beside_and_not_among_those_of_the_one_at_work(
    client: httpx.Client, store: RedisStore
) -> None:
    put(store, KEY, object_state([classification(5, 1, [0.5, 0.5])]))
    bundle = random_bundle(seed=9, name="next", version="2", class_names=("Ia", "II"))
    store.register_model(ModelInfo.of(bundle))
    late, early = (
        replace(classification(number, bundle.digest, [0.25, 0.75]), mjd_tai=60000.0 + number)
        for number in (7, 5)
    )
    add_results(
        store.for_model(bundle.digest), {KEY: [late, early]}, limit=10, pause=conflict_pause(time.sleep)
    )

    answer = get(client, f"/v1/objects/{KEY}/shadow-classifications")

    (model,) = answer["models"]
    assert (model["classifier"]["name"], model["classifier"]["version"]) == ("next", "2")
    assert [epoch["alert_id"] for epoch in model["epochs"]] == [5, 7]
    assert model["epochs"][0]["top_class"] == "II"
    assert model["epochs"][0]["top_class_probability"] == 0.75
    history = get(client, f"/v1/objects/{KEY}/classifications")
    assert [epoch["alert_id"] for epoch in history["epochs"]] == [5]


def test_object_without_other_results_has_none_and_an_unknown_one_is_a_problem(
    client: httpx.Client, store: RedisStore
) -> None:
    put(store, KEY, object_state())
    assert get(client, f"/v1/objects/{KEY}/shadow-classifications")["models"] == []
    problem(client.get("/v1/objects/ZTF18aaaaaaa/shadow-classifications"), 404, "unknown-object")
