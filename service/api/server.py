"""The HTTP server, which ends live streams before it waits for open connections."""

import socket

import uvicorn
from fastapi import FastAPI

from service.api.protocol import BoundedProtocol

__all__ = ["Server"]

GRACE_S = 10
"""Time for requests in progress when the process is told to stop."""


class Server(uvicorn.Server):
    """Serves an app of `service.api.app.create_app`.

    Parameters
    ----------
    app
        Application to serve.
    """

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                # Named, not chosen by what is installed: their limits and speed are what was tested.
                http=BoundedProtocol,
                loop="uvloop",
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End live streams, which would never finish by themselves, then shut down."""
        live = self._app.state.context.live
        if live is not None:
            live.close()
        await super().shutdown(sockets)
