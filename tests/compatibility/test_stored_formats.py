"""What the commit before stored, exported and published is read, and work goes on from it."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from redis import Redis

from service.client import Nightjar
from service.embedded.broker import Broker, create_topics
from service.embedded.redis import EmbeddedRedis
from service.settings import Settings
from tests.compatibility.stored import (
    AVRO,
    DESC,
    DIGESTS,
    EXPORT,
    LONG_OBJECT,
    OUTPUT,
    REJECTED,
    SETTINGS,
    SHADOW,
    SOURCES,
    StoredRecord,
    assert_same_answer,
    bundle,
    by_alert,
    continuation,
    redis_keys,
    restore_redis,
    restore_topics,
    send_again,
    topics,
)
from tests.conftest import SettingsFactory
from tests.support.api_process import ApiProcess
from tests.support.command import nightjar
from tests.support.kafka import Record, group_lag, read_topic, wait_until
from tests.support.service import settings_as_environment, worker_process

Answer = dict[str, Any]

MODELS = {"ztf_model": str(bundle("ztf")), "lsst_model": str(bundle("lsst"))}
TOPICS = {
    "ztf_topics": (SOURCES["ztf"],),
    "lsst_topics": (SOURCES["lsst"],),
    "output_topic": OUTPUT,
    "rejected_topic": REJECTED,
}
GROUP = "compat"
TIMEOUT_S = 60.0

ANSWERS = by_alert(topics()[OUTPUT])
OBJECTS = sorted({f"{answer['survey']}:{answer['object_id']}" for answer in ANSWERS.values()})
COUNTER = slice(8, 16)
"""Where a stored object has the number of times that it was written, in every version of the format."""


def answers_of(key: str) -> list[Answer]:
    """Return what was published of an object, by time of the alert."""
    survey, _, object_id = key.partition(":")
    answers = [
        answer
        for answer in ANSWERS.values()
        if (answer["survey"], answer["object_id"]) == (survey, object_id)
    ]
    return sorted(answers, key=lambda answer: float(answer["mjd_tai"]))


def exported(pattern: str) -> dict[str, Answer]:
    """Return the rows of exported tables by object, as pyarrow reads them."""
    rows = [row for path in sorted(EXPORT.glob(pattern)) for row in pq.read_table(path).to_pylist()]
    return {f"{row['survey']}:{row['object_id']}": row for row in rows}


def vectors(answer: Answer) -> list[tuple[int, str, np.float32, np.float32]]:
    """Return classes and probabilities of a result, in single precision, of which every bit counts."""
    return [
        (entry["class_id"], entry["class_name"], *(np.float32(entry[name]) for name in names))
        for entry in answer["classifications"]
        for names in [("probability", "raw_probability")]
    ]


# Objects


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Serve the stored objects over HTTP."""
    with EmbeddedRedis() as redis:
        restore_redis(redis.url)
        settings = Settings(bootstrap_servers="127.0.0.1:1").model_copy(
            update=MODELS | {"redis_url": redis.url}
        )
        process = ApiProcess(settings, tmp_path_factory.mktemp("api"), "api")
        process.start()
        try:
            wait_until(lambda: is_up(process), "the API")
            with httpx.Client(base_url=process.url, timeout=30) as client:
                yield client
        finally:
            process.process.stop()


def is_up(process: ApiProcess) -> bool:
    assert process.process.running, process.process.output()
    try:
        return httpx.get(f"{process.url}/healthz", timeout=5).is_success
    except httpx.TransportError:
        return False


def get(api: httpx.Client, path: str, **params: Any) -> Any:
    answer = api.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("key", OBJECTS)
def test_results_of_an_object_are_served_to_the_bit(api: httpx.Client, key: str) -> None:
    published = answers_of(key)

    served = get(api, f"/v1/objects/{key}/classifications")["epochs"]

    assert [answer["alert_id"] for answer in served] == [answer["alert_id"] for answer in published]
    assert [answer["status"] for answer in served] == [answer["status"] for answer in published]
    assert [vectors(answer) for answer in served] == [vectors(answer) for answer in published]
    assert get(api, f"/v1/objects/{key}")["n_detections"] == published[-1]["n_detections"]


def test_light_curves_are_whole_whether_their_oldest_rows_are_stored_apart_or_not(api: httpx.Client) -> None:
    rows = {key: row["light_curve"] for key, row in exported("objects/*/*.parquet").items()}
    assert sorted(rows) == OBJECTS
    assert b"nj:o:{" + LONG_OBJECT.encode() + b"}" in redis_keys()
    assert len(rows[LONG_OBJECT]) > 192
    for key, expected in rows.items():
        served = get(api, f"/v1/objects/{key}/lightcurve")["observations"]
        assert [row["source_id"] for row in served] == [row["source_id"] for row in expected]
        assert [row["mjd_tai"] for row in served] == [row["mjd_tai"] for row in expected]
        measured = [row["kind"] != "upper_limit" for row in served]
        for name in ("flux_njy", "flux_err_njy"):
            fluxes = [np.float32(row[name]) for row, is_one in zip(served, measured, strict=True) if is_one]
            assert fluxes == [
                np.float32(row[name]) for row, is_one in zip(expected, measured, strict=True) if is_one
            ]


