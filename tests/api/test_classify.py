import math
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from service.api.app import create_app
from service.core.alerts import OBSERVATION, Kind, Survey
from service.core.classifier import LightCurveBatch, ObjectClassifier
from service.redis.store import RedisStore
from service.settings import Settings
from tests.api.conftest import serve
from tests.api.test_objects import problem

FLUXES: list[dict[str, Any]] = [
    {"mjd": 59000.0, "band": "g", "flux_njy": 20000.0, "flux_err_njy": 500.0},
    {"mjd": 59001.0, "band": "r", "flux_njy": 100.0, "flux_err_njy": 500.0},
    {"mjd": 59003.0, "band": "r", "flux_njy": 30000.0, "flux_err_njy": 600.0},
    {"mjd": 59007.0, "band": "g", "flux_njy": -8000.0, "flux_err_njy": 700.0},
]


def classify(client: httpx.Client, observations: list[dict[str, Any]], **further: Any) -> dict[str, Any]:
    response = client.post("/v1/classify", json={"survey": "ztf", "observations": observations, **further})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def probabilities(answer: dict[str, Any]) -> list[float]:
    return [one["probability"] for one in answer["classifications"]]


def test_a_light_curve_gets_what_the_model_says_of_it(
    client: httpx.Client, classifiers: dict[Survey, ObjectClassifier]
) -> None:
    kinds = [Kind.DETECTION, Kind.FORCED, Kind.DETECTION, Kind.DETECTION]
    rows = np.array(
        [
            (one["mjd"], one["flux_njy"], one["flux_err_njy"], "ugrizy".index(one["band"]), kind, number, 0)
            for number, (one, kind) in enumerate(zip(FLUXES, kinds, strict=True))
        ],
        OBSERVATION,
    )
    model = classifiers[Survey.ZTF]
    batch = LightCurveBatch(
        rows,
        np.array([0, 4]),
        np.array([np.inf]),
        redshift=np.array([0.1], np.float32),
        mwebv=np.array([0.02], np.float32),
    )
    expected = model.classify(batch, model.empty_batch(1))

    answer = classify(client, FLUXES, redshift=0.1, mwebv=0.02)
    assert (answer["status"], answer["reason"]) == ("classified", None)
    assert (answer["n_detections"], answer["n_observations"]) == (3, 4)
    assert answer["classifier"]["digest"] == f"{model.bundle.digest:016x}"
    assert [one["class_name"] for one in answer["classifications"]] == list(model.bundle.class_names)
    assert np.array(probabilities(answer), np.float32).tolist() == expected.probability[0].tolist()
    raw = [one["raw_probability"] for one in answer["classifications"]]
    assert np.array(raw, np.float32).tolist() == expected.raw_probability[0].tolist()
    best = max(answer["classifications"], key=lambda one: one["probability"])
    assert answer["top_class"] == best["class_name"]
    assert answer["top_class_probability"] == best["probability"]


def test_the_context_of_a_light_curve_counts(client: httpx.Client) -> None:
    without = probabilities(classify(client, FLUXES))
    assert probabilities(classify(client, FLUXES, redshift=0.1)) != without


def test_the_order_of_observations_does_not_matter(client: httpx.Client) -> None:
    assert probabilities(classify(client, FLUXES[::-1])) == probabilities(classify(client, FLUXES))


def test_a_magnitude_means_the_flux_it_stands_for(client: httpx.Client) -> None:
    as_magnitudes = [
        {
            "mjd": one["mjd"],
            "band": one["band"],
            "mag": 31.4 - 2.5 * math.log10(one["flux_njy"]),
            "mag_err": 2.5 / math.log(10) * one["flux_err_njy"] / one["flux_njy"],
        }
        for one in (FLUXES[0], FLUXES[2])
    ]
    by_flux = classify(client, [FLUXES[0], FLUXES[2]])
    by_magnitude = classify(client, as_magnitudes)
    assert by_magnitude["n_detections"] == 2
    np.testing.assert_allclose(probabilities(by_magnitude), probabilities(by_flux), atol=1e-5)


def test_a_limit_is_an_observation_but_no_detection(client: httpx.Client) -> None:
    limit = {"mjd": 59002.0, "band": "g", "limiting_mag": 20.5}
    answer = classify(client, [*FLUXES, limit])
    assert (answer["n_detections"], answer["n_observations"]) == (3, 5)


def test_times_may_be_utc(client: httpx.Client) -> None:
    earlier = [one | {"mjd": one["mjd"] - 37 / 86400} for one in FLUXES]
    # MJDs this size resolve a microsecond, which may show in the last digits.
    np.testing.assert_allclose(
        probabilities(classify(client, earlier, time_scale="utc")),
        probabilities(classify(client, FLUXES)),
        atol=1e-5,
    )


