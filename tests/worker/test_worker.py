"""The worker's loop: its order, its waiting, its end. Source, sink and processor are small fakes."""

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.core.alerts import Survey
from service.core.ports.messages import OnWait, OutgoingMessage, SourceMessage
from service.errors import BrokerUnavailableError, FencedError, ServiceError, StoreUnavailableError
from service.worker.batch import BatchProcessor
from service.worker.loop import Worker
from service.worker.metrics import WorkerMetrics
from service.worker.publish import BatchResult, Outcome

MESSAGES = [SourceMessage("ztf", 0, offset, 0, None, b"") for offset in range(6)]

AWAY = StoreUnavailableError("Redis is away")
GONE = BrokerUnavailableError("Kafka is away")
LOST = BrokerUnavailableError("committed, but the answer was lost")


class Stage:
    """Source, sink and processor in one; it writes down what is asked of it, and fails on request.

    Failures are given by the step that fails, as a list of what each call of it raises; None for success.
    """

    def __init__(self, failures: dict[str, list[ServiceError | None]] | None = None) -> None:
        self.steps: list[str] = []
        self.committed_offsets: list[int] = []
        self.stop = threading.Event()
        self.idle_polls = 0
        self._failures = failures or {}
        self._position = self._committed = 0
        self._committed_unseen = False  # a commit that happened, though its answer was lost
        self._produced: list[int] = []

    def _step(self, name: str) -> None:
        self.steps.append(name)
        planned = self._failures.get(name, [])
        if planned and (error := planned.pop(0)) is not None:
            raise error

    # the source
    def open(self) -> None:
        self._step("open")

    def poll(self) -> Sequence[SourceMessage]:
        self._step("poll")
        batch = MESSAGES[self._position : self._position + 2]
        self._position += len(batch)
        if not batch:
            self.idle_polls += 1
            if self.idle_polls > 2:
                self.stop.set()
        return batch

    def positions(self) -> Any:
        return self._position

    def mark_committed(self) -> None:
        self._committed = self._position

    def rewind(self) -> bool:
        self._step("rewind")
        was_committed = self._committed_unseen
        if was_committed:
            self._committed, self._committed_unseen = self._position, False
        self._position = self._committed
        return was_committed

    def check(self) -> None:
        self._step("check")

    def lag(self) -> dict[tuple[str, int], int]:
        return {("ztf", 0): len(MESSAGES) - self._position}

    def close(self) -> None:
        self._step("close")

    # the sink
    def connect(self) -> None:
        self._step("connect")

    def begin(self) -> None:
        self._step("begin")
        self._produced = []

    def produce(self, messages: Iterable[OutgoingMessage]) -> None:
        self._step("produce")
        self._produced += [int(message.value or b"") for message in messages]

    def send_offsets(self, progress: Any, on_wait: OnWait) -> None:  # noqa: ARG002  as the protocol has it
        self._step(f"offsets {progress}")

    def commit(self, on_wait: OnWait) -> None:
        while True:
            try:
                self._step("commit")
                break
            except BrokerUnavailableError as error:
                if error is LOST:
                    self.committed_offsets += self._produced
                    self._committed_unseen = True
                    raise
                on_wait(error)
        self.committed_offsets += self._produced

    def reset(self) -> None:
        self._step("reset")
        self._produced = []

    def abort_hanging(self, *, is_committed: bool) -> None:
        self._step(f"settle {'committed' if is_committed else 'not committed'}")

    # the processor
    def prepare(self) -> None:
        self._step("prepare")

    def idle(self) -> None:
        self._step("idle")

    def process(self, messages: Sequence[SourceMessage]) -> BatchResult:
        self._step("process")
        outgoing = [OutgoingMessage("out", None, str(m.offset).encode(), []) for m in messages]
        place = Survey.ZTF, "ztf", 0
        outcomes = Counter(
            {Outcome(*place, "classified", ""): 1, Outcome(*place, "abstained", "solar_system"): 1}
        )
        return BatchResult(
            outgoing,
            Counter({("ztf", 0): len(messages)}),
            outcomes,
            top_classes=Counter(),
            published_ms={},
        )


