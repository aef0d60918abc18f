"""The compiled decoder gives the same results as the plain one, for any bytes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.alerts import Survey
from service.decoding import decoder as decoder_module
from service.decoding.decoder import Decoder, RawMessage
from service.decoding.wire.schemas import SchemaStore
from service.decoding.wire.shipped import shipped_schema
from service.errors import RejectionCode
from tests.decoding.comparing import assert_same, assert_same_alerts
from tests.decoding.packets import (
    BODIES,
    PACKETS,
    container,
    framed,
    lsst,
    lsst_bytes,
    lsst_forced,
    lsst_source,
    ztf,
    ztf_bytes,
)
from tests.decoding.test_broken_input import EDITS, Edit, edited

COMPILED = Decoder(SchemaStore())
PLAIN = Decoder(SchemaStore(), compiled=False)


def test_all_real_packets_decode_the_same(shared: Path) -> None:
    paths = sorted((shared / "alerts").rglob("*.avro"))
    messages = [
        RawMessage(path.read_bytes(), Survey(path.relative_to(shared / "alerts").parts[0])) for path in paths
    ]
    # Twice, since the first packet of a kind is taken apart and the others are recognised.
    assert_same(COMPILED.decode(messages), PLAIN.decode(messages))
    assert_same(COMPILED.decode(messages[::-1]), PLAIN.decode(messages[::-1]))


def test_written_packets_of_all_surveys_in_one_batch_decode_the_same() -> None:
    messages = [RawMessage(value, survey) for survey, value in PACKETS.items()] * 3
    batch = COMPILED.decode(messages)
    assert len(batch.alerts) == len(messages)
    assert_same(batch, PLAIN.decode(messages))


@given(survey=st.sampled_from(Survey), edits=EDITS)
@settings(max_examples=600)
def test_what_is_accepted_of_damaged_bodies_is_what_fastavro_reads(survey: Survey, edits: list[Edit]) -> None:
    messages = [RawMessage(framed(survey, edited(BODIES[survey], edits)), survey)]
    ours = COMPILED.decode(messages)
    if not ours.rejected:
        assert_same_alerts(ours, PLAIN.decode(messages))


def test_every_place_where_a_packet_ends_is_rejected_alike() -> None:
    for survey, data in BODIES.items():
        messages = [RawMessage(framed(survey, data[:length]), survey) for length in range(1, len(data))]
        ours = COMPILED.decode(messages)
        assert len(ours.alerts) == 0
        assert {r.error.code for r in ours.rejected} <= {
            RejectionCode.MALFORMED,
            RejectionCode.UNKNOWN_SCHEMA,
        }


def test_an_error_names_the_byte_and_the_field() -> None:
    previous = lsst_source(raErr=1.0, decErr=1.0, apFlux=1.0, apFluxErr=1.0, snr=1.0, psfLnL=1.0)
    value = lsst_bytes(lsst(source=lsst_source(ra=7.25), prvDiaSources=[previous]))
    at = value.index(np.float64(7.25).tobytes())
    (rejected,) = COMPILED.decode([RawMessage(value[: at + 3], Survey.LSST)]).rejected
    assert rejected.error.message == f"the bytes end within a value, at byte {at}, near diaSource.ra"
    (rejected,) = COMPILED.decode([RawMessage(value[:-12], Survey.LSST)]).rejected
    assert "near prvDiaSources[]." in rejected.error.message
    (rejected,) = COMPILED.decode([RawMessage(value + b"\x00", Survey.LSST)]).rejected
    assert rejected.error.message.startswith(f"bytes are left after the last record, at byte {len(value)}")


def test_light_curves_longer_than_the_memory_at_hand_are_read_whole() -> None:
    previous = [lsst_source(diaSourceId=n, midpointMjdTai=60000.0 + n / 8) for n in range(1, 1200)]
    forced = [lsst_forced(diaForcedSourceId=n, midpointMjdTai=60000.1 + n / 8) for n in range(1, 2100)]
    short = RawMessage(lsst_bytes(lsst()), Survey.LSST)
    long = RawMessage(lsst_bytes(lsst(prvDiaSources=previous, prvDiaForcedSources=forced)), Survey.LSST)
    messages = [short, long, short, long]
    decoder = Decoder(SchemaStore())
    batch = decoder.decode(messages)
    assert np.diff(batch.alerts.offsets).tolist() == [1, 3299, 1, 3299]
    assert_same(batch, PLAIN.decode(messages))
    assert_same(decoder.decode(messages), batch)


def test_more_alerts_than_there_is_memory_for_at_first_are_read() -> None:
    messages = [RawMessage(PACKETS[Survey.ZTF], Survey.ZTF)] * 2500
    batch = Decoder(SchemaStore()).decode(messages)
    assert batch.alerts.message.tolist() == list(range(2500))
    assert len(set(map(bytes, batch.alerts.observations.reshape(2500, -1)))) == 1


def test_a_batch_does_not_change_when_the_next_is_decoded() -> None:
    decoder = Decoder(SchemaStore())
    first = decoder.decode([RawMessage(PACKETS[survey], survey) for survey in Survey])
    before = [np.asarray(getattr(first.alerts, name)).tobytes() for name in first.alerts.__dataclass_fields__]
    decoder.decode([RawMessage(lsst_bytes(lsst(source=lsst_source(diaSourceId=5))), Survey.LSST)])
    after = [np.asarray(getattr(first.alerts, name)).tobytes() for name in first.alerts.__dataclass_fields__]
    assert after == before


def test_messages_have_to_be_bytes() -> None:
    with pytest.raises(TypeError, match="bytes"):
        COMPILED.decode([RawMessage(bytearray(PACKETS[Survey.LSST]), Survey.LSST)])  # type: ignore[arg-type]


# Containers with a cached header


def test_containers_recognised_by_their_header_are_checked_as_the_first_was() -> None:
    decoder = Decoder(SchemaStore())
    value = PACKETS[Survey.ZTF]
    assert len(decoder.decode([RawMessage(value, Survey.ZTF)]).alerts) == 1
    broken = {
        "end of the sync marker": value[:-1] + b"\x00",
        "one byte more": value + b"\x00",
        "one byte less": value[:-1],
        "record count": framed(Survey.ZTF, BODIES[Survey.ZTF], n_records=0),
        "two records announced": framed(Survey.ZTF, BODIES[Survey.ZTF], n_records=2),
        "another block's marker": value[:-16] + bytes(16),
    }
    batch = decoder.decode([RawMessage(damage, Survey.ZTF) for damage in broken.values()])
    assert len(batch.alerts) == 0
    assert {rejected.error.code for rejected in batch.rejected} == {RejectionCode.MALFORMED}


def test_containers_of_two_schemas_and_codecs_in_turns_are_told_apart() -> None:
    values = [
        ztf_bytes(ztf(magpsf=18.0)),
        ztf_bytes(ztf("3.3", magpsf=19.0), "3.3"),
        ztf_bytes(ztf(magpsf=20.0), codec="deflate"),
        ztf_bytes(ztf("3.0", magpsf=21.0), "3.0"),
    ]
    messages = [RawMessage(value, Survey.ZTF) for value in values] * 3
    assert_same(COMPILED.decode(messages), PLAIN.decode(messages))


def test_a_flood_of_schemas_does_not_confuse_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_module, "MAX_SCHEMAS", 8)
    decoder = Decoder(SchemaStore())
    for number in range(30):
        schema = shipped_schema("lsst", "10.0")
        schema["fields"].append({"name": f"more{number}", "type": "int"})
        record = lsst(source=lsst_source(diaSourceId=1 + number)) | {f"more{number}": 1}
        messages = [
            RawMessage(container(schema, record), Survey.LSST),
            RawMessage(PACKETS[Survey.LSST], Survey.LSST),
        ]
        alerts = decoder.decode(messages).alerts
        assert alerts.alert_id.tolist() == [1 + number, 170239611403501617]
        assert len(decoder._cache.schemas) <= 9


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        timeout=300,
    )


def test_damaged_packets_never_make_us_touch_memory_that_is_not_theirs() -> None:
    done = run("-X", "faulthandler", "-m", "tests.decoding.fuzz", "--count", "6000")
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    accepted, rejected = int(words[1]), int(words[3])
    assert accepted + rejected == 6000
    assert min(accepted, rejected) > 500


@pytest.mark.parametrize("address", ["memory.end", "memory.end - 1 - mmap.PAGESIZE"])
def test_guarded_memory_is_guarded(address: str) -> None:
    code = (
        "import ctypes, mmap\n"
        "from tests.decoding.guarded import GuardedMemory\n"
        "memory = GuardedMemory(mmap.PAGESIZE)\n"
        "ctypes.string_at(memory.end - mmap.PAGESIZE, mmap.PAGESIZE)\n"
        "print('inside', flush=True)\n"
        f"ctypes.string_at({address}, 1)\n"
    )
    done = run("-c", code)
    assert done.stdout == "inside\n"
    assert done.returncode != 0


def test_everything_compiles_within_20_seconds_of_one_core(tmp_path: Path) -> None:
    code = (
        "import time\n"
        "from service.decoding.decoder import Decoder\n"
        "from service.decoding.wire.schemas import SchemaStore\n"
        "start = time.process_time()\n"
        "Decoder(SchemaStore()).warm_up()\n"
        "print(time.process_time() - start)\n"
    )
    done = run("-c", code, NUMBA_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert 0.5 < float(done.stdout) < 20
    assert list(tmp_path.rglob("*.nbi"))
    # The next start finds it on the disk.
    again = run("-c", code, NUMBA_CACHE_DIR=str(tmp_path))
    assert float(again.stdout) < float(done.stdout) / 2
