"""The files of a model bundle: reading and writing its directory."""

from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from service.core.package_files import shipped_model_directories

__all__ = [
    "CARD_FILE",
    "WEIGHTS_FILE",
    "BundleFiles",
    "find_bundle_directory",
    "read_bundle_files",
    "shipped_bundles",
    "write_bundle_files",
]

CARD_FILE = "bundle.json"
WEIGHTS_FILE = "weights.safetensors"
README_FILE = "README.md"


@dataclass(frozen=True, slots=True)
class BundleFiles:
    """Contents of a bundle's files.

    Attributes
    ----------
    card
        ``bundle.json``.
    weights
        ``weights.safetensors``.
    readme
        ``README.md``; empty if there is none.
    """

    card: bytes
    weights: bytes
    readme: str


def shipped_bundles() -> dict[str, Traversable]:
    """Return the directories of the bundles shipped with the package, by name."""
    directories = shipped_model_directories().items()
    return {name: directory for name, directory in directories if (directory / CARD_FILE).is_file()}


def find_bundle_directory(source: str | Path) -> Traversable | None:
    """Return the directory of a bundle.

    Parameters
    ----------
    source
        Name of a shipped bundle, or a directory; the name takes precedence.

    Returns
    -------
    Traversable or None
        None if there is no bundle of that name and no card in that directory.
    """
    directory: Traversable = Path(source)
    if isinstance(source, str):
        directory = shipped_bundles().get(source, directory)
    return directory if (directory / CARD_FILE).is_file() else None


def read_bundle_files(directory: Traversable) -> BundleFiles:
    """Read the files of a bundle.

    Parameters
    ----------
    directory
        From `find_bundle_directory`.

    Raises
    ------
    OSError
        If the card or the weights cannot be read.
    """
    readme = directory / README_FILE
    return BundleFiles(
        card=(directory / CARD_FILE).read_bytes(),
        weights=(directory / WEIGHTS_FILE).read_bytes(),
        readme=readme.read_text(encoding="utf-8") if readme.is_file() else "",
    )


def write_bundle_files(directory: Path, content: BundleFiles) -> None:
    """Write the files of a bundle.

    Parameters
    ----------
    directory
        Created if missing; existing files of the same names are replaced.
    content
        What to write.

    Raises
    ------
    OSError
        If the directory or a file cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / WEIGHTS_FILE).write_bytes(content.weights)
    (directory / CARD_FILE).write_bytes(content.card)
    (directory / README_FILE).write_text(content.readme, encoding="utf-8")
