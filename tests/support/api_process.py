"""An API as a process of its own."""

from pathlib import Path

import httpx

from service.embedded.processes import LOOPBACK, ChildProcess, free_port
from service.settings import Settings
from tests.support.command import command_line
from tests.support.kafka import wait_until
from tests.support.service import settings_as_environment

__all__ = ["ApiProcess"]


class ApiProcess:
    """One process of the API, not started yet.

    Attributes
    ----------
    port, url
        Where it listens itself.
    """

    def __init__(self, settings: Settings, directory: Path, name: str) -> None:
        self.port = free_port()
        own = settings.model_copy(update={"api_port": self.port})
        self.process = ChildProcess(
            name, command_line("api"), directory / f"{name}.log", settings_as_environment(own)
        )
        self.url = f"http://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        self.process.start()

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.running, self.process.output()
            try:
                return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(ready, self.process.name)

    def metric(self, name: str) -> float:
        """Sum a metric of this process over its labels."""
        lines = httpx.get(f"{self.url}/metrics", timeout=10).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name)
