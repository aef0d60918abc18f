"""The service that the browser looks at, and the alerts that come in."""

import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from service.api.render.times import utc_of_mjd_tai
from service.core.alerts import Survey, object_key
from service.decoding.decoder import Decoder, RawMessage
from service.decoding.wire.schemas import SchemaStore
from service.kafka.topic_writer import TopicWriter
from service.tools.demo.stack import Stack
from service.tools.packets import Packet, PacketSet, shipped_packets

__all__ = ["Sky"]

LATER = 40
"""So many of the alerts are kept for tests that wait for one."""

START_S = 180.0  # the first start compiles the worker's kernels


@dataclass
class Sky:
    """A running service, and alerts for it in order of time.

    Parameters
    ----------
    stack
        Running.
    """

    stack: Stack
    all_packets: PacketSet
    later: list[Packet] = field(default_factory=list)

    @staticmethod
    def packets() -> PacketSet:
        """Read the alerts of the demo."""
        return shipped_packets()

    @property
    def url(self) -> str:
        """Where the page is."""
        return self.stack.api_url

    def begin(self) -> None:
        """Send all but the last alerts, and wait until they are classified."""
        ordered = list(self.all_packets.packets)
        self.later = ordered[-LATER:]
        sent = ordered[:-LATER]
        self._send(sent)
        deadline = time.monotonic() + START_S
        expected = sum(packet.n_alerts for packet in sent)
        while (done := self._n_stored()) < expected:
            self.stack.check()
            assert time.monotonic() < deadline, f"{done} of {expected} alerts are classified"
            time.sleep(0.2)

    def next_alert(self, survey: Survey = Survey.ZTF) -> "Alert":
        """Take the next alert of a survey that was not sent yet."""
        index = next(
            i for i, packet in enumerate(self.later) if packet.survey is survey and packet.n_alerts == 1
        )
        packet = self.later.pop(index)
        return self._alert(packet)

    def next_two_alerts(self, survey: Survey = Survey.LSST) -> tuple["Alert", "Alert"]:
        """Take two alerts of one object, the earlier first."""
        alerts: dict[str, Alert] = {}
        for packet in [one for one in self.later if one.survey is survey and one.n_alerts == 1]:
            alert = self._alert(packet)
            if (earlier := alerts.get(alert.object_id)) is not None and earlier.mjd_tai < alert.mjd_tai:
                self.later.remove(earlier.packet)
                self.later.remove(packet)
                return earlier, alert
            alerts[alert.object_id] = alert
        raise AssertionError("no object has two alerts to come")

    def get(self, path: str, **parameters: Any) -> Any:
        """Ask the API."""
        response = httpx.get(self.url + path, params=parameters, timeout=30)
        response.raise_for_status()
        return response.json()

    def n_classified(self, key: str) -> int:
        """Count an object's answers so far."""
        found = httpx.post(f"{self.url}/v1/objects/lookup", json={"ids": [key]}, timeout=30).json()["objects"]
        return sum(one["n_epochs"] for one in found)

    def object_id(self, survey: Survey) -> str:
        """Give the object of a survey with the most detections."""
        objects = self.get("/v1/objects", survey=survey.value, limit=1000)["objects"]
        found = max(objects, key=lambda one: one["n_detections"])
        return str(found["id"])

    def _alert(self, packet: Packet) -> "Alert":
        survey = packet.survey
        alerts = Decoder(SchemaStore(), compiled=False).decode([RawMessage(packet.read(), survey)]).alerts
        return Alert(self, packet, object_key(survey, str(alerts.object_id[0])), float(alerts.mjd_tai[0]))

    def _send(self, packets: list[Packet]) -> None:
        writer = TopicWriter(self.stack.kafka_options)
        for tag, packet in enumerate(packets):
            writer.write(self.stack.names.survey_topic(packet.survey), packet.read(), tag)
        writer.flush()

    def _n_stored(self) -> int:
        objects = self.get("/v1/objects", limit=1000)["objects"]
        ids = [one["id"] for one in objects]
        if not ids:
            return 0
        answer = httpx.post(f"{self.url}/v1/objects/lookup", json={"ids": ids}, timeout=30).json()
        return sum(one["n_epochs"] for one in answer["objects"])


@dataclass(frozen=True)
class Alert:
    """An alert that was not sent yet."""

    sky: Sky
    packet: Packet
    object_id: str
    mjd_tai: float

    @property
    def shown_time(self) -> str:
        """Its time as the page writes it."""
        return f"{utc_of_mjd_tai(self.mjd_tai):%Y-%m-%d %H:%M:%S}"

    def send(self) -> None:
        """Send it, and wait until the broker has it."""
        self.sky._send([self.packet])
