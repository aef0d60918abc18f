"""The services of docker-compose.yml as processes of this machine, with the commands and environments there.

What a container engine does is done here by substitution: names of containers become loopback ports, paths
of mounts become paths below a temporary directory, programs of images become those of this machine.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from service.embedded.processes import ChildProcess, free_port
from service.embedded.redis import EmbeddedRedis
from tests.deploy.composition import ROOT, Service, services

__all__ = ["PASSWORD", "Deployment", "kafka_properties"]

PASSWORD = "correct horse battery staple"  # noqa: S105  of a server that lives for seconds
DOCKERFILE = ROOT / "docker" / "Dockerfile"

# Where a broker listens and keeps its data is the machine's affair; the rest is tried as it stands.
OF_THE_MACHINE = {
    "advertised.listeners",
    "controller.quorum.voters",
    "heap.opts",
    "listeners",
    "log.dirs",
    "node.id",
}


def kafka_properties(kafka: Service) -> dict[str, str]:
    """Server properties that the Kafka image makes of its environment."""
    properties = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in kafka.environment.items()
        if name.startswith("KAFKA_")
    }
    return {name: value for name, value in properties.items() if name not in OF_THE_MACHINE}


@dataclass(slots=True)
class Deployment:
    """Services as processes.

    Parameters
    ----------
    directory
        For everything they write.
    bootstrap_servers
        Where Kafka is.
    variables
        What stands in ``.env``.
    """

    directory: Path
    bootstrap_servers: str
    variables: Mapping[str, str] = field(default_factory=dict)
    redis_port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)
    metrics_ports: dict[str, int] = field(default_factory=dict)
    services: Mapping[str, Service] = field(init=False)

    def __post_init__(self) -> None:
        self.services = services(self.variables)
        for name in ("bin", "data", "secrets", "logs", "work"):
            (self.directory / name).mkdir()
        (self.directory / "secrets" / "nightjar_redis_password").write_text(PASSWORD + "\n")
        (self.directory / "secrets" / "nightjar_kafka_options").write_text("")
        self._lay_out_redis()
        self._program("nightjar-health", f'exec {sys.executable} {ROOT}/docker/health.py "$@"')

    def _lay_out_redis(self) -> None:
        config = (ROOT / "docker" / "redis" / "redis.conf").read_text()
        for theirs, ours in {
            "bind * -::*": "bind 127.0.0.1",
            "dir /data": f"dir {self.directory}/data",
        }.items():
            assert theirs in config
            config = config.replace(theirs, ours)
        (self.directory / "redis.conf").write_text(f"{config}\nport {self.redis_port}\n")
        server = shutil.which("redis-server") or EmbeddedRedis()._command()[0]
        self._program("redis-server", f'exec {server} "$@"')
        client = shutil.which("redis-cli")
        ours = f"{sys.executable} {Path(__file__).with_name('redis_cli.py')} {self.redis_port}"
        self._program("redis-cli", f'exec {f"{client} -p {self.redis_port}" if client else ours} "$@"')

    def _program(self, name: str, line: str) -> None:
        path = self.directory / "bin" / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    def child(self, name: str, instance: str = "") -> ChildProcess:
        """One container of a service, not yet started."""
        label = f"{name}{instance}"
        command = self._localised(self.services[name].command, label)
        log = self.directory / "logs" / label
        return ChildProcess(label, self._alone(name, label, command), log)

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run a one-shot service to its end."""
        return self._finish(self._alone(name, name, self._localised(self.services[name].command, name)))

    def is_healthy(self, name: str, instance: str = "") -> bool:
        """Execute a service's health check as it stands, within its own time limit."""
        kind, *check = self.services[name].health_check
        command = ["sh", "-c", *check] if kind == "CMD-SHELL" else check
        label = f"{name}{instance}"
        timeout_s = self.services[name].seconds(self.services[name].fields["healthcheck"]["timeout"])
        try:
            done = self._finish(self._alone(name, label, self._localised(command, label)), timeout_s)
        except subprocess.TimeoutExpired:
            return False  # as for the engine
        return done.returncode == 0

    def grace(self, name: str) -> timedelta:
        """How long the engine waits after SIGTERM."""
        service = self.services[name]
        return timedelta(seconds=service.seconds(service.fields["stop_grace_period"]))

    def metrics_port(self, label: str) -> int:
        return self.metrics_ports.setdefault(label, free_port())

    def _alone(self, name: str, label: str, command: list[str]) -> list[str]:
        """Prefix a command so that it sees the image's and the service's environment and nothing else."""
        service = self.services[name]
        values = self._localised(list(service.environment.values()), label)
        environment = dict(zip(service.environment, values, strict=True))
        if service.ours:
            environment = image_environment() | environment
        path = f"{self.directory}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment |= {"PATH": path, "HOME": "/nonexistent"}
        settings = [f"{key}={value}" for key, value in environment.items()]
        return ["env", "-i", "-C", str(self.directory / "work"), *settings, *command]

    def _localised(self, texts: list[str], label: str) -> list[str]:
        kafka_port = self.bootstrap_servers.rpartition(":")[2]
        replacements = {
            "kafka:9092": self.bootstrap_servers,
            "/dev/tcp/localhost/9092": f"/dev/tcp/127.0.0.1/{kafka_port}",
            "redis:6379": f"127.0.0.1:{self.redis_port}",
            "/etc/nightjar/redis.conf": f"{self.directory}/redis.conf",
            "/run/secrets": f"{self.directory}/secrets",
            "0.0.0.0": "127.0.0.1",  # noqa: S104  of the container
        }
        for theirs, ours in replacements.items():
            texts = [text.replace(theirs, ours) for text in texts]
        ports = {"9400": self.metrics_port(label), "8000": self.api_port}
        return [re.sub(r"(?<!\d)(9400|8000)(?!\d)", lambda port: str(ports[port[1]]), text) for text in texts]

    def _finish(self, command: list[str], timeout_s: float = 300.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)


def image_environment() -> dict[str, str]:
    """What the image sets, apart from places that exist only in it."""
    text = DOCKERFILE.read_text()
    block = re.search(r"^ENV PATH=(.*?)\n(?!.*\\\n)(?=USER)", text, re.MULTILINE | re.DOTALL)
    assert block
    values = dict(re.findall(r"(\w+)=([^\s\\]+)", block[0]))
    return {
        name: value for name, value in values.items() if name not in {"PATH", "JIT_CACHE", "NUMBA_CACHE_DIR"}
    }
