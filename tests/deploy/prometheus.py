"""A real Prometheus with the shipped configuration and rules, whose days are seconds."""

import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml

from service.embedded.processes import LOOPBACK, EmbeddedServer
from tests.deploy.queries import PROMETHEUS

__all__ = ["DAY_S", "Prometheus"]

DAY_S = 6.0
"""What a day of the rules takes."""

# Prometheus wants two scrapes within every window; what is short already stays longer than its share.
STEP_S = 0.5
LEAST_S = 1.0

UNITS_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
# Windows and offsets of queries; "1d" in the name of a metric is none.
DURATION = re.compile(r"(?<=\[)(\d+)([dhms])(?=\])|(?<=offset )(\d+)([dhms])\b")


class Prometheus(EmbeddedServer):
    """Scrapes targets of this machine.

    Parameters
    ----------
    targets
        Name of a job to ``host:port``; jobs of the shipped configuration that are not named are left out.
    """

    def __init__(self, targets: Mapping[str, str]) -> None:
        super().__init__("Prometheus", port_count=1, start_timeout=timedelta(seconds=30))
        self._targets = dict(targets)

    @classmethod
    def installed(cls) -> bool:
        """Tell whether this machine has the program."""
        return shutil.which("prometheus") is not None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self.ports[0]}"

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Ask for the labels and the value of each series now."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=10)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def firing(self) -> set[str]:
        """Name the alerts that fire now."""
        alerts = httpx.get(f"{self.url}/api/v1/alerts", timeout=10).json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def _command(self) -> Sequence[str]:
        config = self.directory / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._configuration()))
        return [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--web.listen-address={LOOPBACK}:{self.ports[0]}",
            "--log.level=warn",
        ]

    def _configuration(self) -> dict[str, Any]:
        """Give the shipped configuration with quick rules, and with targets where names were looked up."""
        config: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        config["global"] = dict.fromkeys(config["global"], _written(STEP_S))
        config["rule_files"] = [str(self._quick(Path(path).name)) for path in config["rule_files"]]
        config["scrape_configs"] = [
            {"job_name": job["job_name"], "static_configs": [{"targets": [self._targets[job["job_name"]]]}]}
            for job in config["scrape_configs"]
            if job["job_name"] in self._targets
        ]
        return config

    def _quick(self, name: str) -> Path:
        """Write a rule file whose times are shorter; all else stands as it is shipped."""
        content = yaml.safe_load((PROMETHEUS / name).read_text())
        for group in content["groups"]:
            group["interval"] = _written(STEP_S)
            for rule in group["rules"]:
                rule["expr"] = DURATION.sub(_shorter, rule["expr"])
                if "for" in rule:
                    rule["for"] = re.sub(r"(\d+)([dhms])", _shorter, rule["for"])
        path = self.directory / name
        path.write_text(yaml.safe_dump(content))
        return path

    def _is_ready(self) -> bool:
        return httpx.get(f"{self.url}/-/ready", timeout=5).status_code == 200


def _shorter(found: re.Match[str]) -> str:
    number, unit = (part for part in found.groups() if part)
    return _written(max(int(number) * UNITS_S[unit] * DAY_S / UNITS_S["d"], LEAST_S))


def _written(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
