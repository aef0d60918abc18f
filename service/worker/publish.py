"""From results to the messages that leave the service, and to the count of what became of each alert."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import AlertBatch, DecodedBatch, RejectedMessage, Survey
from service.core.classification import Classification
from service.core.ports.messages import Header, OutgoingMessage, SourceMessage
from service.core.records.encoding import (
    AlertTimes,
    Classifier,
    encode_avro,
    encode_elasticc,
    encode_json,
    native_records,
)
from service.settings import OutputFormat
from service.worker.topics import SourceTopics

__all__ = ["BatchResult", "Destinations", "Outcome", "Publisher"]


# Whose alerts DESC's record describes: it names them by diaSourceId.
DESC_SURVEYS = frozenset({Survey.LSST, Survey.ELASTICC})


class Outcome(NamedTuple):
    """What became of an alert, as it is counted.

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
        (topic, partition) to how many alerts its messages brought; a rejected message counts as one.
    outcomes
        How many alerts became what.
    classes
        How many alerts have which class as their most probable one, by survey, model and class name.
    published_ms
        Survey to the times at which its alerts were published, Unix milliseconds; without those whose
        broker did not say.
    """

    outgoing: list[OutgoingMessage]
    consumed: Counter[tuple[str, int]]
    outcomes: Counter[Outcome]
    top_classes: Counter[tuple[str, str, str]]
    published_ms: dict[Survey, NDArray[np.int64]]


class Publisher:
    """Makes messages of results.

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

    def publish(
        self,
        messages: Sequence[SourceMessage],
        decoded: DecodedBatch,
        results: Sequence[Classification],
        classifiers: Mapping[int, Classifier],
        ingested_ms: int,
    ) -> BatchResult:
        """Make every message that a batch gives.

        Parameters
        ----------
        messages
            The batch.
        decoded
            What it was decoded to.
        results
            One per decoded alert.
        classifiers
            Every model that a result names, by digest.
        ingested_ms
            Unix time at which the batch was taken up.
        """
        alerts = decoded.alerts
        published_ms = np.array([message.timestamp_ms for message in messages], np.int64)
        times = AlertTimes(published_ms[alerts.message], ingested_ms)
        headers = _source_headers(messages, alerts)
        outgoing = self._native(alerts, results, classifiers, times, headers)
        if self._to.desc:
            outgoing += self._desc(alerts, results, classifiers, times, headers)
        outgoing += [self._dead_letter(messages[one.message], one) for one in decoded.rejected]
        return BatchResult(
            outgoing,
            _consumed(messages, decoded),
            self._outcomes(messages, decoded, results),
            _classes(alerts, results, classifiers),
            _published(alerts, times.published_ms),
        )

    def records_for(
        self,
        messages: Sequence[SourceMessage],
        alerts: AlertBatch,
        index: Sequence[int],
        results: Sequence[Classification],
        classifiers: Mapping[int, Classifier],
        ingested_ms: int,
    ) -> list[OutgoingMessage]:
        """Make the native records of some alerts of a batch, and nothing else.

        Parameters
        ----------
        messages, classifiers, ingested_ms
            As in `publish`.
        alerts
            All that was decoded of the batch.
        index
            Shape (n,), which of them.
        results
            Shape (n,), one for each.
        """
        chosen, headers = alerts.without_rows(index), _source_headers(messages, alerts)
        published_ms = np.array([message.timestamp_ms for message in messages], np.int64)
        times = AlertTimes(published_ms[chosen.message], ingested_ms)
        return self._native(chosen, results, classifiers, times, [headers[place] for place in index])

    def _native(
        self,
        alerts: AlertBatch,
        results: Sequence[Classification],
        classifiers: Mapping[int, Classifier],
        times: AlertTimes,
        headers: Sequence[list[Header]],
    ) -> list[OutgoingMessage]:
        encode = encode_avro if self._to.output_format is OutputFormat.AVRO else encode_json
        values = encode(native_records(alerts, results, classifiers, times))
        return [
            OutgoingMessage(self._to.output, object_id.encode(), value, header)
            for object_id, value, header in zip(alerts.object_id, values, headers, strict=True)
        ]

    def _desc(
        self,
        alerts: AlertBatch,
        results: Sequence[Classification],
        classifiers: Mapping[int, Classifier],
        times: AlertTimes,
        headers: Sequence[list[Header]],
    ) -> list[OutgoingMessage]:
        values = encode_elasticc(alerts, results, classifiers, times, self._to.service_version)
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
            ("source", message.source.encode()),
            ("service_version", self._to.service_version.encode()),
        ]
        return OutgoingMessage(self._to.rejected, message.key, message.value, headers)

    def _outcomes(
        self, messages: Sequence[SourceMessage], decoded: DecodedBatch, results: Sequence[Classification]
    ) -> Counter[Outcome]:
        outcomes: Counter[Outcome] = Counter()
        alerts = decoded.alerts
        for survey, index, result in zip(alerts.survey, alerts.message.tolist(), results, strict=True):
            message, reason = messages[index], result.reason
            status, detail = ("abstained", reason.label) if reason else ("classified", "")
            outcomes[Outcome(survey, message.topic, message.partition, status, detail)] += 1
        for rejected in decoded.rejected:
            message, code = messages[rejected.message], rejected.error.code
            survey = self._topics.survey(message.topic)
            outcomes[Outcome(survey, message.topic, message.partition, "rejected", code.value)] += 1
        return outcomes


def _consumed(messages: Sequence[SourceMessage], decoded: DecodedBatch) -> Counter[tuple[str, int]]:
    """Count alerts as they came in, apart from what became of them."""
    owners = [*decoded.alerts.message.tolist(), *(rejected.message for rejected in decoded.rejected)]
    return Counter((messages[owner].topic, messages[owner].partition) for owner in owners)


def _source_headers(messages: Sequence[SourceMessage], alerts: AlertBatch) -> list[list[Header]]:
    """Say where each alert came from; with its place in the message where that holds several."""
    owners = alerts.message.tolist()
    n_alerts = Counter(owners)
    seen: Counter[int] = Counter()
    headers = []
    for owner in owners:
        header: list[Header] = [("source", messages[owner].source.encode())]
        if n_alerts[owner] > 1:
            header.append(("record", str(seen[owner]).encode()))
            seen[owner] += 1
        headers.append(header)
    return headers


def _classes(
    alerts: AlertBatch, results: Sequence[Classification], classifiers: Mapping[int, Classifier]
) -> Counter[tuple[str, str, str]]:
    """Count the most probable classes of what was classified."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for survey, result in zip(alerts.survey, results, strict=True):
        if not result.reason:
            model = classifiers[result.model]
            best = model.classes[int(result.probability.argmax())][1]
            counts[survey, f"{model.name} {model.version}", best] += 1
    return counts


def _published(alerts: AlertBatch, published_ms: NDArray[np.int64]) -> dict[Survey, NDArray[np.int64]]:
    """Sort the alerts' times of publication by survey."""
    surveys = np.array(alerts.survey, dtype=object)
    known = published_ms > 0
    return {survey: published_ms[known & (surveys == survey)] for survey in set(alerts.survey)}
