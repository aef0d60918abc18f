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
    """Fetches schemas by id; an id never changes its meaning, so answers may be cached for ever.

    Parameters
    ----------
    url
        Root of the registry's API, for instance ``https://usdf-alert-schemas-dev.slac.stanford.edu``; may
        contain user and password.
    timeout
        Longest wait for an answer.

    Raises
    ------
    SettingsError
        The URL is not valid.
    """

    def __init__(self, url: str, timeout: timedelta = TIMEOUT) -> None:
        try:
            base = httpx.URL(url.rstrip("/"))
        except httpx.InvalidURL as error:
            raise SettingsError(f"NIGHTJAR_SCHEMA_REGISTRY_URL is not a valid URL: {error}") from error
        if base.scheme not in {"http", "https"} or not base.host:
            raise SettingsError("NIGHTJAR_SCHEMA_REGISTRY_URL must begin with http:// or https://")
        self._host = base.host
        self._client = httpx.Client(base_url=base, timeout=timeout.total_seconds(), follow_redirects=True)

    def __call__(self, schema_id: int) -> bytes | None:
        """Return the JSON of a schema; None if the registry does not know the id.

        Parameters
        ----------
        schema_id
            As messages carry it.

        Raises
        ------
        RegistryUnavailableError
            The registry does not answer, or not with a schema.
        SettingsError
            The registry rejects the credentials.
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
            raise SettingsError(f"the schema registry at {self._host} denies access: {response.status_code}")
        return self._schema(response)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _schema(self, response: httpx.Response) -> bytes:
        # A proxy's error page must not become "unknown schema": the alerts would be dead-lettered.
        try:
            answer: Any = orjson.loads(response.raise_for_status().content)
            return bytes(answer["schema"].encode())
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RegistryUnavailableError(
                f"the schema registry at {self._host} answered status {response.status_code} without a schema"
            ) from error
