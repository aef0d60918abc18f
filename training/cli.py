"""The command ``nightjar-train``."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from service.errors import ServiceError
from training.scripts.commands import bundle, calibrate, data, evaluate, fit, transfer
from training.scripts.reproduce import reproduce
from training.simulation.recipe import packets, simulate

__all__ = ["app", "main"]

app = typer.Typer(
    name="nightjar-train",
    help="Make the models that nightjar serves: simulate, train, transfer, evaluate, calibrate, ship.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (simulate, packets, data, fit, transfer, evaluate, calibrate, bundle, reproduce):
    app.command()(command)


@app.callback()
def threads(
    torch_threads: Annotated[
        int,
        typer.Option("--threads", min=1, help="Threads of PyTorch; small networks need one"),
    ] = 1,
) -> None:
    """Set how many processors training uses."""
    import torch

    torch.set_num_threads(torch_threads)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, by default the process's own; an error of ours is one line."""
    try:
        app(args=arguments)
    except ServiceError as error:
        sys.stderr.write(f"nightjar-train: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
