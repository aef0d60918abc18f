"""Where the results of reclassification go: next to the objects, or to a topic."""

import time
from collections.abc import Sequence
from datetime import timedelta
from hashlib import blake2b
from typing import Protocol

import numpy as np

from service.backoff import conflict_pause
from service.core.classification import Classification
from service.core.models.info import ModelInfo
from service.core.ports.messages import OutgoingMessage
from service.core.ports.store import ObjectStore
from service.core.records.encoding import AlertTimes, encode_avro, encode_json, native_records
from service.core.state.shadow_history import add_results, read_histories
from service.kafka.sink import KafkaSink
from service.settings import OutputFormat
from service.tools.audit.topic_extents import true_extents
from service.tools.reclassify.pending import PendingAlert, alert_batch
from service.wiring.tools import KafkaClients, fail_fast

__all__ = ["ResultStore", "ShadowResults", "TopicResults", "short_name"]

READ_TIMEOUT = timedelta(minutes=2)
MODEL_HEADER = "model"
ALERT_HEADER = "alert"


class ResultStore(Protocol):
    """Keeps one result per alert, however often the command is run."""

    def known(self, pending: Sequence[PendingAlert]) -> list[bool]:
        """Return which alerts have their result already.

        Parameters
        ----------
        pending
            n alerts.

        Returns
        -------
        list of bool
            n values.
        """

    def write(self, pending: Sequence[PendingAlert], results: Sequence[Classification]) -> None:
        """Write results, all or none where that is possible.

        Parameters
        ----------
        pending
            n alerts without a result.
        results
            Their n results.

        Raises
        ------
        TransientError
            The store or the broker does not answer.
        """


class ShadowResults:
    """Results stored next to the objects, in a history of the model's own.

    Parameters
    ----------
    store
        The store of objects.
    model
        The model that gives the results.
    limit
        Results kept per object.
    """

    def __init__(self, store: ObjectStore, model: ModelInfo, limit: int) -> None:
        store.register_model(model)
        self._store = store.for_model(model.digest)
        self._limit = limit

    def known(self, pending: Sequence[PendingAlert]) -> list[bool]:
        """Return which alerts are in the histories.

        Parameters
        ----------
        pending
            n alerts.
        """
        keys = list(dict.fromkeys(alert.key for alert in pending))
        histories = dict(zip(keys, read_histories(self._store, keys), strict=True))
        return [histories[alert.key].find(alert.earlier.alert_id) is not None for alert in pending]

    def write(self, pending: Sequence[PendingAlert], results: Sequence[Classification]) -> None:
        """Add results to the histories; one that is there already stays.

        Parameters
        ----------
        pending
            n alerts.
        results
            Shape (n,), one for each.
        """
        by_key: dict[str, list[Classification]] = {}
        for alert, result in zip(pending, results, strict=True):
            by_key.setdefault(alert.key, []).append(result)
        add_results(self._store, by_key, self._limit, conflict_pause(time.sleep))


class TopicResults:
    """Results published to a topic in transactions; what the topic holds already is read first.

    Parameters
    ----------
    topic
        An existing topic.
    clients
        Make the Kafka clients.
    sink
        Connected transactional producer, closed by the caller.
    model
        The model that gives the results.
    output_format
        Encoding of the records.
    force
        Also write results that the topic holds already.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer, or the topic does not exist.
    """

    def __init__(
        self,
        topic: str,
        clients: KafkaClients,
        sink: KafkaSink,
        model: ModelInfo,
        output_format: OutputFormat,
        *,
        force: bool,
    ) -> None:
        self._topic = topic
        self._sink = sink
        self._model = model
        self._encode = encode_avro if output_format is OutputFormat.AVRO else encode_json
        self._digest = f"{model.digest:016x}".encode()
        self._written: set[bytes] = set() if force else self._read(clients)

    def _read(self, clients: KafkaClients) -> set[bytes]:
        ranges = {
            partition: range(extent.low, extent.high)
            for partition, extent in true_extents(clients.options, [self._topic]).items()
        }
        with clients.range_reader(ranges, READ_TIMEOUT) as reader:
            return {
                short_name(record.headers[ALERT_HEADER])
                for record in reader
                if record.headers.get(MODEL_HEADER) == self._digest
            }

    def known(self, pending: Sequence[PendingAlert]) -> list[bool]:
        """Return which alerts the topic holds results of.

        Parameters
        ----------
        pending
            n alerts.
        """
        return [short_name(alert.name) in self._written for alert in pending]

    def write(self, pending: Sequence[PendingAlert], results: Sequence[Classification]) -> None:
        """Publish results in one transaction.

        Parameters
        ----------
        pending
            n alerts.
        results
            Shape (n,), one for each.
        """
        alerts = alert_batch(pending)
        now_ms = max(result.classified_at_ms for result in results)
        times = AlertTimes(np.full(len(pending), -1, np.int64), now_ms)
        models = {self._model.digest: self._model}
        values = self._encode(native_records(alerts, results, models, times))
        self._sink.begin()
        self._sink.produce(
            OutgoingMessage(
                self._topic,
                object_id.encode(),
                value,
                [(MODEL_HEADER, self._digest), (ALERT_HEADER, alert.name)],
            )
            for alert, object_id, value in zip(pending, alerts.object_id, values, strict=True)
        )
        self._sink.commit(fail_fast)
        self._written |= {short_name(alert.name) for alert in pending}


def short_name(name: bytes) -> bytes:
    """Return a digest of a name, short enough to keep millions in memory.

    Parameters
    ----------
    name
        Name of an object or an alert.

    Returns
    -------
    bytes
        16 bytes: any two of a thousand million names collide with a probability of 1 in 10^20.
    """
    return blake2b(name, digest_size=16).digest()
