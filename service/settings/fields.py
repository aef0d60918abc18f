"""Every setting of the service, with its default and description."""

import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from pydantic import Field, RedisDsn, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.settings.types import (
    Duration,
    FilePath,
    KafkaSecurity,
    OptionalScore,
    OutputFormat,
    StoreUrl,
    TopicList,
)

__all__ = ["PREFIX", "Settings"]

PREFIX = "NIGHTJAR_"

# Settings whose text may contain a password among other things.
MAY_HOLD_SECRETS = frozenset({"redis_url", "kafka_options", "schema_registry_url"})


class Settings(BaseSettings):
    """All settings, each read from the variable ``NIGHTJAR_<NAME>``.

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
    elasticc_topics: TopicList = Field(
        (), description="ELAsTiCC topics; an item that begins with ^ is a pattern"
    )
    output_topic: str = Field("nightjar.classifications", description="One record per alert")
    output_format: OutputFormat = Field(OutputFormat.JSON, description="Encoding of the output topic")
    desc_topic: str = Field("", description="Topic for ELAsTiCC brokerClassification records; empty for none")
    rejected_topic: str = Field(
        "nightjar.rejected", description="Topic of the dead letters: original bytes and cause"
    )
    auto_offset_reset: str = Field(
        "earliest", pattern="^(earliest|latest)$", description="Where a new consumer group starts reading"
    )
    batch_size: int = Field(500, ge=1, le=100_000, description="Upper bound on alerts per transaction")
    fetch_max_bytes: int = Field(
        64 * 2**20, ge=2**20, description="Upper bound on the bytes of messages that a worker prefetches"
    )
    batch_wait: Duration = Field(
        timedelta(milliseconds=5), description="Longest wait for a full batch; the lower bound of the latency"
    )
    transaction_timeout: Duration = Field(
        timedelta(seconds=30),
        description="The broker aborts a dead worker's transaction after this time; until then readers wait",
    )
    session_timeout: Duration = Field(
        timedelta(seconds=20), description="A silent worker's partitions go to another worker after this time"
    )
    kafka_options: str = Field(
        "", description="Additional librdkafka options for every client, as key=value, comma-separated"
    )

    kafka_security: KafkaSecurity = Field(
        KafkaSecurity.PLAINTEXT,
        description="Security protocol of the brokers: encryption (ssl), authentication (sasl)",
    )
    kafka_sasl_mechanism: str = Field(
        "SCRAM-SHA-512", pattern="^(PLAIN|SCRAM-SHA-256|SCRAM-SHA-512)$", description="SASL mechanism"
    )
    kafka_username: str = Field("", description="SASL user name")
    kafka_password: SecretStr = Field(SecretStr(""), description="SASL password")
    kafka_ca_file: FilePath = Field(
        None,
        description="PEM file of the brokers' certificate authorities; empty for the system's",
    )
    kafka_certificate_file: FilePath = Field(None, description="PEM file of the client certificate")
    kafka_key_file: FilePath = Field(None, description="PEM file of the client key")
    kafka_key_password: SecretStr = Field(SecretStr(""), description="Password of the client key")

    # Redis
    redis_url: StoreUrl = Field(
        RedisDsn("redis://127.0.0.1:6379/0"),
        description="Object store; for a cluster, some of its nodes: `redis+cluster://host:port,host:port`",
    )
    redis_username: str = Field("", description="Redis user name, if not in the URL")
    redis_password: SecretStr = Field(SecretStr(""), description="Redis password, if not in the URL")
    redis_ca_file: FilePath = Field(
        None, description="PEM file of the certificate authorities for a rediss:// server's certificate"
    )
    redis_certificate_file: FilePath = Field(None, description="PEM file of the client certificate")
    redis_key_file: FilePath = Field(None, description="PEM file of the client key")
    redis_wait_replicas: int = Field(
        0,
        ge=0,
        le=10,
        description="Replicas that must acknowledge a batch's objects before it is committed (WAIT); "
        "with 1, a failover loses nothing",
    )
    redis_timeout: Duration = Field(timedelta(seconds=5), description="Timeout of a Redis reply")
    object_ttl: Duration = Field(
        timedelta(days=400), description="Time to live of an object after its last alert"
    )
    history_length: int = Field(
        64,
        ge=1,
        le=10_000,
        description="Classifications kept per object; a repeated alert gets its stored result while kept",
    )

    # Decoding
    schema_dir: FilePath = Field(None, description="Directory of additional Avro schemas (.avsc)")
    schema_registry_url: str = Field("", description="Confluent schema registry for unknown LSST schema ids")
    max_message_bytes: int = Field(
        16 * 2**20, ge=2**10, description="Upper bound on the size of a message; larger ones are rejected"
    )

    # Classification
    ztf_model: str = Field("ztf", description="Bundle for ZTF: a shipped name or a directory")
    lsst_model: str = Field("lsst", description="Bundle for LSST and ELAsTiCC: a shipped name or a directory")
    ztf_shadow_model: str = Field(
        "",
        description="Bundle that also classifies ZTF alerts, publishing to the shadow topic; empty for none",
    )
    lsst_shadow_model: str = Field("", description="As NIGHTJAR_ZTF_SHADOW_MODEL, for LSST and ELAsTiCC")
    shadow_topic: str = Field("nightjar.shadow", description="Topic of the results of the shadow models")
    min_real_bogus: float = Field(
        0.0, ge=0.0, le=1.0, description="Abstain below this real-bogus score or reliability; 0 never"
    )
    ztf_min_real_bogus: OptionalScore = Field(
        None,
        ge=0.0,
        le=1.0,
        description="Overrides NIGHTJAR_MIN_REAL_BOGUS for ZTF (drb, else rb); empty for no override",
    )
    lsst_min_real_bogus: OptionalScore = Field(
        None,
        ge=0.0,
        le=1.0,
        description="Overrides NIGHTJAR_MIN_REAL_BOGUS for LSST (reliability); empty for no override",
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
        description="CPU core that an API process is pinned to, which makes its response times more even; "
        "-1 for any",
    )
    stream_clients: int = Field(1000, ge=1, description="Upper bound on live stream clients per process")
    stream_buffer_bytes: int = Field(
        2**20,
        ge=2**14,
        description="Bytes that may be queued for one live stream client before it is dropped as too slow",
    )
    stream_replay_size: int = Field(
        20_000,
        ge=0,
        description="Latest results kept in memory for reconnecting clients; older ones are read from Kafka",
    )
    stream_heartbeat: Duration = Field(
        timedelta(seconds=15), description="Heartbeat interval of the live stream"
    )
    api_read_tokens: SecretStr = Field(
        SecretStr(""),
        description="Bearer tokens for read access, comma-separated; empty for public read access",
    )
    api_admin_token: SecretStr | None = Field(
        None, description="Bearer token for requests that modify stored filters; empty refuses them"
    )
    api_rate_hz: float = Field(
        200.0, ge=0.0, description="Sustained requests per second per client address; 0 for no limit"
    )
    api_burst: int = Field(1000, ge=1, description="Requests in a burst before the rate limit applies")
    api_request_timeout: Duration = Field(
        timedelta(seconds=30), description="A request whose response has not started after this time gets 504"
    )
    api_max_concurrent_requests: int = Field(
        1000, ge=1, description="Concurrent requests per process; excess requests get 503"
    )
    api_max_body_bytes: int = Field(
        2 * 2**20, ge=2**10, description="Larger request bodies get 413; 5000 observations take 1 MB"
    )
    api_cors_origins: TopicList = Field(
        (),
        description="Origins allowed to read the API from a browser (CORS), such as https://example.org",
    )
    api_trusted_proxies: TopicList = Field(
        (),
        description="Addresses or networks of proxies whose `X-Forwarded-For` is trusted, comma-separated",
    )
    public_brokers: str = Field(
        "",
        description="Kafka brokers as subscribers reach them, for the page's commands; empty for none",
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Port of a worker's Prometheus metrics; 0 for none"
    )

    # Running
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Minimum level of log messages"
    )
    log_json: bool = Field(False, description="Log JSON lines instead of text")
    stall_timeout: Duration = Field(
        timedelta(minutes=2),
        description="A worker whose loop has not advanced for this long fails its health check",
    )
    otlp_endpoint: str = Field(
        "",
        description="OpenTelemetry collector that receives a trace of each batch, for instance "
        "`http://collector:4318/v1/traces`; empty for none; needs the extra `tracing`",
    )

    secrets_dir: Path = Field(
        Path("/run/secrets"),
        description="Directory of secrets, one file per setting: `nightjar_redis_password` is read if "
        "NIGHTJAR_REDIS_PASSWORD is not set, and so on for every setting",
    )

    # Development
    shared: Path = Field(Path("../shared"), description="Public test data, for tests only")
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
        """Reject anything but addresses and networks: names are not resolved, so would never match."""
        for item in value:
            ip_network(item)
        return value

    @property
    def worker_name(self) -> str:
        """Name of this worker in its group: `worker_id`, or host name and process id."""
        return self.worker_id or f"{socket.gethostname()}-{os.getpid()}"

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Hide the settings that may contain a password."""
        for name, value in super().__repr_args__():
            yield name, "***" if name in MAY_HOLD_SECRETS and value else value
