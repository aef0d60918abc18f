"""A whole service under test: topics on a real broker, worker processes, and results."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from service.core.alerts import Survey
from service.core.ports.messages import SourceMessage
from service.embedded.broker import Broker
from service.embedded.processes import ChildProcess
from service.settings import Settings
from service.wiring.stores import object_store
from service.wiring.worker import batch_processor
from tests.support.kafka import Record, produce, read_topic, wait_until
from tests.support.service import light_curves, record_of, without_timestamps, worker_process

__all__ = ["Deployment", "undisturbed_light_curves"]

Packets = Iterable[tuple[Survey, bytes]]

# Errors of a broker that has just started, about its groups.
GROUP_NOT_LOADED = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError._TIMED_OUT,
}


@dataclass(slots=True)
class Deployment:
    """Topics of one test, and the workers that read them.

    Attributes
    ----------
    broker
        A running broker.
    settings
        Of every worker, except its name.
    topics
        Of each survey's alerts.
    directory
        Of the logs.
    partitions
        Number of partitions of each source topic.
    """

    broker: Broker
    settings: Settings
    topics: dict[Survey, str]
    directory: Path
    partitions: int
    workers: list[ChildProcess] = field(default_factory=list)
    sent: Counter[Survey] = field(default_factory=Counter)
    _watcher: Consumer | None = None

    @property
    def servers(self) -> str:
        return self.broker.bootstrap_servers

    def send(self, packets: Packets, partition: Callable[[int], int] | None = None) -> None:
        """Send packets to the topics of their surveys and wait until the broker has them."""
        by_survey: dict[Survey, list[bytes]] = {}
        for survey, value in packets:
            by_survey.setdefault(survey, []).append(value)
        for survey, values in by_survey.items():
            produce(self.servers, self.topics[survey], values, partition=partition)
            self.sent[survey] += len(values)

    def start_worker(self, name: str = "worker", **changes: Any) -> ChildProcess:
        """Start a worker; `changes` override settings."""
        worker = worker_process(self.settings.model_copy(update=changes), self.directory, name)
        worker.start()
        self.workers.append(worker)
        return worker

    def wait_until_logged(self, worker: ChildProcess, text: str, *, timeout_s: float = 60.0) -> None:
        """Wait until a worker's log contains a text."""

        def logged() -> bool:
            assert worker.running or text in worker.output(), worker.output()
            return text in worker.output()

        wait_until(logged, f"{worker.name} to log {text!r}", timeout_s=timeout_s)

    def wait_until_done(self, *, timeout_s: float = 90.0) -> None:
        """Wait until every message sent is committed."""
        self.wait_until_committed(self.sent.total(), timeout_s=timeout_s)

    def wait_until_committed(self, count: int, *, timeout_s: float = 90.0) -> None:
        """Wait until `count` of the messages sent are committed."""
        deadline = time.monotonic() + timeout_s
        while (committed := self.committed()) < count:
            logs = "\n".join(worker.output() for worker in self.workers)
            assert time.monotonic() < deadline, f"{committed} of {count} after {timeout_s:g} s:\n{logs}"
            assert any(worker.running for worker in self.workers), logs
            time.sleep(0.1)

    def committed(self) -> int:
        """Return the number of messages that the group has committed."""
        if self._watcher is None:
            self._watcher = Consumer(
                {"bootstrap.servers": self.servers, "group.id": self.settings.group_id, "log_level": 0}
            )
        partitions = [
            TopicPartition(topic, partition)
            for topic in self.topics.values()
            for partition in range(self.partitions)
        ]
        try:
            return sum(max(part.offset, 0) for part in self._watcher.committed(partitions, timeout=30))
        except KafkaException as error:
            if error.args[0].code() not in GROUP_NOT_LOADED:
                raise
            return 0

    def results(self) -> list[Record]:
        """Read the output topic as a plain subscriber does."""
        return read_topic(self.servers, self.settings.output_topic)

    def dead_letters(self) -> list[Record]:
        """Read the rejected topic."""
        return read_topic(self.servers, self.settings.rejected_topic)

    def answers(self) -> dict[tuple[bytes, bytes], bytes]:
        """Return (source, record) to result without timestamps.

        A broker that shows the records of aborted transactions shows some results twice: they must be
        equal, because subscribers drop repetitions by their source header.
        """
        answers: dict[tuple[bytes, bytes], bytes] = {}
        for record in self.results():
            alert = record.headers["source"], record.headers.get("record", b"")
            answer = without_timestamps(record.value)
            if alert in answers:
                assert not self.broker.hides_aborted, f"{alert} is answered twice"
                assert answers[alert] == answer, f"{alert} is answered in two ways"
            answers[alert] = answer
        return answers

    def close(self) -> None:
        """Stop what still runs."""
        for worker in self.workers:
            worker.kill()
        if self._watcher is not None:
            self._watcher.close()

    def statuses(self) -> Counter[str]:
        """Return the number of results by status."""
        return Counter(record_of(record)["status"] for record in self.results())


def undisturbed_light_curves(settings: Settings, redis_url: str, packets: Packets) -> dict[str, bytes]:
    """Process packets sequentially in this process; return the resulting light curves."""
    reference = settings.model_copy(update={"redis_url": redis_url})
    topics = {
        Survey.ZTF: settings.ztf_topics[0],
        Survey.LSST: settings.lsst_topics[0],
        Survey.ELASTICC: settings.elasticc_topics[0],
    }
    processor = batch_processor(reference, object_store(reference))
    processor.prepare()
    messages = [
        SourceMessage(topics[survey], 0, offset, 0, None, value)
        for offset, (survey, value) in enumerate(packets)
    ]
    for begin in range(0, len(messages), 100):
        processor.process(messages[begin : begin + 100])
    return light_curves(redis_url)
