"""A stream whose mix of classes shifts raises the alarm: real worker, real Prometheus, shipped rules."""

import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import pytest
from confluent_kafka import Producer

from service.core.alerts import Survey
from service.embedded.broker import Broker, create_topics
from service.embedded.processes import LOOPBACK, free_port
from service.settings import Settings
from service.tools.packets import shipped_packets
from tests.conftest import SettingsFactory
from tests.deploy.prometheus import DAY_S, Prometheus
from tests.deploy.queries import panels
from tests.support.kafka import produce, wait_for_records
from tests.support.service import record_of, worker_process

DRIFT, TODAY, BEFORE = "Drift", "Share of each class, last day", "Share of each class, the 14 days before"
ALERT = "NightjarClassMixDrift"
# Alerts of a turn, and the time between two: the rules look at days of more than a thousand alone.
TURN, PAUSE_S = 100, 0.2


class Sky:
    """Sends packets whose classes are known, in whatever mix is wanted."""

    def __init__(self, settings: Settings, packets: dict[str, list[bytes]]) -> None:
        self._producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "linger.ms": 5})
        self._packets = {name: cycle(values) for name, values in packets.items()}

    def send_until(self, condition: Callable[[], bool], mix: dict[str, int], *, timeout_s: float) -> None:
        """Send so many of each class again and again until something is the case."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
            for name, count in mix.items():
                for _ in range(count):
                    self._producer.produce("drift", next(self._packets[name]))
            self._producer.poll(0)
            time.sleep(PAUSE_S)


@pytest.fixture
def settings(embedded_broker: Broker, redis_url: str, settings_factory: SettingsFactory) -> Settings:
    create_topics(embedded_broker.bootstrap_servers, {"drift": 1})
    return settings_factory(embedded_broker, redis_url, lsst_topics=("drift",), metrics_port=free_port())


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Iterator[None]:
    process = worker_process(settings, tmp_path)
    process.start()
    yield
    process.kill()


@pytest.fixture
def prometheus(settings: Settings) -> Iterator[Prometheus]:
    if not Prometheus.installed():
        pytest.skip("no prometheus on the path: it is Debian's package of that name")
    with Prometheus({"nightjar-worker": f"{LOOPBACK}:{settings.metrics_port}"}) as server:
        yield server


def by_class(settings: Settings) -> dict[str, list[bytes]]:
    """Have the demo's packets classified; what comes again has its class again."""
    packets = [packet.read() for packet in shipped_packets().packets if packet.survey is Survey.LSST]
    produce(settings.bootstrap_servers, "drift", packets)
    found: dict[str, list[bytes]] = {}
    for record in wait_for_records(
        settings.bootstrap_servers, settings.output_topic, len(packets), timeout_s=180
    ):
        classes = record_of(record)["classifications"]
        if classes:
            best = max(classes, key=lambda one: one["probability"])["class_name"]
            offset = int(record.headers["source"].rsplit(b":")[-1])
            found.setdefault(best, []).append(packets[offset])
    return found


@pytest.mark.usefixtures("worker")
def test_shift_of_the_class_mix_shows_on_the_dashboard_and_fires_the_alert(
    settings: Settings, prometheus: Prometheus
) -> None:
    panel = {one.title: one.expression(one.targets[0]) for one in panels() if one.targets}
    known = by_class(settings)
    usual, rare = sorted(known, key=lambda name: len(known[name]), reverse=True)[:2]
    sky = Sky(settings, known)

    def share(title: str, name: str) -> float:
        return sum(value for labels, value in prometheus.query(panel[title]) if labels["class_name"] == name)

    def drift() -> float:
        return max((value for _, value in prometheus.query(panel[DRIFT])), default=0.0)

    begun_s = time.monotonic()
    calm = {usual: TURN * 4 // 5, rare: TURN // 5}
    sky.send_until(
        lambda: time.monotonic() > begun_s + 2.5 * DAY_S and share(BEFORE, usual) > 0, calm, timeout_s=90
    )
    assert share(TODAY, usual) == pytest.approx(0.8, abs=0.05)
    assert share(BEFORE, usual) == pytest.approx(0.8, abs=0.05)
    assert drift() < 0.1
    assert ALERT not in prometheus.firing()

    sky.send_until(
        lambda: ALERT in prometheus.firing() and drift() > 0.4,
        {usual: calm[rare], rare: calm[usual]},
        timeout_s=60,
    )
    assert share(TODAY, rare) > 0.5
    assert share(BEFORE, rare) < 0.4
    [listed] = [labels for labels, _ in prometheus.query(panel["Firing"]) if labels["alertname"] == ALERT]
    assert listed["survey"] == "lsst"

    sky.send_until(lambda: ALERT not in prometheus.firing(), calm, timeout_s=60)
