"""``nightjar api``: results over HTTP."""

import gc
import os
import socket
from collections.abc import Mapping
from contextlib import closing, suppress

import structlog

from service.api.app import create_app
from service.api.server import Server
from service.cli.signals import ended_by_signals
from service.core.alerts import Survey
from service.core.classifier import ObjectClassifier
from service.errors import SettingsError
from service.logs import compiling, configure_logging
from service.settings import Settings, read_settings
from service.wiring.models import load_bundles
from service.wiring.results import result_feed
from service.wiring.stores import object_store

__all__ = ["api"]

BACKLOG = 2048

log = structlog.get_logger(__name__)


def api() -> None:
    """Serve results over HTTP until told to end; starts whether Redis answers or not."""
    settings = read_settings()
    configure_logging(settings.log_level, json=settings.log_json)
    # The server answers what it has begun to, and then raises the signal that ended it once more.
    with suppress(KeyboardInterrupt), ended_by_signals():
        _serve(settings)
    log.info("stopped")


def _serve(settings: Settings) -> None:
    if settings.api_cpu_affinity >= 0:
        _keep_to_core(settings.api_cpu_affinity)
    with _listen(settings) as listener, closing(object_store(settings)) as objects:
        feed, classifiers = result_feed(settings), _classifiers(settings)
        _warm_up(classifiers)
        app = create_app(settings, objects, classifiers, feed)
        server = Server(app)
        # Without this, uvicorn believes whoever connects from this machine.
        server.config.forwarded_allow_ips = list(settings.api_trusted_proxies)
        _settle_down()
        log.info("listening", url=_url(listener))
        server.run(sockets=[listener])


def _keep_to_core(core: int) -> None:
    """Run on one core from now on.

    Raises
    ------
    SettingsError
        There is no such core for us, or this system does not let a process choose.
    """
    try:
        os.sched_setaffinity(0, {core})
    except (AttributeError, OSError) as error:
        raise SettingsError(f"cannot keep to core {core}, see NIGHTJAR_API_CPU_AFFINITY: {error}") from error


def _settle_down() -> None:
    """Take what lives as long as the process, the compiler above all, out of the collector's sight.

    To walk over it took 80 ms, every few thousand requests, in which nobody was answered.
    """
    gc.collect()
    gc.freeze()


def _classifiers(settings: Settings) -> dict[Survey, ObjectClassifier]:
    """Load the models, each once: LSST's serves ELAsTiCC too."""
    bundles = load_bundles(settings)
    loaded = {bundle.digest: ObjectClassifier(bundle) for bundle in bundles.values()}
    return {survey: loaded[bundle.digest] for survey, bundle in bundles.items()}


def _warm_up(classifiers: Mapping[Survey, ObjectClassifier]) -> None:
    """Compile before anybody asks: it may take longer than a request is given."""
    with compiling(log):
        for classifier in set(classifiers.values()):
            classifier.warm_up()


def _listen(settings: Settings) -> socket.socket:
    """Open the port; a socket that is named as TCP, since only then asyncio sends small answers at once."""
    host, port = settings.api_host, settings.api_port
    listener = None
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise SettingsError(
            f"cannot listen on {host}:{port}: {error.strerror}; see NIGHTJAR_API_HOST and NIGHTJAR_API_PORT"
        ) from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"
