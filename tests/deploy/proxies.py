"""Reverse proxies as ``deploy/proxy`` sets them up, on loopback ports."""

import os
import shutil
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from service.embedded.processes import LOOPBACK, EmbeddedServer
from tests.deploy.composition import ROOT
from tests.security.certificates import Certificate

__all__ = ["PROXIES", "HAProxy", "Nginx", "ReverseProxy"]

CONFIGURATIONS = ROOT / "deploy" / "proxy"


class ReverseProxy(EmbeddedServer):
    """A proxy with TLS before two processes of the API.

    Parameters
    ----------
    certificate
        Its own.
    targets
        ``host:port`` of the two.
    """

    program: str
    configuration: str

    def __init__(self, certificate: Certificate, targets: tuple[str, str]) -> None:
        super().__init__(self.program, port_count=1, start_timeout=timedelta(seconds=20))
        self._certificate = certificate
        self._targets = targets

    @classmethod
    def installed(cls) -> bool:
        """Tell whether this machine has the program."""
        return shutil.which(cls.program, path=_path()) is not None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"https://{LOOPBACK}:{self.ports[0]}"

    def _configured(self, changes: Mapping[str, str]) -> str:
        """Give the shipped configuration with this machine's ports and certificate in it."""
        text = (CONFIGURATIONS / self.configuration).read_text()
        one, two = self._targets
        targets = {f"{LOOPBACK}:8000": one, f"{LOOPBACK}:8001": two}
        for theirs, mine in {**targets, **changes}.items():
            assert text.count(theirs) == 1, f"{theirs} stands {text.count(theirs)} times in {self.program}'s"
            text = text.replace(theirs, mine)
        return text

    def _command(self) -> Sequence[str]:
        path = self.directory / self.configuration
        path.write_text(self._text())
        return [str(shutil.which(self.program, path=_path())), *self._arguments(path)]

    @abstractmethod
    def _text(self) -> str: ...

    @abstractmethod
    def _arguments(self, configuration: Path) -> Sequence[str]: ...

    def _is_ready(self) -> bool:
        return True  # it accepts connections


class Nginx(ReverseProxy):
    """Debian's nginx, in one process that ends with the test."""

    program = "nginx"
    configuration = "nginx.conf"

    def _text(self) -> str:
        site = self._configured(
            {
                "listen 443 ssl": f"listen {LOOPBACK}:{self.ports[0]} ssl",
                "/etc/ssl/nightjar.pem": str(self._certificate.certificate),
                "/etc/ssl/nightjar.key": str(self._certificate.key),
            }
        )
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "".join(f"{kind}_temp_path {self.directory}/{kind};\n" for kind in kinds)
        around = (
            f"daemon off;\nmaster_process off;\npid {self.directory}/pid;\nerror_log stderr;\nevents {{}}\n"
        )
        return f"{around}http {{\naccess_log off;\n{places}{site}}}\n"

    def _arguments(self, configuration: Path) -> Sequence[str]:
        return ["-p", str(self.directory), "-c", str(configuration)]


class HAProxy(ReverseProxy):
    """Debian's HAProxy."""

    program = "haproxy"
    configuration = "haproxy.cfg"

    def _text(self) -> str:
        pair = self.directory / "pair.pem"
        pair.write_text(self._certificate.certificate.read_text() + self._certificate.key.read_text())
        return self._configured({"*:443": f"{LOOPBACK}:{self.ports[0]}", "/etc/ssl/nightjar.pem": str(pair)})

    def _arguments(self, configuration: Path) -> Sequence[str]:
        return ["-db", "-f", str(configuration)]


PROXIES: tuple[type[ReverseProxy], ...] = (Nginx, HAProxy)


def _path() -> str:
    """Servers lie where only root looks."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