class StageProcessor(BatchProcessor):
    def __init__(self, stage: Stage) -> None:
        self.prepare = stage.prepare  # type: ignore[method-assign]
        self.process = stage.process  # type: ignore[method-assign]
        self.idle = stage.idle  # type: ignore[method-assign]


def run(stage: Stage, metrics: WorkerMetrics | None = None) -> list[dict[str, Any]]:
    worker = Worker(stage, stage, StageProcessor(stage), metrics or WorkerMetrics(), stage.stop)
    with capture_logs() as logs:
        worker.run()
    return [dict(entry) for entry in logs]


def said(logs: Iterable[dict[str, Any]], event: str) -> int:
    return sum(entry["event"] == event for entry in logs)


def test_steps_of_a_batch_come_in_the_promised_order() -> None:
    stage = Stage()

    run(stage)

    assert stage.steps[:4] == ["prepare", "check", "connect", "open"]
    assert stage.steps[4:10] == ["poll", "process", "begin", "produce", "offsets 2", "commit"]
    assert stage.steps[-1] == "close"
    assert stage.committed_offsets == [0, 1, 2, 3, 4, 5]


def test_where_nothing_comes_the_processor_is_told() -> None:
    stage = Stage()

    run(stage)

    idle = [index for index, step in enumerate(stage.steps) if step == "idle"]
    assert idle
    assert {stage.steps[index - 1] for index in idle} == {"poll"}


@pytest.mark.parametrize(
    ("step", "error"),
    [("process", AWAY), ("begin", GONE), ("produce", GONE), ("offsets 2", GONE), ("poll", GONE)],
)
def test_failure_before_the_commit_goes_back_and_loses_and_repeats_nothing(
    step: str, error: ServiceError
) -> None:
    stage = Stage({step: [error, error]})

    logs = run(stage)

    assert stage.committed_offsets == [0, 1, 2, 3, 4, 5]
    assert (stage.steps.count("reset"), stage.steps.count("rewind")) == (2, 2)
    assert (said(logs, "waiting"), said(logs, "recovered")) == (1, 1)
    assert "away" in next(entry["cause"] for entry in logs if entry["event"] == "waiting")


@pytest.mark.parametrize("step", ["prepare", "check", "connect"])
def test_start_waits_for_what_is_not_there_yet_and_says_so_once(step: str) -> None:
    stage = Stage({step: [AWAY, AWAY, AWAY]})

    logs = run(stage)

    assert stage.steps.count(step) == 4
    assert (said(logs, "waiting"), said(logs, "recovered"), said(logs, "ready")) == (1, 1, 1)
    assert stage.committed_offsets == [0, 1, 2, 3, 4, 5]


def test_way_back_is_tried_until_it_works() -> None:
    stage = Stage({"process": [AWAY], "reset": [GONE, GONE]})

    logs = run(stage)

    assert stage.steps.count("reset") == 3
    assert said(logs, "waiting") == 2  # once for each of the two that were away
    assert stage.committed_offsets == [0, 1, 2, 3, 4, 5]


def test_what_was_left_behind_is_settled_by_what_became_of_it() -> None:
    stage = Stage({"commit": [LOST], "offsets 4": [GONE]})
    run(stage)
    assert [step for step in stage.steps if step.startswith("settle")] == [
        "settle committed",
        "settle not committed",
    ]
    assert stage.committed_offsets == [0, 1, 2, 3, 4, 5]

    stage = Stage({"process": [AWAY], "settle not committed": [GONE, GONE]})
    run(stage)
    assert stage.steps.count("reset") == stage.steps.count("rewind") == 3
    assert stage.committed_offsets == [0, 1, 2, 3, 4, 5]


