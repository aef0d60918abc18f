"""Models and filters of an export: ``models.json`` and ``filters.json``."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import orjson

from service.archive.directory import make_directory, writing
from service.core.models.info import ModelInfo
from service.core.search.filters import FilterSpec, read_filter, write_filter
from service.errors import InputError

__all__ = ["read_filters", "read_models", "write_filters", "write_models"]

MODELS = "models.json"
FILTERS = "filters.json"

Item = TypeVar("Item")


def write_models(directory: Path, models: Mapping[int, ModelInfo]) -> None:
    """Write the models that classifications name, and keep those of earlier exports: results remain.

    Parameters
    ----------
    directory
        Of the export.
    models
        By digest.

    Raises
    ------
    InputError
        The file cannot be written, or an existing one cannot be read.
    """
    known = read_models(directory) | dict(models)
    _write(
        directory / MODELS,
        [{"digest": f"{digest:016x}", **known[digest].fields()} for digest in sorted(known)],
    )


def read_models(directory: Path) -> dict[int, ModelInfo]:
    """Return the models by digest; none if there is no such file.

    Parameters
    ----------
    directory
        Of the export.

    Raises
    ------
    InputError
        The file cannot be read or was not written by an export.
    """
    return {model.digest: model for model in _read(directory / MODELS, _read_model)}


def write_filters(directory: Path, filters: Sequence[FilterSpec]) -> None:
    """Write the filters, replacing those of earlier exports.

    Parameters
    ----------
    directory
        Of the export.
    filters
        All stored filters.

    Raises
    ------
    InputError
        They cannot be written.
    """
    _write(directory / FILTERS, [write_filter(spec) for spec in filters])


def read_filters(directory: Path) -> list[FilterSpec]:
    """Return the filters; none if there is no such file.

    Parameters
    ----------
    directory
        Of the export.

    Raises
    ------
    InputError
        The file cannot be read or was not written by an export.
    """
    return _read(directory / FILTERS, read_filter)


def _write(path: Path, values: Sequence[dict[str, Any]]) -> None:
    make_directory(path.parent)
    unfinished = path.with_name(f"{path.name}.part")
    with writing(path):
        unfinished.write_bytes(orjson.dumps(values, option=orjson.OPT_INDENT_2))
        unfinished.replace(path)


def _read(path: Path, read: Callable[[dict[str, Any]], Item]) -> list[Item]:
    try:
        return [read(value) for value in orjson.loads(path.read_bytes())]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} was not written by an export: {error}") from error


def _read_model(value: dict[str, Any]) -> ModelInfo:
    return ModelInfo.from_fields(int(value["digest"], 16), value)
