"""Encryption and credentials of every Kafka client, from the settings."""

from typing import Any

from service.errors import SettingsError
from service.settings import KafkaSecurity, Settings

__all__ = ["security_options"]

SASL = frozenset({KafkaSecurity.SASL_PLAINTEXT, KafkaSecurity.SASL_SSL})
TLS = frozenset({KafkaSecurity.SSL, KafkaSecurity.SASL_SSL})


def security_options(settings: Settings) -> dict[str, Any]:
    """Return librdkafka's options; none if neither encryption nor a login is configured.

    Parameters
    ----------
    settings
        Of the service.

    Raises
    ------
    SettingsError
        Credentials or certificates are set that the chosen protocol would not use, or are missing.
    """
    protocol = settings.kafka_security
    has_login = bool(settings.kafka_username or settings.kafka_password.get_secret_value())
    files = settings.kafka_ca_file, settings.kafka_certificate_file, settings.kafka_key_file
    # Rejected rather than ignored: whoever sets them believes that they protect something.
    if has_login and protocol not in SASL:
        raise SettingsError("NIGHTJAR_KAFKA_USERNAME and _PASSWORD need NIGHTJAR_KAFKA_SECURITY=sasl_ssl")
    if any(files) and protocol not in TLS:
        raise SettingsError("certificates for Kafka need NIGHTJAR_KAFKA_SECURITY=ssl or sasl_ssl")
    if protocol is KafkaSecurity.PLAINTEXT:
        return {}
    options: dict[str, Any] = {"security.protocol": protocol.value}
    if protocol in SASL:
        options |= _login(settings)
    if protocol in TLS:
        options |= _tls(settings)
    return options


def _login(settings: Settings) -> dict[str, Any]:
    password = settings.kafka_password.get_secret_value()
    if not (settings.kafka_username and password):
        raise SettingsError("set NIGHTJAR_KAFKA_USERNAME and NIGHTJAR_KAFKA_PASSWORD")
    return {
        "sasl.mechanism": settings.kafka_sasl_mechanism,
        "sasl.username": settings.kafka_username,
        "sasl.password": password,
    }


def _tls(settings: Settings) -> dict[str, Any]:
    named = {
        "ssl.ca.location": settings.kafka_ca_file,
        "ssl.certificate.location": settings.kafka_certificate_file,
        "ssl.key.location": settings.kafka_key_file,
    }
    options: dict[str, Any] = {name: str(path) for name, path in named.items() if path}
    if password := settings.kafka_key_password.get_secret_value():
        options["ssl.key.password"] = password
    return options
