"""Simulated light curves as columns, and their Parquet file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

__all__ = ["SCHEMA", "SimulatedLightCurves", "concatenate", "read_parquet", "write_parquet"]

SCHEMA = pa.schema(
    [
        pa.field("object_id", pa.string()),
        pa.field("class", pa.string()),
        pa.field("redshift", pa.float32()),
        pa.field("mwebv", pa.float32()),
        pa.field("ra_deg", pa.float64()),
        pa.field("dec_deg", pa.float64()),
        pa.field("trigger_mjd_tai", pa.float64()),
        pa.field("template", pa.string()),
        pa.field("mjd_tai", pa.list_(pa.float64())),
        pa.field("band", pa.list_(pa.uint8())),
        pa.field("flux_njy", pa.list_(pa.float32())),
        pa.field("flux_err_njy", pa.list_(pa.float32())),
        pa.field("kind", pa.list_(pa.uint8())),
    ]
)
"""One row per object; the codes of `band` and `kind` are `service.core.alerts.Band` and `Kind`."""

_ROW_COLUMNS = ("mjd_tai", "band", "flux_njy", "flux_err_njy", "kind")


@dataclass(frozen=True, slots=True)
class SimulatedLightCurves:
    """n simulated light curves; rows ``offsets[i]:offsets[i + 1]`` of the row columns belong to object i.

    Attributes
    ----------
    object_id, class_name, template
        Length n.
    redshift
        Shape (n,), float32; NaN: a source of the Milky Way.
    mwebv
        Shape (n,), float32, E(B-V), mag.
    ra_deg, dec_deg
        Shape (n,), float64.
    trigger_mjd_tai
        Shape (n,), float64: the first detection.
    offsets
        Shape (n + 1,), int64.
    mjd_tai
        float64, days, middle of the exposure; ascending within an object, then by kind.
    band, kind
        uint8, `Band` and `Kind`.
    flux_njy, flux_err_njy
        float32, signed difference flux; 0 and a fifth of the limit for an upper limit.
    """

    object_id: tuple[str, ...]
    class_name: tuple[str, ...]
    template: tuple[str, ...]
    redshift: NDArray[np.float32]
    mwebv: NDArray[np.float32]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    trigger_mjd_tai: NDArray[np.float64]
    offsets: NDArray[np.int64]
    mjd_tai: NDArray[np.float64]
    band: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    flux_njy: NDArray[np.float32]
    flux_err_njy: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.object_id)

    @classmethod
    def empty(cls) -> Self:
        """Return zero light curves."""
        return cls.from_table(SCHEMA.empty_table())

    def owner(self) -> NDArray[np.int64]:
        """Return the index of each row's object, shape (rows,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def take(self, objects: NDArray[np.int64]) -> Self:
        """Return some of the objects.

        Parameters
        ----------
        objects
            Indices, in the order wanted.
        """
        starts, stops = self.offsets[objects], self.offsets[objects + 1]
        rows = np.concatenate([np.arange(a, b) for a, b in zip(starts, stops, strict=True)] or [objects[:0]])
        return self._with_rows(rows, objects, np.concatenate([[0], np.cumsum(stops - starts)]))

    def keep_rows(self, keep: NDArray[np.bool_]) -> Self:
        """Return the light curves without some rows; objects stay, even if empty.

        Parameters
        ----------
        keep
            Shape (rows,), False for the rows to drop.
        """
        counts = np.bincount(self.owner()[keep], minlength=len(self))
        offsets = np.concatenate([[0], np.cumsum(counts)])
        return self._with_rows(np.flatnonzero(keep), np.arange(len(self)), offsets)

    def _with_rows(
        self, rows: NDArray[np.int64], objects: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> Self:
        """Return every column, indexed."""
        values: dict[str, object] = {"offsets": offsets.astype(np.int64)}
        for field in fields(self):
            column = getattr(self, field.name)
            if field.name in _ROW_COLUMNS:
                values[field.name] = column[rows]
            elif isinstance(column, tuple):
                values[field.name] = tuple(column[i] for i in objects)
            elif field.name != "offsets":
                values[field.name] = column[objects]
        return type(self)(**values)  # type: ignore[arg-type]  # one value for each field, of the field's type

    def to_table(self) -> pa.Table:
        """Return the light curves as rows of `SCHEMA`."""
        columns = []
        for name in SCHEMA.names:
            column = getattr(self, "class_name" if name == "class" else name)
            if name in _ROW_COLUMNS:
                column = pa.ListArray.from_arrays(pa.array(self.offsets, pa.int32()), pa.array(column))
            columns.append(pa.array(column) if isinstance(column, np.ndarray) else column)
        return pa.Table.from_arrays(
            [c if isinstance(c, pa.Array) else pa.array(c, pa.string()) for c in columns], schema=SCHEMA
        )

    @classmethod
    def from_table(cls, table: pa.Table) -> Self:
        """Return the light curves of a table.

        Parameters
        ----------
        table
            Of `SCHEMA`.
        """
        table = table.combine_chunks()
        lists = {name: table.column(name).combine_chunks() for name in _ROW_COLUMNS}
        first = lists["mjd_tai"]
        counts = np.array(first.value_lengths().to_numpy(zero_copy_only=False), np.int64)
        values = {name: column.flatten().to_numpy(zero_copy_only=False) for name, column in lists.items()}
        values["offsets"] = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        for name in ("redshift", "mwebv", "ra_deg", "dec_deg", "trigger_mjd_tai"):
            values[name] = table.column(name).to_numpy()
        for name, field in (("object_id", "object_id"), ("class", "class_name"), ("template", "template")):
            values[field] = tuple(table.column(name).to_pylist())
        return cls(**values)


def concatenate(parts: Sequence[SimulatedLightCurves]) -> SimulatedLightCurves:
    """Return several sets of light curves as one.

    Parameters
    ----------
    parts
        At least one.
    """
    return SimulatedLightCurves.from_table(pa.concat_tables([part.to_table() for part in parts]))


def write_parquet(path: Path, parts: Iterable[SimulatedLightCurves], metadata: Mapping[str, str]) -> int:
    """Write light curves to a Parquet file as they are made, one row group per part.

    Parameters
    ----------
    path
        File to write; its directory is created.
    parts
        Light curves.
    metadata
        Of the schema: seed, version, survey, settings.

    Returns
    -------
    int
        Number of objects.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = SCHEMA.with_metadata(dict(metadata))
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for part in parts:
            writer.write_table(part.to_table().replace_schema_metadata(schema.metadata))
            count += len(part)
    return count


def read_parquet(path: Path) -> Iterator[SimulatedLightCurves]:
    """Read the light curves of a file, one row group at a time.

    Parameters
    ----------
    path
        What `write_parquet` wrote.
    """
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield SimulatedLightCurves.from_table(file.read_row_group(group))
