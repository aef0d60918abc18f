"""Classifications straight from Kafka."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from service.client.models import Published
from service.core.records.published import Filter, parse_record
from service.kafka.topic_reader import TopicReader

__all__ = ["Subscription"]

POLL = timedelta(milliseconds=200)


@dataclass(frozen=True, slots=True)
class Subscription:
    """What to read of which topic.

    Attributes
    ----------
    options
        librdkafka options, the brokers among them.
    topic
        An output topic of the service.
    wanted
        Which of its records.
    from_beginning
        Start with the oldest rather than with the next to come.
    silence
        End when so long no record came, whether wanted or not; None for never.
    """

    options: dict[str, str]
    topic: str
    wanted: Filter
    from_beginning: bool
    silence: timedelta | None

    def records(self) -> Iterator[Published]:
        """Give committed records as they come, in order within each object.

        Raises
        ------
        BrokerUnavailableError
            The broker does not answer, or has no such topic.
        InputError
            The topic holds something else.
        """
        with TopicReader(self.options, [self.topic], from_beginning=self.from_beginning) as reader:
            heard_s = time.monotonic()
            while not self._is_over(heard_s):
                for message in reader.read(POLL):
                    heard_s = time.monotonic()
                    record = parse_record(message.value)
                    if self.wanted.passes(record):
                        yield Published.model_validate(record)

    def _is_over(self, heard_s: float) -> bool:
        return self.silence is not None and time.monotonic() - heard_s > self.silence.total_seconds()