def test_the_user_may_say_what_is_a_detection(client: httpx.Client) -> None:
    faint = [FLUXES[1] | {"kind": "detection"}, FLUXES[2] | {"kind": "forced"}]
    assert classify(client, [FLUXES[0], *faint])["n_detections"] == 2


@pytest.mark.parametrize(
    ("observations", "reason"),
    [
        ([FLUXES[1]], "no_photometry"),
        ([{"mjd": 59002.0, "band": "g", "limiting_mag": 20.5}], "no_photometry"),
        ([FLUXES[0] | {"band": "z"}], "no_photometry"),  # a band that ZTF has not
        ([FLUXES[0], FLUXES[1]], "too_few_detections"),
    ],
)
def test_too_little_to_go_by_is_an_abstention(
    client: httpx.Client, observations: list[dict[str, Any]], reason: str
) -> None:
    answer = classify(client, observations)
    assert (answer["status"], answer["reason"]) == ("abstained", reason)
    assert (answer["classifications"], answer["top_class"]) == ([], None)


def test_the_survey_selects_the_model(
    client: httpx.Client, classifiers: dict[Survey, ObjectClassifier]
) -> None:
    for survey in Survey:
        answer = classify(client, FLUXES, survey=survey.value)
        assert answer["classifier"]["name"] == classifiers[survey].bundle.name


def test_a_survey_without_a_model_is_a_problem(
    store: RedisStore, classifiers: dict[Survey, ObjectClassifier]
) -> None:
    app = create_app(Settings(), store, {Survey.ZTF: classifiers[Survey.ZTF]})
    with serve(app) as client:
        response = client.post("/v1/classify", json={"survey": "lsst", "observations": FLUXES})
    assert problem(response, 404, "no-model").detail == "this server has no model for lsst"


def test_nothing_of_a_classified_light_curve_is_stored(
    client: httpx.Client, store: RedisStore, redis_url: str
) -> None:
    assert store.models() == {}
    classify(client, FLUXES)
    with Redis.from_url(redis_url) as redis:
        assert redis.dbsize() == 0


@pytest.mark.parametrize(
    ("change", "location"),
    [
        ({"band": "G"}, "body.observations.0.band"),
        ({"mjd": "yesterday"}, "body.observations.0.mjd"),
        ({"mjd": -1}, "body.observations.0.mjd"),
        ({"flux_err_njy": 0}, "body.observations.0.flux_err_njy"),
        ({"flux_err_njy": None}, "body.observations.0"),
        ({"mag": 19.0, "mag_err": 0.1}, "body.observations.0"),
        ({"kind": "upper_limit"}, "body.observations.0"),
        ({"kind": "guess"}, "body.observations.0.kind"),
        ({"filter": "g"}, "body.observations.0.filter"),
    ],
)
def test_a_wrong_observation_is_told_where_it_is_wrong(
    client: httpx.Client, change: dict[str, Any], location: str
) -> None:
    response = client.post("/v1/classify", json={"survey": "ztf", "observations": [FLUXES[0] | change]})
    document = problem(response, 422, "invalid-request")
    assert document.errors
    assert [fault.location for fault in document.errors] == [location]


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({"survey": "ztf"}, "body.observations"),
        ({"survey": "ztf", "observations": []}, "body.observations"),
        ({"survey": "sdss", "observations": FLUXES}, "body.survey"),
        ({"survey": "ztf", "observations": FLUXES, "redshift": -1}, "body.redshift"),
        ({"survey": "ztf", "observations": FLUXES, "time_scale": "gps"}, "body.time_scale"),
        ({"survey": "ztf", "observations": FLUXES[:1] * 5001}, "body.observations"),
    ],
)
def test_a_wrong_request_is_told_where_it_is_wrong(client: httpx.Client, body: object, location: str) -> None:
    document = problem(client.post("/v1/classify", json=body), 422, "invalid-request")
    assert document.errors
    assert document.errors[0].location == location


def test_not_all_faults_of_a_long_light_curve_are_listed(client: httpx.Client) -> None:
    wrong = [FLUXES[0] | {"band": "V"}] * 1000
    response = client.post("/v1/classify", json={"survey": "ztf", "observations": wrong})
    document = problem(response, 422, "invalid-request")
    assert document.detail == "1000 validation errors"
    assert document.errors
    assert len(document.errors) == 20


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "mjd": st.floats(1, 1e5),
                "band": st.sampled_from("ugrizy"),
                "flux_njy": st.floats(-1e14, 1e14),
                "flux_err_njy": st.floats(1e-30, 1e14),
            }
        ),
        min_size=1,
        max_size=20,
    )
)
def test_any_valid_light_curve_gets_an_answer_that_adds_up(
    client: httpx.Client, observations: list[dict[str, Any]]
) -> None:
    answer = classify(client, observations, survey="lsst")
    if answer["status"] == "classified":
        assert sum(probabilities(answer)) == pytest.approx(1, abs=1e-5)
    else:
        assert answer["reason"] in {"no_photometry", "too_few_detections"}
