"""What the scripts share: a configuration becomes a subcommand, and is printed and saved as JSON."""

import inspect
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import torch
import typer
from rich.console import Console

from service.core.alerts import Survey
from service.errors import InputError
from training.data.catalogue import DATA_VARIABLE

__all__ = [
    "DataOption",
    "DeviceOption",
    "FoldsOption",
    "OptionalSimulatorData",
    "SeedOption",
    "SurveyOption",
    "as_command",
    "record",
    "usable_device",
]

Configuration = TypeVar("Configuration")

DataOption = Annotated[
    Path | None, typer.Option(envvar=DATA_VARIABLE, help="Directory of the public light-curve sets")
]
OptionalSimulatorData = Annotated[
    Path | None,
    typer.Option(envvar=DATA_VARIABLE, help="Templates, bandpasses, visits; without: parametric"),
]
SurveyOption = Annotated[Survey, typer.Option(help="ztf or lsst")]
SeedOption = Annotated[int, typer.Option(help="Equal seeds give equal weights on one machine")]
DeviceOption = Annotated[str, typer.Option(help="A device of PyTorch: cpu, cuda, cuda:1, mps")]
FoldsOption = Annotated[int, typer.Option(min=2, help="Folds of the cross-validation")]


def as_command(
    configuration: type[Configuration], main: Callable[[Configuration], None]
) -> Callable[..., None]:
    """Return a script as a Typer command.

    Parameters
    ----------
    configuration
        A dataclass; its fields, annotated with Typer's options, become the options of the command.
    main
        The script; the first paragraph of its docstring becomes the help of the command.
    """

    def command(**options: Any) -> None:
        main(configuration(**options))

    signature = inspect.signature(configuration)
    parameters = signature.parameters.items()
    command.__signature__ = signature.replace(return_annotation=None)  # type: ignore[attr-defined]
    command.__annotations__ = {name: parameter.annotation for name, parameter in parameters}
    command.__doc__ = (main.__doc__ or "").partition("\n\n")[0]
    return command


def record(configuration: object, path: Path, console: Console) -> None:
    """Print a configuration and save it as JSON.

    Parameters
    ----------
    configuration
        A dataclass.
    path
        File to write; its directory is created.
    console
        Where it is printed.
    """
    if not is_dataclass(configuration) or isinstance(configuration, type):
        raise TypeError(f"{configuration!r} is not an instance of a dataclass")
    content = orjson.dumps(asdict(configuration), default=str, option=orjson.OPT_INDENT_2)
    console.print(content.decode(), highlight=False, markup=False, soft_wrap=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content + b"\n")


def usable_device(name: str) -> torch.device:
    """Return a device that works.

    Parameters
    ----------
    name
        As PyTorch names it.

    Raises
    ------
    InputError
        This PyTorch or this machine does not have it.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: {str(error).splitlines()[0]}") from error
    return device
