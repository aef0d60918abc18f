"""Check that every message sent has its results, once each."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.core.alerts import Survey, object_key
from service.core.ports.messages import MessagePosition
from service.core.records.published import parse_record
from service.kafka.records import TopicRecord, source_of

__all__ = ["ResultAccounting"]


@dataclass(slots=True)
class ResultAccounting:
    """Counts messages and their results.

    Parameters
    ----------
    rejected_topic
        Topic of the dead letters; a record of any other is a classification.
    expected
        Number of alerts in each message that was sent, by its position.

    Attributes
    ----------
    classified, rejected, abstained
        Numbers of results so far; abstentions by reason.
    objects
        Keys of the objects that have results.
    """

    rejected_topic: str
    expected: dict[MessagePosition, int] = field(default_factory=dict)
    classified: int = 0
    rejected: int = 0
    abstained: Counter[str] = field(default_factory=Counter)
    objects: set[str] = field(default_factory=set)
    _results: dict[MessagePosition, list[int]] = field(default_factory=dict)
    _rejections: Counter[MessagePosition] = field(default_factory=Counter)
    _answered: set[MessagePosition] = field(default_factory=set)

    def expect(self, position: MessagePosition, n_alerts: int) -> None:
        """Record a message that was sent.

        Parameters
        ----------
        position
            Its position.
        n_alerts
            Number of alerts in it.
        """
        self.expected[position] = n_alerts

    def add(self, record: TopicRecord) -> Mapping[str, Any] | None:
        """Record a result.

        Parameters
        ----------
        record
            A record of the output topic or of the dead letters.

        Returns
        -------
        mapping or None
            The classification; None for a dead letter.

        Raises
        ------
        InputError
            This service did not write the record.
        """
        source = source_of(record)
        self._answered.add(source)
        if record.topic == self.rejected_topic:
            self._rejections[source] += 1
            self.rejected += 1
            return None
        result = parse_record(record.value)
        self._results.setdefault(source, []).append(result["alert_id"])
        self.objects.add(object_key(Survey(result["survey"]), result["object_id"]))
        if result["status"] == "classified":
            self.classified += 1
        else:
            self.abstained[result["reason"]] += 1
        return result

    @property
    def results(self) -> int:
        """Number of results so far, of every kind."""
        return self.classified + self.abstained.total() + self.rejected

    @property
    def consumed(self) -> int:
        """Number of alerts in the messages sent; a rejected message counts as one."""
        return sum(1 if source in self._rejections else n for source, n in self.expected.items())

    @property
    def answered(self) -> int:
        """Number of messages that have a result."""
        return len(self._answered)

    def problems(self) -> list[str]:
        """Return what does not add up, one text per kind of problem; empty where everything does."""
        problems = Counter(self._problem(source) for source in self._sources())
        problems.pop("", None)
        return [f"{count} messages {problem}" for problem, count in problems.items()]

    def _sources(self) -> set[MessagePosition]:
        return self.expected.keys() | self._answered

    def _problem(self, source: MessagePosition) -> str:
        alert_ids, rejections = self._results.get(source, []), self._rejections[source]
        if source not in self.expected:
            return "have results but were not sent"
        if not alert_ids and not rejections:
            return "have no result"
        if rejections and alert_ids:
            return "are both rejected and classified"
        if rejections > 1 or len(alert_ids) > self.expected[source]:
            return "have duplicate results"
        if not rejections and len(set(alert_ids)) < self.expected[source]:
            return "have fewer results than alerts"
        return ""

    def summary(self, seconds: float) -> dict[str, Any]:
        """Return the counts of a whole run.

        Parameters
        ----------
        seconds
            Duration of the run.
        """
        return {
            "consumed": self.consumed,
            "classified": self.classified,
            "abstained": dict(sorted(self.abstained.items())),
            "rejected": self.rejected,
            "objects": len(self.objects),
            "seconds": round(seconds, 2),
        }

    @property
    def adds_up(self) -> bool:
        """Whether every message has its results, once each, and the totals agree."""
        return not self.problems() and self.consumed == self.results
