import dataclasses
import math
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION
from service.core.classification import Classification, ClassificationBatch, Reason
from service.core.state.checkpoint import CHECKPOINT_SIZE
from service.core.state.history import History, packed_entries
from service.core.state.layout import (
    COUNTER_OFFSET,
    has_archived_rows,
    next_counter,
    recent_length,
    stored_counter,
)
from service.core.state.object_state import (
    EMPTY_STATE,
    NO_ARCHIVED_ROWS,
    ArchivedRows,
    ObjectState,
    StateError,
    decode_recent,
    decode_state,
    encode_recent,
    encode_state,
)

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
FLOAT32 = st.floats(width=32)


def vector(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


@st.composite
def classifications(draw: st.DrawFn) -> Classification:
    n_classes = draw(st.integers(0, 5))
    probabilities = st.lists(st.floats(0, 1, width=32), min_size=n_classes, max_size=n_classes)
    return Classification(
        alert_id=draw(U64),
        mjd_tai=draw(st.floats(allow_nan=False)),
        classified_at_ms=draw(st.integers(0, 2**62)),
        n_detections=draw(U32),
        n_observations=draw(U32),
        reason=draw(st.sampled_from(Reason)),
        model=draw(U64),
        raw_probability=vector(*draw(probabilities)),
        probability=vector(*draw(probabilities)),
    )


@st.composite
def states(draw: st.DrawFn) -> ObjectState:
    row = st.tuples(st.floats(50000, 70000), FLOAT32, FLOAT32, st.integers(0, 5), st.integers(0, 2), U64, U32)
    return ObjectState(
        counter=draw(U64),
        model=draw(U64),
        hidden_step=draw(U32),
        hidden=vector(*draw(st.lists(FLOAT32, max_size=4))),
        ra_deg=draw(st.floats()),
        dec_deg=draw(st.floats()),
        last_alert_mjd_tai=draw(st.floats()),
        redshift=draw(FLOAT32),
        redshift_err=draw(FLOAT32),
        mwebv=draw(FLOAT32),
        observations=np.array(draw(st.lists(row, max_size=3)), OBSERVATION),
        history=History.of(draw(st.lists(classifications(), max_size=3))),
    )


def classification(alert_id: int, n_classes: int = 3) -> Classification:
    return Classification(
        alert_id=alert_id,
        mjd_tai=60000.5 + alert_id,
        classified_at_ms=1_700_000_000_000,
        n_detections=4,
        n_observations=9,
        reason=Reason.CLASSIFIED if n_classes else Reason.STAR,
        model=77,
        raw_probability=np.linspace(0, 1, n_classes, dtype=np.float32),
        probability=np.linspace(1, 0, n_classes, dtype=np.float32),
    )


def typical_state(n_classifications: int = 0) -> ObjectState:
    return dataclasses.replace(
        EMPTY_STATE,
        counter=5,
        model=77,
        hidden_step=20,
        hidden=np.arange(200, dtype=np.float32),
        observations=np.zeros(20, OBSERVATION),
        history=History.of(classification(i) for i in range(n_classifications)),
    )


def signed(blob: bytes) -> bytes:
    """Give damaged bytes a fitting checksum, so that what lies behind it is reached."""
    return blob[:4] + zlib.crc32(blob[16:]).to_bytes(4, "little") + blob[8:]


def as_dict(item: Classification) -> dict[str, object]:
    values = dataclasses.asdict(item)
    return values | {name: values[name].tobytes() for name in ("raw_probability", "probability")}


@given(states())
def test_every_state_comes_back_as_it_was(state: ObjectState) -> None:
    blob = encode_state(state)
    read = decode_state(blob)
    assert encode_state(read) == blob
    assert read.observations.tobytes() == state.observations.tobytes()
    assert read.hidden.tobytes() == state.hidden.tobytes()
    assert [as_dict(item) for item in read.history] == [as_dict(item) for item in state.history]
    for name in ("counter", "model", "hidden_step"):
        assert getattr(read, name) == getattr(state, name)
    for name in ("ra_deg", "dec_deg", "last_alert_mjd_tai", "redshift", "redshift_err", "mwebv"):
        before, after = getattr(state, name), getattr(read, name)
        assert after == before or (math.isnan(before) and math.isnan(after))


@given(states(), st.integers(0, 20))
def test_recent_part_is_a_state_without_its_archived_rows(state: ObjectState, n_archived: int) -> None:
    n_archived = min(n_archived, len(state.observations))
    raw = state.observations[:n_archived].tobytes()
    archived = ArchivedRows(
        n_archived, zlib.crc32(raw), np.arange(CHECKPOINT_SIZE, dtype=np.float64), state.hidden
    )
    state = dataclasses.replace(state, archived=archived if n_archived else NO_ARCHIVED_ROWS)
    blob = encode_state(state)

    head = decode_recent(blob[: recent_length(blob)])
    whole = decode_state(blob)

    assert has_archived_rows(blob) == has_archived_rows(blob[: recent_length(blob)]) == (n_archived > 0)
    assert encode_recent(head) == encode_recent(whole) == encode_recent(state) == blob[: recent_length(blob)]
    assert encode_recent(state) + raw == blob
    assert head.has_all_rows == (n_archived == 0)
    assert head.observations.tobytes() == whole.recent_rows.tobytes() == state.recent_rows.tobytes()
    assert whole.observations.tobytes() == state.observations.tobytes()
    assert head.archived.checkpoint.tobytes() == state.archived.checkpoint.tobytes()
    assert head.archived.hidden.tobytes() == state.archived.hidden.tobytes()


def long_blob() -> bytes:
    state = typical_state(2)
    raw = state.observations[:7].tobytes()
    archived = ArchivedRows(7, zlib.crc32(raw), np.zeros(CHECKPOINT_SIZE), state.hidden)
    return encode_state(dataclasses.replace(state, archived=archived))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda blob: blob[:-1], "209 bytes of archived rows where the header says 210"),
        (lambda blob: blob[: recent_length(blob)], "0 bytes of archived rows"),
        (lambda blob: blob[:-1] + b"\xff", "the archived rows are damaged"),
    ],
)
def test_archived_rows_that_are_not_those_of_the_header_are_named(
    damage: Callable[[bytes], bytes], message: str
) -> None:
    with pytest.raises(StateError, match=message):
        decode_state(damage(long_blob()))