def test_unanswered_commit_is_asked_for_again() -> None:
    stage = Stage({"commit": [GONE, GONE]})

    logs = run(stage)

    assert "reset" not in stage.steps
    assert stage.committed_offsets == [0, 1, 2, 3, 4, 5]
    assert (said(logs, "waiting"), said(logs, "recovered")) == (1, 1)


def test_commit_whose_answer_was_lost_is_counted_and_not_done_again() -> None:
    metrics, stage = WorkerMetrics(), Stage({"commit": [None, LOST]})

    logs = run(stage, metrics)

    assert stage.committed_offsets == [0, 1, 2, 3, 4, 5]
    assert stage.steps.count("process") == 3
    consumed = metrics.registry.get_sample_value(
        "nightjar_consumed_total", {"topic": "ztf", "partition": "0"}
    )
    assert consumed == 6.0
    assert (said(logs, "waiting"), said(logs, "recovered")) == (1, 1)


def test_idle_poll_is_no_recovery_while_a_batch_waits() -> None:
    class SlowAfterRewind(Stage):
        """Nothing comes just after a rewind, as while a fetch is under way."""

        def poll(self) -> Sequence[SourceMessage]:
            if self.steps[-1] == "rewind":
                self.steps.append("poll")
                return []
            return super().poll()

    stage = SlowAfterRewind({"process": [AWAY, AWAY, AWAY]})

    logs = run(stage)

    assert (said(logs, "waiting"), said(logs, "recovered")) == (1, 1)
    assert stage.committed_offsets == [0, 1, 2, 3, 4, 5]


def stop_during(stage: Stage, step: str) -> None:
    """Ask the worker to stop while a step is under way."""
    original = stage._step

    def intercept(name: str) -> None:
        if name == step:
            stage.stop.set()
        original(name)

    stage._step = intercept  # type: ignore[method-assign]


def test_request_to_stop_lets_the_batch_in_hand_be_finished() -> None:
    stage = Stage()
    stop_during(stage, "process")

    run(stage)

    assert stage.committed_offsets == [0, 1]
    assert stage.steps[-3:] == ["commit", "close", "close"]  # sink and source


@pytest.mark.parametrize("step", ["prepare", "process", "commit", "reset"])
def test_request_to_stop_ends_every_waiting(step: str) -> None:
    for_ever: list[ServiceError | None] = [GONE] * 10_000
    stage = Stage({"process": [AWAY], step: for_ever})
    if step == "commit":
        stop_during(stage, "commit")  # the fake does not wait between two questions, as a broker does
    else:
        threading.Timer(0.3, stage.stop.set).start()

    run(stage)

    assert stage.steps[-1] == "close"
    assert stage.committed_offsets == []


def test_fenced_worker_leaves_the_group_and_says_why() -> None:
    stage = Stage({"commit": [FencedError("another took over")]})

    with pytest.raises(FencedError, match="another took over"):
        run(stage)

    assert stage.steps[-1] == "close"
    assert stage.committed_offsets == []


def test_consumed_equals_the_outcomes_and_counts_only_what_was_committed() -> None:
    metrics = WorkerMetrics()

    run(Stage({"commit": [None, GONE], "process": [None, AWAY]}), metrics)

    value = metrics.registry.get_sample_value
    place = {"topic": "ztf", "partition": "0"}
    alerts = [
        value("nightjar_alerts_total", place | {"survey": "ztf", "outcome": outcome})
        for outcome in ("classified", "abstained")
    ]
    assert value("nightjar_consumed_total", place) == 6.0
    assert alerts == [3.0, 3.0]
    assert value("nightjar_abstained_total", {"survey": "ztf", "reason": "solar_system"}) == 3.0
    assert value("nightjar_batch_seconds_count") == 3.0
    assert value("nightjar_outages_total", {"cause": "StoreUnavailableError"}) == 1.0
    assert value("nightjar_lag_messages", place) is not None
