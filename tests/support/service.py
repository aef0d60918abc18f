"""The service's parts for tests: a processor in this process, workers as processes of their own."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from pydantic import SecretStr
from redis import Redis, RedisCluster
from redis.cluster import ClusterNode

from service.core.alerts import Observations
from service.core.state.object_state import ObjectState, decode_state
from service.embedded.processes import ChildProcess
from service.settings import Settings
from tests.support.command import command_line
from tests.support.kafka import Record

__all__ = [
    "light_curves",
    "record_of",
    "settings_as_environment",
    "stored_observations",
    "stored_states",
    "without_timestamps",
    "worker_process",
]


def settings_as_environment(settings: Settings) -> dict[str, str]:
    """Write settings as the environment variables that give them."""
    return {
        f"NIGHTJAR_{name.upper()}": _as_text(getattr(settings, name)) for name in type(settings).model_fields
    }


def worker_process(settings: Settings, directory: Path, name: str = "worker") -> ChildProcess:
    """Give a worker that is not started yet; its name is also its id in the group."""
    variables = settings_as_environment(settings.model_copy(update={"worker_id": name}))
    variables |= {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    return ChildProcess(name, command_line("worker"), directory / f"{name}.log", variables)


def light_curves(redis_url: str) -> dict[str, bytes]:
    """Read the bytes of every stored light curve, by key."""
    return {key: rows.tobytes() for key, rows in stored_observations(redis_url).items()}


def stored_observations(redis_url: str) -> dict[str, Observations]:
    """Read every stored light curve, by key."""
    return {key: state.observations for key, state in stored_states(redis_url).items()}


def stored_states(redis_url: str) -> dict[str, ObjectState]:
    """Read every stored object, by key."""
    client: Any = _client(redis_url)
    try:
        keys = sorted(client.scan_iter("nj:{*}", count=1000))
        settled = [b"nj:o:" + key.removeprefix(b"nj:") for key in keys]
        values: list[Any] = []
        if isinstance(client, RedisCluster):
            values = [client.mget(key, own) for key, own in zip(keys, settled, strict=True)]
        elif keys:
            values = list(zip(client.mget(keys), client.mget(settled), strict=True))
        return {
            key.decode()[4:-1]: decode_state(head + (rows or b""))
            for key, (head, rows) in zip(keys, values, strict=True)
        }
    finally:
        client.close()


def _client(redis_url: str) -> Redis | RedisCluster:
    """Connect as the URL says; to a cluster by whichever of its nodes answers."""
    if not redis_url.startswith("redis+cluster://"):
        return Redis.from_url(redis_url)
    places = redis_url.removeprefix("redis+cluster://").removesuffix("/0").split(",")
    made: Any = ClusterNode
    nodes = [made(host, int(port)) for host, port in (place.split(":") for place in places)]
    return RedisCluster(startup_nodes=nodes)


def record_of(record: Record) -> dict[str, Any]:
    """Read a native record in JSON."""
    value: dict[str, Any] = orjson.loads(record.value)
    return value


def without_timestamps(value: bytes) -> bytes:
    """Give a native record in JSON without what a replay may change, all other bytes as they were."""
    head, separator, _timestamps = value.partition(b',"timestamps":{')
    assert separator, value
    return head


def _as_text(value: object) -> str:
    match value:
        case tuple():
            return ",".join(map(str, value))
        case timedelta():
            return str(value.total_seconds())
        case SecretStr():
            return value.get_secret_value()
        case None:
            return ""
        case bool():
            return str(value).lower()
        case Mapping():
            raise TypeError(value)
        case _:
            return str(value)
