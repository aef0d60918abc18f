"""From the results of a batch to the messages that are produced, and to the counts of outcomes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import AlertBatch, RejectedMessage, Survey
from service.core.classification import Classification
from service.core.models.info import ModelInfo
from service.core.ports.messages import (
    RECORD_HEADER,
    SOURCE_HEADER,
    Header,
    OutgoingMessage,
    SourceMessage,
)
from service.core.records.encoding import (
    AlertTimes,
    encode_avro,
    encode_elasticc,
    encode_json,
    native_records,
)
from service.settings import OutputFormat
from service.worker.context import Batch
from service.worker.topics import SourceTopics

__all__ = ["BatchResult", "Destinations", "Outcome", "Publisher"]


# DESC's record names alerts by diaSourceId.
DESC_SURVEYS = frozenset({Survey.LSST, Survey.ELASTICC})


class Outcome(NamedTuple):
    """The outcome of an alert, as it is counted.

    Attributes
    ----------
    survey
        Of the alert; of its topic where the alert was rejected.
    topic, partition
        Where it came from.
    status
        ``classified``, ``abstained`` or ``rejected``.
    detail
        Reason of an abstention, error class of a rejection, else empty.
    """

    survey: Survey
    topic: str
    partition: int
    status: str
    detail: str


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where results go.

    Attributes
    ----------
    output, rejected
        Topics of classifications and of dead letters.
    desc
        Topic of ELAsTiCC records, empty for none.
    output_format
        Encoding of the classifications.
    service_version
        As written in records and headers.
    """

    output: str
    rejected: str
    desc: str
    output_format: OutputFormat
    service_version: str


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a batch became.

    Attributes
    ----------
    outgoing
        Every message to produce.
    consumed
        (topic, partition) to the number of alerts in its messages; a rejected message counts as one.
    outcomes
        Number of alerts by outcome.
    top_classes
        Number of classified alerts by survey, model and most probable class.
    published_ms
        Survey to the publication times of its alerts, Unix milliseconds, where the broker gave them.
    """

    outgoing: list[OutgoingMessage]
    consumed: Counter[tuple[str, int]]
    outcomes: Counter[Outcome]
    top_classes: Counter[tuple[str, str, str]]
    published_ms: dict[Survey, NDArray[np.int64]]


class Publisher:
    """Turns results into messages.

    Parameters
    ----------
    destinations
        Topics and encoding.
    topics
        Survey of each source topic.
    """

    def __init__(self, destinations: Destinations, topics: SourceTopics) -> None:
        self._to = destinations
        self._topics = topics

    def publish(self, batch: Batch, models: Mapping[int, ModelInfo]) -> BatchResult:
        """Return every message that a batch gives, and the counts.

        Parameters
        ----------
        batch
            With the results of all its alerts.
        models
            Every model that a result names, by digest.
        """
        alerts, results = batch.alerts, batch.results_in_order()
        times, headers = _alert_times(batch, alerts), _source_headers(batch.messages, alerts)
        outgoing = self._native(alerts, results, models, times, headers)
        if self._to.desc:
            outgoing += self._desc(alerts, results, models, times, headers)
        outgoing += [
            self._dead_letter(batch.messages[rejected.message], rejected)
            for rejected in batch.decoded.rejected
        ]
        return BatchResult(
            outgoing,
            _consumed(batch),
            self._outcomes(batch, results),
            _top_classes(alerts, results, models),
            _published_ms(alerts, times.published_ms),
        )

    def records_for(
        self, batch: Batch, results: Mapping[int, Classification], models: Mapping[int, ModelInfo]
    ) -> list[OutgoingMessage]:
        """Return the native records of some alerts of a batch, and nothing else.

        Parameters
        ----------
        batch
            The batch.
        results
            Index of each of these alerts to its result.
        models
            As in `publish`.
        """
        index = sorted(results)
        chosen, headers = batch.alerts.without_rows(index), _source_headers(batch.messages, batch.alerts)
        return self._native(
            chosen,
            [results[i] for i in index],
            models,
            _alert_times(batch, chosen),
            [headers[i] for i in index],
        )

    def _native(
        self,
        alerts: AlertBatch,
        results: Sequence[Classification],
        models: Mapping[int, ModelInfo],
        times: AlertTimes,
        headers: Sequence[list[Header]],
    ) -> list[OutgoingMessage]:
        encode = encode_avro if self._to.output_format is OutputFormat.AVRO else encode_json
        values = encode(native_records(alerts, results, models, times))
        return [
            OutgoingMessage(self._to.output, object_id.encode(), value, header)
            for object_id, value, header in zip(alerts.object_id, values, headers, strict=True)
        ]

    def _desc(
        self,
        alerts: AlertBatch,
        results: Sequence[Classification],
        models: Mapping[int, ModelInfo],
        times: AlertTimes,
        headers: Sequence[list[Header]],
    ) -> list[OutgoingMessage]:
        values = encode_elasticc(alerts, results, models, times, self._to.service_version)
        columns = zip(alerts.survey, alerts.object_id, values, headers, strict=True)
        return [
            OutgoingMessage(self._to.desc, object_id.encode(), value, header)
            for survey, object_id, value, header in columns
            if survey in DESC_SURVEYS
        ]

    def _dead_letter(self, message: SourceMessage, rejected: RejectedMessage) -> OutgoingMessage:
        headers = [
            ("error_class", rejected.error.code.value.encode()),
            ("error_message", rejected.error.message.encode()),
            (SOURCE_HEADER, message.source.encode()),
            ("service_version", self._to.service_version.encode()),
        ]
        return OutgoingMessage(self._to.rejected, message.key, message.value, headers)

    def _outcomes(self, batch: Batch, results: Sequence[Classification]) -> Counter[Outcome]:
        outcomes: Counter[Outcome] = Counter()
        alerts, messages = batch.alerts, batch.messages
        for survey, index, result in zip(alerts.survey, alerts.message.tolist(), results, strict=True):
            message, reason = messages[index], result.reason
            status, detail = ("abstained", reason.label) if reason else ("classified", "")
            outcomes[Outcome(survey, message.topic, message.partition, status, detail)] += 1
        for rejected in batch.decoded.rejected:
            message, code = messages[rejected.message], rejected.error.code
            survey = self._topics.survey(message.topic)
            outcomes[Outcome(survey, message.topic, message.partition, "rejected", code.value)] += 1
        return outcomes


def _alert_times(batch: Batch, alerts: AlertBatch) -> AlertTimes:
    """Return when alerts of a batch were published and ingested."""
    published_ms = np.array([message.timestamp_ms for message in batch.messages], np.int64)
    return AlertTimes(published_ms[alerts.message], batch.ingested_ms)


def _consumed(batch: Batch) -> Counter[tuple[str, int]]:
    """Count alerts as they came in, independently of their outcomes."""
    owners = [*batch.alerts.message.tolist(), *(rejected.message for rejected in batch.decoded.rejected)]
    messages = batch.messages
    return Counter((messages[owner].topic, messages[owner].partition) for owner in owners)


def _source_headers(messages: Sequence[SourceMessage], alerts: AlertBatch) -> list[list[Header]]:
    """Return headers with the source of each alert, and its index in the message where that has several."""
    owners = alerts.message.tolist()
    n_alerts = Counter(owners)
    seen: Counter[int] = Counter()
    headers = []
    for owner in owners:
        header: list[Header] = [(SOURCE_HEADER, messages[owner].source.encode())]
        if n_alerts[owner] > 1:
            header.append((RECORD_HEADER, str(seen[owner]).encode()))
            seen[owner] += 1
        headers.append(header)
    return headers


def _top_classes(
    alerts: AlertBatch, results: Sequence[Classification], models: Mapping[int, ModelInfo]
) -> Counter[tuple[str, str, str]]:
    """Count the most probable classes of what was classified."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for survey, result in zip(alerts.survey, results, strict=True):
        if not result.reason:
            model = models[result.model]
            top_class = model.classes[int(result.probability.argmax())][1]
            counts[survey, f"{model.name} {model.version}", top_class] += 1
    return counts


def _published_ms(alerts: AlertBatch, published_ms: NDArray[np.int64]) -> dict[Survey, NDArray[np.int64]]:
    """Return the known publication times of the alerts by survey."""
    surveys = np.array(alerts.survey, dtype=object)
    is_known = published_ms > 0
    return {survey: published_ms[is_known & (surveys == survey)] for survey in set(alerts.survey)}
