"""The code of an earlier commit, taken from git's history, and its programs."""

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.embedded.processes import ChildProcess
from service.settings import Settings
from tests.conftest import ROOT

__all__ = ["EarlierCode", "earlier_code"]


@dataclass(frozen=True, slots=True)
class EarlierCode:
    """A directory with the package of an earlier commit.

    Its programs run with this environment's Python and libraries, and get settings by the names of then.
    """

    directory: Path

    def run(
        self, settings: Settings, *arguments: str, timeout_s: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end with its output captured."""
        return subprocess.run(
            self._command(*arguments),
            env=self._inherited() | self._own() | _variables(settings),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    def worker(self, settings: Settings, directory: Path, name: str = "earlier") -> ChildProcess:
        """Return a worker that is not started yet."""
        variables = self._own() | _variables(settings) | {"NIGHTJAR_WORKER_ID": name, "OMP_NUM_THREADS": "1"}
        return ChildProcess(name, self._command("worker"), directory / f"{name}.log", variables)

    def location(self) -> Path:
        """Return the directory from which a process of this code imports the package."""
        code = "import service, service.__main__; print(service.__file__)"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=self._inherited() | self._own() | {"COLUMNS": "100"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return Path(done.stdout.splitlines()[-1]).parents[1]

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "service", *arguments]

    def _own(self) -> dict[str, str]:
        # The current directory has the package of today.
        return {"PYTHONPATH": str(self.directory), "PYTHONSAFEPATH": "1", "NO_COLOR": "1"}

    def _inherited(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("NIGHTJAR_")}


def _variables(settings: Settings) -> dict[str, str]:
    """Write the settings of a test as that commit calls them."""
    return {
        "NIGHTJAR_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "NIGHTJAR_REDIS_URL": str(settings.redis_url),
        "NIGHTJAR_GROUP_ID": settings.group_id,
        "NIGHTJAR_ZTF_TOPICS": ",".join(settings.ztf_topics),
        "NIGHTJAR_LSST_TOPICS": ",".join(settings.lsst_topics),
        "NIGHTJAR_ELASTICC_TOPICS": ",".join(settings.elasticc_topics),
        "NIGHTJAR_OUTPUT_TOPIC": settings.output_topic,
        "NIGHTJAR_DESC_TOPIC": settings.desc_topic,
        "NIGHTJAR_REJECTED_TOPIC": settings.rejected_topic,
        "NIGHTJAR_ZTF_MODEL": settings.ztf_model,
        "NIGHTJAR_LSST_MODEL": settings.lsst_model,
        "NIGHTJAR_BATCH_SIZE": str(settings.batch_size),
        "NIGHTJAR_SESSION_TIMEOUT": str(settings.session_timeout.total_seconds()),
        "NIGHTJAR_TRANSACTION_TIMEOUT": str(settings.transaction_timeout.total_seconds()),
        "NIGHTJAR_METRICS_PORT": str(settings.metrics_port),
    }


def earlier_code(commit: str, kept: Path) -> EarlierCode:
    """Return the code of a commit; skip the test where git does not have it.

    Parameters
    ----------
    commit
        All of its hash.
    kept
        Directory that outlives the test run: what the code compiles there takes many seconds.
    """
    directory = kept / commit
    if not directory.is_dir():
        _extract(commit, directory)
    return EarlierCode(directory)


def _extract(commit: str, directory: Path) -> None:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), "archive", commit, "service", "pyproject.toml"],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip(f"no git, so the code of {commit[:7]} cannot be read")
    if done.returncode:
        pytest.skip(f"commit {commit[:7]} is not in this repository's history: fetch all of it")
    made = Path(tempfile.mkdtemp(dir=directory.parent))
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(made, filter="data")
    try:
        made.rename(directory)
    except OSError:
        assert directory.is_dir()  # another test process was faster
