"""One contract: of one object, classified by the real service, all ways of asking give the same values."""

import asyncio
import io
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from astropy.io.votable import parse_single_table

from service.client import Nightjar
from service.core.alerts import Survey
from service.core.records.published import parse_record
from service.embedded.broker import Broker
from service.settings import Settings
from tests.integration.conftest import DeploymentFactory
from tests.support.api_process import ApiProcess
from tests.support.sse import listening
from tests.support.streams import simulated_packets

PACKETS = [packet for packet in simulated_packets() if packet[0] is Survey.ZTF][:150]
FORMS = ("csv", "parquet", "votable")

Json = dict[str, Any]


@dataclass(frozen=True)
class Service:
    """A service that has classified `PACKETS`, and an object of it.

    Attributes
    ----------
    settings
        Of the service whose output is JSON.
    avro_topic
        Output topic of another one, in Avro.
    url
        Of the API.
    key
        Qualified id of the object.
    records
        Published records of the object, by time.
    """

    settings: Settings
    avro_topic: str
    url: str
    key: str
    records: list[Json]

    @property
    def path(self) -> str:
        return f"{self.url}/v1/objects/{self.key}"

    def rows(self, what: str, form: str = "json") -> list[Json]:
        """Return the object in a list or looked up, or its light curve or classifications, as rows."""
        match what:
            case "list":
                response = httpx.get(f"{self.url}/v1/objects", params={"limit": 1000, "format": form})
            case "lookup":
                ids = {"ids": [self.key]}
                response = httpx.post(f"{self.url}/v1/objects/lookup", json=ids, params={"format": form})
            case _:
                response = httpx.get(f"{self.path}/{what}", params={"format": form})
        response.raise_for_status()
        if form != "json":
            rows = read_table(form, response.content)
        else:
            answer = response.json()
            name = {"lightcurve": "observations", "classifications": "epochs"}.get(what, "objects")
            names = {name: answer[name] for name in ("id", "survey", "object_id") if name in answer}
            rows = [names | row for row in answer[name]]
        return [row for row in rows if row["id"] == self.key]


def read_table(form: str, body: bytes) -> list[Json]:
    match form:
        case "csv":
            options = pyarrow.csv.ConvertOptions(strings_can_be_null=True)
            return list(pyarrow.csv.read_csv(io.BytesIO(body), convert_options=options).to_pylist())
        case "parquet":
            return list(pyarrow.parquet.read_table(io.BytesIO(body)).to_pylist())
        case _:
            table = parse_single_table(io.BytesIO(body)).to_table(use_names_over_ids=True)
            return [{name: row[name] for name in table.colnames} for row in table]


@pytest.fixture
def service(
    embedded_broker: Broker, redis_url: str, deploy: DeploymentFactory, tmp_path: Path
) -> Iterator[Service]:
    as_json = deploy(embedded_broker, redis_url, partitions=1)
    other_redis = redis_url.removesuffix("/0") + "/1"
    as_avro = deploy(embedded_broker, other_redis, partitions=1, output_format="avro")
    for deployment in (as_json, as_avro):
        deployment.send(PACKETS)
        deployment.start_worker(f"worker-{uuid.uuid4().hex[:6]}")
        deployment.wait_until_done()
    published = [parse_record(record.value) for record in as_json.results()]
    key = chosen_object(published)
    records = [one for one in published if f"{one['survey']}:{one['object_id']}" == key]
    api = ApiProcess(as_json.settings, tmp_path, "api")
    api.start()
    try:
        api.wait_until_ready()
        records.sort(key=lambda one: float(one["mjd_tai"]))
        yield Service(as_json.settings, as_avro.settings.output_topic, api.url, key, records)
    finally:
        api.process.kill()


