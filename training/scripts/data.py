"""``nightjar-train data``: the data sets that training can use."""

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from training.data.catalogue import CATALOGUE, data_directory
from training.scripts.stage import DataOption

__all__ = ["Configuration", "main"]

WIDTH_WITHOUT_TERMINAL = 200


@dataclass(frozen=True, slots=True)
class Configuration:
    """Options of ``nightjar-train data``."""

    data: DataOption = None


def main(config: Configuration) -> None:
    """List the data sets: what each is, whether it is here, and where it comes from.

    Parameters
    ----------
    config
        Options of the command.
    """
    directory = data_directory(config.data)
    table = Table("folder", "here", "what", "from", "licence", "needed for", title=str(directory))
    for entry in CATALOGUE:
        here = "yes" if (directory / entry.folder).is_dir() else "no"
        table.add_row(entry.folder, here, entry.what, entry.origin, entry.licence, entry.needed_for)
    Console(width=WIDTH_WITHOUT_TERMINAL if not Console().is_terminal else None).print(table)
