"""Servers and workers as child processes that never outlive their parent."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Self

from service.embedded import launch
from service.errors import FatalError

__all__ = ["LOOPBACK", "ChildProcess", "EmbeddedServer", "accepts_connections", "free_port", "is_free"]

LOOPBACK = "127.0.0.1"

# Below the range that the kernel gives to outgoing connections (32768 and up on Linux): a client that
# retries a stopped server of that range can connect to itself and so take the port away.
PORTS = range(15_000, 32_000)
_given: set[int] = set()  # a server that is stopped or killed comes back to its own
POLL = timedelta(milliseconds=20)
LOG_LINES = 15


def free_port() -> int:
    """Find a port of the loopback address that nobody listens on; none is given twice.

    Raises
    ------
    FatalError
        None was found.
    """
    for _ in range(100):
        port = random.choice(PORTS)  # noqa: S311  not a secret
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise FatalError(f"no free port between {PORTS[0]} and {PORTS[-1]} on {LOOPBACK}")


def is_free(port: int) -> bool:
    """Tell whether a server could listen on a loopback port."""
    with socket.socket() as probe:
        # As servers do: a port whose old connections linger counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def accepts_connections(port: int) -> bool:
    """Tell whether a server listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


class ChildProcess:
    """One program in a session of its own, its output in a file, killed when its parent ends.

    A session of its own keeps the terminal's Ctrl-C away from it: whoever started it stops it, in order.
    The kernel ties its life to the *thread* that called `start`, so call it from one that lives long.

    Parameters
    ----------
    name
        What it is, for messages.
    command
        Program and arguments.
    log_path
        File that its output is appended to.
    environment
        Variables that replace or extend this process's own.
    """

    def __init__(
        self, name: str, command: Sequence[str], log_path: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.log_path = log_path
        self.environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the current or last run."""
        return self._started.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs, minus the signal's number where one ended it."""
        return self._started.poll()

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise FatalError(f"{self.name} was never started")
        return self._process

    def start(self) -> None:
        """Start it and return at once."""
        if self.running:
            raise FatalError(f"{self.name} runs already")
        launcher = [sys.executable, "-I", "-S", str(Path(launch.__file__)), str(os.getpid())]
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603  our own commands
                [*launcher, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    def terminate(self) -> None:
        """Ask it to end, without waiting."""
        if self.running:
            self._started.send_signal(signal.SIGCONT)  # a stopped process would never see the request
            self._started.terminate()

    def stop(self, grace: timedelta = timedelta(seconds=20)) -> int | None:
        """Ask it to end, kill it after `grace`; the exit code, None where it was never started."""
        self.terminate()
        return self.wait(grace)

    def wait(self, grace: timedelta) -> int | None:
        """Wait for the end that it was asked for, kill it after `grace`; gives what `stop` does."""
        if self._process is None:
            return None
        try:
            return self._process.wait(grace.total_seconds())
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Freeze it: its connections stay open and answer nothing."""
        self._started.send_signal(signal.SIGSTOP)
        # The last of its threads may run on for some milliseconds, long enough to answer.
        os.waitid(os.P_PID, self._started.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a frozen one go on."""
        self._started.send_signal(signal.SIGCONT)

    def output(self) -> str:
        """Everything that the current or last run has printed so far."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def failure(self, summary: str) -> FatalError:
        """Make an error of `summary` and the end of what the program printed."""
        tail = "\n".join(f"  | {line}" for line in self.output().splitlines()[-LOG_LINES:])
        return FatalError(f"{self.name} {summary}" + (f"; the end of its log:\n{tail}" if tail else ""))


class EmbeddedServer(ABC):
    """A server on free loopback ports with a data directory of its own.

    A context manager that starts it and, at the end, stops it and deletes its data. The ports stay the
    same from one start to the next, so that clients find it again.

    Parameters
    ----------
    label
        What it is, for messages.
    port_count
        Ports it listens on.
    start_timeout
        Longest wait until it answers.
    """

    def __init__(self, label: str, *, port_count: int, start_timeout: timedelta) -> None:
        self.label = label
        self.start_timeout = start_timeout
        self.ports = [free_port() for _ in range(port_count)]
        self._directory: Path | None = None
        self._child: ChildProcess | None = None

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """Give the program and its arguments for the current ports; may prepare the data directory."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Tell whether the server answers requests."""

    def _environment(self) -> Mapping[str, str]:
        return {}

    @property
    def directory(self) -> Path:
        """Its data directory; made at first use."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="nightjar-"))
        return self._directory

    @property
    def child(self) -> ChildProcess:
        """The current or last process."""
        if self._child is None:
            raise FatalError(f"{self.label} was never started")
        return self._child

    @property
    def running(self) -> bool:
        """Whether its process is alive."""
        return self._child is not None and self._child.running

    def start(self) -> None:
        """Start it on its data and wait until it answers.

        Raises
        ------
        FatalError
            It ended or did not answer in time; the message carries the end of its log.
        """
        if self._child is None:
            # Another program may have taken a port since it was found free.
            self.ports = [port if is_free(port) else free_port() for port in self.ports]
        command = self._command()
        self._child = ChildProcess(self.label, command, self.directory / "server.log", self._environment())
        self._child.start()
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.start_timeout.total_seconds()
        while self.child.running:
            if accepts_connections(self.ports[0]) and self._is_ready():
                return
            if time.monotonic() > deadline:
                self.child.kill()
                raise self.child.failure(f"did not answer within {self.start_timeout.total_seconds():g} s")
            time.sleep(POLL.total_seconds())
        raise self.child.failure(f"ended at its start with exit code {self.child.exit_code}")

    def stop(self) -> None:
        """End it in order and keep its data."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """End it at once, as a crash would, and keep its data."""
        self.child.kill()

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        self.child.pause()

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self.child.resume()

    def restart(self, *, keep_data: bool = True) -> None:
        """Stop it where it runs and start it again, on its data or on none."""
        self.stop()
        if not keep_data:
            self._delete_data()
        self.start()

    def close(self) -> None:
        """Stop it and delete its data."""
        self.stop()
        self._delete_data()

    def _delete_data(self) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def __enter__(self) -> Self:
        """Start it."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop it and delete its data."""
        self.close()
