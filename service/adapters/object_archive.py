"""Objects in Parquet files by night: ``objects/night=2026-11-20/objects.parquet``, and ``models.json``.

An object lies in the night of its latest alert. A night is named by the day on which it begins: by the date
at 12 hours west of Greenwich, which from dusk to dawn is one and the same for Palomar and Cerro Pachón.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Self

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from service.adapters.state_columns import StoredObject, objects_of, table_of
from service.core.alerts import Survey
from service.core.records import Classifier
from service.core.store import RegisteredModel
from service.errors import InputError

__all__ = ["ArchiveReader", "ArchiveWriter", "night_of"]

FILE = "objects.parquet"
MODELS = "models.json"
PARTITION = "night="

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

    A night's file appears, and replaces the one of an earlier export, when the context ends in order.

    Parameters
    ----------
    directory
        Made where it is missing.
    """

    directory: Path
    _held: dict[date, list[StoredObject]] = field(default_factory=dict)
    _held_bytes: Counter[date] = field(default_factory=Counter)
    _files: dict[date, pq.ParquetWriter] = field(default_factory=dict)
    _cleanup: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Put the files in place, or remove what was written where something went wrong."""
        try:
            if kind is None:
                for night in list(self._held):
                    self._write(night)
        finally:
            self._cleanup.close()
        for night in self._files:
            if kind is None:
                self._unfinished(night).replace(self._unfinished(night).with_name(FILE))
            else:
                self._unfinished(night).unlink(missing_ok=True)

    def models(self, models: Mapping[int, RegisteredModel]) -> None:
        """Write the models that classifications name, beside those of earlier exports."""
        self.directory.mkdir(parents=True, exist_ok=True)
        known = ArchiveReader(self.directory).models() | dict(models)
        written = [
            {
                "digest": f"{digest:016x}",
                "survey": model.survey.value,
                "name": model.classifier.name,
                "version": model.classifier.version,
                "feature_version": model.classifier.feature_version,
                "classes": model.classifier.classes,
            }
            for digest, model in sorted(known.items())
        ]
        unfinished = self.directory / f"{MODELS}.part"
        unfinished.write_bytes(orjson.dumps(written, option=orjson.OPT_INDENT_2))
        unfinished.replace(self.directory / MODELS)

    def add(self, objects: Sequence[StoredObject]) -> None:
        """Take objects, and write those of the fullest nights once they are large."""
        for one in objects:
            night, state = night_of(one.state.last_alert_mjd_tai), one.state
            self._held.setdefault(night, []).append(one)
            self._held_bytes[night] += (
                state.observations.nbytes + state.history.entries.nbytes + state.hidden.nbytes
            )
        while self._held_bytes.total() > HELD_BYTES_AT_MOST:
            self._write(self._held_bytes.most_common(1)[0][0])

    def _write(self, night: date) -> None:
        objects = self._held.pop(night)
        del self._held_bytes[night]
        for start in range(0, len(objects), ROW_GROUP):
            table = table_of(objects[start : start + ROW_GROUP])
            if night not in self._files:
                self._unfinished(night).parent.mkdir(parents=True, exist_ok=True)
                writer = pq.ParquetWriter(self._unfinished(night), table.schema, compression="zstd")
                self._files[night] = self._cleanup.enter_context(writer)
            self._files[night].write_table(table)

    def _unfinished(self, night: date) -> Path:
        return self.directory / "objects" / f"{PARTITION}{night}" / f"{FILE}.part"


@dataclass(frozen=True, slots=True)
class ArchiveReader:
    """Reads what `ArchiveWriter` wrote.

    Parameters
    ----------
    directory
        Of the export.
    """

    directory: Path

    def models(self) -> dict[int, RegisteredModel]:
        """Read the models; none where there is no such file.

        Raises
        ------
        InputError
            The file is none of ours.
        """
        path = self.directory / MODELS
        try:
            return {model.digest: model for model in map(_read_model, orjson.loads(path.read_bytes()))}
        except FileNotFoundError:
            return {}
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is no list of models: {error}") from error

    def files(self, *, since: date | None = None) -> list[Path]:
        """List the nights' files, the newest night first.

        Raises
        ------
        InputError
            There is none.
        """
        paths = sorted(self.directory.glob(f"objects/{PARTITION}*/{FILE}"), reverse=True)
        if not paths:
            raise InputError(f"no objects below {self.directory}: name the directory of an export")
        return [path for path in paths if since is None or path.parent.name >= f"{PARTITION}{since}"]

    def count(self, paths: Sequence[Path]) -> int:
        """Count the objects of some files, which are not read for that.

        Raises
        ------
        InputError
            A file is damaged.
        """
        return sum(map(_count, paths))

    def objects(self, path: Path, *, at_a_time: int) -> Iterator[list[StoredObject]]:
        """Read the objects of a file.

        Raises
        ------
        InputError
            The file is damaged or none of ours.
        """
        try:
            # Without the columns that a directory's name would add.
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=at_a_time):
                    yield objects_of(pa.Table.from_batches([batch]))
        except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error


def _count(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _read_model(value: dict[str, Any]) -> RegisteredModel:
    classes = tuple((int(number), str(name)) for number, name in value["classes"])
    classifier = Classifier(value["name"], value["version"], value["feature_version"], classes)
    return RegisteredModel(int(value["digest"], 16), Survey(value["survey"]), classifier)
