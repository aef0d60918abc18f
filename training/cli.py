"""The command ``nightjar-train``."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from service.errors import ServiceError
from training.scripts import bundle, calibrate, data, evaluate, fit, packets, reproduce, simulate, transfer
from training.scripts.stage import as_command

__all__ = ["app", "main"]

app = typer.Typer(
    name="nightjar-train",
    help="Make the models that nightjar serves: simulate, train, transfer, evaluate, calibrate, bundle.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("simulate")(as_command(simulate.Configuration, simulate.main))
app.command("packets")(as_command(packets.Configuration, packets.main))
app.command("data")(as_command(data.Configuration, data.main))
app.command("fit")(as_command(fit.Configuration, fit.main))
app.command("transfer")(as_command(transfer.Configuration, transfer.main))
app.command("evaluate")(as_command(evaluate.Configuration, evaluate.main))
app.command("calibrate")(as_command(calibrate.Configuration, calibrate.main))
app.command("bundle")(as_command(bundle.Configuration, bundle.main))
app.command("reproduce")(as_command(reproduce.Configuration, reproduce.main))


@app.callback()
def threads(
    torch_threads: Annotated[
        int,
        typer.Option("--threads", min=1, help="Threads of PyTorch; small networks need one"),
    ] = 1,
) -> None:
    """Set how many processors training uses.

    Parameters
    ----------
    torch_threads
        Number of threads.
    """
    import torch

    torch.set_num_threads(torch_threads)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error in the input is reported in one line with exit code 2.

    Parameters
    ----------
    arguments
        Without the program's name; None: those of the process.
    """
    try:
        app(args=arguments)
    except ServiceError as error:
        sys.stderr.write(f"nightjar-train: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
