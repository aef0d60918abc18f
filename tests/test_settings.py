"""Settings are read from the environment, in the forms the documentation promises."""

from datetime import timedelta

import pytest

from service.errors import SettingsError
from service.settings import Settings, misspelt, read_settings, renamed
from service.settings.environment import RENAMED


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0.05", timedelta(milliseconds=50)),
        ("6", timedelta(seconds=6)),
        ("PT0.05S", timedelta(milliseconds=50)),
        ("P400D", timedelta(days=400)),
        ("PT1H30M", timedelta(minutes=90)),
    ],
)
def test_durations_are_seconds_or_iso_8601(
    monkeypatch: pytest.MonkeyPatch, text: str, duration: timedelta
) -> None:
    monkeypatch.setenv("NIGHTJAR_BATCH_WAIT", text)
    assert read_settings().batch_wait == duration


@pytest.mark.parametrize("text", ["-1", "nan", "soon", "P-1D", ""])
def test_what_is_no_duration_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("NIGHTJAR_BATCH_WAIT", text)
    with pytest.raises(SettingsError, match=r"^NIGHTJAR_BATCH_WAIT: "):
        read_settings()


@pytest.mark.parametrize(
    ("text", "topics"),
    [("", ()), ("a", ("a",)), ("a,^b_.*$", ("a", "^b_.*$")), (" a , ,b ", ("a", "b"))],
)
def test_topics_are_a_comma_separated_list(
    monkeypatch: pytest.MonkeyPatch, text: str, topics: tuple[str, ...]
) -> None:
    monkeypatch.setenv("NIGHTJAR_ZTF_TOPICS", text)
    assert read_settings().ztf_topics == topics


def test_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_API_TRUSTED_PROXIES", "127.0.0.1, 2001:db8::/32")
    assert read_settings().api_trusted_proxies == ("127.0.0.1", "2001:db8::/32")


@pytest.mark.parametrize("text", ["*", "proxy.example.org", "192.0.2.1/24"])
def test_proxy_that_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("NIGHTJAR_API_TRUSTED_PROXIES", text)
    with pytest.raises(SettingsError, match=r"^NIGHTJAR_API_TRUSTED_PROXIES: "):
        read_settings()


def test_a_variable_that_is_nearly_a_setting_is_told_apart_from_others() -> None:
    names = ["NIGHTJAR_BATCHSIZE", "NIGHTJAR_ZTF_TOPIC", "NIGHTJAR_ZTF_TOPICS", "NIGHTJAR_IMAGE", "HOME"]
    assert misspelt(names) == {
        "NIGHTJAR_BATCHSIZE": "NIGHTJAR_BATCH_SIZE",
        "NIGHTJAR_ZTF_TOPIC": "NIGHTJAR_ZTF_TOPICS",
    }


def test_all_unusable_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_BATCH_SIZE", "0")
    monkeypatch.setenv("NIGHTJAR_LOG_LEVEL", "chatty")
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert "NIGHTJAR_BATCH_SIZE: " in str(caught.value)
    assert "NIGHTJAR_LOG_LEVEL: " in str(caught.value)


def test_password_does_not_show_when_settings_are_printed() -> None:
    assert "hunter2" not in repr(Settings(redis_password="hunter2"))  # noqa: S106


def test_empty_path_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_SCHEMA_DIR", "")
    monkeypatch.setenv("NIGHTJAR_KAFKA_CA_FILE", "")
    settings = read_settings()
    assert (settings.schema_dir, settings.kafka_ca_file) == (None, None)


def test_settings_do_not_show_what_may_hold_a_password() -> None:
    shown = repr(
        Settings(
            redis_url="redis://:hunter2@example.org/0",
            kafka_options="sasl.password=hunter2",
            schema_registry_url="https://me:hunter2@example.org",
            kafka_password="hunter2",  # noqa: S106
            api_read_tokens="hunter2",
            api_admin_token="hunter2",  # noqa: S106
        )
    )
    assert "hunter2" not in shown
    assert "example.org" not in shown


FORMER = [
    ("NIGHTJAR_BATCH_BYTES", "2097152", "fetch_max_bytes", 2**21),
    ("NIGHTJAR_OBJECT_EXPIRY", "P30D", "object_ttl", timedelta(days=30)),
    ("NIGHTJAR_REDIS_REPLICAS", "2", "redis_wait_replicas", 2),
    ("NIGHTJAR_STREAM_KEPT", "7", "stream_replay_size", 7),
    ("NIGHTJAR_API_CORE", "1", "api_cpu_affinity", 1),
    ("NIGHTJAR_API_TIME_LIMIT", "5", "api_request_timeout", timedelta(seconds=5)),
    ("NIGHTJAR_API_CONCURRENCY", "9", "api_max_concurrent_requests", 9),
]


@pytest.mark.parametrize(("variable", "text", "setting", "value"), FORMER)
def test_setting_is_read_under_its_former_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, setting: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)

    assert getattr(read_settings(), setting) == value
    assert renamed([variable]) == {variable: f"NIGHTJAR_{setting.upper()}"}
    assert misspelt([variable]) == {}


def test_new_name_of_a_setting_wins_over_the_former_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_OBJECT_EXPIRY", "P30D")
    monkeypatch.setenv("NIGHTJAR_OBJECT_TTL", "P60D")
    assert read_settings().object_ttl == timedelta(days=60)


def test_invalid_value_under_a_former_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_BATCH_BYTES", "many")
    with pytest.raises(SettingsError, match=r"^NIGHTJAR_FETCH_MAX_BYTES: "):
        read_settings()


def test_every_former_name_is_tested() -> None:
    assert {variable.removeprefix("NIGHTJAR_").lower() for variable, *_ in FORMER} == RENAMED.keys()
