"""The survey of each source topic."""

import re
from collections.abc import Mapping, Sequence

from service.core.alerts import Survey
from service.errors import SettingsError

__all__ = ["SourceTopics"]


class SourceTopics:
    """The topics alerts are read from.

    Parameters
    ----------
    by_survey
        Names of each survey's topics; those that begin with ^ are patterns (POSIX extended regular
        expressions, as librdkafka reads them).
    written
        Topics the service writes to, which no pattern may match: it would read its own results.

    Raises
    ------
    SettingsError
        There is no topic, one is given for two surveys, or a pattern cannot be used.
    """

    def __init__(self, by_survey: Mapping[Survey, Sequence[str]], written: Sequence[str]) -> None:
        self.subscription = tuple(topic for topics in by_survey.values() for topic in topics)
        self._patterns: list[tuple[re.Pattern[str], Survey]] = []
        self._known: dict[str, Survey] = {}
        if not self.subscription:
            raise SettingsError(
                "no source topic: set NIGHTJAR_ZTF_TOPICS, NIGHTJAR_LSST_TOPICS or NIGHTJAR_ELASTICC_TOPICS"
            )
        for survey, topics in by_survey.items():
            for topic in topics:
                self._add(topic, survey)
        for topic in written:
            if topic in self._known or any(pattern.match(topic) for pattern, _survey in self._patterns):
                raise SettingsError(f"the service would read its own topic {topic}: change the source topics")

    def survey(self, topic: str) -> Survey:
        """Return the survey of a topic that was subscribed to by name or by pattern.

        Raises
        ------
        SettingsError
            No pattern matches: librdkafka interprets one of them differently.
        """
        known = self._known.get(topic)
        if known is None:
            known = next((survey for pattern, survey in self._patterns if pattern.match(topic)), None)
            if known is None:
                raise SettingsError(f"no source topic pattern matches {topic}: use simpler patterns")
            self._known[topic] = known
        return known

    def _add(self, topic: str, survey: Survey) -> None:
        if not topic.startswith("^"):
            if self._known.setdefault(topic, survey) is not survey:
                raise SettingsError(f"topic {topic} is given for two surveys")
            return
        try:
            self._patterns.append((re.compile(topic), survey))
        except re.error as error:
            raise SettingsError(f"topic pattern {topic} is not a regular expression: {error}") from error
