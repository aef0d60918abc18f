"""The servers that benchmarks run on, with everything in memory."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.embedded.broker import ApacheKafka, Broker, EmbeddedBroker, find_kafka
from service.errors import InputError

__all__ = ["any_broker", "in_memory"]

TMPFS = Path("/dev/shm")  # noqa: S108  a file system in memory, where Linux has one
ROOM_BYTES = 6 * 2**30


@contextmanager
def any_broker() -> Iterator[Broker]:
    """Run Apache Kafka where ``NIGHTJAR_KAFKA_HOME`` has one, else the embedded broker."""
    with in_memory(), _broker() as broker:
        yield broker


def _broker() -> Broker:
    try:
        return ApacheKafka(find_kafka(Path(os.environ.get("NIGHTJAR_KAFKA_HOME", "../shared/kafka"))))
    except InputError:
        return EmbeddedBroker()


@contextmanager
def in_memory() -> Iterator[None]:
    """Put temporary directories into memory, where there is room: no disk shall be measured."""
    before = tempfile.tempdir
    if TMPFS.is_dir() and shutil.disk_usage(TMPFS).free > ROOM_BYTES:
        tempfile.tempdir = str(TMPFS)
    try:
        yield
    finally:
        tempfile.tempdir = before
