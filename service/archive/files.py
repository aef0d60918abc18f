"""Objects in Parquet files by night: ``objects/night=2026-11-20/objects.parquet``.

Shadow results of other models are in files of the same format, by model and by the same nights:
``shadow/model=0123456789abcdef/night=2026-11-20/objects.parquet``.

An object belongs to the night of its latest alert. A night is named by the day on which it begins: by the
date at 12 hours west of Greenwich, which does not change from dusk to dawn at Palomar and Cerro Pachón.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from service.archive.arrow_schema import StoredObject, objects_of, table_of
from service.archive.directory import writing
from service.errors import InputError

__all__ = ["ArchiveReader", "ArchiveWriter", "night_of"]

FILE = "objects.parquet"
OBJECTS = Path("objects")
SHADOW = Path("shadow")
EARLIER_SHADOW = Path("beside")  # the folder's name in exports of earlier versions
NIGHT = "night="
MODEL = "model="

MJD_ZERO = date(1858, 11, 17)
NO_NIGHT = date(1858, 11, 17)
"""Of an object without an alert, which only a damaged store contains."""

# Objects are buffered until a row group of one night is large enough to be written.
ROW_GROUP = 5_000
MAX_BUFFERED_BYTES = 64 * 2**20


def night_of(mjd_tai: float) -> date:
    """Return the night of a time.

    Parameters
    ----------
    mjd_tai
        The time; NaN for none.
    """
    return MJD_ZERO + timedelta(days=int(mjd_tai - 0.5)) if mjd_tai == mjd_tai else NO_NIGHT


@dataclass(slots=True)
class ArchiveWriter:
    """Writes objects, buffering a bounded number of bytes; a context manager.

    A night's file appears, and replaces that of an earlier export, when the context ends without an error.
    A file that cannot be written raises `InputError`.

    Parameters
    ----------
    directory
        Created if it is missing.
    """

    directory: Path
    # By path of the file.
    _buffers: dict[Path, list[StoredObject]] = field(default_factory=dict)
    _buffered_bytes: Counter[Path] = field(default_factory=Counter)
    _files: dict[Path, pq.ParquetWriter] = field(default_factory=dict)
    _cleanup: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Move the files to their names, or remove what was written if there was an error."""
        try:
            if kind is None:
                for path in list(self._buffers):
                    self._write(path)
        finally:
            with writing(self.directory):
                self._cleanup.close()
        for path in self._files:
            with writing(path):
                if kind is None:
                    _unfinished(path).replace(path)
                else:
                    _unfinished(path).unlink(missing_ok=True)

    def add(self, objects: Sequence[StoredObject]) -> None:
        """Add objects, each to the night of its latest alert.

        Parameters
        ----------
        objects
            Any number of them.
        """
        self._add(OBJECTS, [(night_of(stored.state.last_alert_mjd_tai), stored) for stored in objects])

    def add_shadow(self, digest: int, objects: Sequence[tuple[date, StoredObject]]) -> None:
        """Add shadow results of a model.

        Parameters
        ----------
        digest
            Of the model.
        objects
            The night to which each object belongs, and the model's results for it.
        """
        self._add(SHADOW / f"{MODEL}{digest:016x}", objects)

    def _add(self, folder: Path, objects: Sequence[tuple[date, StoredObject]]) -> None:
        """Buffer objects, and write those of the fullest files once the buffers are large."""
        for night, stored in objects:
            path, state = self.directory / folder / f"{NIGHT}{night}" / FILE, stored.state
            self._buffers.setdefault(path, []).append(stored)
            self._buffered_bytes[path] += (
                state.observations.nbytes + state.history.entries.nbytes + state.hidden.nbytes
            )
        while self._buffered_bytes.total() > MAX_BUFFERED_BYTES:
            self._write(self._buffered_bytes.most_common(1)[0][0])

    def _write(self, path: Path) -> None:
        objects = self._buffers.pop(path)
        del self._buffered_bytes[path]
        for start in range(0, len(objects), ROW_GROUP):
            table = table_of(objects[start : start + ROW_GROUP])
            with writing(path):
                if path not in self._files:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    writer = pq.ParquetWriter(_unfinished(path), table.schema, compression="zstd")
                    self._files[path] = self._cleanup.enter_context(writer)
                self._files[path].write_table(table)


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


@dataclass(frozen=True, slots=True)
class ArchiveReader:
    """Reads what `ArchiveWriter` wrote.

    Parameters
    ----------
    directory
        Of the export.
    """

    directory: Path

    def files(self, *, since: date | None = None) -> list[Path]:
        """Return the nights' files, the newest night first.

        Parameters
        ----------
        since
            The first night; None for all.

        Raises
        ------
        InputError
            The directory contains no export.
        """
        paths = self._nights(OBJECTS, since)
        if not paths and not self._nights(OBJECTS, None):
            raise InputError(f"no objects below {self.directory}: name the directory of an export")
        return paths

    def shadow_files(self, *, since: date | None = None) -> dict[int, list[Path]]:
        """Return the files of shadow results by the model's digest, the newest night first.

        Parameters
        ----------
        since
            The first night; None for all.

        Raises
        ------
        InputError
            A directory is not named after a model.
        """
        by_night: dict[int, dict[str, Path]] = {}
        # A night that both folders contain was exported again.
        for folder in (EARLIER_SHADOW, SHADOW):
            for directory in sorted((self.directory / folder).glob(f"{MODEL}*")):
                paths = self._nights(directory.relative_to(self.directory), since)
                by_night.setdefault(_digest_of(directory), {}).update({p.parent.name: p for p in paths})
        return {
            digest: [paths[night] for night in sorted(paths, reverse=True)]
            for digest, paths in by_night.items()
        }

    def _nights(self, folder: Path, since: date | None) -> list[Path]:
        paths = sorted((self.directory / folder).glob(f"{NIGHT}*/{FILE}"), reverse=True)
        return [path for path in paths if since is None or path.parent.name >= f"{NIGHT}{since}"]

    def count(self, paths: Sequence[Path]) -> int:
        """Return the number of objects in some files, without reading them.

        Parameters
        ----------
        paths
            Of the files.

        Raises
        ------
        InputError
            A file is damaged or cannot be opened.
        """
        return sum(map(_count, paths))

    def objects(self, path: Path, *, at_a_time: int) -> Iterator[list[StoredObject]]:
        """Yield the objects of a file.

        Parameters
        ----------
        path
            Of the file.
        at_a_time
            Number of objects per list.

        Raises
        ------
        InputError
            The file is damaged, cannot be opened or was not written by an export.
        """
        try:
            # ParquetFile does not add columns for the directory names, as a dataset would.
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=at_a_time):
                    yield objects_of(pa.Table.from_batches([batch]))
        except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error


def _digest_of(directory: Path) -> int:
    try:
        return int(directory.name.removeprefix(MODEL), 16)
    except ValueError:
        raise InputError(f"{directory} is not named after a model") from None


def _count(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
