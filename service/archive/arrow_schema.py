"""Objects as an Arrow table: every bit of a state, in columns that any reader of Parquet understands."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION
from service.core.state.history import ENTRY_COLUMNS, History, entry_dtype
from service.core.state.object_state import ObjectState

__all__ = ["StoredObject", "objects_of", "table_of"]

# Arrow types of the fields of packed rows.
ARROW = {"<f8": pa.float64(), "<f4": pa.float32(), "<u8": pa.uint64(), "<i8": pa.int64(), "<u4": pa.uint32()}
ARROW |= {"|u1": pa.uint8(), "<u2": pa.uint16()}

# Scalar fields of a stored classification; `n_classes` is the length of its vectors, `reserved` is unused.
ENTRY_SCALARS = [name for name in ENTRY_COLUMNS.names or () if name not in {"n_classes", "reserved"}]
VECTORS = ("raw_probability", "probability")

# Scalars of a state, in the order of their columns.
SCALARS: dict[str, pa.DataType] = {
    "counter": pa.uint64(),
    "model": pa.uint64(),
    "hidden_step": pa.uint32(),
    "ra_deg": pa.float64(),
    "dec_deg": pa.float64(),
    "last_alert_mjd_tai": pa.float64(),
    "redshift": pa.float32(),
    "redshift_err": pa.float32(),
    "mwebv": pa.float32(),
}


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One stored object.

    Attributes
    ----------
    key
        `service.core.alerts.object_key`.
    state
        Its state.
    expires_at_ms
        When it expires, Unix milliseconds; 0 for never.
    """

    key: str
    state: ObjectState
    expires_at_ms: int


def table_of(objects: Sequence[StoredObject]) -> pa.Table:
    """Return objects as a table, one row each.

    Parameters
    ----------
    objects
        At least one.
    """
    states = [stored.state for stored in objects]
    names = [stored.key.partition(":") for stored in objects]
    columns: dict[str, Any] = {
        "survey": pa.array([survey for survey, _, _ in names]).dictionary_encode(),
        "object_id": pa.array([object_id for _, _, object_id in names], pa.string()),
        "expires_at_ms": pa.array([stored.expires_at_ms for stored in objects], pa.int64()),
    }
    for name, kind in SCALARS.items():
        columns[name] = pa.array([getattr(state, name) for state in states], kind)
    columns["hidden"] = _lists([state.hidden for state in states], pa.float32())
    rows = np.concatenate([state.observations for state in states])
    columns["light_curve"] = pa.ListArray.from_arrays(
        _offsets([len(state.observations) for state in states]), _struct(rows, OBSERVATION.names or ())
    )
    # A history may be wider than its entries need, if an earlier model had more classes.
    columns["history_width"] = pa.array([state.history.width for state in states], pa.uint16())
    columns["classifications"] = _histories([state.history for state in states])
    return pa.table(columns)


def _histories(histories: Sequence[History]) -> pa.Array:
    scalars = np.concatenate([_entry_scalars(history) for history in histories])
    arrays = [pa.array(np.ascontiguousarray(scalars[name])) for name in ENTRY_SCALARS]
    for name in VECTORS:
        vectors = [
            vector[:count]
            for history in histories
            for vector, count in zip(
                history.entries[name], history.entries["n_classes"].tolist(), strict=True
            )
        ]
        arrays.append(_lists(vectors, pa.float32()))
    entries = pa.StructArray.from_arrays(arrays, [*ENTRY_SCALARS, *VECTORS])
    return pa.ListArray.from_arrays(_offsets([len(history) for history in histories]), entries)


def _entry_scalars(history: History) -> NDArray[np.void]:
    scalars = np.zeros(len(history), ENTRY_COLUMNS)
    for name in ENTRY_COLUMNS.names or ():
        scalars[name] = history.entries[name]
    return scalars


def _struct(rows: NDArray[np.void], names: Sequence[str]) -> pa.StructArray:
    return pa.StructArray.from_arrays([pa.array(np.ascontiguousarray(rows[name])) for name in names], names)


def _lists(vectors: Sequence[NDArray[Any]], kind: pa.DataType) -> pa.ListArray:
    values = np.concatenate(vectors) if vectors else np.empty(0, kind.to_pandas_dtype())
    return pa.ListArray.from_arrays(_offsets([len(vector) for vector in vectors]), pa.array(values, kind))


def _offsets(lengths: Sequence[int]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def objects_of(table: pa.Table) -> list[StoredObject]:
    """Return the objects of a table; each state equals the one that was written.

    Its rows are not divided into archived and recent ones: a worker does that when it next sees the object.

    Parameters
    ----------
    table
        As `table_of` returns it.

    Raises
    ------
    KeyError, ValueError, ArrowException
        The table was not written by `table_of`.
    """
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    scalars = {name: columns[name].to_pylist() for name in SCALARS}
    hidden = _slices(columns["hidden"], np.dtype("<f4"))
    rows = _rows(columns["light_curve"])
    histories = _read_histories(columns["classifications"], columns["history_width"].to_pylist())
    surveys, object_ids = columns["survey"].to_pylist(), columns["object_id"].to_pylist()
    expiries = columns["expires_at_ms"].to_pylist()
    objects = []
    for row in range(len(table)):
        numbers = {name: values[row] for name, values in scalars.items()}
        state = ObjectState(**numbers, hidden=hidden[row], observations=rows[row], history=histories[row])
        objects.append(StoredObject(f"{surveys[row]}:{object_ids[row]}", state, expiries[row]))
    return objects


def _slices(lists: pa.ListArray, dtype: np.dtype[Any]) -> list[NDArray[Any]]:
    """Return the values of each list."""
    bounds = lists.offsets.to_numpy()
    values = lists.values.to_numpy(zero_copy_only=False).astype(dtype, copy=False)
    return [values[low:high] for low, high in pairwise(bounds)]


def _rows(lists: pa.ListArray) -> list[NDArray[np.void]]:
    packed = np.empty(len(lists.values), OBSERVATION)
    for name in OBSERVATION.names or ():
        packed[name] = lists.values.field(name).to_numpy()
    bounds = lists.offsets.to_numpy()
    return [packed[low:high] for low, high in pairwise(bounds)]


def _read_histories(lists: pa.ListArray, widths: Sequence[int]) -> list[History]:
    entries = lists.values
    scalars = {name: entries.field(name).to_numpy() for name in ENTRY_SCALARS}
    vectors = {name: _slices(entries.field(name), np.dtype("<f4")) for name in VECTORS}
    bounds = lists.offsets.to_numpy().tolist()
    histories = []
    for width, low, high in zip(widths, bounds, bounds[1:], strict=False):
        packed = np.zeros(high - low, entry_dtype(width))
        for name, values in scalars.items():
            packed[name] = values[low:high]
        for index in range(low, high):
            count = len(vectors["probability"][index])
            packed["n_classes"][index - low] = count
            for name in VECTORS:
                packed[name][index - low, :count] = vectors[name][index]
        histories.append(History(packed) if len(packed) else History())
    return histories
