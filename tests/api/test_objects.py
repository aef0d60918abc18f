import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from redis import Redis

from service.client.schemas.problems import Problem
from service.core.alerts import Survey
from service.core.classification import Reason
from service.core.models.info import ModelInfo
from service.core.state.object_state import EMPTY_STATE
from service.redis.store import RedisStore
from tests.support.objects import START_MJD_TAI, abstention, classification, object_state, put

KEY = "ztf:ZTF21abiuvdk"
MODEL = ModelInfo(
    0x00AB_0000_0000_0001,
    Survey.ZTF,
    "some-model",
    "2.1",
    1,
    ((2222, "Ia"), (2224, "II"), (2224, "IIn")),
)


def get(client: httpx.Client, path: str) -> dict[str, Any]:
    response = client.get(path)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    answer: dict[str, Any] = response.json()
    return answer


def problem(response: httpx.Response, status: int, kind: str) -> Problem:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = Problem.model_validate_json(response.content)
    assert document.status == status
    assert document.type == f"urn:nightjar:problem:{kind}"
    return document


def test_an_object_comes_with_its_summary(client: httpx.Client, store: RedisStore) -> None:
    put(store, KEY, object_state())
    answer = get(client, f"/v1/objects/{KEY}")
    expected = {
        "id": KEY,
        "survey": "ztf",
        "object_id": "ZTF21abiuvdk",
        "ra_deg": 150.5,
        "dec_deg": -2.25,
        "last_alert_mjd_tai": START_MJD_TAI + 4,
        "last_alert_utc": "2023-03-01T05:59:23Z",
        "last_alert_status": None,
        "last_alert_reason": None,
        "first_detection_mjd_tai": START_MJD_TAI + 2,
        "first_detection_utc": "2023-02-27T05:59:23Z",
        "age_days": 2.0,
        "last_detection_mag": 20.6474,
        "last_detection_band": "r",
        "classified_alert_id": None,
        "classifier": None,
        "top_class": None,
        "top_class_probability": None,
        "probabilities": {},
        "last_detection_mjd_tai": START_MJD_TAI + 4,
        "last_detection_utc": "2023-03-01T05:59:23Z",
        "n_observations": 4,
        "n_detections": 2,
        "n_forced": 1,
        "n_upper_limits": 1,
        "bands": ["g", "r"],
        "redshift": 0.05,
        "redshift_err": None,
        "mwebv": None,
        "n_epochs": 0,
        "classification": None,
        "links": {
            "lightcurve": f"/v1/objects/{KEY}/lightcurve",
            "classifications": f"/v1/objects/{KEY}/classifications",
            "shadow-classifications": f"/v1/objects/{KEY}/shadow-classifications",
        },
    }
    assert answer == expected
    for path in answer["links"].values():
        get(client, path)


def test_an_object_of_which_nothing_is_known_has_nulls(client: httpx.Client, store: RedisStore) -> None:
    put(store, KEY, EMPTY_STATE)
    answer = get(client, f"/v1/objects/{KEY}")
    for name in ("ra_deg", "dec_deg", "last_alert_mjd_tai", "last_alert_utc", "first_detection_utc"):
        assert answer[name] is None
    assert answer["n_observations"] == 0
    assert answer["bands"] == []
    assert get(client, f"/v1/objects/{KEY}/lightcurve")["observations"] == []
    assert get(client, f"/v1/objects/{KEY}/classifications")["epochs"] == []


def test_the_latest_class_vector_has_the_names_of_its_model(client: httpx.Client, store: RedisStore) -> None:
    store.register_model(MODEL)
    history = [
        classification(2, MODEL.digest, [0.25, 0.5, 0.25], day=4),
        classification(1, MODEL.digest, [1.0, 0.0, 0.0], day=2),  # arrived late
    ]
    put(store, KEY, object_state(history))
    answer = get(client, f"/v1/objects/{KEY}")["classification"]
    assert answer["alert_id"] == 2
    assert answer["classifier"] == {
        "name": "some-model",
        "version": "2.1",
        "feature_version": 1,
        "digest": "00ab000000000001",
    }
    assert (answer["top_class"], answer["top_class_probability"]) == ("II", 0.5)
    assert answer["classifications"] == [
        {"class_id": 2222, "class_name": "Ia", "probability": 0.25, "raw_probability": 0.25},
        {"class_id": 2224, "class_name": "II", "probability": 0.5, "raw_probability": 0.5},
        {"class_id": 2224, "class_name": "IIn", "probability": 0.25, "raw_probability": 0.25},
    ]


