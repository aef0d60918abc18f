"""``nightjar api``: serve results over HTTP."""

from contextlib import closing, suppress

import structlog

from service.api.app import create_app
from service.api.process import freeze_garbage_collector, listen, pin_to_core, url_of
from service.api.server import Server
from service.cli.signals import interrupt_on_signals
from service.logs import compiling, configure_logging
from service.settings import Settings, read_settings
from service.wiring.models import load_classifiers
from service.wiring.results import result_feed
from service.wiring.stores import object_store

__all__ = ["api"]

log = structlog.get_logger(__name__)


def api() -> None:
    """Serve results over HTTP until SIGTERM or Ctrl-C; starts whether or not Redis is available."""
    settings = read_settings()
    configure_logging(settings.log_level, json=settings.log_json)
    # The server finishes the requests it has accepted, then raises the signal that stopped it once more.
    with suppress(KeyboardInterrupt), interrupt_on_signals():
        _serve(settings)
    log.info("stopped")


def _serve(settings: Settings) -> None:
    if settings.api_cpu_affinity >= 0:
        pin_to_core(settings.api_cpu_affinity)
    with listen(settings) as listener, closing(object_store(settings)) as objects:
        feed, classifiers = result_feed(settings), load_classifiers(settings)
        # Compiling may take longer than a request is allowed to.
        with compiling(log):
            for classifier in set(classifiers.values()):
                classifier.warm_up()
        server = Server(create_app(settings, objects, classifiers, feed))
        # uvicorn trusts X-Forwarded-For of any local client by default.
        server.config.forwarded_allow_ips = list(settings.api_trusted_proxies)
        freeze_garbage_collector()
        log.info("listening", url=url_of(listener))
        server.run(sockets=[listener])
