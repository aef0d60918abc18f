"""The plain way to write this service.

Run as ``python -m tests.benchmarks._plain SERVERS TOPIC COUNT REDIS SURVEY``.

One alert at a time: fastavro with the schema at hand, the whole light curve through the network in
PyTorch, Redis get and set, produce. No transactions: it may publish twice after a crash. What it knows of
a packet is as little as will do, so it is no slower than it has to be.
"""

import io
import json
import pickle
import sys
import time
from typing import Any

import fastavro
import numpy as np
import torch
from confluent_kafka import Consumer, Producer
from redis import Redis

from service.core.alerts import OBSERVATION, Kind, Observations, Survey
from service.core.features.featuriser import pack
from service.core.models.bundle import load_bundle
from service.core.network.spec import encode_metadata
from service.decoding.surveys.lsst import BANDS
from service.decoding.wire.framing import CONFLUENT_PREFIX_BYTES, schema_id_of
from service.decoding.wire.schemas import SchemaStore
from service.kafka.options import consumer_options
from service.settings import Settings
from tests.benchmarks._runs import START
from training.model.network import Network

Rows = dict[tuple[int, int], tuple[float, float, float, int, int, int, int]]

OUTPUT = "plain"
AB_ZERO_POINT = 31.4
JD_OF_MJD = 2400000.5
NONE = np.full(1, np.nan, np.float32)


class Plain:
    """All that it takes to classify one alert."""

    def __init__(self, redis_url: str, survey: Survey) -> None:
        self.survey = survey
        self.redis: Any = Redis.from_url(redis_url)
        self.bundle = load_bundle(survey.value)
        self.network = Network(self.bundle.network).eval()
        self.network.import_weights(self.bundle.weights)
        self.schemas = SchemaStore()

    def record(self, value: bytes) -> Any:
        """Decode a packet."""
        if self.survey is Survey.ZTF:
            return next(fastavro.reader(io.BytesIO(value)))
        stream = io.BytesIO(value)
        stream.seek(CONFLUENT_PREFIX_BYTES)
        return fastavro.schemaless_reader(stream, self.schemas.by_id(schema_id_of(value)).parsed, None)

    @torch.inference_mode()
    def answer(self, value: bytes) -> tuple[str, bytes]:
        """Classify an alert; its object and the record to publish."""
        record = self.record(value)
        name, rows = ztf_rows(record) if self.survey is Survey.ZTF else lsst_rows(record)
        stored = self.redis.get(f"plain:{name}")
        known: Rows = {**(pickle.loads(stored) if stored else {}), **rows}  # noqa: S301  our own
        self.redis.set(f"plain:{name}", pickle.dumps(known))
        curve: Observations = np.array(sorted(known.values()), OBSERVATION)
        features = self.bundle.featuriser.encode(*pack([curve]))
        answer: dict[str, Any] = {"object_id": name, "n_observations": len(curve), "classifications": []}
        if len(features.x):
            metadata = None
            if self.bundle.network.metadata is not None:
                metadata = torch.from_numpy(encode_metadata(self.bundle.network.metadata, NONE, NONE))
            logits = self.network(torch.from_numpy(features.x).unsqueeze(0), metadata)[0, -1:]
            count = np.array([(curve["kind"] == Kind.DETECTION).sum()])
            probability = self.bundle.calibration.apply(logits.numpy(), count)[0]
            named = zip(self.bundle.class_names, probability.tolist(), strict=True)
            answer["classifications"] = [{"class_name": label, "probability": p} for label, p in named]
        return name, json.dumps(answer).encode()


def lsst_rows(record: Any) -> tuple[str, Rows]:
    """Give the object's name and its measurements."""
    rows: Rows = {}
    for source in [record["diaSource"], *(record["prvDiaSources"] or [])]:
        rows[Kind.DETECTION, source["diaSourceId"]] = lsst_row(source, Kind.DETECTION, source["diaSourceId"])
    for source in record["prvDiaForcedSources"] or []:
        number = source["diaForcedSourceId"]
        rows[Kind.FORCED, number] = lsst_row(source, Kind.FORCED, number)
    return str(record["diaSource"]["diaObjectId"]), rows


def lsst_row(source: Any, kind: Kind, number: int) -> tuple[float, float, float, int, int, int, int]:
    """Give one measurement of LSST as a row of `OBSERVATION`."""
    band = BANDS[source["band"].encode()]
    return source["midpointMjdTai"], source["psfFlux"], source["psfFluxErr"], band, kind, number, 0


def ztf_rows(record: Any) -> tuple[str, Rows]:
    """Give the object's name and its detections."""
    rows: Rows = {}
    for source in [record["candidate"], *(record["prv_candidates"] or [])]:
        if source["magpsf"] is not None:
            sign = 1.0 if source["isdiffpos"] in {"t", "1"} else -1.0
            flux = sign * 10 ** (-0.4 * (source["magpsf"] - AB_ZERO_POINT))
            error = abs(flux) * source["sigmapsf"] * 0.921
            mjd = source["jd"] - JD_OF_MJD
            number = source.get("candid") or record["candid"]
            rows[Kind.DETECTION, number] = mjd, flux, error, source["fid"], Kind.DETECTION, number, 0
    return record["objectId"], rows


def main(servers: str, topic: str, count: int, redis_url: str, survey: Survey) -> None:
    """Read so many messages and publish an answer to each; say what it took."""
    torch.set_num_threads(1)
    plain = Plain(redis_url, survey)
    settings = Settings(bootstrap_servers=servers, group_id=f"plain-{time.time_ns()}")
    consumer = Consumer({**consumer_options(settings), "log_level": 0})
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 5})
    consumer.subscribe([topic])
    n_read, clocks = 0, None
    while n_read < count:
        message = consumer.poll(0.1)
        if message is None or message.error() is not None:
            continue
        name, answer = plain.answer(message.value() or b"")
        producer.produce(OUTPUT, answer, name.encode())
        producer.poll(0)
        consumer.commit(message=message, asynchronous=True)
        n_read += 1
        if clocks is None and n_read >= START * count:
            clocks, first = (time.perf_counter(), time.process_time()), n_read
    producer.flush()
    assert clocks is not None
    wall_s, cpu_s = time.perf_counter() - clocks[0], time.process_time() - clocks[1]
    n_timed = n_read - first
    sys.stdout.write(
        json.dumps({"alerts_per_s": n_timed / wall_s, "cpu_us_per_alert": cpu_s / n_timed * 1e6}) + "\n"
    )
    consumer.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], Survey(sys.argv[5]))
