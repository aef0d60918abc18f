"""Logs: static text with bound fields, on stderr, as lines for people or as JSON for machines."""

import logging
import re
import sys
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import orjson
import structlog
from structlog.typing import Processor

__all__ = ["compiling", "configure_logging", "hide_secrets"]

HIDDEN = "***"
# Whole words of a field's name: `password`, `redis_password`, `sasl.password`, not `passwords_checked`.
SECRET_NAME = re.compile(r"(^|[_.\-])(password|passwd|secret|token|credentials?)$", re.IGNORECASE)
# The password of a URL: everything between the user's colon and the last @ before the path.
URL_PASSWORD = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.\-]*://[^/\s:@]*:)[^/\s]+@", re.IGNORECASE)
# A secret among options: `sasl.password=...` in NIGHTJAR_KAFKA_OPTIONS, where a comma in a value is `\\,`.
SECRET_OPTION = re.compile(
    r"(?P<name>\b[\w.\-]*(?:password|secret|token)\s*=\s*)(?:\\.|[^,;'\"\n])+", re.IGNORECASE
)


def configure_logging(level: str, *, json: bool) -> None:
    """Send every log of the process, the libraries' included, to stderr in one format.

    Parameters
    ----------
    level
        Least severe level to show: ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
    json
        Write one JSON object per line instead of text.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _plain_exception,
        hide_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(json=json)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # The compiler's debug messages would be some 100,000 lines, and take most of a minute.
    logging.getLogger("numba").setLevel(logging.WARNING)


@contextmanager
def compiling(log: structlog.stdlib.BoundLogger) -> Iterator[None]:
    """Log that kernels are compiled, which takes many seconds without a cache on disk, and how long it took.

    Parameters
    ----------
    log
        Logger of the caller.
    """
    log.info("compiling kernels missing from the cache")
    started_s = time.monotonic()
    yield
    log.info("compiled", after_s=round(time.monotonic() - started_s, 1))


def _renderer(*, json: bool) -> Processor:
    if json:
        return structlog.processors.JSONRenderer(lambda event, **_: orjson.dumps(event, default=str).decode())
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False)


def _plain_exception(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Turn a traceback into text, so that secrets in it are hidden like all others."""
    return structlog.processors.format_exc_info(logger, method, event)


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace fields named like secrets, and passwords in URLs and options anywhere in a log event.

    A processor of structlog.

    Parameters
    ----------
    event
        Fields of the event, which are replaced in place.

    Returns
    -------
    MutableMapping
        The same event.
    """
    for name, value in event.items():
        event[name] = HIDDEN if value and SECRET_NAME.search(name) else _without_passwords(value)
    return event


def _without_passwords(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: HIDDEN if SECRET_NAME.search(str(name)) else _without_passwords(inner)
            for name, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_without_passwords(inner) for inner in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    # Anything else is logged as text: an exception or a URL object may contain a password too.
    return SECRET_OPTION.sub(rf"\g<name>{HIDDEN}", URL_PASSWORD.sub(rf"\g<scheme>{HIDDEN}@", str(value)))
