"""The context of one batch: what its steps hand to each other."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from service.core.alerts import AlertBatch, DecodedBatch, object_key
from service.core.classification import Classification
from service.core.ports.messages import SourceMessage

__all__ = ["Batch"]


@dataclass(slots=True)
class Batch:
    """One batch between its messages and its results.

    Attributes
    ----------
    messages
        As polled.
    ingested_ms
        Unix time at which processing began.
    decoded
        What the messages were decoded to.
    results
        Index of an alert to its result; complete when all objects are saved.
    shadow_results
        Index of an alert to the result of its survey's shadow model, where there is one.
    """

    messages: Sequence[SourceMessage]
    ingested_ms: int
    decoded: DecodedBatch
    results: dict[int, Classification] = field(default_factory=dict)
    shadow_results: dict[int, Classification] = field(default_factory=dict)

    @property
    def alerts(self) -> AlertBatch:
        """The decoded alerts."""
        return self.decoded.alerts

    def alerts_by_object(self) -> dict[str, list[int]]:
        """Return the key of each object with the indices of its alerts, in order of arrival."""
        by_object: dict[str, list[int]] = {}
        for index, (survey, object_id) in enumerate(
            zip(self.alerts.survey, self.alerts.object_id, strict=True)
        ):
            by_object.setdefault(object_key(survey, object_id), []).append(index)
        return by_object

    def results_in_order(self) -> list[Classification]:
        """Return the result of each alert, in the order of the alerts."""
        return [self.results[index] for index in range(len(self.alerts))]
