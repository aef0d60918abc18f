"""Objects are found by what they are, in order, page by page, whatever the index has got wrong."""

import dataclasses
import math
from typing import Any

import httpx
import numpy as np
import pytest
from redis import Redis

from service.client.schemas.objects import ObjectList
from service.core.alerts import Survey
from service.core.classification import Reason
from service.core.models.info import ModelInfo
from service.core.sky import separation_deg
from service.core.state.object_state import ObjectState
from service.core.state.summary import INDEXED_FROM
from service.redis.index import summary_key
from service.redis.store import RedisStore
from tests.api.test_objects import problem
from tests.support.objects import (
    START_MJD_TAI,
    abstention,
    classification,
    light_curve,
    object_state,
    put_all,
)

CLASSES = ("Ia", "II", "TDE")
MODELS = {
    survey: ModelInfo(
        0x1000 + place,
        survey,
        f"some-{survey.value}",
        "1.2",
        1,
        tuple((2222, name) for name in CLASSES),
    )
    for place, survey in enumerate((Survey.ZTF, Survey.LSST))
}
N_OBJECTS = 120
CENTRE = (150.0, 2.0)


@dataclasses.dataclass(frozen=True)
class Known:
    """What the reference knows of an object."""

    key: str
    ra_deg: float
    dec_deg: float
    mjd_tai: float
    n_detections: int
    magnitude: float
    probability: tuple[float, ...]

    @property
    def best(self) -> int:
        return int(np.argmax(self.probability))


def random_object(generator: np.random.Generator, number: int) -> tuple[Known, ObjectState]:
    survey = (Survey.ZTF, Survey.LSST)[number % 2]
    name = f"ZTF21{chr(97 + number % 26)}aa{number:04d}" if survey is Survey.ZTF else str(10**17 + number)
    # Many alerts of one exposure have one time.
    mjd_tai = START_MJD_TAI + 10 + int(generator.integers(12))
    n_detections = int(generator.integers(1, 5))
    rows = np.repeat(light_curve()[1:2], n_detections)
    rows["mjd_tai"] += np.arange(n_detections)
    rows["flux_njy"] = generator.uniform(5_000, 50_000, n_detections)
    probability = generator.dirichlet([0.7] * len(CLASSES)).astype(np.float32)
    result = classification(number + 1, MODELS[survey].digest, probability.tolist())
    state = dataclasses.replace(
        object_state([dataclasses.replace(result, mjd_tai=mjd_tai)]),
        ra_deg=CENTRE[0] + generator.normal(0, 0.3),
        dec_deg=CENTRE[1] + generator.normal(0, 0.3),
        last_alert_mjd_tai=mjd_tai,
        observations=rows,
    )
    magnitude = 31.4 - 2.5 * math.log10(float(rows["flux_njy"][-1]))
    key = f"{survey.value}:{name}"
    known = Known(
        key, state.ra_deg, state.dec_deg, mjd_tai, n_detections, magnitude, tuple(probability.tolist())
    )
    return known, state


@pytest.fixture
def sky(store: RedisStore) -> list[Known]:
    """Fill the store with random objects, and say what they are."""
    for model in MODELS.values():
        store.register_model(model)
    generator = np.random.default_rng(7)
    made = [random_object(generator, number) for number in range(N_OBJECTS)]
    put_all(store, {known.key: state for known, state in made})
    return [known for known, _ in made]


def listed(client: httpx.Client, **parameters: Any) -> list[dict[str, Any]]:
    """Read all pages."""
    objects: list[dict[str, Any]] = []
    cursor = None
    while True:
        asked = parameters | ({"cursor": cursor} if cursor else {})
        response = client.get("/v1/objects", params=asked)
        assert response.status_code == 200, response.text
        page = ObjectList.model_validate_json(response.content).model_dump(mode="json")
        assert len(page["objects"]) <= parameters.get("limit", 100)
        objects += page["objects"]
        cursor = page["next_cursor"]
        if cursor is None:
            return objects


def probable(known: Known, name: str | None, least: float | None) -> bool:
    if name is None:
        return least is None or max(known.probability) >= least
    is_best = CLASSES[known.best] == name
    probability = known.probability[CLASSES.index(name)]
    return is_best if least is None else probability >= least and (is_best or probability >= INDEXED_FROM)


@pytest.mark.parametrize("limit", [7, 1000])
@pytest.mark.parametrize("class_name", [None, "Ia", "TDE"])
@pytest.mark.parametrize("min_probability", [None, 0.05, 0.4, 0.9])
@pytest.mark.parametrize("sort", ["-last_alert", "-probability"])
@pytest.mark.parametrize("survey", [None, "ztf"])
def test_lists_agree_with_a_look_at_every_object(
    client: httpx.Client,
    sky: list[Known],
    limit: int,
    class_name: str | None,
    min_probability: float | None,
    sort: str,
    survey: str | None,
) -> None:
    asked = {"class": class_name, "min_probability": min_probability, "survey": survey}
    found = listed(
        client, limit=limit, sort=sort, **{name: value for name, value in asked.items() if value is not None}
    )

    def score(known: Known) -> float:
        if sort == "-last_alert":
            return known.mjd_tai
        return known.probability[CLASSES.index(class_name)] if class_name else max(known.probability)

    expected = [
        known
        for known in sky
        if probable(known, class_name, min_probability) and known.key.startswith(survey or "")
    ]
    # Objects of no class are in no order by probability.
    expected.sort(key=lambda known: (score(known), known.key), reverse=True)
    assert [one["id"] for one in found] == [known.key for known in expected]