def test_state_whose_archived_rows_were_not_read_is_not_written_as_a_whole() -> None:
    blob = long_blob()
    with pytest.raises(ValueError, match="not read"):
        encode_state(decode_recent(blob[: recent_length(blob)]))


def test_twenty_observations_and_two_layers_of_a_hundred_fit_the_budget() -> None:
    assert len(encode_state(typical_state())) <= 1500


def test_the_counter_lies_where_the_store_compares_it() -> None:
    blob = encode_state(dataclasses.replace(EMPTY_STATE, counter=0x0102030405060708))
    assert blob[COUNTER_OFFSET : COUNTER_OFFSET + 8] == bytes([8, 7, 6, 5, 4, 3, 2, 1])
    assert stored_counter(blob) == bytes([8, 7, 6, 5, 4, 3, 2, 1])
    assert next_counter(blob) == 0x0102030405060709


def test_the_counter_of_what_replaces_nothing_or_rubbish_differs_from_what_is_there() -> None:
    for there in (None, b"", b"rubbish", b"\xff" * 16, b"\x01" * 12):
        assert next_counter(there).to_bytes(8, "little") != stored_counter(there)
        assert next_counter(there) > 0


def test_arrays_of_a_read_state_are_views_of_the_stored_bytes() -> None:
    state = decode_state(encode_state(typical_state(2)))
    for array in (state.hidden, state.observations, state.history.entries):
        assert not array.flags.owndata
        assert not array.flags.writeable
    assert state.hidden.flags.aligned


@given(st.binary(max_size=400))
def test_random_bytes_are_refused(blob: bytes) -> None:
    with pytest.raises(StateError):
        decode_state(blob)


@given(states(), st.data())
@settings(max_examples=300)
def test_damaged_bytes_are_refused_or_read_as_a_whole_state(state: ObjectState, data: st.DataObject) -> None:
    blob = bytearray(encode_state(state))
    for _ in range(data.draw(st.integers(1, 3))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(blob), len(blob) - 1, 90]))
    damaged = signed(bytes(blob[:cut])) if data.draw(st.booleans()) else bytes(blob[:cut])
    try:
        read = decode_state(damaged)
    except StateError:
        return
    assert all(item.reason in Reason for item in read.history)
    assert len(encode_state(read)) == len(damaged)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, b"X", "begins with"),
        (16, b"\x03", "format version 3"),
        (32, b"\xff\xff\xff\xff", "bytes where the header says"),
        (36, b"\xff\xff\xff\xff", "bytes where the header says"),
        (40, b"\x03", "bytes where the header says"),
        (18, b"\x09", "bytes where the header says"),
    ],
)
def test_what_does_not_add_up_is_named(position: int, value: bytes, message: str) -> None:
    blob = encode_state(typical_state(2))
    damaged = blob[:position] + value + blob[position + len(value) :]
    with pytest.raises(StateError, match=message):
        decode_state(signed(damaged))