def test_the_class_vector_stays_when_the_latest_alert_was_not_classified(
    client: httpx.Client, store: RedisStore
) -> None:
    store.register_model(MODEL)
    history = [
        classification(1, MODEL.digest, [1.0, 0.0, 0.0]),
        abstention(2, Reason.OUTSIDE_TIME_WINDOW, day=4),
    ]
    put(store, KEY, object_state(history))
    answer = get(client, f"/v1/objects/{KEY}")
    assert answer["classification"]["alert_id"] == 1
    assert (answer["last_alert_status"], answer["last_alert_reason"]) == ("abstained", "outside_time_window")
    assert answer["n_epochs"] == 2


def test_a_light_curve_has_magnitudes_beside_fluxes(client: httpx.Client, store: RedisStore) -> None:
    put(store, KEY, object_state())
    limit, first, forced, last = get(client, f"/v1/objects/{KEY}/lightcurve")["observations"]
    assert first == {
        "mjd_tai": START_MJD_TAI + 2,
        "utc": "2023-02-27T05:59:23Z",
        "band": "g",
        "kind": "detection",
        "flux_njy": 10_000.0,
        "flux_err_njy": 500.0,
        "mag": 21.4,
        "mag_err": 0.05429,  # 2.5 / ln 10 * 500 / 10 000
        "limiting_mag": 22.90515,  # 31.4 - 2.5 log10(5 * 500)
        "source_id": 2**63 + 5,
    }
    assert (forced["kind"], forced["flux_njy"], forced["mag"], forced["mag_err"]) == (
        "forced",
        -120.5,
        None,
        None,
    )
    assert (limit["kind"], limit["flux_njy"], limit["mag"]) == ("upper_limit", 0.0, None)
    assert limit["limiting_mag"] == 22.90515
    assert last["band"] == "r"


def test_values_that_json_has_no_number_for_are_null(client: httpx.Client, store: RedisStore) -> None:
    state = object_state()
    rows = state.observations.copy()
    rows["flux_njy"][1], rows["flux_err_njy"][1], rows["flux_err_njy"][3] = math.nan, math.inf, 0.0
    put(store, KEY, dataclasses.replace(state, observations=rows))
    answer = get(client, f"/v1/objects/{KEY}/lightcurve")["observations"]
    for name in ("flux_njy", "flux_err_njy", "mag", "mag_err", "limiting_mag"):
        assert answer[1][name] is None
    assert (answer[3]["mag_err"], answer[3]["limiting_mag"]) == (0.0, None)


def test_every_stored_epoch_comes_by_time_with_raw_and_calibrated(
    client: httpx.Client, store: RedisStore
) -> None:
    store.register_model(MODEL)
    history = [
        classification(3, MODEL.digest, [0.125, 0.25, 0.625], day=4),
        abstention(2, Reason.STAR, day=3),
        classification(1, MODEL.digest, [0.5, 0.5, 0.0], day=2),
    ]
    put(store, KEY, object_state(history))
    answer = get(client, f"/v1/objects/{KEY}/classifications")
    assert answer["n_epochs"] == 3
    assert answer["history_limit"] == 64
    assert [epoch["alert_id"] for epoch in answer["epochs"]] == [1, 2, 3]
    first, second, third = answer["epochs"]
    assert [one["probability"] for one in third["classifications"]] == [0.125, 0.25, 0.625]
    assert [one["raw_probability"] for one in third["classifications"]] == [0.625, 0.25, 0.125]
    assert (first["mjd_tai"], first["utc"]) == (START_MJD_TAI + 2, "2023-02-27T05:59:23Z")
    assert (first["n_detections"], first["n_observations"]) == (2, 4)
    assert first["classified_utc"] == "2023-11-14T22:13:20.123000Z"
    assert (second["status"], second["reason"]) == ("abstained", "star")
    assert (second["classifications"], second["classifier"], second["top_class"]) == ([], None, None)


def test_probabilities_read_back_as_the_same_float32(client: httpx.Client, store: RedisStore) -> None:
    store.register_model(MODEL)
    third = np.float32(1 / 3)
    put(store, KEY, object_state([classification(1, MODEL.digest, [float(third)] * 3)]))
    vector = get(client, f"/v1/objects/{KEY}")["classification"]["classifications"]
    assert [one["probability"] for one in vector] == [float(str(third))] * 3
    assert all(np.float32(one["probability"]) == third for one in vector)


def test_a_vector_of_a_model_nobody_registered_is_given_without_names(
    client: httpx.Client, store: RedisStore
) -> None:
    put(store, KEY, object_state([classification(1, 0xDEAD, [0.75, 0.25])]))
    epoch = get(client, f"/v1/objects/{KEY}")["classification"]
    assert epoch["classifier"] is None
    assert (epoch["top_class"], epoch["top_class_probability"]) == (None, 0.75)
    assert [(one["class_id"], one["class_name"]) for one in epoch["classifications"]] == [(None, None)] * 2