@pytest.mark.parametrize("radius_arcsec", [1.0, 300.0, 1800.0, 36000.0])
def test_a_cone_holds_the_objects_near_its_centre_nearest_first(
    client: httpx.Client, sky: list[Known], radius_arcsec: float
) -> None:
    ra_deg, dec_deg = sky[0].ra_deg, sky[0].dec_deg
    found = listed(client, ra=ra_deg, dec=dec_deg, radius_arcsec=radius_arcsec, limit=9)
    distance = separation_deg([k.ra_deg for k in sky], [k.dec_deg for k in sky], ra_deg, dec_deg) * 3600
    expected = [sky[i].key for i in np.argsort(distance) if distance[i] <= radius_arcsec]
    assert [one["id"] for one in found] == expected
    assert found[0]["distance_arcsec"] == 0.0


def test_bounds_of_time_detections_and_magnitude_hold(client: httpx.Client, sky: list[Known]) -> None:
    since, until = START_MJD_TAI + 12, START_MJD_TAI + 18
    bounds = {"since": since, "until": until, "min_detections": 2, "min_mag": 20, "max_mag": 21}
    found = {one["id"] for one in listed(client, **bounds, limit=10)}
    expected = {
        known.key
        for known in sky
        if since <= known.mjd_tai <= until and known.n_detections >= 2 and 20 <= known.magnitude <= 21
    }
    assert found == expected
    assert 0 < len(found) < len(sky)


def test_times_may_be_iso(client: httpx.Client, sky: list[Known]) -> None:
    latest = max(known.mjd_tai for known in sky)
    found = listed(client, since="2023-03-18T05:59:00Z")
    assert {one["last_alert_mjd_tai"] for one in found} == {latest}
    assert found[0]["last_alert_utc"] == "2023-03-18T05:59:23Z"
    assert listed(client, since="2023-03-18T06:00:00") == []


def test_an_object_in_a_list_says_what_it_is(client: httpx.Client, sky: list[Known]) -> None:
    found = {one["id"]: one for one in listed(client)}
    known = sky[0]
    one = found[known.key]
    assert one["last_detection_mag"] == pytest.approx(known.magnitude, abs=1e-4)
    assert one["last_detection_band"] == "g"
    assert one["n_detections"] == known.n_detections
    assert one["age_days"] == pytest.approx(known.mjd_tai - START_MJD_TAI - 2)
    assert one["top_class"] == CLASSES[known.best]
    vector = [one["probabilities"][name] for name in CLASSES]
    np.testing.assert_array_equal(np.array(vector, np.float32), np.array(known.probability, np.float32))
    assert (one["classifier"]["name"], one["classifier"]["version"]) == ("some-ztf", "1.2")
    assert (one["last_alert_status"], one["last_alert_reason"], one["classified_alert_id"]) == (
        "classified",
        None,
        1,
    )


def test_the_class_stays_when_the_latest_alert_was_not_classified(
    client: httpx.Client, store: RedisStore
) -> None:
    store.register_model(MODELS[Survey.ZTF])
    history = [
        classification(1, MODELS[Survey.ZTF].digest, [0.25, 0.5, 0.25], day=1),
        abstention(2, Reason.STAR, day=4),
    ]
    put_all(store, {"ztf:ZTF21abiuvdk": object_state(history)})
    [one] = listed(client, **{"class": "ii"})
    assert (one["last_alert_status"], one["last_alert_reason"]) == ("abstained", "star")
    assert (one["top_class"], one["classified_alert_id"]) == ("II", 1)


def test_an_object_that_is_gone_leaves_lists_and_index(
    client: httpx.Client, redis_url: str, sky: list[Known]
) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.delete(f"nj:{{{sky[3].key}}}", summary_key(sky[3].key))
        assert sky[3].key not in {one["id"] for one in listed(client)}
        assert redis.zcard("nj:i:t:ztf") + redis.zcard("nj:i:t:lsst") == len(sky) - 1


def test_what_an_index_has_wrong_is_not_shown(
    client: httpx.Client, store: RedisStore, sky: list[Known]
) -> None:
    one = next(known for known in sky if known.key.startswith("ztf:") and CLASSES[known.best] == "TDE")
    name = one.key.partition(":")[2]
    store.index.add({("c", "ztf", "II"): {name: 0.999}, ("t", "ztf"): {name: 99_999.0}})
    assert one.key not in {found["id"] for found in listed(client, **{"class": "II"})}
    assert one.key not in {found["id"] for found in listed(client, since=90_000)}


@pytest.mark.parametrize(
    ("parameters", "location"),
    [
        ({"class": "Quasar"}, "query.class"),
        ({"min_probability": 1.5}, "query.min_probability"),
        ({"ra": 1, "dec": 2}, "query"),
        ({"sort": "distance"}, "query"),
        ({"since": "yesterday"}, "query.since"),
        ({"limit": 0}, "query.limit"),
        ({"cursor": "bm9uc2Vuc2U"}, "query.cursor"),
        ({"clas": "Ia"}, "query.clas"),
        ({"survey": "atlas"}, "query.survey.0"),
    ],
)
def test_a_wrong_request_is_told_where_it_is_wrong(
    client: httpx.Client, sky: list[Known], parameters: dict[str, Any], location: str
) -> None:
    assert sky
    document = problem(client.get("/v1/objects", params=parameters), 422, "invalid-request")
    assert [fault.location for fault in document.errors or ()] == [location]


def test_nothing_stored_gives_an_empty_list(client: httpx.Client, store: RedisStore) -> None:
    assert store.models() == {}
    assert client.get("/v1/objects").json() == {"objects": [], "next_cursor": None}