@pytest.mark.parametrize(
    ("field", "message"), [(42, "unknown reason 200"), (40, "200 classes in room for 3")]
)
def test_a_classification_that_cannot_be_is_named(field: int, message: str) -> None:
    blob = bytearray(encode_state(typical_state(1)))
    blob[len(blob) - (44 + 2 * 4 * 3) + field] = 200
    with pytest.raises(StateError, match=message):
        decode_state(signed(bytes(blob)))


def test_a_flipped_bit_is_found_by_the_checksum() -> None:
    blob = bytearray(encode_state(typical_state()))
    blob[100] ^= 1
    with pytest.raises(StateError, match="checksum"):
        decode_state(bytes(blob))


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden": np.zeros(3, np.float64)},
        {"hidden": np.zeros((2, 2), np.float32)},
        {"observations": np.zeros(3, np.float32)},
    ],
)
def test_arrays_of_another_form_are_not_stored(wrong: dict[str, NDArray[np.generic]]) -> None:
    with pytest.raises(ValueError, match="not "):
        encode_state(dataclasses.replace(EMPTY_STATE, **wrong))  # type: ignore[arg-type]


def test_a_history_reads_as_a_tuple_of_classifications() -> None:
    history = History.of([classification(1), classification(2, n_classes=0), classification(3)])
    assert [item.alert_id for item in history] == [1, 2, 3]
    assert history[-1].alert_id == 3
    assert [item.alert_id for item in history[1:]] == [2, 3]
    assert len(history[1].probability) == 0


def test_a_history_keeps_classifications_of_models_with_different_classes() -> None:
    history = History.of([classification(1, n_classes=2)]).appended([classification(2, n_classes=6)], limit=9)
    assert [len(item.probability) for item in history] == [2, 6]
    np.testing.assert_array_equal(history[0].probability, vector(1, 0))


def test_a_history_drops_the_oldest_first() -> None:
    history = History.of(classification(i) for i in range(4)).appended([classification(9)], limit=3)
    assert history.alert_ids.tolist() == [2, 3, 9]


def test_an_alert_is_found_in_a_history_by_its_id() -> None:
    huge = 2**64 - 1
    history = History.of([classification(1), classification(huge)])
    found = history.find(huge)
    assert found is not None
    assert as_dict(found) == as_dict(classification(huge))
    assert history.find(5) is None
    assert History().find(5) is None


def test_probabilities_that_do_not_pair_are_not_stored() -> None:
    unpaired = dataclasses.replace(classification(1), raw_probability=vector(1))
    with pytest.raises(ValueError, match="1 raw but 3 calibrated"):
        History.of([unpaired])


def as_batch(one: Classification) -> ClassificationBatch:
    return ClassificationBatch(
        model=one.model,
        classified_at_ms=one.classified_at_ms,
        alert_id=np.array([one.alert_id], np.uint64),
        mjd_tai=np.array([one.mjd_tai]),
        n_detections=np.array([one.n_detections]),
        n_observations=np.array([one.n_observations]),
        reason=np.array([one.reason], np.uint8),
        raw_probability=one.raw_probability[np.newaxis],
        probability=one.probability[np.newaxis],
    )


@given(classifications())
def test_results_as_columns_read_as_the_same_results_one_by_one(one: Classification) -> None:
    [row] = as_batch(one).rows()

    is_classified = one.reason is Reason.CLASSIFIED
    assert row.probability.tobytes() == (one.probability.tobytes() if is_classified else b"")
    assert row.raw_probability.tobytes() == (one.raw_probability.tobytes() if is_classified else b"")
    scalars = set(Classification.__slots__) - {"probability", "raw_probability"}
    assert {name: getattr(row, name) for name in scalars} == {name: getattr(one, name) for name in scalars}


@given(st.lists(classifications(), max_size=4), classifications(), st.integers(1, 4))
def test_packed_entry_is_added_as_its_classification_is(
    stored: list[Classification], one: Classification, limit: int
) -> None:
    if one.reason is not Reason.CLASSIFIED:
        one = dataclasses.replace(one, raw_probability=vector(), probability=vector())
    [entry] = packed_entries(as_batch(one))

    added = History.of(stored).with_entry(*entry, limit=limit)

    expected = History.of(stored).appended([one], limit=limit)
    assert (added.packed, added.width) == (expected.packed, expected.width)


def test_alert_id_that_lies_across_two_entries_is_not_found() -> None:
    history = History.of([classification(0x0102, n_classes=0), classification(3)])
    across = int.from_bytes(history.packed[4:12], "little")
    assert history.find(across) is None
    assert history.find(0x0102) is not None
