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

# Below the range that the kernel uses for outgoing connections (32768 and up on Linux): a client that retries
# a stopped server in that range can connect to itself and so occupy the port.
PORTS = range(15_000, 32_000)
_reserved: set[int] = set()  # a server that is stopped or killed restarts on the same port
POLL = timedelta(milliseconds=20)
LOG_LINES = 15


def free_port() -> int:
    """Return an unused port of the loopback address; none is returned twice.

    Raises
    ------
    FatalError
        No port was found.
    """
    for _ in range(100):
        port = random.choice(PORTS)  # noqa: S311  not a secret
        if port not in _reserved and is_free(port):
            _reserved.add(port)
            return port
    raise FatalError(f"no free port between {PORTS[0]} and {PORTS[-1]} on {LOOPBACK}")


def is_free(port: int) -> bool:
    """Return whether a server could listen on a loopback port.

    Parameters
    ----------
    port
        The port.
    """
    with socket.socket() as probe:
        # As servers do: a port with lingering old connections counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def accepts_connections(port: int) -> bool:
    """Return whether a server listens on a loopback port.

    Parameters
    ----------
    port
        The port.
    """
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


class ChildProcess:
    """A program in a separate session, its output in a file, killed when its parent ends.

    In a separate session it does not receive the terminal's Ctrl-C: the process that started it stops it.
    The kernel ties its life to the *thread* that called `start`, so call it from one that lives long.

    Parameters
    ----------
    name
        For messages.
    command
        Program and arguments.
    log_path
        File to which its output is appended.
    environment
        Variables that replace or extend those of this process.
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
        """Whether it is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the current or last run."""
        return self._started.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code; None while it runs, minus the signal's number if one ended it."""
        return self._started.poll()

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise FatalError(f"{self.name} was never started")
        return self._process

    def start(self) -> None:
        """Start it, without waiting until it is ready.

        Raises
        ------
        FatalError
            It is already running.
        """
        if self.running:
            raise FatalError(f"{self.name} is already running")
        launcher = [sys.executable, "-I", "-S", str(Path(launch.__file__)), str(os.getpid())]
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603  the command is not user input
                [*launcher, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    def terminate(self) -> None:
        """Send SIGTERM, without waiting."""
        if self.running:
            self._started.send_signal(signal.SIGCONT)  # a stopped process would never see the request
            self._started.terminate()

    def stop(self, grace: timedelta = timedelta(seconds=20)) -> int | None:
        """Terminate it and wait for its end.

        Parameters
        ----------
        grace
            Time after which it is killed.

        Returns
        -------
        int or None
            The exit code; None if it was never started.
        """
        self.terminate()
        return self.wait(grace)

    def wait(self, grace: timedelta) -> int | None:
        """Wait for its end after `terminate`.

        Parameters
        ----------
        grace
            Time after which it is killed.

        Returns
        -------
        int or None
            As for `stop`.
        """
        if self._process is None:
            return None
        try:
            return self._process.wait(grace.total_seconds())
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode

    def kill(self) -> None:
        """Send SIGKILL, as a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Freeze it: its connections stay open, but do not answer."""
        self._started.send_signal(signal.SIGSTOP)
        # Its threads may continue for some milliseconds, long enough to answer.
        os.waitid(os.P_PID, self._started.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Continue after `pause`."""
        self._started.send_signal(signal.SIGCONT)

    def output(self) -> str:
        """Return what the current or last run has printed so far."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def failure(self, summary: str) -> FatalError:
        """Return an error with the end of the program's output.

        Parameters
        ----------
        summary
            What went wrong; follows the name.
        """
        tail = "\n".join(f"  | {line}" for line in self.output().splitlines()[-LOG_LINES:])
        return FatalError(f"{self.name} {summary}" + (f"; the end of its log:\n{tail}" if tail else ""))


class EmbeddedServer(ABC):
    """A server on free loopback ports with a temporary data directory.

    A context manager that starts it and, at the end, stops it and deletes its data. The ports stay the
    same from one start to the next, so that clients can reconnect.

    Parameters
    ----------
    label
        For messages.
    port_count
        Number of ports it listens on.
    start_timeout
        Longest wait until it answers.

    Attributes
    ----------
    ports
        The ports it listens on.
    """

    def __init__(self, label: str, *, port_count: int, start_timeout: timedelta) -> None:
        self.label = label
        self.start_timeout = start_timeout
        self.ports = [free_port() for _ in range(port_count)]
        self._directory: Path | None = None
        self._child: ChildProcess | None = None

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """Return the program and its arguments for the current ports; may prepare the data directory."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Return whether the server answers requests."""

    def _environment(self) -> Mapping[str, str]:
        return {}

    @property
    def directory(self) -> Path:
        """Its data directory; created at first use."""
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
        """Start it on its existing data and wait until it answers.

        Raises
        ------
        FatalError
            It ended or did not answer in time; the message contains the end of its log.
        """
        if self._child is None:
            # Another program may have taken a port since it was reserved.
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
        raise self.child.failure(f"ended during startup with exit code {self.child.exit_code}")

    def stop(self) -> None:
        """Stop it cleanly and keep its data."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """Kill it, as a crash, and keep its data."""
        self.child.kill()

    def pause(self) -> None:
        """Freeze it: its connections stay open, but do not answer."""
        self.child.pause()

    def resume(self) -> None:
        """Continue after `pause`."""
        self.child.resume()

    def restart(self, *, keep_data: bool = True) -> None:
        """Stop it if it runs, and start it again.

        Parameters
        ----------
        keep_data
            Whether it starts on its existing data or empty.
        """
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
