"""Run the installed command as a user does."""

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["command_line", "environment", "nightjar"]


def command_line(*arguments: str) -> list[str]:
    """Give the program and its arguments."""
    return [str(Path(sys.executable).parent / "nightjar"), *arguments]


def environment(**variables: str) -> dict[str, str]:
    """Give this process's environment without its own settings, and with `variables`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTJAR_")}
    return inherited | {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100"} | variables


def nightjar(*arguments: str, timeout_s: float = 120.0, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``nightjar`` to its end with its output captured."""
    return subprocess.run(
        command_line(*arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        env=environment(**variables),
    )
