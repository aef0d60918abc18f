"""What must hold after every fault."""

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from service.core.alerts import Survey
from service.embedded.broker import Broker
from tests.integration.deployment import Deployment, undisturbed_light_curves
from tests.support.command import nightjar
from tests.support.kafka import read_topic
from tests.support.service import light_curves, settings_as_environment

__all__ = [
    "SHORT_TIMEOUTS",
    "aborted_records",
    "assert_exactly_once",
    "assert_same_light_curves",
    "audit",
    "lsst",
]

# A silent worker loses its partitions after two seconds, its transaction after three.
SHORT_TIMEOUTS = {"session_timeout": timedelta(seconds=2), "transaction_timeout": timedelta(seconds=3)}

Packets = Sequence[tuple[Survey, bytes]]


def lsst(values: Iterable[bytes]) -> list[tuple[Survey, bytes]]:
    """Label packets as LSST's."""
    return [(Survey.LSST, value) for value in values]


def audit(deployment: Deployment) -> tuple[int, dict[str, Any]]:
    """Run ``nightjar audit``; return its exit code and findings.

    On the embedded broker it drops repetitions by their source header, and says so.
    """
    done = nightjar("audit", "--json", timeout_s=300, **settings_as_environment(deployment.settings))
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    is_noted = any("dropped by their source header" in note for note in found["notes"])
    assert is_noted is not deployment.broker.hides_aborted
    return done.returncode, found


def assert_exactly_once(deployment: Deployment, *, rejected: int = 0) -> None:
    """Check that every alert sent has exactly one result, by the audit and by a plain subscriber's count.

    Subscribers of the embedded broker must drop repeated results by their source header, as the audit does
    there; `Deployment.answers` checks that what they drop equals what they keep.
    """
    code, found = audit(deployment)
    totals = found["totals"]
    n_answers = len(deployment.answers())
    assert code == 0, found
    assert (totals["missing"], totals["unexplained"]) == (0, 0), found
    assert n_answers == totals["classified"] + totals["abstained"]
    assert n_answers + rejected == totals["consumed"] == deployment.sent.total()
    assert (totals["rejected"], totals["expired"]) == (rejected, 0)


def assert_same_light_curves(deployment: Deployment, reference_url: str, packets: Packets) -> None:
    """Compare the stored light curves with those of an undisturbed run in one process."""
    undisturbed = undisturbed_light_curves(deployment.settings, reference_url, packets)
    stored = light_curves(str(deployment.settings.redis_url))
    differing = [key for key in undisturbed.keys() | stored.keys() if undisturbed.get(key) != stored.get(key)]
    assert not differing, f"{len(differing)} of {len(undisturbed)} objects differ, such as {differing[:3]}"


def aborted_records(broker: Broker, topic: str) -> int:
    """Count the results whose transactions were aborted; repeated ones if the broker hides none."""
    records = read_topic(broker.bootstrap_servers, topic, isolation="read_uncommitted")
    if broker.hides_aborted:
        return len(records) - len(read_topic(broker.bootstrap_servers, topic))
    return len(records) - len({(r.headers["source"], r.headers.get("record")) for r in records})
