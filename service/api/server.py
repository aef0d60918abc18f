"""The server: it tells clients of the live stream that it stops before it waits for them to go."""

import socket

import uvicorn
from fastapi import FastAPI

from service.api.protocol import BoundedProtocol

__all__ = ["Server"]

GRACE_S = 10
"""Requests that are being answered when the process is told to end have so long."""


class Server(uvicorn.Server):
    """Serves an app of `service.api.app.create_app`.

    Parameters
    ----------
    app
        The app.
    """

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                # Named, not left to what is installed: their bounds and their speed are what was tested.
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
        """End streams, which would otherwise be waited for, then all else."""
        live = self._app.state.context.live
        if live is not None:
            live.close()
        await super().shutdown(sockets)