def chosen_object(published: list[Json]) -> str:
    """Return the object with the most results whose latest alert was classified."""
    by_object: dict[str, list[Json]] = {}
    for record in published:
        by_object.setdefault(f"{record['survey']}:{record['object_id']}", []).append(record)

    def latest(key: str) -> Json:
        return max(by_object[key], key=lambda one: float(one["mjd_tai"]))

    fitting = [key for key in by_object if latest(key)["status"] == "classified"]
    return max(fitting, key=lambda key: len(by_object[key]))


def plain(value: Any) -> Any:
    """Bring values of different forms to one: times to datetimes, masked to None, numpy's to Python's."""
    if isinstance(value, np.generic | np.ndarray):
        value = None if np.ma.is_masked(value) else value.item()
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, str) and value[4:5] == "-" and "T" in value:
        return datetime.fromisoformat(value)
    return None if value == "" or value != value else value


def assert_agree(first: Mapping[str, Any], second: Mapping[str, Any], at_least: int) -> None:
    """Compare everything that two answers have under the same name."""
    shared = first.keys() & second.keys()
    assert len(shared) >= at_least, shared
    for name in shared:
        ours, theirs = plain(first[name]), plain(second[name])
        if name == "classifier" and ours and theirs:  # published records, and so the stream, have no digest
            keys = {key for key in ours.keys() & theirs.keys() if ours[key] and theirs[key]}
            assert keys >= {"name", "version", "feature_version"}
            ours, theirs = ({key: value[key] for key in keys} for value in (ours, theirs))
        assert ours == theirs, name


def by_class(vector: list[Json], name: str) -> dict[str, float]:
    return {entry["class_name"]: entry[name] for entry in vector}


def test_all_ways_of_asking_give_the_same_values_under_the_same_names(service: Service) -> None:
    summary = httpx.get(service.path).json()
    history = httpx.get(f"{service.path}/classifications").json()
    assert len(service.records) >= 5
    assert_history_agrees_with_records(service, summary, history)
    [listed] = service.rows("list")
    assert_agree(listed, summary, 20)
    assert set(listed) - set(summary) == {"distance_arcsec"}
    assert service.rows("lookup") == [summary]
    assert_stream_agrees(service.records, asyncio.run(streamed(service)), listed)
    for form in FORMS:
        assert_tables_agree(service, form)
    assert_client_agrees(service, summary, history)


def assert_history_agrees_with_records(service: Service, summary: Json, history: Json) -> None:
    names = {name: summary[name] for name in ("id", "survey", "object_id")}
    assert names["id"] == f"{names['survey']}:{names['object_id']}" == service.key
    assert len(history["epochs"]) == len(service.records) == history["n_epochs"] == summary["n_epochs"]
    for record, epoch in zip(service.records, history["epochs"], strict=True):
        assert_agree(record, names | epoch, 9)
        classified = datetime.fromtimestamp(record["timestamps"]["classified"] / 1000, UTC)
        assert plain(epoch["classified_utc"]) == classified
        if epoch["status"] == "classified":
            best = max(record["classifications"], key=lambda entry: float(entry["probability"]))
            assert (epoch["top_class"], epoch["top_class_probability"]) == (
                best["class_name"],
                best["probability"],
            )
    last, epoch = service.records[-1], history["epochs"][-1]
    assert summary["classification"] == epoch
    assert_agree(summary, {name: epoch[name] for name in epoch if name != "n_observations"}, 4)
    assert_agree(summary, {name: last[name] for name in ("survey", "object_id", "ra_deg", "dec_deg")}, 4)
    assert summary["classified_alert_id"] == last["alert_id"]
    assert summary["probabilities"] == by_class(epoch["classifications"], "probability")
    for name, value in (("mjd_tai", last["mjd_tai"]), ("utc", epoch["utc"]), ("status", last["status"])):
        assert plain(summary[f"last_alert_{name}"]) == plain(value)


async def streamed(service: Service) -> list[Json]:
    """Results of the object in the live stream, from the first on."""
    async with listening(service.url, "0:0") as client:
        events = await client.take(len(PACKETS))
    return [event.data for event in events if event.data["id"] == service.key]


