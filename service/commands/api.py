"""``nightjar api``: results over HTTP."""

import signal
import socket

import structlog
import uvicorn

from service.adapters.redis_store import RedisStore
from service.api.app import create_app
from service.core.alerts import Survey
from service.core.bundle import load_bundle
from service.core.classifier import ObjectClassifier
from service.errors import SettingsError
from service.logs import configure_logging
from service.settings import Settings, read_settings

__all__ = ["api"]

GRACE_S = 10
"""Requests that are being answered when the process is told to end have so long."""

BACKLOG = 2048

log = structlog.get_logger(__name__)


def api() -> None:
    """Serve results over HTTP until told to end; starts whether Redis answers or not."""
    settings = read_settings()
    configure_logging(settings.log_level, json=settings.log_json)
    # The server ends by itself on these, and then raises them once more, for a handler such as this.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    store = RedisStore.connect(
        str(settings.redis_url),
        password=settings.redis_password.get_secret_value(),
        timeout=settings.redis_timeout,
        expiry=settings.object_expiry,
    )
    with _listen(settings) as listener:
        app = create_app(settings, store, _load_classifiers(settings))
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_S)
        log.info("listening", url=_url(listener))
        uvicorn.Server(config).run(sockets=[listener])
    store.close()
    log.info("stopped")


def _load_classifiers(settings: Settings) -> dict[Survey, ObjectClassifier]:
    ztf = ObjectClassifier(load_bundle(settings.ztf_model))
    lsst = ObjectClassifier(load_bundle(settings.lsst_model))
    return {Survey.ZTF: ztf, Survey.LSST: lsst, Survey.ELASTICC: lsst}


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.api_host, settings.api_port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}:{port}: {error.strerror}; see NIGHTJAR_API_HOST and NIGHTJAR_API_PORT"
        ) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"
