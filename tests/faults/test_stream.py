"""Bad input and a bad clock: every alert still has exactly one result."""

import os
import struct
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import orjson
import pytest

from service.core.alerts import Survey
from service.decoding.wire.shipped import shipped_schema
from service.embedded.broker import Broker
from service.wiring.stores import object_store
from service.wiring.worker import batch_processor
from service.worker.batch import BatchProcessor
from tests.conftest import SettingsFactory
from tests.faults.proof import SHORT_TIMEOUTS, assert_exactly_once, assert_same_light_curves, lsst
from tests.integration.conftest import DeploymentFactory
from tests.support.command import nightjar
from tests.support.crowd import crowd
from tests.support.service import settings_as_environment, stored_states
from tests.support.streams import TOPICS, source_messages
from tests.worker.batches import results

PACKETS = lsst(crowd(60))
ZTF_PACKETS = tuple((Survey.ZTF, value) for value in crowd(25, survey=Survey.ZTF))

POISONS: tuple[Callable[[bytes], bytes], ...] = (
    lambda value: value[: len(value) // 2],
    lambda _value: b"",
    lambda value: struct.pack(">bI", 0, 9999) + value[5:],
    lambda value: value + b"\x00",
    lambda _value: os.urandom(300),
    lambda _value: b"Obj\x01" + bytes(50),
    lambda _value: b'{"objectId": "ZTF21abiuvdk"}',
)


def by_partition(index: int) -> int:
    return index % 4


def test_malformed_messages_in_every_batch_become_dead_letters_only(
    fault_broker: Broker, redis_url: str, reference_url: str, deploy: DeploymentFactory
) -> None:
    mixed, poisoned = [], []
    for number, (survey, value) in enumerate(PACKETS):
        mixed.append((survey, value))
        if number % 4 == 0:
            poisoned.append(POISONS[number // 4 % len(POISONS)](value))
            mixed.append((survey, poisoned[-1]))
    deployment = deploy(fault_broker, redis_url, batch_size=8, **SHORT_TIMEOUTS)
    deployment.send(mixed, by_partition)
    worker = deployment.start_worker()
    deployment.wait_until_done()

    assert_exactly_once(deployment, rejected=len(poisoned))
    assert Counter(letter.value for letter in deployment.dead_letters()) == Counter(poisoned)
    assert_same_light_curves(deployment, reference_url, PACKETS)
    assert worker.running


def future_schema() -> Any:
    """Return a schema unknown to this release, with an additional field of a type it does not read."""
    text = orjson.dumps(shipped_schema("lsst", "11.1")).replace(b"lsst.v11_1", b"lsst.v12_0")
    schema = orjson.loads(text)
    schema["fields"].insert(1, {"name": "novelty", "type": {"type": "array", "items": "string"}})
    return schema


def reencoded(packet: tuple[Survey, bytes], schema: Any, schema_id: int) -> tuple[Survey, bytes]:
    """Re-encode an LSST alert of schema 10.0 with another schema."""
    record = fastavro.schemaless_reader(BytesIO(packet[1][5:]), shipped_schema("lsst", "10.0"), None)
    assert isinstance(record, dict)
    # Counts of measurements may be null up to 10.0, but not later.
    for row in (record["diaSource"], *(record["prvDiaSources"] or ())):
        row |= {name: row[name] or 0 for name in ("psfNdata", "trailNdata", "dipoleNdata", "bboxSize")}
    for name in record["diaObject"] or ():
        if name.endswith("Ndata"):
            record["diaObject"][name] = record["diaObject"][name] or 0
    output = BytesIO()
    fastavro.schemaless_writer(output, schema, record | {"novelty": ["of", "the", "year"]})
    return Survey.LSST, struct.pack(">bI", 0, schema_id) + output.getvalue()


def reencoded_ztf(value: bytes) -> bytes:
    """Re-encode a container with a schema that has an additional first field in the candidate."""
    reader = fastavro.reader(BytesIO(value))
    schema: Any = deepcopy(reader.writer_schema)
    candidate = next(field for field in schema["fields"] if field["name"] == "candidate")
    candidate["type"]["fields"].insert(0, {"name": "novelty", "type": ["null", "double"], "default": None})
    output = BytesIO()
    fastavro.writer(output, schema, list(reader))
    return output.getvalue()


def test_schema_change_in_mid_stream_changes_no_result(
    fault_broker: Broker, redis_url: str, reference_url: str, deploy: DeploymentFactory, tmp_path: Path
) -> None:
    (tmp_path / "alert.avsc").write_bytes(orjson.dumps(future_schema()))
    third = len(PACKETS) // 3
    changed = list(PACKETS[:third])
    changed += [
        reencoded(packet, shipped_schema("lsst", "11.1"), 1101) for packet in PACKETS[third : 2 * third]
    ]
    changed += [reencoded(packet, future_schema(), 1200) for packet in PACKETS[2 * third :]]
    changed += ZTF_PACKETS[:100]
    changed += [(survey, reencoded_ztf(value)) for survey, value in ZTF_PACKETS[100:]]
    deployment = deploy(fault_broker, redis_url, batch_size=20, schema_dir=tmp_path, **SHORT_TIMEOUTS)
    deployment.send(changed, by_partition)
    deployment.start_worker()
    deployment.wait_until_done()

    assert_exactly_once(deployment)
    assert_same_light_curves(deployment, reference_url, [*PACKETS, *ZTF_PACKETS])


def test_dead_letters_of_an_unknown_schema_are_classified_once_it_is_known(
    fault_broker: Broker,
    redis_url: str,
    reference_url: str,
    deploy: DeploymentFactory,
    tmp_path: Path,
    long_form: bool,
) -> None:
    if not long_form:
        pytest.skip("sending back is also tested with its command: set NIGHTJAR_LONG_TESTS=1")
    half = len(PACKETS) // 2
    unknown = [reencoded(packet, future_schema(), 1200) for packet in PACKETS[half:]]
    deployment = deploy(fault_broker, redis_url, batch_size=20, **SHORT_TIMEOUTS)
    deployment.send([*PACKETS[:half], *unknown], by_partition)
    worker = deployment.start_worker()
    deployment.wait_until_done()
    assert len(deployment.dead_letters()) == len(unknown)

    (tmp_path / "alert.avsc").write_bytes(orjson.dumps(future_schema()))
    worker.stop()
    deployment.start_worker("worker", schema_dir=tmp_path)
    done = nightjar(
        *("replay", "--from-rejected", "--error-class", "unknown_schema"),
        timeout_s=60,
        **settings_as_environment(deployment.settings),
    )
    assert done.returncode == 0, done.stderr
    deployment.sent[Survey.LSST] += len(unknown)
    deployment.wait_until_done()

    assert_exactly_once(deployment, rejected=len(unknown))
    assert_same_light_curves(deployment, reference_url, PACKETS)


class JumpingClock:
    """Jumps by years between any two calls."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def now_ms(self) -> int:
        return int(self._generator.integers(1_500_000_000_000, 2_000_000_000_000))

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody else is here, yet it waits {seconds} s")


@pytest.fixture
def make_processor(
    settings_factory: SettingsFactory, models: dict[str, str]
) -> Callable[[str], BatchProcessor]:
    def make(redis_url: str) -> BatchProcessor:
        topics = {f"{survey.value}_topics": (topic,) for survey, topic in TOPICS.items()}
        settings = settings_factory(None, redis_url, **(topics | models))
        made = batch_processor(settings, object_store(settings))
        made.prepare()
        return made

    return make


def test_jumping_clock_changes_only_timestamps(
    redis_url: str, reference_url: str, make_processor: Callable[[str], BatchProcessor]
) -> None:
    messages = source_messages([*PACKETS[:240], *ZTF_PACKETS[:60]], partitions=4)
    batches = [messages[begin : begin + 20] for begin in range(0, len(messages), 20)]
    steady, jumping = make_processor(reference_url), make_processor(redis_url)
    jumping._clock = JumpingClock(1)

    expected = results([steady.process(batch).outgoing for batch in batches])
    first = [jumping.process(batch).outgoing for batch in batches]
    jumping._clock = JumpingClock(2)
    again = [jumping.process(batch).outgoing for batch in batches]

    assert results(first) == expected
    assert results(again) == expected
    # Even the time of classification is that of the first run.
    made = [
        [orjson.loads(message.value or b"")["timestamps"]["classified"] for batch in run for message in batch]
        for run in (first, again)
    ]
    assert made[0] == made[1]
    assert timeless(redis_url) == timeless(reference_url)


def timeless(redis_url: str) -> dict[str, tuple[bytes, bytes]]:
    """Return every object's light curve, and its history without the times of classification."""
    objects = {}
    for key, state in stored_states(redis_url).items():
        history = state.history.entries.copy()
        history["classified_at_ms"] = 0
        objects[key] = state.observations.tobytes(), history.tobytes()
    return objects
