"""Reading alerts with fastavro: the fallback and the reference for the compiled reader."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import fastavro
import numpy as np

from service.decoding.columns import Column, ColumnType, Layout, RawAlerts, RawTable
from service.decoding.wire.framing import Block
from service.decoding.wire.schemas import WriterSchema
from service.errors import RejectedAlertError, RejectionCode

__all__ = ["RecordReader", "read_block"]

Row = tuple[Any, ...]


def read_block(block: Block, schema: WriterSchema) -> list[dict[str, Any]]:
    """Decode the records of a block.

    Parameters
    ----------
    block
        Its records must fill it to the last byte.
    schema
        Schema of the records.

    Raises
    ------
    RejectedAlertError
        ``malformed``, with the position at which decoding failed.
    """
    # The stream ends where the block ends, so that reading beyond it fails.
    stream = BytesIO(block.data[block.start : block.end])
    records: list[dict[str, Any]] = []
    for number in range(block.n_records):
        try:
            record = fastavro.schemaless_reader(stream, schema.parsed, None)
        except Exception as error:
            position = block.start + stream.tell()
            message = f"record {number} of schema {schema.name} fails near byte {position}: {error!r:.200}"
            raise RejectedAlertError(RejectionCode.MALFORMED, message) from error
        if not isinstance(record, dict):
            raise RejectedAlertError(RejectionCode.MALFORMED, f"record {number} is not a record")
        records.append(record)
    left = block.end - block.start - stream.tell()
    if left:
        message = f"{left} bytes are left after the last record of schema {schema.name}"
        raise RejectedAlertError(RejectionCode.MALFORMED, message)
    return records


class RecordReader:
    """Collects the fields of a layout from decoded records.

    Parameters
    ----------
    layout
        Fields to collect.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._alerts: list[Row] = []
        self._tables: list[list[list[Row]]] = [[] for _ in layout.tables]

    def add(self, record: dict[str, Any], schema: WriterSchema) -> None:
        """Add one alert.

        Parameters
        ----------
        record
            The alert as `read_block` returned it.
        schema
            Schema that it was decoded with.
        """
        self._alerts.append(_row(record, self._layout.columns, schema))
        for table, rows in zip(self._layout.tables, self._tables, strict=True):
            items = (item for item in _value(record, table.path) or () if item is not None)
            rows.append([_row(item, table.columns, schema) for item in items])

    def columns(self) -> RawAlerts:
        """Return all alerts added so far."""
        tables = {
            table.path: RawTable(
                np.cumsum([0, *map(len, rows)], dtype=np.int64),
                _columns([row for alert in rows for row in alert], table.columns),
            )
            for table, rows in zip(self._layout.tables, self._tables, strict=True)
        }
        return RawAlerts(len(self._alerts), _columns(self._alerts, self._layout.columns), tables)


def _row(record: dict[str, Any], columns: tuple[Column, ...], schema: WriterSchema) -> Row:
    return tuple(_values(record, columns, schema))


def _values(record: dict[str, Any], columns: tuple[Column, ...], schema: WriterSchema) -> Iterator[Any]:
    for column in columns:
        if column.type is ColumnType.DECLARED:
            yield column.path in schema.declared
            continue
        value = _value(record, column.path)
        if value is None:
            yield column.missing
        elif column.type is ColumnType.TEXT:
            yield value.encode()[: column.width]
        else:
            yield value


def _value(record: dict[str, Any], path: str) -> Any:
    value: Any = record
    for name in path.split("."):
        if value is None:
            return None
        value = value.get(name)
    return value


def _columns(rows: list[Row], columns: tuple[Column, ...]) -> dict[str, np.ndarray[Any, Any]]:
    return {
        column.path: np.array([row[index] for row in rows], column.dtype)
        for index, column in enumerate(columns)
    }