def test_index_finds_objects_by_survey_position_and_class(api: httpx.Client) -> None:
    def search(**params: Any) -> set[str]:
        listed = get(api, "/v1/objects", limit=100, **params)["objects"]
        return {item["id"] for item in listed}

    assert search() == set(OBJECTS)
    for survey in SOURCES:
        assert search(survey=survey) == {key for key in OBJECTS if key.startswith(f"{survey}:")}
    likely: dict[str, set[str]] = {}
    for key in OBJECTS:
        latest = answers_of(key)[-1]
        assert key in search(ra=latest["ra_deg"], dec=latest["dec_deg"], radius_arcsec=5)
        if latest["classifications"]:
            best = max(latest["classifications"], key=lambda entry: float(entry["probability"]))
            likely.setdefault(best["class_name"], set()).add(key)
    assert likely
    for name, keys in likely.items():
        assert search(**{"class": name}) == keys


def test_results_of_the_shadow_model_are_served_to_the_bit(api: httpx.Client) -> None:
    published = by_alert(topics()[SHADOW])
    served: dict[tuple[str, int], Answer] = {}
    for key in OBJECTS:
        [*models] = get(api, f"/v1/objects/{key}/shadow-classifications")["models"]
        for model in models:
            assert model["classifier"]["digest"] == DIGESTS["ztf-shadow"]
            served |= {(key.partition(":")[2], answer["alert_id"]): answer for answer in model["epochs"]}
    assert served.keys() == published.keys()
    assert len(served) == len([answer for answer in ANSWERS.values() if answer["survey"] == "ztf"])
    for alert, answer in published.items():
        assert vectors(served[alert]) == vectors(answer)


def test_models_and_filters_are_known(api: httpx.Client) -> None:
    models = get(api, "/v1/models")["models"]
    assert {model["digest"] for model in models} == set(DIGESTS.values())
    assert {model["digest"] for model in models if model["loaded"]} == {DIGESTS["ztf"], DIGESTS["lsst"]}
    stored = json.loads((EXPORT / "filters.json").read_text())
    filters = get(api, "/v1/filters")["filters"]
    assert [spec["name"] for spec in filters] == [spec["name"] for spec in stored]
    likely, rising = filters
    assert (likely["class"], likely["min_probability"]) == ("Ia", 0.2)
    assert (rising["survey"], rising["ra"], rising["dec"]) == (["ztf"], 10.0, 80.0)
    assert (rising["rising"], rising["stable_epochs"], rising["max_mag"]) == (True, 2, 21.5)


# Models