def assert_stream_agrees(records: list[Json], events: list[Json], listed: Json) -> None:
    by_alert = {event["alert_id"]: event for event in events}
    assert len(by_alert) == len(events) == len(records)
    for record in records:
        event = by_alert[record["alert_id"]]
        assert_agree(record, event, 7)
        assert event["last_alert_mjd_tai"] == record["mjd_tai"]
        assert event["last_alert_status"] == record["status"]
        assert event["last_alert_reason"] == record["reason"]
        assert event["probabilities"] == by_class(record["classifications"], "probability")
    latest = by_alert[records[-1]["alert_id"]]
    assert_agree(latest, listed, 20)
    assert set(latest) - {"alert_id"} == set(listed) - {"distance_arcsec"}


def assert_tables_agree(service: Service, form: str) -> None:
    for what in ("list", "lookup", "lightcurve", "classifications"):
        rows, table = service.rows(what), service.rows(what, form)
        assert len(rows) == len(table) > 0
        for row, columns in zip(rows, table, strict=True):
            scalars = {name: value for name, value in row.items() if not isinstance(value, dict | list)}
            if form == "votable":  # it has no unsigned 64-bit integers
                scalars.pop("source_id", None)
            assert scalars.keys() <= columns.keys() | {"classification"}, what
            assert_agree(scalars, columns, 8)
            assert_class_columns_agree(row, columns)


def assert_class_columns_agree(row: Json, columns: Json) -> None:
    expected: Json = {}
    vector = (row.get("classification") or row).get("classifications", ())
    for kind in ("probability", "raw_probability"):
        expected |= {f"{kind}_{name}": value for name, value in by_class(vector, kind).items()}
    expected |= {f"probability_{name}": value for name, value in row.get("probabilities", {}).items()}
    classifier = row.get("classifier") or {}
    expected |= {f"classifier_{name}": value for name, value in classifier.items()}
    for name, value in expected.items():
        assert str(plain(columns[name])) == str(value), name


def assert_client_agrees(service: Service, summary: Json, history: Json) -> None:
    brokers = service.settings.bootstrap_servers
    with Nightjar(service.url) as sky:
        assert plain(sky.object(service.key).model_dump(mode="json")) == plain(summary)
        assert plain(sky.history(service.key).model_dump(mode="json")) == plain(history)
        curve = sky.lightcurve(service.key)
        assert plain(curve.model_dump(mode="json")) == plain(httpx.get(f"{service.path}/lightcurve").json())
        found = sky.objects()
        listed = next(one for one in found if one.id == service.key)
        assert plain(listed.model_dump(mode="json")) == plain(service.rows("list")[0])
        assert sky.lookup([service.key]).objects == [sky.object(service.key)]
        tables = {
            "list": found.table(),
            "lightcurve": curve.table(),
            "classifications": sky.history(service.key).table(),
        }
    for what, table in tables.items():
        assert set(table.colnames) == set(service.rows(what, "parquet")[0]), what
        assert {"id", "survey", "object_id"} <= set(table.colnames)
    for topic in (service.settings.output_topic, service.avro_topic):
        subscribed = Nightjar.subscribe(
            brokers, topic, object_id=service.key, from_beginning=True, silence=timedelta(seconds=3)
        )
        read = {one.alert_id: one for one in islice(subscribed, len(service.records))}
        for record, epoch in zip(service.records, history["epochs"], strict=True):
            published = read[record["alert_id"]]
            dumped = published.model_dump(mode="json")
            assert published.id == service.key
            assert (published.top_class, published.top_class_probability) == (
                epoch["top_class"],
                epoch["top_class_probability"],
            )
            assert dumped.keys() == record.keys()
            # Each service has its own clock.
            clocks = {"timestamps"} if topic == service.avro_topic else set()
            for name in record.keys() - clocks:
                assert dumped[name] == record[name], name
