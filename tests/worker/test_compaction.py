"""The oldest rows of a long light curve lie apart; an alert that leaves them as they are does without."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from redis import Redis

from service.core.alerts import Survey
from service.core.lightcurve.merge import days
from service.core.ports.messages import SourceMessage
from service.core.state.object_state import ObjectState, decode_recent
from service.core.state.summary import read_summaries, summarise
from service.decoding.decoder import RawMessage
from service.worker import compaction
from tests.decoding.packets import (
    lsst,
    lsst_bytes,
    lsst_forced,
    lsst_object,
    lsst_source,
    ztf,
    ztf_bytes,
    ztf_prv,
)
from tests.support.service import light_curves, stored_states
from tests.support.streams import source_messages
from tests.worker.batches import STREAM, another_database, process
from tests.worker.conftest import ProcessorFactory

# So that objects of twenty observations are long.
MOST, KEPT = 6, 3


N_OBJECTS, N_NIGHTS = 3, 30


def nightly() -> list[SourceMessage]:
    """Give the alerts of objects seen each night, each with the forced photometry of the nights before.

    Mostly of one or two; now and then of all, with a value of long ago revised.
    """
    generator = np.random.default_rng(5)
    packets = []
    for night in range(N_NIGHTS):
        for number in range(N_OBJECTS):
            mjd_tai = 61_000.0 + night + 0.01 * number
            before = int(generator.choice([0, 1, 2, night], p=[0.3, 0.3, 0.3, 0.1]))
            forced = [
                lsst_forced(
                    diaForcedSourceId=1000 * number + earlier + 1,
                    midpointMjdTai=61_000.3 + earlier,
                    psfFlux=900.0 + 10 * earlier + 50 * (before > 2 and earlier == 3),
                    band="r" if earlier % 2 else "g",
                )
                for earlier in range(max(night - before, 0), night)
            ]
            source = lsst_source(
                diaSourceId=500_000 + 1000 * number + night,
                diaObjectId=1 + number,
                midpointMjdTai=mjd_tai,
                psfFlux=1000.0 + 100 * night,
                band="gri"[night % 3],
            )
            record = lsst(source=source, diaObject=lsst_object(diaObjectId=1 + number))
            packets.append((Survey.LSST, lsst_bytes(record | {"prvDiaForcedSources": forced})))
    return source_messages(packets)


def revised() -> list[SourceMessage]:
    """Give the alerts of an object seen each night, now and then with some of the nights before.

    An alert's own exposure is shorter than the histories of later ones suppose, so that its middle moves by
    seconds there and yet it stays the same measurement.
    """
    generator = np.random.default_rng(6)
    packets = []
    for night in range(2 * N_NIGHTS):
        sources = [
            {"candid": 1000 + number, "jd": 2459400.7 + number, "fid": 1 + number % 2, "magpsf": 18.0}
            for number in range(night + 1)
        ]
        n_before = int(generator.integers(2, 10)) if night % 5 == 0 else 0
        before = sources[max(night - n_before, 0) : night]
        prv = [ztf_prv(sigmapsf=0.1, isdiffpos="t", ra=244.8, dec=-5.4, **source) for source in before]
        packets.append((Survey.ZTF, ztf_bytes(ztf(prv=prv, exptime=10.0, **sources[night]))))
    return source_messages(packets)


STREAMS = {"simulated": STREAM, "nightly": nightly(), "revised": revised()}


@pytest.fixture
def settled_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "MAX_RECENT_ROWS", MOST)
    monkeypatch.setattr(compaction, "MIN_RECENT_ROWS", KEPT)


def heads(redis_url: str) -> dict[str, ObjectState]:
    with Redis.from_url(redis_url) as client:
        return {key.decode(): decode_recent(client.get(key)) for key in client.scan_iter("nj:{*}")}


def aside_of(redis_url: str) -> dict[bytes, Any]:
    """Give what is stored of objects beside their states: summaries and index."""
    with Redis.from_url(redis_url) as client:
        summaries = {key: client.get(key) for key in client.scan_iter("nj:s:*")}
        return summaries | {
            key: client.zrange(key, 0, -1, withscores=True) for key in client.scan_iter("nj:i*", _type="ZSET")
        }


@pytest.mark.usefixtures("settled_early")
@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("order", ["in order", "shuffled", "neighbours swapped", "in order, twice"])
def test_results_and_light_curves_are_those_of_whole_light_curves(
    make_processor: ProcessorFactory,
    monkeypatch: pytest.MonkeyPatch,
    redis_url: str,
    size: int,
    name: str,
    order: str,
) -> None:
    generator = np.random.default_rng(size)
    place = np.arange(len(STREAMS[name]), dtype=np.float64)
    if order == "shuffled":
        place = generator.random(len(place))
    elif order == "neighbours swapped":
        place += generator.uniform(0, 12, len(place))
    stream = [STREAMS[name][index] for index in np.argsort(place)]
    times = 2 if order.endswith("twice") else 1
    own, other = make_processor(), make_processor(redis_url=another_database(redis_url))

    found = [process(own, stream, size) for _ in range(times)]
    monkeypatch.setattr(compaction, "MAX_RECENT_ROWS", 10**9)
    assert found == [process(other, stream, size) for _ in range(times)]

    assert light_curves(redis_url) == light_curves(another_database(redis_url))
    assert aside_of(redis_url) == aside_of(another_database(redis_url))
    n_settled = [one.archived.n_rows for one in heads(redis_url).values()]
    assert max(n_settled) > MOST
    assert not any(one.archived.n_rows for one in heads(another_database(redis_url)).values())


@pytest.mark.usefixtures("settled_early")
def test_states_and_summaries_agree_with_those_of_whole_light_curves(
    make_processor: ProcessorFactory, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    process(make_processor(), STREAM, 7)
    monkeypatch.setattr(compaction, "MAX_RECENT_ROWS", 10**9)
    process(make_processor(redis_url=another_database(redis_url)), STREAM, 7)

    own, whole = stored_states(redis_url), stored_states(another_database(redis_url))
    for key, state in own.items():
        assert state.hidden.tobytes() == whole[key].hidden.tobytes()
        assert state.hidden_step == whole[key].hidden_step
    for name, state in heads(redis_url).items():
        key = name.removeprefix("nj:{").removesuffix("}")
        (short,), (long,) = summarise([state]).stored(), summarise([whole[key]]).stored()
        assert read_summaries([short]).columns.tobytes() == read_summaries([long]).columns.tobytes()


@pytest.mark.usefixtures("settled_early")
def test_settled_rows_are_of_earlier_days_and_only_those_behind_them_are_in_the_head(
    make_processor: ProcessorFactory, redis_url: str
) -> None:
    process(make_processor(), STREAM, 7)

    long = {key: one for key, one in heads(redis_url).items() if one.archived.n_rows}
    assert long
    whole = stored_states(redis_url)
    for name, head in long.items():
        rows = whole[name.removeprefix("nj:{").removesuffix("}")].observations
        n_settled = head.archived.n_rows
        assert head.observations.tobytes() == rows[n_settled:].tobytes()
        assert head.archived.end_mjd_tai == rows["mjd_tai"][n_settled - 1]
        numbers = days(rows["mjd_tai"])
        assert numbers[n_settled] > numbers[n_settled - 1]


@pytest.mark.usefixtures("settled_early")
def test_alerts_that_only_add_to_a_light_curve_leave_its_settled_rows_unread(
    make_processor: ProcessorFactory, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    made = make_processor()
    read: list[str] = []
    store: Any = made._objects._store
    load: Callable[[Sequence[str]], list[bytes | None]] = store.load

    def noted(keys: Sequence[str]) -> list[bytes | None]:
        read.extend(keys)
        return load(keys)

    monkeypatch.setattr(store, "load", noted)
    for message in STREAMS["nightly"]:
        settled = {key: one.archived for key, one in heads(redis_url).items()}
        read.clear()
        made.process([message])
        rows = made._decoder.decode([RawMessage(message.value or b"", Survey.LSST)]).alerts
        reaches_back = min(rows.observations["mjd_tai"])
        own = settled.get(f"nj:{{lsst:{rows.object_id[0]}}}")
        is_needed = own is not None and own.n_rows > 0 and reaches_back <= own.end_mjd_tai + 0.5
        assert bool(read) == is_needed, (reaches_back, own)


@pytest.mark.usefixtures("settled_early")
@pytest.mark.parametrize("damage", ["lost", "changed"])
def test_settled_rows_that_cannot_be_read_are_given_up_and_all_else_stays(
    make_processor: ProcessorFactory, redis_url: str, damage: str
) -> None:
    made = make_processor()
    process(made, STREAM, 7)
    before = stored_states(redis_url)
    with Redis.from_url(redis_url) as client:
        for key in client.scan_iter("nj:o:*"):
            if damage == "lost":
                client.delete(key)
            else:
                client.setrange(key, 3, b"\x00\xff\x11")

    first = process(make_processor(), STREAM, 7)

    assert len(first) == len(STREAM)
    for key, state in stored_states(redis_url).items():
        assert state.history.alert_ids.tolist() == before[key].history.alert_ids.tolist()
        # Every packet came again, and with them every row.
        assert state.observations.tobytes() == before[key].observations.tobytes()


@pytest.mark.usefixtures("settled_early")
def test_another_model_reads_the_whole_light_curve(
    make_processor: ProcessorFactory, models: dict[str, str], redis_url: str
) -> None:
    half = len(STREAM) // 2
    process(make_processor(), STREAM[:half], 7)
    other = make_processor(ztf_model=models["ztf_model"], lsst_model="")
    expected = make_processor(redis_url=another_database(redis_url), lsst_model="")
    process(make_processor(redis_url=another_database(redis_url)), STREAM[:half], 7)

    assert process(other, STREAM[half:], 7) == process(expected, STREAM[half:], 7)
    assert light_curves(redis_url) == light_curves(another_database(redis_url))
