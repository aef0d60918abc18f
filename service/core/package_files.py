"""Data files shipped with the package: model bundles and schemas of published records."""

from importlib.resources import files
from importlib.resources.abc import Traversable

__all__ = ["record_schema_bytes", "shipped_model_directories"]


def shipped_model_directories() -> dict[str, Traversable]:
    """Return the directories below ``service/models`` by name; none if the package ships without models."""
    models = files("service") / "models"
    if not models.is_dir():
        return {}
    return {directory.name: directory for directory in models.iterdir() if directory.is_dir()}


def record_schema_bytes(file_name: str) -> bytes:
    """Return the content of a schema of ``service/core/records/schemas``.

    Parameters
    ----------
    file_name
        For instance ``classification.avsc``.

    Raises
    ------
    FileNotFoundError
        If there is no such schema.
    """
    return (files("service.core.records") / "schemas" / file_name).read_bytes()
