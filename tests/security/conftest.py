"""Servers that want encryption and a login."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from redis import Redis
from redis.exceptions import RedisError

from service.embedded.broker import ApacheKafka
from service.embedded.processes import LOOPBACK, free_port
from service.embedded.redis import EmbeddedRedis
from tests.faults.proxy import Proxy
from tests.integration.conftest import deploy, models
from tests.security.certificates import Authority, Certificate

__all__ = ["deploy", "models"]

USERNAME = "nightjar"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
SCRAM_ITERATIONS = 4096  # the least that Kafka takes
PASSWORD = "correct-horse,battery staple"  # noqa: S105  of a server that lives for one test


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


class SecureKafka(ApacheKafka):
    """Apache Kafka with an encrypted listener that wants a login, beside the plain one of its own tools."""

    def __init__(self, kafka_home: Path, certificate: Certificate) -> None:
        # The only user: for PLAIN known to the broker from its start, for SCRAM from its metadata.
        modules = "org.apache.kafka.common.security"
        plain = (
            f"{modules}.plain.PlainLoginModule required "
            f'username="{USERNAME}" password="{PASSWORD}" user_{USERNAME}="{PASSWORD}";'
        )
        scram = f"{modules}.scram.ScramLoginModule required;"
        super().__init__(
            kafka_home,
            {
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,OUTSIDE:SASL_SSL",
                "ssl.keystore.type": "PKCS12",
                "ssl.keystore.location": str(certificate.store),
                "ssl.keystore.password": certificate.store_password,
                "listener.name.outside.sasl.enabled.mechanisms": ",".join(MECHANISMS),
                "listener.name.outside.plain.sasl.jaas.config": plain,
                "listener.name.outside.scram-sha-256.sasl.jaas.config": scram,
                "listener.name.outside.scram-sha-512.sasl.jaas.config": scram,
            },
        )
        self.ports.append(_another_port(self.ports))

    def start(self) -> None:
        """Start it, and tell it the user, as ``kafka-configs.sh --add-config SCRAM-SHA-512=...`` does."""
        super().start()
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            user = UserScramCredentialUpsertion(
                USERNAME, ScramCredentialInfo(mechanism, SCRAM_ITERATIONS), PASSWORD.encode()
            )
            for done in admin.alter_user_scram_credentials([user]).values():
                done.result(30)

    @property
    def secure_servers(self) -> str:
        """Where clients from outside connect."""
        return f"{LOOPBACK}:{self.ports[2]}"

    def _all_properties(self) -> dict[str, str]:
        plain = super()._all_properties()
        outside = f",OUTSIDE://{self.secure_servers}"
        listeners = ("listeners", "advertised.listeners")
        return plain | {name: plain[name] + outside for name in listeners}


def _another_port(taken: Sequence[int]) -> int:
    while (port := free_port()) in taken:
        pass
    return port


@pytest.fixture(scope="session")
def secure_kafka(kafka_home: Path, authority: Authority) -> Iterator[SecureKafka]:
    with SecureKafka(kafka_home, authority.certificate("kafka")) as server:
        yield server


class UserRedis(EmbeddedRedis):
    """Redis that knows one user, who may do what the service needs and no more."""

    def _command(self) -> Sequence[str]:
        acl = self.directory / "users.acl"
        allowed = "~nj:* +@read +@write +@scripting +@connection +info +dbsize -flushall -flushdb"
        acl.write_text(f"user default off\nuser {USERNAME} on #{_sha256(PASSWORD)} {allowed}\n")
        return [*super()._command(), "--aclfile", str(acl)]

    def _is_ready(self) -> bool:
        try:
            with Redis.from_url(self.url, username=USERNAME, password=PASSWORD, socket_timeout=2.0) as client:
                return bool(client.ping())
        except RedisError:
            return False


class TlsProxy(Proxy):
    """Encryption before a server that was built without: clients must show a certificate of ours."""

    def __init__(self, target: int, authority: Authority, certificate: Certificate) -> None:
        super().__init__(target)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.certificate, certificate.key)
        self._context.load_verify_locations(authority.ca_file)
        self._context.verify_mode = ssl.CERT_REQUIRED

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError), server:
            super()._serve(self._context.wrap_socket(client, server_side=True), server)


def _sha256(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@pytest.fixture(scope="session")
def user_redis() -> Iterator[UserRedis]:
    with UserRedis() as server:
        yield server


@pytest.fixture(scope="session")
def secure_redis_url(user_redis: UserRedis, authority: Authority) -> Iterator[str]:
    """Give the address of a Redis behind TLS that wants a certificate and a login."""
    certificate = authority.certificate("redis")
    with TlsProxy(user_redis.ports[0], authority, certificate) as proxy:
        yield f"rediss://127.0.0.1:{proxy.port}/0"
