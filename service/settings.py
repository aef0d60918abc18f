"""Settings, read from the environment once and passed on; never imported as a global."""

import os
import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from difflib import get_close_matches
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    RedisDsn,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.errors import SettingsError

__all__ = [
    "PREFIX",
    "Duration",
    "KafkaSecurity",
    "OutputFormat",
    "Settings",
    "TopicList",
    "misspelt",
    "read_settings",
]

PREFIX = "NIGHTJAR_"
NEARLY = 0.9  # of difflib's likeness: a letter or two, or an underscore


class OutputFormat(StrEnum):
    """Encoding of the native output record."""

    JSON = "json"
    AVRO = "avro"


def _seconds_from_text(value: object) -> object:
    """Take a bare number as seconds; pydantic does so for numbers, and an environment has only text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


# Some nodes of a cluster, each host:port, separated by commas.
CLUSTER_URL = re.compile(r"rediss?\+cluster://([^@/]*@)?[^@/,?]+(,[^@/,?]+)*(/0?)?(\?.*)?")


def _store_url(value: object) -> RedisDsn | str:
    """Read the address of one server or of a cluster."""
    if isinstance(value, str) and "+cluster:" in value.partition("//")[0]:
        if not CLUSTER_URL.fullmatch(value):
            raise ValueError("write redis+cluster://host:port,host:port with some nodes of the cluster")
        return value
    try:
        return TypeAdapter(RedisDsn).validate_python(value)
    except ValidationError as error:
        # Without the value: there may be a password in it.
        raise ValueError(
            f"write redis://HOST:PORT/NUMBER, rediss:// with TLS, redis+cluster:// for a cluster; "
            f"{error.errors()[0]['msg']}"
        ) from None


StoreUrl = Annotated[RedisDsn | str, PlainValidator(_store_url)]
FilePath = Annotated[Path | None, BeforeValidator(lambda value: None if value == "" else value)]
OwnScore = Annotated[float | None, BeforeValidator(lambda value: None if value == "" else value)]


class KafkaSecurity(StrEnum):
    """How Kafka clients speak to the brokers."""

    PLAINTEXT = "plaintext"
    SSL = "ssl"
    SASL_PLAINTEXT = "sasl_plaintext"
    SASL_SSL = "sasl_ssl"


TopicList = Annotated[tuple[str, ...], NoDecode]
Duration = Annotated[timedelta, BeforeValidator(_seconds_from_text), Field(ge=timedelta())]


# Texts in which a password may stand beside what is none.
MAY_HOLD_SECRETS = frozenset({"redis_url", "kafka_options", "schema_registry_url"})


class Settings(BaseSettings):
    """All that can be set, each as ``NIGHTJAR_<NAME>``.

    Durations are ISO 8601 (``PT0.05S``) or seconds.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    # Kafka
    bootstrap_servers: str = Field("127.0.0.1:9092", description="Kafka brokers, host:port, comma-separated")
    group_id: str = Field("nightjar", description="Consumer group shared by all workers of one service")
    worker_id: str = Field(
        "",
        description="Name of this worker in its group, stable over restarts where possible; "
        "empty for host name and process id",
    )
    ztf_topics: TopicList = Field((), description="ZTF topics; an item that begins with ^ is a pattern")
    lsst_topics: TopicList = Field((), description="LSST topics; an item that begins with ^ is a pattern")
    elasticc_topics: TopicList = Field((), description="ELAsTiCC topics; likewise")
    output_topic: str = Field("nightjar.classifications", description="One record per alert")
    output_format: OutputFormat = Field(OutputFormat.JSON, description="Encoding of the output topic")
    desc_topic: str = Field("", description="Topic for ELAsTiCC brokerClassification records; empty for none")
    rejected_topic: str = Field("nightjar.rejected", description="Dead letters: original bytes and cause")
    auto_offset_reset: str = Field(
        "earliest", pattern="^(earliest|latest)$", description="Where a new group begins"
    )
    batch_size: int = Field(500, ge=1, le=100_000, description="Alerts per transaction at most")
    fetch_max_bytes: int = Field(
        64 * 2**20, ge=2**20, description="Bytes of messages fetched ahead per worker at most"
    )
    batch_wait: Duration = Field(
        timedelta(milliseconds=5), description="Longest wait for a full batch; the floor of our latency"
    )
    transaction_timeout: Duration = Field(
        timedelta(seconds=30),
        description="After this the broker aborts a dead worker's transaction; until then readers wait",
    )
    session_timeout: Duration = Field(
        timedelta(seconds=20), description="After this a silent worker's partitions go to another"
    )
    kafka_options: str = Field(
        "", description="Further librdkafka options for every client, as key=value, comma-separated"
    )

    kafka_security: KafkaSecurity = Field(
        KafkaSecurity.PLAINTEXT, description="How to speak to the brokers: encryption (ssl), login (sasl)"
    )
    kafka_sasl_mechanism: str = Field(
        "SCRAM-SHA-512", pattern="^(PLAIN|SCRAM-SHA-256|SCRAM-SHA-512)$", description="How to log in"
    )
    kafka_username: str = Field("", description="Name to log in with")
    kafka_password: SecretStr = Field(SecretStr(""), description="Password to log in with")
    kafka_ca_file: FilePath = Field(
        None, description="PEM file of whom to trust for the brokers' certificates; empty for the system's"
    )
    kafka_certificate_file: FilePath = Field(None, description="PEM file of our own certificate")
    kafka_key_file: FilePath = Field(None, description="PEM file of its key")
    kafka_key_password: SecretStr = Field(SecretStr(""), description="Password of that key")

    # Redis
    redis_url: StoreUrl = Field(
        RedisDsn("redis://127.0.0.1:6379/0"),
        description="Light-curve store; for a cluster some of its nodes: `redis+cluster://host:port,host:port`",
    )
    redis_username: str = Field("", description="Name to log in with, where the URL carries none")
    redis_password: SecretStr = Field(SecretStr(""), description="Password where the URL carries none")
    redis_ca_file: FilePath = Field(
        None, description="PEM file of whom to trust for a rediss:// server's certificate"
    )
    redis_certificate_file: FilePath = Field(None, description="PEM file of our own certificate")
    redis_key_file: FilePath = Field(None, description="PEM file of its key")
    redis_wait_replicas: int = Field(
        0,
        ge=0,
        le=10,
        description="Replicas that must have a batch's objects before it is committed; "
        "with 1, a server that fails over takes nothing with it",
    )
    redis_timeout: Duration = Field(timedelta(seconds=5), description="Longest wait for one reply")
    object_ttl: Duration = Field(
        timedelta(days=400), description="An object is forgotten this long after its last alert"
    )
    history_length: int = Field(
        64, ge=1, le=10_000, description="Classifications kept per object; also the reach of replay safety"
    )

    # Decoding
    schema_dir: FilePath = Field(None, description="Directory of further Avro schemas (.avsc)")
    schema_registry_url: str = Field("", description="Confluent schema registry for unknown LSST schema ids")
    max_message_bytes: int = Field(16 * 2**20, ge=2**10, description="Larger messages are rejected")

    # Classification
    ztf_model: str = Field("ztf", description="Bundle for ZTF: a shipped name or a directory")
    lsst_model: str = Field("lsst", description="Bundle for LSST and ELAsTiCC: a shipped name or a directory")
    ztf_shadow_model: str = Field(
        "", description="Bundle that answers ZTF's alerts aside, to the shadow topic; empty for none"
    )
    lsst_shadow_model: str = Field("", description="The same for LSST and ELAsTiCC")
    shadow_topic: str = Field("nightjar.shadow", description="Results of the shadow models")
    min_real_bogus: float = Field(
        0.0, ge=0.0, le=1.0, description="Abstain below this real-bogus score or reliability; 0 never"
    )
    ztf_min_real_bogus: OwnScore = Field(
        None, ge=0.0, le=1.0, description="ZTF's own value of the last one (drb, else rb); empty for that"
    )
    lsst_min_real_bogus: OwnScore = Field(
        None, ge=0.0, le=1.0, description="LSST's own value (reliability); empty for that"
    )
    max_star_score: float = Field(
        1.0, ge=0.0, le=1.0, description="Abstain above this star-galaxy score within 1.5 arcsec; 1 never"
    )

    # API
    api_host: str = Field("127.0.0.1", description="Address the API listens on")
    api_port: int = Field(8000, ge=0, le=65535, description="Port the API listens on; 0 for any free one")
    api_cpu_affinity: int = Field(
        -1,
        ge=-1,
        description="Core that an API process keeps to, where it answers a little more requests, and evenly: "
        "waking it on another core takes time; -1 for any",
    )
    stream_clients: int = Field(1000, ge=1, description="Clients of the live stream per process at most")
    stream_buffer_bytes: int = Field(
        2**20, ge=2**14, description="What may wait for one of them before it is dropped as too slow"
    )
    stream_replay_size: int = Field(
        20_000,
        ge=0,
        description="Latest results kept in memory for clients that come back; older come from Kafka",
    )
    stream_heartbeat: Duration = Field(
        timedelta(seconds=15), description="A sign of life after so long without an event"
    )
    api_read_tokens: SecretStr = Field(
        SecretStr(""), description="Tokens that requests must carry, comma-separated; empty lets all read"
    )
    api_admin_token: SecretStr | None = Field(
        None, description="Bearer token that requests which change something must carry; none refuses them"
    )
    api_rate_hz: float = Field(
        200.0, ge=0.0, description="Requests a second that one client address may make for long; 0 any number"
    )
    api_burst: int = Field(1000, ge=1, description="Requests it may make at once before that counts")
    api_request_timeout: Duration = Field(
        timedelta(seconds=30), description="A request that takes longer to begin its answer is given up"
    )
    api_max_concurrent_requests: int = Field(
        1000, ge=1, description="Requests in work at once per process; more are asked to come again"
    )
    api_max_body_bytes: int = Field(
        2 * 2**20, ge=2**10, description="Larger request bodies are refused; 5000 observations take 1 MB"
    )
    api_cors_origins: TopicList = Field(
        (),
        description="Web origins whose pages may read the API, such as https://example.org; none by default",
    )
    api_trusted_proxies: TopicList = Field(
        (),
        description="Addresses or networks of proxies that are believed whom they speak for "
        "(`X-Forwarded-For`), comma-separated; none by default",
    )
    public_brokers: str = Field(
        "", description="Kafka brokers as subscribers reach them, for the page's commands; empty to show none"
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Port of a worker's Prometheus metrics; 0 for none"
    )

    # Running
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least severe level")
    log_json: bool = Field(False, description="Log JSON lines rather than text")
    stall_timeout: Duration = Field(
        timedelta(minutes=2),
        description="A worker whose loop stands still for so long fails its health check",
    )
    otlp_endpoint: str = Field(
        "",
        description="OpenTelemetry collector that gets a trace of each batch, for instance "
        "`http://collector:4318/v1/traces`; empty for none; needs the extra `tracing`",
    )

    secrets_dir: Path = Field(
        Path("/run/secrets"),
        description="Directory of secrets, one file each: `nightjar_redis_password` there is read where "
        "the variable is not set; so is any other setting",
    )

    # Development
    shared: Path = Field(Path("../shared"), description="Public test material, for tests only")
    kafka_home: Path = Field(
        Path("../shared/kafka"), description="Apache Kafka installation, for demo and tests"
    )

    @field_validator(
        "ztf_topics",
        "lsst_topics",
        "elasticc_topics",
        "api_cors_origins",
        "api_trusted_proxies",
        mode="before",
    )
    @classmethod
    def split_topics(cls, value: object) -> object:
        """Read a comma-separated list."""
        if isinstance(value, str):
            return tuple(item.strip() for item in value.split(",") if item.strip())
        return value

    @field_validator("api_trusted_proxies")
    @classmethod
    def check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what is no address or network; a name would be looked up nowhere and trust nobody."""
        for item in value:
            ip_network(item)
        return value

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show what may be shown: an address or an option may carry a password."""
        for name, value in super().__repr_args__():
            yield name, "***" if name in MAY_HOLD_SECRETS and value else value


def misspelt(names: Iterable[str]) -> dict[str, str]:
    """Find variables that are no setting but nearly one, with the one that is probably meant."""
    known = [f"{PREFIX}{field.upper()}" for field in Settings.model_fields]
    near = {
        name: get_close_matches(name, known, n=1, cutoff=NEARLY)
        for name in names
        if name.startswith(PREFIX) and name not in known
    }
    return {name: meant[0] for name, meant in near.items() if meant}


def read_settings() -> Settings:
    """Read the settings from the environment, and those it does not have from files of secrets.

    Raises
    ------
    SettingsError
        A variable has a value that cannot be used; the message names each such variable.
    """
    # The directory must be known before the rest is read, and may be missing: most machines have none.
    secrets_dir = Path(os.environ.get(f"{PREFIX}SECRETS_DIR") or Settings.model_fields["secrets_dir"].default)
    try:
        return Settings(_secrets_dir=secrets_dir if secrets_dir.is_dir() else None)
    except ValidationError as error:
        # The value itself is left out: it may be a password or hold one.
        wrong = [
            f"{PREFIX}{'_'.join(map(str, item['loc'])).upper()}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        ]
        raise SettingsError("; ".join(wrong)) from None
