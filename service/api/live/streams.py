"""The live stream of an app."""

from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge

from service.api.live.broadcaster import Broadcaster
from service.api.live.client import StreamClient
from service.api.live.replay import CatchUp
from service.core.ports.result_feed import ResultFeed
from service.core.ports.store import ObjectStore
from service.settings import Settings

__all__ = ["LiveStreams"]

READY_TIMEOUT = timedelta(seconds=10)


class LiveStreams:
    """The parts of the live stream, made once per app.

    Parameters
    ----------
    settings
        Of the service.
    store
        States of objects, and filters.
    feed
        The output topic; closed with the streams.
    metrics
        Registry of its metrics.
    """

    def __init__(
        self, settings: Settings, store: ObjectStore, feed: ResultFeed, metrics: CollectorRegistry
    ) -> None:
        self.broadcaster = Broadcaster(feed, store, replay_size=settings.stream_replay_size)
        self.replays = CatchUp(self.broadcaster, feed)
        self.max_bytes = settings.stream_buffer_bytes
        self.max_clients = settings.stream_clients
        self.heartbeat_s = settings.stream_heartbeat.total_seconds()
        self.ready_timeout_s = READY_TIMEOUT.total_seconds()
        self._clients: set[StreamClient] = set()
        self._gauge = Gauge("nightjar_api_stream_clients", "Clients of the live stream", registry=metrics)
        self._dropped = Counter(
            "nightjar_api_stream_dropped_total", "Clients dropped as too slow", registry=metrics
        )

    @property
    def is_full(self) -> bool:
        """Whether the maximum number of clients is reached."""
        return len(self._clients) >= self.max_clients

    def count_dropped(self) -> None:
        """Count a client dropped as too slow."""
        self._dropped.inc()

    def enter(self, client: StreamClient) -> None:
        """Count a new client."""
        self._clients.add(client)
        self._gauge.set(len(self._clients))

    def leave(self, client: StreamClient) -> None:
        """Remove a client whose stream has ended."""
        self.broadcaster.leave(client)
        self._clients.discard(client)
        self._gauge.set(len(self._clients))

    def close(self) -> None:
        """End all streams; in the event loop."""
        self.broadcaster.close()
