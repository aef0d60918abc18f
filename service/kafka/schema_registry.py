"""Writer's schemas from a Confluent schema registry."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any

import httpx
import orjson

from service.errors import RegistryUnavailableError, SettingsError

__all__ = ["SchemaRegistry"]

TIMEOUT = timedelta(seconds=10)
REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class SchemaRegistry:
    """Asks for schemas by id; ids never change their meaning, so who asks may keep the answer for ever.

    Parameters
    ----------
    url
        Where the registry's API begins, for instance ``https://usdf-alert-schemas-dev.slac.stanford.edu``;
        user and password may stand in it.
    timeout
        Longest wait for an answer.

    Raises
    ------
    SettingsError
        The URL is none.
    """

    def __init__(self, url: str, timeout: timedelta = TIMEOUT) -> None:
        try:
            base = httpx.URL(url.rstrip("/"))
        except httpx.InvalidURL as error:
            raise SettingsError(f"NIGHTJAR_SCHEMA_REGISTRY_URL is no URL: {error}") from error
        if base.scheme not in {"http", "https"} or not base.host:
            raise SettingsError("NIGHTJAR_SCHEMA_REGISTRY_URL must begin with http:// or https://")
        self._host = base.host
        self._client = httpx.Client(base_url=base, timeout=timeout.total_seconds(), follow_redirects=True)

    def __call__(self, schema_id: int) -> bytes | None:
        """Give the JSON of a schema, None where the registry does not know the id.

        Raises
        ------
        RegistryUnavailableError
            The registry does not answer, or not with a schema.
        SettingsError
            The registry refuses us.
        """
        try:
            response = self._client.get(f"/schemas/ids/{schema_id}")
        except httpx.HTTPError as error:
            raise RegistryUnavailableError(
                f"no answer from the schema registry at {self._host}: {error}"
            ) from error
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        if response.status_code in REFUSALS:
            raise SettingsError(f"the schema registry at {self._host} refuses us: {response.status_code}")
        return self._schema(response)

    def close(self) -> None:
        """Give up the connections."""
        self._client.close()

    def _schema(self, response: httpx.Response) -> bytes:
        # A proxy's error page must not become "unknown schema": the alerts would be dead-lettered.
        try:
            answer: Any = orjson.loads(response.raise_for_status().content)
            return bytes(answer["schema"].encode())
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RegistryUnavailableError(
                f"the schema registry at {self._host} gave no schema but status {response.status_code}"
            ) from error
