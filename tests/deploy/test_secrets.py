"""Secrets come from files where the environment does not give them."""

from pathlib import Path

import pytest

from service.errors import SettingsError
from service.settings import read_settings


@pytest.fixture
def secrets_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIGHTJAR_SECRETS_DIR", str(tmp_path))
    monkeypatch.delenv("NIGHTJAR_REDIS_PASSWORD", raising=False)
    return tmp_path


def test_secret_is_read_from_its_file_without_the_final_newline(secrets_dir: Path) -> None:
    (secrets_dir / "nightjar_redis_password").write_text("s3cret, with spaces \n")
    (secrets_dir / "nightjar_kafka_options").write_text("sasl.password=x\n")
    (secrets_dir / "somebody_elses").write_text("y")
    settings = read_settings()
    assert settings.redis_password.get_secret_value() == "s3cret, with spaces"
    assert settings.kafka_options == "sasl.password=x"


def test_environment_wins_over_the_file(secrets_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (secrets_dir / "nightjar_redis_password").write_text("file")
    monkeypatch.setenv("NIGHTJAR_REDIS_PASSWORD", "environment")
    assert read_settings().redis_password.get_secret_value() == "environment"


def test_empty_file_means_no_password(secrets_dir: Path) -> None:
    (secrets_dir / "nightjar_redis_password").touch()
    assert not read_settings().redis_password.get_secret_value()


def test_missing_directory_is_no_news(secrets_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_SECRETS_DIR", str(secrets_dir / "none"))
    assert not read_settings().redis_password.get_secret_value()


def test_unusable_value_in_a_file_is_named_without_being_shown(secrets_dir: Path) -> None:
    (secrets_dir / "nightjar_redis_url").write_text("hunter2")
    with pytest.raises(SettingsError, match="NIGHTJAR_REDIS_URL") as raised:
        read_settings()
    assert "hunter2" not in str(raised.value)