def test_a_model_registered_after_the_server_started_is_found(
    client: httpx.Client, store: RedisStore
) -> None:
    later = dataclasses.replace(MODEL, digest=0xBEEF)
    put(store, KEY, object_state([classification(1, later.digest, [1.0, 0.0, 0.0])]))
    assert get(client, f"/v1/objects/{KEY}")["classification"]["classifier"] is None
    store.register_model(later)
    assert get(client, f"/v1/objects/{KEY}")["classification"]["classifier"]["digest"] == "000000000000beef"


@pytest.mark.parametrize("what", ["", "/lightcurve", "/classifications"])
def test_unknown_and_impossible_objects_are_problems(
    client: httpx.Client, store: RedisStore, what: str
) -> None:
    assert store.load([KEY]) == [None]
    unknown = problem(client.get(f"/v1/objects/{KEY}{what}"), 404, "unknown-object")
    assert unknown.detail == f"no object {KEY}"
    assert unknown.instance == f"/v1/objects/{KEY}{what}"
    number = problem(client.get(f"/v1/objects/17{what}"), 404, "unknown-object")
    assert number.detail == "no object lsst:17 or elasticc:17"
    problem(client.get(f"/v1/objects/SN2011fe{what}"), 400, "invalid-object-id")


def test_a_bare_name_and_a_bare_number_find_their_object(client: httpx.Client, store: RedisStore) -> None:
    put(store, KEY, object_state())
    put(store, "elasticc:17", object_state())
    assert get(client, "/v1/objects/ZTF21abiuvdk")["id"] == KEY
    assert get(client, "/v1/objects/17")["id"] == "elasticc:17"
    put(store, "lsst:17", object_state())
    assert get(client, "/v1/objects/17")["id"] == "lsst:17"


def test_a_value_that_is_no_state_is_reported_as_such(
    client: httpx.Client, store: RedisStore, redis_url: str
) -> None:
    assert store.load([KEY]) == [None]
    with Redis.from_url(redis_url) as redis:
        redis.set(f"nj:{{{KEY}}}", b"rubbish")
    document = problem(client.get(f"/v1/objects/{KEY}"), 500, "unreadable-state")
    assert "7 bytes are fewer" in str(document.detail)


def test_many_objects_come_in_the_order_asked(client: httpx.Client, store: RedisStore) -> None:
    for key in ("ztf:ZTF21aaaaaaa", "elasticc:5"):
        put(store, key, object_state())
    ids = ["5", "ZTF21aaaaaab", "ztf:ZTF21aaaaaaa", "5", "lsst:9"]
    response = client.post("/v1/objects/lookup", json={"ids": ids})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert [one["id"] for one in answer["objects"]] == ["elasticc:5", "ztf:ZTF21aaaaaaa"]
    assert answer["not_found"] == ["ZTF21aaaaaab", "lsst:9"]
    assert answer["objects"][1] == get(client, "/v1/objects/ZTF21aaaaaaa")


def test_a_thousand_ids_may_be_asked_for_and_no_more(client: httpx.Client, store: RedisStore) -> None:
    assert store.load([KEY]) == [None]
    ids = [str(number) for number in range(1, 1002)]
    response = client.post("/v1/objects/lookup", json={"ids": ids[:1000]})
    assert response.json() == {"objects": [], "not_found": ids[:1000]}
    document = problem(client.post("/v1/objects/lookup", json={"ids": ids}), 422, "invalid-request")
    assert document.errors
    assert document.errors[0].location == "body.ids"


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({}, "body.ids"),
        ({"ids": []}, "body.ids"),
        ({"ids": "ZTF21abiuvdk"}, "body.ids"),
        ({"ids": [5]}, "body.ids.0"),
        ({"ids": ["ZTF21abiuvdk", "SN2011fe"]}, "body.ids.1"),
        ({"ids": ["ZTF21abiuvdk"], "id": "ZTF21abiuvdk"}, "body.id"),
        (["ZTF21abiuvdk"], "body"),
    ],
)
def test_a_wrong_lookup_is_told_where_it_is_wrong(client: httpx.Client, body: object, location: str) -> None:
    document = problem(client.post("/v1/objects/lookup", json=body), 422, "invalid-request")
    assert document.errors
    assert [fault.location for fault in document.errors] == [location]


def test_requests_side_by_side_do_not_disturb_each_other(client: httpx.Client, store: RedisStore) -> None:
    for number in range(1, 21):
        put(store, f"lsst:{number}", object_state())
    numbers = [number % 20 + 1 for number in range(200)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: get(client, f"/v1/objects/{number}"), numbers))
    assert [one["object_id"] for one in answers] == list(map(str, numbers))
