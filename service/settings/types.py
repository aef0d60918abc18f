"""Types of settings, and how their texts are read."""

import re
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator, RedisDsn, TypeAdapter, ValidationError
from pydantic_settings import NoDecode

__all__ = ["Duration", "FilePath", "KafkaSecurity", "OptionalScore", "OutputFormat", "StoreUrl", "TopicList"]


class OutputFormat(StrEnum):
    """Encoding of the native output record."""

    JSON = "json"
    AVRO = "avro"


def _seconds_from_text(value: object) -> object:
    """Return a bare number as seconds: pydantic does so for numbers, but variables are text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


# Some nodes of a cluster, each host:port, separated by commas.
CLUSTER_URL = re.compile(r"rediss?\+cluster://([^@/]*@)?[^@/,?]+(,[^@/,?]+)*(/0?)?(\?.*)?")


def _store_url(value: object) -> RedisDsn | str:
    """Return the validated address of one server or of a cluster."""
    if isinstance(value, str) and "+cluster:" in value.partition("//")[0]:
        if not CLUSTER_URL.fullmatch(value):
            raise ValueError("write redis+cluster://host:port,host:port with some nodes of the cluster")
        return value
    try:
        return TypeAdapter(RedisDsn).validate_python(value)
    except ValidationError as error:
        # Without the value: it may contain a password.
        raise ValueError(
            f"write redis://HOST:PORT/NUMBER, rediss:// with TLS, redis+cluster:// for a cluster; "
            f"{error.errors()[0]['msg']}"
        ) from None


StoreUrl = Annotated[RedisDsn | str, PlainValidator(_store_url)]
FilePath = Annotated[Path | None, BeforeValidator(lambda value: None if value == "" else value)]
OptionalScore = Annotated[float | None, BeforeValidator(lambda value: None if value == "" else value)]


class KafkaSecurity(StrEnum):
    """Security protocol of Kafka clients."""

    PLAINTEXT = "plaintext"
    SSL = "ssl"
    SASL_PLAINTEXT = "sasl_plaintext"
    SASL_SSL = "sasl_ssl"


TopicList = Annotated[tuple[str, ...], NoDecode]
Duration = Annotated[timedelta, BeforeValidator(_seconds_from_text), Field(ge=timedelta())]
