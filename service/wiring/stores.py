"""The object store that the settings name."""

from service.redis.connection import Credentials
from service.redis.store import RedisStore
from service.settings import Settings

__all__ = ["object_store"]


def object_store(settings: Settings) -> RedisStore:
    """Make the store of objects, without connecting yet.

    Parameters
    ----------
    settings
        Address, credentials and time limits of Redis, and the objects' time to live.

    Raises
    ------
    SettingsError
        The address cannot be used.
    """
    return RedisStore.connect(
        str(settings.redis_url),
        access=Credentials(
            settings.redis_username,
            settings.redis_password.get_secret_value(),
            settings.redis_ca_file,
            settings.redis_certificate_file,
            settings.redis_key_file,
        ),
        timeout=settings.redis_timeout,
        expiry=settings.object_ttl,
        replicas=settings.redis_wait_replicas,
    )
