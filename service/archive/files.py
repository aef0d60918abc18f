"""Objects in Parquet files by night: ``objects/night=2026-11-20/objects.parquet``.

What other models said of them aside lies in files of the same form, by model and by the same nights:
``beside/model=0123456789abcdef/night=2026-11-20/objects.parquet``.

An object lies in the night of its latest alert. A night is named by the day on which it begins: by the date
at 12 hours west of Greenwich, which from dusk to dawn is one and the same for Palomar and Cerro Pachón.
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
BESIDE = Path("beside")
NIGHT = "night="
MODEL = "model="

MJD_ZERO = date(1858, 11, 17)
NO_NIGHT = date(1858, 11, 17)
"""Of an object without an alert, which only a damaged store has."""

# Objects are held back until a group of rows of one night is worth writing.
ROW_GROUP = 5_000
HELD_BYTES_AT_MOST = 64 * 2**20


def night_of(mjd_tai: float) -> date:
    """Name the night of a moment."""
    return MJD_ZERO + timedelta(days=int(mjd_tai - 0.5)) if mjd_tai == mjd_tai else NO_NIGHT


@dataclass(slots=True)
class ArchiveWriter:
    """Writes objects, a bounded number of them in memory; a context manager.

    A night's file appears, and replaces the one of an earlier export, when the context ends in order. What
    cannot be written is an `InputError`.

    Parameters
    ----------
    directory
        Made where it is missing.
    """

    directory: Path
    # Of each file that is being written.
    _held: dict[Path, list[StoredObject]] = field(default_factory=dict)
    _held_bytes: Counter[Path] = field(default_factory=Counter)
    _files: dict[Path, pq.ParquetWriter] = field(default_factory=dict)
    _cleanup: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Put the files in place, or remove what was written where something went wrong."""
        try:
            if kind is None:
                for path in list(self._held):
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
        """Take objects, each for the night of its latest alert."""
        self._take(OBJECTS, [(night_of(one.state.last_alert_mjd_tai), one) for one in objects])

    def add_shadow(self, digest: int, objects: Sequence[tuple[date, StoredObject]]) -> None:
        """Take what a model said aside, each for the night in which its object lies."""
        self._take(BESIDE / f"{MODEL}{digest:016x}", objects)

    def _take(self, place: Path, objects: Sequence[tuple[date, StoredObject]]) -> None:
        """Hold objects, and write those of the fullest files once they are large."""
        for night, one in objects:
            path, state = self.directory / place / f"{NIGHT}{night}" / FILE, one.state
            self._held.setdefault(path, []).append(one)
            self._held_bytes[path] += (
                state.observations.nbytes + state.history.entries.nbytes + state.hidden.nbytes
            )
        while self._held_bytes.total() > HELD_BYTES_AT_MOST:
            self._write(self._held_bytes.most_common(1)[0][0])

    def _write(self, path: Path) -> None:
        objects = self._held.pop(path)
        del self._held_bytes[path]
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
        """List the nights' files, the newest night first.

        Raises
        ------
        InputError
            There is none.
        """
        paths = self._nights(OBJECTS, since)
        if not paths and not self._nights(OBJECTS, None):
            raise InputError(f"no objects below {self.directory}: name the directory of an export")
        return paths

    def shadow_files(self, *, since: date | None = None) -> dict[int, list[Path]]:
        """List the files of what models said aside, by the model's digest, the newest night first.

        Raises
        ------
        InputError
            A directory is named by no model.
        """
        found = {}
        for directory in sorted((self.directory / BESIDE).glob(f"{MODEL}*")):
            try:
                digest = int(directory.name.removeprefix(MODEL), 16)
            except ValueError:
                raise InputError(f"{directory} names no model") from None
            found[digest] = self._nights(directory.relative_to(self.directory), since)
        return found

    def _nights(self, place: Path, since: date | None) -> list[Path]:
        paths = sorted((self.directory / place).glob(f"{NIGHT}*/{FILE}"), reverse=True)
        return [path for path in paths if since is None or path.parent.name >= f"{NIGHT}{since}"]

    def count(self, paths: Sequence[Path]) -> int:
        """Count the objects of some files, which are not read for that.

        Raises
        ------
        InputError
            A file is damaged or cannot be opened.
        """
        return sum(map(_count, paths))

    def objects(self, path: Path, *, at_a_time: int) -> Iterator[list[StoredObject]]:
        """Read the objects of a file.

        Raises
        ------
        InputError
            The file is damaged, cannot be opened or is none of ours.
        """
        try:
            # Without the columns that a directory's name would add.
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=at_a_time):
                    yield objects_of(pa.Table.from_batches([batch]))
        except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error


def _count(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
