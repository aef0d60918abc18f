"""Reading the settings from the environment, and telling of variables that are not settings."""

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from service.errors import SettingsError
from service.settings.fields import PREFIX, Settings

__all__ = ["RENAMED", "misspelt", "read_settings", "renamed"]

RENAMED = {
    "api_concurrency": "api_max_concurrent_requests",
    "api_core": "api_cpu_affinity",
    "api_time_limit": "api_request_timeout",
    "batch_bytes": "fetch_max_bytes",
    "object_expiry": "object_ttl",
    "redis_replicas": "redis_wait_replicas",
    "stream_kept": "stream_replay_size",
}
"""Former names of settings, which are read in this release and no longer in the next."""

SIMILARITY = 0.9  # of difflib: a letter or two, or an underscore


def misspelt(names: Iterable[str]) -> dict[str, str]:
    """Return variables that are no setting but nearly one, each with the one that is probably meant.

    Parameters
    ----------
    names
        Names of environment variables.
    """
    settings = [_variable(field) for field in Settings.model_fields]
    former = {_variable(name) for name in RENAMED}
    near = {
        name: get_close_matches(name, settings, n=1, cutoff=SIMILARITY)
        for name in names
        if name.startswith(PREFIX) and name not in settings and name not in former
    }
    return {name: matches[0] for name, matches in near.items() if matches}


def renamed(names: Iterable[str]) -> dict[str, str]:
    """Return variables that have a new name, each with that name.

    Parameters
    ----------
    names
        Names of environment variables.
    """
    present = set(names)
    return {_variable(old): _variable(new) for old, new in RENAMED.items() if _variable(old) in present}


def read_settings() -> Settings:
    """Read the settings from the environment, and from files of secrets those that it does not have.

    Raises
    ------
    SettingsError
        A variable has an invalid value; the message names each such variable.
    """
    # The directory must be known before the rest is read, and may be missing: most machines have none.
    secrets_dir = Path(os.environ.get(f"{PREFIX}SECRETS_DIR") or Settings.model_fields["secrets_dir"].default)
    former = _former_values(os.environ)
    try:
        return Settings(_secrets_dir=secrets_dir if secrets_dir.is_dir() else None, **former)  # type: ignore[arg-type]
    except ValidationError as error:
        # Without the value: it may be a password or contain one.
        faults = [
            f"{_variable('_'.join(map(str, item['loc'])))}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        ]
        raise SettingsError("; ".join(faults)) from None


def _former_values(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the values of variables under their former names, where the new name is not set."""
    return {
        new: environment[_variable(old)]
        for old, new in RENAMED.items()
        if _variable(old) in environment and _variable(new) not in environment
    }


def _variable(field: str) -> str:
    return f"{PREFIX}{field.upper()}"
