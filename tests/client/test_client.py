"""What the client gives is what the API says."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

import numpy as np
import pytest

from service.client import Nightjar, NotFoundError
from service.core.classification import Reason
from service.core.records.encoding import encode_avro, encode_json
from service.embedded.broker import Broker
from service.redis.store import RedisStore
from tests.api.test_search import CLASSES, MODELS, N_OBJECTS, random_object
from tests.cli.test_results import ABSTAINED, record
from tests.conftest import TopicFactory
from tests.support.kafka import produce
from tests.support.objects import (
    START_MJD_TAI,
    abstention,
    classification,
    light_curve,
    object_state,
    put,
    put_all,
)

KEY = "ztf:ZTF21abiuvdk"
ZTF_MODEL = next(iter(MODELS.values()))


@pytest.fixture
def one_object(store: RedisStore) -> None:
    store.register_model(ZTF_MODEL)
    history = [
        classification(2**62 + 1, ZTF_MODEL.digest, [0.5, 0.3, 0.2], day=2),
        abstention(8, Reason.STAR, day=3),
        classification(9, ZTF_MODEL.digest, [0.7, 0.2, 0.1], day=4),
    ]
    put(store, KEY, object_state(history))


@pytest.fixture
def many_objects(store: RedisStore) -> list[str]:
    for model in MODELS.values():
        store.register_model(model)
    generator = np.random.default_rng(11)
    made = [random_object(generator, number) for number in range(N_OBJECTS)]
    put_all(store, {known.key: state for known, state in made})
    return [known.key for known, _ in made]


@pytest.mark.usefixtures("one_object")
def test_an_object_with_its_light_curve_and_history(sky: Nightjar) -> None:
    summary = sky.object("ZTF21abiuvdk")
    assert (summary.id, summary.n_detections) == (KEY, 2)
    assert [row.source_id for row in sky.lightcurve(KEY).observations] == [11, 2**63 + 5, 12, 13]
    assert [epoch.alert_id for epoch in sky.history(KEY).epochs] == [2**62 + 1, 8, 9]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("method", ["object", "lightcurve", "history"])
def test_an_unknown_object_is_an_error_of_its_own(sky: Nightjar, method: str) -> None:
    with pytest.raises(NotFoundError, match="ZTF18aaaaaaa") as caught:
        getattr(sky, method)("ZTF18aaaaaaa")
    assert caught.value.problem["type"] == "urn:nightjar:problem:unknown-object"


def test_all_objects_are_found_whatever_the_number_of_pages(
    sky: Nightjar, many_objects: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.client.nightjar.PAGE_SIZE", 50)
    everything = sky.objects()
    assert sorted(one.id for one in everything) == sorted(many_objects)
    assert [one.id for one in sky.objects(limit=70)] == [one.id for one in everything[:70]]
    assert sky.objects(limit=0) == []


@pytest.mark.usefixtures("many_objects")
def test_filters_choose_what_is_found(sky: Nightjar) -> None:
    everything = sky.objects()
    sure = sky.objects(class_name="TDE", min_probability=0.6, sort="-probability")
    expected = [one.id for one in everything if one.probabilities["TDE"] >= 0.6]
    assert sorted(one.id for one in sure) == sorted(expected)
    assert 0 < len(sure) < len(everything)
    assert {one.survey for one in sky.objects(survey="lsst")} == {"lsst"}
    assert len(sky.objects(survey=["lsst", "ztf"])) == len(everything)
    distances = [one.distance_arcsec or 0.0 for one in sky.objects(cone=(150.0, 2.0, 600.0))]
    assert distances
    assert distances == sorted(distances)
    assert distances[-1] <= 600
    since = sky.objects(since=START_MJD_TAI + 15, min_detections=2, max_mag=20.5)
    assert since
    for one in since:
        assert one.last_alert_mjd_tai is not None
        assert one.last_alert_mjd_tai >= START_MJD_TAI + 15
        assert one.n_detections >= 2
    time = since[0].last_alert_utc
    assert time is not None
    assert time.tzinfo is not None
    assert since[0].id in {one.id for one in sky.objects(since=time, until=time)}


def test_a_time_without_a_zone_is_refused(sky: Nightjar) -> None:
    with pytest.raises(ValueError, match="zone"):
        sky.objects(since=datetime(2026, 1, 1))
    assert sky.objects(since=datetime(2200, 1, 1, tzinfo=UTC)) == []


def test_many_objects_are_looked_up(
    sky: Nightjar, many_objects: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.client.nightjar.MAX_IDS", 25)
    wanted = [key for key in many_objects if key.startswith("lsst:")]
    answer = sky.lookup([*wanted, "ZTF18aaaaaaa"])
    assert [one.id for one in answer.objects] == wanted
    assert answer.not_found == ["ZTF18aaaaaaa"]


def test_a_light_curve_is_classified(sky: Nightjar) -> None:
    rows = [{"mjd": 60000.0 + day, "band": "r", "mag": 19.0 - day / 10, "mag_err": 0.05} for day in range(4)]
    answer = sky.classify({"survey": "ztf", "observations": rows})
    assert answer.status == "classified"
    assert sum(one.probability for one in answer.classifications) == pytest.approx(1, abs=1e-6)


@pytest.mark.usefixtures("one_object")
def test_tables_have_units_and_mask_what_is_missing(sky: Nightjar) -> None:
    curve = sky.lightcurve(KEY).table()
    assert len(curve) == 4
    assert str(curve["flux_njy"].unit) == "nJy"
    assert curve["flux_njy"].value.tolist() == light_curve()["flux_njy"].tolist()
    assert curve["source_id"].tolist() == light_curve()["source_id"].tolist()
    assert curve["mag"].mask.tolist() == [True, False, True, False]
    history = sky.history(KEY).table()
    assert history["alert_id"].tolist() == [2**62 + 1, 8, 9]
    assert history["probability_Ia"].tolist() == [pytest.approx(0.5), None, pytest.approx(0.7)]
    assert history["raw_probability_TDE"].tolist() == [pytest.approx(0.5), None, pytest.approx(0.7)]
    assert history["classifier_name"].tolist() == ["some-ztf", None, "some-ztf"]
    assert history["classifier_version"].tolist() == ["1.2", None, "1.2"]
    found = sky.objects().table()
    assert set(found.colnames) >= {"object_id", "ra_deg", *(f"probability_{name}" for name in CLASSES)}
    assert found["ra_deg"].to_value("rad")[0] == pytest.approx(np.deg2rad(150.5))


def test_classifications_are_read_from_kafka(broker: Broker, unique_topic: TopicFactory) -> None:
    topic = unique_topic(broker)
    records = [record(object_id="a"), ABSTAINED, record(object_id="b", survey="lsst")]
    produce(broker.bootstrap_servers, topic, [*encode_json(records), *encode_avro(records[:1])])

    def read(survey: Sequence[str] = ()) -> list[str]:
        found = Nightjar.subscribe(
            broker.bootstrap_servers,
            topic,
            from_beginning=True,
            silence=timedelta(seconds=1.5),
            survey=survey,
        )
        return [record.object_id for record in found]

    assert read() == ["a", "ZTF21abiuvdk", "b", "a"]
    assert read(survey="lsst") == ["b"]
    first = next(islice(Nightjar.subscribe(broker.bootstrap_servers, topic, from_beginning=True), 1))
    assert (first.top_class, first.top_class_probability) == ("Ia", 0.7)
