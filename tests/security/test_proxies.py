"""Whom a request comes from is what its connection says, unless a proxy that the operator named says else."""

from pathlib import Path

import httpx
import pytest

from tests.conftest import SettingsFactory
from tests.support.api_process import ApiProcess

ONCE = {"api_rate_hz": 0.01, "api_burst": 1}


@pytest.mark.parametrize(
    ("trusted", "statuses"),
    [((), [200, 429, 429]), (("192.0.2.0/24",), [200, 429, 429]), (("127.0.0.0/8",), [200, 429, 200])],
    ids=["nobody", "another", "this machine"],
)
def test_clients_are_counted_apart_only_where_the_proxy_is_trusted(
    settings_factory: SettingsFactory,
    models: dict[str, str],
    redis_url: str,
    tmp_path: Path,
    trusted: tuple[str, ...],
    statuses: list[int],
) -> None:
    settings = settings_factory(redis_url=redis_url, api_trusted_proxies=trusted, **ONCE, **models)
    api = ApiProcess(settings, tmp_path, "api")
    api.start()
    try:
        api.wait_until_ready()
        clients = [{"X-Forwarded-For": f"198.51.100.{number}"} for number in (1, 1, 2)]
        answers = [httpx.get(f"{api.url}/v1/schemas", headers=client, timeout=30) for client in clients]
    finally:
        api.process.kill()
    assert [answer.status_code for answer in answers] == statuses