@pytest.mark.parametrize("name", DIGESTS)
def test_model_is_loaded_and_has_the_digest_that_it_had(name: str) -> None:
    done = nightjar("model", "show", str(bundle(name)), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == DIGESTS[name]


@pytest.mark.parametrize("survey", SOURCES)
def test_stored_light_curves_are_classified_again_to_the_bit(
    embedded_broker: Broker, redis_url: str, settings_factory: SettingsFactory, survey: str
) -> None:
    restore_redis(redis_url)
    settings = settings_factory(embedded_broker, redis_url, **MODELS)
    topic = f"{settings.output_topic}-again"

    done = nightjar(
        *("reclassify", "--model", str(bundle(survey)), "--all-epochs", "--topic", topic),
        timeout_s=TIMEOUT_S,
        **settings_as_environment(settings),
    )

    assert done.returncode == 0, done.stderr
    again = [json.loads(record.value) for record in read_topic(embedded_broker.bootstrap_servers, topic)]
    expected = {alert: answer for alert, answer in ANSWERS.items() if answer["survey"] == survey}
    assert {(answer["object_id"], answer["alert_id"]) for answer in again} == expected.keys()
    for answer in again:
        before = expected[answer["object_id"], answer["alert_id"]]
        assert (answer["status"], answer["reason"]) == (before["status"], before["reason"])
        assert vectors(answer) == vectors(before)


# Work goes on


@pytest.mark.parametrize("source", ["stored", "exported"])
def test_further_alerts_of_an_object_get_the_results_that_they_got(
    embedded_broker: Broker, redis_url: str, settings_factory: SettingsFactory, tmp_path: Path, source: str
) -> None:
    if source == "stored":
        restore_redis(redis_url)
    else:
        assert nightjar("import", str(EXPORT), NIGHTJAR_REDIS_URL=redis_url).returncode == 0
    servers = embedded_broker.bootstrap_servers
    unique = f"-{tmp_path.name}"
    names = {topic: topic + unique for topic in (*SOURCES.values(), SHADOW, DESC)}
    create_topics(servers, dict.fromkeys(names.values(), 2))
    settings = settings_factory(
        embedded_broker,
        redis_url,
        ztf_topics=(names[SOURCES["ztf"]],),
        lsst_topics=(names[SOURCES["lsst"]],),
        desc_topic=names[DESC],
        shadow_topic=names[SHADOW],
        ztf_shadow_model=str(bundle("ztf-shadow")),
        **MODELS,
    )
    send_again(servers, {topic: (names[topic], continuation()[topic]) for topic in SOURCES.values()})
    sources = [names[topic] for topic in SOURCES.values()]
    worker = worker_process(settings, tmp_path)
    worker.start()
    try:
        wait_until(
            lambda: not any(group_lag(servers, settings.group_id, topic) for topic in sources), "the end"
        )
    finally:
        assert worker.stop() == 0

    assert "warning" not in worker.output().lower()
    assert read_topic(servers, settings.rejected_topic) == []
    assert_continued(OUTPUT, read_topic(servers, settings.output_topic))
    assert_continued(SHADOW, read_topic(servers, names[SHADOW]))
    desc = read_topic(servers, names[DESC])
    assert sorted(record.key or b"" for record in desc) == sorted(
        record.key or b"" for record in continuation()[DESC]
    )
    assert_counted(redis_url)


def assert_continued(topic: str, records: list[Record]) -> None:
    """Check results of the further alerts against those that were published then."""
    before = continuation()[topic]
    assert len(records) == len(before)
    expected, answers = by_alert(before), by_alert(list(map(stored_record, records)))
    assert answers.keys() == expected.keys()
    repeated = by_alert(topics()[topic]).keys() & expected.keys()
    assert repeated
    for alert, answer in answers.items():
        # Of an alert that was there before, the result is the one that was stored, its time included.
        times = {"alert_published", "ingested"} | (set() if alert in repeated else {"classified"})
        assert_same_answer(expected[alert], answer, but=times.__contains__)


def stored_record(record: Record) -> StoredRecord:
    headers = tuple(record.headers.items())
    return StoredRecord(record.partition, record.offset, record.key, record.value, headers)


def assert_counted(redis_url: str) -> None:
    """Check that objects with a new alert were written once more, and those without not at all."""
    results = by_alert(continuation()[OUTPUT])
    new = {
        f"{answer['survey']}:{answer['object_id']}"
        for alert, answer in results.items()
        if alert not in ANSWERS
    }
    assert LONG_OBJECT in new
    with Redis.from_url(redis_url) as client:
        for key in OBJECTS:
            name = b"nj:{" + key.encode() + b"}"
            before = int.from_bytes(redis_keys()[name]["value"].encode("latin-1")[COUNTER], "little")
            value: Any = client.get(name)
            assert int.from_bytes(value[COUNTER], "little") == before + (key in new), key


# Exports


def test_export_is_imported_and_gives_the_values_that_were_stored(redis_url: str) -> None:
    done = nightjar("import", str(EXPORT), NIGHTJAR_REDIS_URL=redis_url)
    assert done.returncode == 0, done.stderr

    assert f"imported {len(OBJECTS)} objects" in done.stderr
    client: Any = Redis.from_url(redis_url)
    for name, stored in redis_keys().items():
        match name.split(b":")[1]:
            case b"filters" | b"models":
                values = {field.decode(): json.loads(value) for field, value in client.hgetall(name).items()}
                assert values == {field: json.loads(value) for field, value in stored["value"].items()}
            case b"i" if stored["type"] == "zset":
                assert dict(client.zrange(name, 0, -1, withscores=True)) == current_scores(name), name
            case _ if stored["type"] == "string" and LONG_OBJECT.encode() not in name:
                assert client.get(name) == stored["value"].encode("latin-1"), name
                assert client.pexpiretime(name) == stored["expires_at_ms"]
    # The oldest rows of a long light curve are stored apart again with its next alert, not before.
    [rows, short] = [
        redis_keys()[f"nj:{kind}:{{{LONG_OBJECT}}}".encode()]["value"].encode("latin-1") for kind in "os"
    ]
    assert rows in client.get(f"nj:{{{LONG_OBJECT}}}")
    assert client.get(f"nj:s:{{{LONG_OBJECT}}}") == short
    client.close()


def current_scores(name: bytes) -> dict[bytes, float]:
    """Return an index without what earlier results left in it, which is taken out from time to time."""
    _nj, _i, kind, survey, *class_name = name.decode().split(":")
    scores = dict(redis_keys()[name]["value"])
    if kind == "c":
        latest = {key: vectors(answers_of(f"{survey}:{key}")[-1]) for key in scores}
        now = {key: {entry[1]: float(entry[2]) for entry in vector} for key, vector in latest.items()}
        scores = {key: score for key, score in scores.items() if now[key][class_name[0]] == score}
    return {key.encode(): score for key, score in scores.items()}


# Topics


@pytest.fixture(scope="module")
def restored() -> dict[str, Broker]:
    """Keep the brokers that have the stored topics, by their address."""
    return {}


@pytest.fixture
def settings(broker: Broker, restored: dict[str, Broker], settings_factory: SettingsFactory) -> Settings:
    """Return the settings of the service whose topics a broker has."""
    if broker.bootstrap_servers not in restored:
        restore_topics(broker.bootstrap_servers, GROUP)
        restored[broker.bootstrap_servers] = broker
    made = settings_factory(broker)
    return made.model_copy(update=TOPICS | {"group_id": GROUP})


@pytest.mark.parametrize("topic", [OUTPUT, AVRO])
def test_results_are_printed_whatever_their_form(settings: Settings, topic: str) -> None:
    done = nightjar(
        *("listen", "--json", "--from-beginning", "--limit", str(len(ANSWERS)), "--topic", topic),
        timeout_s=TIMEOUT_S,
        **settings_as_environment(settings),
    )
    assert done.returncode == 0, done.stderr
    lines = [StoredRecord(0, 0, None, line.encode(), ()) for line in done.stdout.splitlines()]
    answers = by_alert(lines)
    assert answers.keys() == ANSWERS.keys()
    for alert, answer in answers.items():
        assert answer["schema_version"] == ANSWERS[alert]["schema_version"]
        assert vectors(answer) == vectors(ANSWERS[alert])
        assert answer["reason"] == ANSWERS[alert]["reason"]
        if topic == OUTPUT:
            assert answer["timestamps"] == ANSWERS[alert]["timestamps"]


@pytest.mark.parametrize("topic", [OUTPUT, AVRO])
def test_results_are_read_by_the_client_whatever_their_form(settings: Settings, topic: str) -> None:
    records = list(
        Nightjar.subscribe(
            settings.bootstrap_servers, topic, from_beginning=True, silence=timedelta(seconds=3)
        )
    )
    assert len(records) == len(ANSWERS)
    for record in records:
        expected = ANSWERS[record.object_id, record.alert_id]
        assert vectors(record.model_dump()) == vectors(expected)
        assert record.mjd_tai == float(expected["mjd_tai"])
        assert record.status == expected["status"]


def test_audit_of_the_stored_topics_is_clean(settings: Settings) -> None:
    done = nightjar("audit", "--json", timeout_s=TIMEOUT_S, **settings_as_environment(settings))
    assert done.returncode == 0, done.stderr + done.stdout
    totals = json.loads(done.stdout)["totals"]
    assert totals["classified"] == sum(answer["status"] == "classified" for answer in ANSWERS.values())
    assert totals["abstained"] == sum(answer["status"] == "abstained" for answer in ANSWERS.values())
    assert totals["rejected"] == len(topics()[REJECTED]) == 1


def test_dead_letters_go_back_to_where_they_came_from(settings: Settings) -> None:
    [letter] = topics()[REJECTED]
    headers = dict(letter.headers)
    topic, code = headers["source"].decode().partition(":")[0], headers["error_class"].decode()
    before = read_topic(settings.bootstrap_servers, topic)

    counted, sent = [
        nightjar(
            *("replay", "--from-rejected", *options),
            timeout_s=TIMEOUT_S,
            **settings_as_environment(settings),
        )
        for options in (["--dry-run", "--error-class", code], [])
    ]

    assert counted.stderr.splitlines()[0] == f"1 {code} for {topic}"
    assert sent.returncode == 0, sent.stderr
    known = {(record.partition, record.offset) for record in before}
    records = read_topic(settings.bootstrap_servers, topic)
    [new] = [record for record in records if (record.partition, record.offset) not in known]
    assert new.value == letter.value
    assert headers["source"] in new.headers.values()


# Settings


def test_every_setting_has_its_effect_under_the_name_that_it_had() -> None:
    done = nightjar(
        "settings", timeout_s=TIMEOUT_S, **{name: setting["given"] for name, setting in SETTINGS.items()}
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("NIGHTJAR_")]
    shown = dict(line.split("=", 1) for line in lines)
    for name, setting in SETTINGS.items():
        if name in shown:
            assert shown[name] == setting["shown"], name
        else:  # renamed: the old name works, with a line of warning
            [warning] = [line for line in done.stderr.splitlines() if name in line.split()]
            assert [new for new, value in shown.items() if value == setting["shown"] and new in warning], (
                warning
            )
