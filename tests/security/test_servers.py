"""A Kafka that wants encryption and a login, and a Redis that does: the service works, and says no secret."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import NoPermissionError

from service.core.alerts import Survey
from service.errors import BrokerUnavailableError, SettingsError, StoreUnavailableError
from service.kafka.options import common_options
from service.kafka.topic_admin import TopicAdmin
from service.settings import KafkaSecurity
from service.wiring.stores import object_store
from tests.conftest import SettingsFactory
from tests.integration.conftest import DeploymentFactory
from tests.security.certificates import Authority
from tests.security.conftest import MECHANISMS, PASSWORD, USERNAME, SecureKafka, UserRedis
from tests.support.command import nightjar
from tests.support.crowd import crowd
from tests.support.service import settings_as_environment

PACKETS = [(Survey.LSST, value) for value in crowd(12, 4)]


def redis_access(authority: Authority, url: str) -> dict[str, Any]:
    client = authority.certificate("client")
    return {
        "redis_url": url,
        "redis_username": USERNAME,
        "redis_password": SecretStr(PASSWORD),
        "redis_ca_file": authority.ca_file,
        "redis_certificate_file": client.certificate,
        "redis_key_file": client.key,
    }


def kafka_access(
    authority: Authority, server: SecureKafka, mechanism: str = "SCRAM-SHA-512"
) -> dict[str, Any]:
    return {
        "bootstrap_servers": server.secure_servers,
        "kafka_security": KafkaSecurity.SASL_SSL,
        "kafka_sasl_mechanism": mechanism,
        "kafka_username": USERNAME,
        "kafka_password": SecretStr(PASSWORD),
        "kafka_ca_file": authority.ca_file,
    }


def test_worker_on_servers_that_want_encryption_and_a_login(
    secure_kafka: SecureKafka,
    secure_redis_url: str,
    authority: Authority,
    deploy: DeploymentFactory,
) -> None:
    access = redis_access(authority, secure_redis_url)
    kafka = kafka_access(authority, secure_kafka)
    deployment = deploy(secure_kafka, access.pop("redis_url"), **access)
    deployment.send(PACKETS)  # by the listener of the broker's own machine
    worker = deployment.start_worker(**kafka, log_level="DEBUG")
    deployment.wait_until_done()
    assert worker.stop() == 0

    assert len(deployment.answers()) == len(PACKETS)
    assert PASSWORD not in worker.output()
    environment = settings_as_environment(deployment.settings.model_copy(update=kafka))
    for command in (("audit",), ("settings",), ("topics",), ("listen", "--from-beginning", "--limit", "5")):
        done = nightjar(*command, timeout_s=60, **environment)
        assert done.returncode == 0, done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        assert "battery" not in done.stdout + done.stderr


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_each_way_to_log_in_takes_the_right_password_and_no_other(
    secure_kafka: SecureKafka, authority: Authority, settings_factory: SettingsFactory, mechanism: str
) -> None:
    access = kafka_access(authority, secure_kafka, mechanism)
    TopicAdmin(common_options(settings_factory(**access))).partitions()

    wrong = settings_factory(**(access | {"kafka_password": SecretStr("wrong")}))
    with pytest.raises(BrokerUnavailableError) as failure:
        TopicAdmin(common_options(wrong)).partitions()
    assert "wrong" not in str(failure.value)


@pytest.mark.parametrize(
    "change",
    [
        {"kafka_ca_file": None},
        {"kafka_security": KafkaSecurity.SASL_PLAINTEXT, "kafka_ca_file": None},
    ],
    ids=["unknown authority", "no encryption"],
)
def test_kafka_that_cannot_be_trusted_or_does_not_trust_us_is_not_spoken_to(
    secure_kafka: SecureKafka, authority: Authority, settings_factory: SettingsFactory, change: dict[str, Any]
) -> None:
    settings = settings_factory(**(kafka_access(authority, secure_kafka) | change))

    with pytest.raises(BrokerUnavailableError) as failure:
        TopicAdmin(common_options(settings)).partitions()

    assert PASSWORD not in str(failure.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"redis_password": SecretStr("wrong")}, "NIGHTJAR_REDIS_PASSWORD"),
        ({"redis_username": "somebody"}, "NIGHTJAR_REDIS"),
        ({"redis_ca_file": None}, "cannot be reached"),
        ({"redis_certificate_file": None, "redis_key_file": None}, "cannot be reached"),
    ],
    ids=["password", "name", "unknown authority", "no certificate of ours"],
)
def test_redis_that_cannot_be_trusted_or_does_not_trust_us_is_not_spoken_to(
    secure_redis_url: str,
    authority: Authority,
    settings_factory: SettingsFactory,
    change: dict[str, Any],
    complaint: str,
) -> None:
    objects = object_store(settings_factory(**(redis_access(authority, secure_redis_url) | change)))

    with pytest.raises((SettingsError, StoreUnavailableError), match=complaint) as failure:
        objects.ping()

    assert PASSWORD not in str(failure.value)
    objects.close()


def test_certificate_of_another_authority_is_refused(
    secure_redis_url: str, authority: Authority, settings_factory: SettingsFactory, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "others")
    access = redis_access(authority, secure_redis_url) | {"redis_ca_file": other.ca_file}
    objects = object_store(settings_factory(**access))

    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        objects.ping()
    objects.close()


def test_user_of_the_service_may_do_no_more_than_it_needs(user_redis: UserRedis) -> None:
    with Redis.from_url(user_redis.url, username=USERNAME, password=PASSWORD) as client:
        client.set("nj:{ztf:x}", b"1")
        for forbidden in (("GET", "others"), ("CONFIG", "GET", "*"), ("FLUSHALL",), ("SHUTDOWN",)):
            with pytest.raises(NoPermissionError):
                client.execute_command(*forbidden)
        client.delete("nj:{ztf:x}")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"kafka_username": "me", "kafka_password": SecretStr("secret")}, "NIGHTJAR_KAFKA_SECURITY"),
        ({"kafka_ca_file": Path("ca.pem")}, "NIGHTJAR_KAFKA_SECURITY"),
        ({"kafka_security": KafkaSecurity.SASL_SSL}, "NIGHTJAR_KAFKA_PASSWORD"),
    ],
)
def test_half_a_protection_is_refused(
    settings_factory: SettingsFactory, values: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(SettingsError, match=complaint) as failure:
        common_options(settings_factory(**values))
    assert "secret" not in str(failure.value)


def test_certificates_for_an_unencrypted_redis_are_refused(settings_factory: SettingsFactory) -> None:
    with pytest.raises(SettingsError, match="rediss://"):
        object_store(settings_factory(redis_ca_file=Path("ca.pem")))
