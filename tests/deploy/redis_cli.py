"""As much of ``redis-cli`` as the health check uses, for machines that have none: ``redis-cli ping``."""

import os
import sys

from redis import Redis
from redis.exceptions import RedisError

if __name__ == "__main__":
    assert sys.argv[2:] == ["ping"], "the health check asks for nothing else"
    password = os.environ.get("REDISCLI_AUTH") or None
    try:
        print("PONG" if Redis(port=int(sys.argv[1]), password=password).ping() else "")  # noqa: T201
    except RedisError as error:
        sys.exit(str(error))
