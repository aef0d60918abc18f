"""What has to be true after every fault."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from service.core.alerts import Survey
from service.embedded.broker import Broker
from service.embedded.transaction_log import TransactionLog
from service.kafka.topic_ranges import offset_ranges
from tests.integration.deployment import Deployment, undisturbed_light_curves
from tests.support.command import nightjar
from tests.support.service import light_curves, settings_as_environment

__all__ = ["BRISK", "aborted_records", "assert_exactly_once", "assert_same_light_curves", "audit", "lsst"]

# A worker that falls silent loses its partitions after two seconds, its transaction after three.
BRISK = {"session_timeout": timedelta(seconds=2), "transaction_timeout": timedelta(seconds=3)}

Packets = Sequence[tuple[Survey, bytes]]


def lsst(values: Iterable[bytes]) -> list[tuple[Survey, bytes]]:
    """Say of packets that they are LSST's."""
    return [(Survey.LSST, value) for value in values]


def audit(deployment: Deployment) -> tuple[int, dict[str, Any]]:
    """Run ``nightjar audit``; its exit code and what it found.

    On the embedded broker it applies the transaction markers of the log, and says so.
    """
    done = nightjar("audit", "--json", timeout_s=300, **settings_as_environment(deployment.settings))
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert (
        any("transaction markers" in note for note in found["notes"]) is not deployment.broker.hides_aborted
    )
    return done.returncode, found


def assert_exactly_once(deployment: Deployment, *, rejected: int = 0, workers: int = 1) -> None:
    """Check that every alert sent has its one result, by the audit and by a plain subscriber's count.

    The embedded broker gives partitions to a new member while an old one still works on them, and takes
    the commits of both. Where several workers share a group, its subscribers therefore have to drop
    results by their source; `Deployment.answers` checks that what they drop is what they have.
    """
    code, found = audit(deployment)
    totals = found["totals"]
    n_answers = len(deployment.answers())
    assert (totals["missing"], totals["unexplained"]) == (0, 0), found
    if deployment.broker.hides_aborted or workers == 1:
        assert code == 0, found
        assert n_answers == totals["classified"] + totals["abstained"]
    assert n_answers + rejected == totals["consumed"] == deployment.sent.total()
    assert (totals["rejected"], totals["expired"]) == (rejected, 0)


def assert_same_light_curves(deployment: Deployment, alone_url: str, packets: Packets) -> None:
    """Compare the stored light curves with those of a run in one process that nothing disturbed."""
    undisturbed = undisturbed_light_curves(deployment.settings, alone_url, packets)
    found = light_curves(str(deployment.settings.redis_url))
    differing = [key for key in undisturbed.keys() | found.keys() if undisturbed.get(key) != found.get(key)]
    assert not differing, f"{len(differing)} of {len(undisturbed)} objects differ, such as {differing[:3]}"


def aborted_records(broker: Broker, topic: str) -> int:
    """Count the records of a topic whose transactions were aborted."""
    with TransactionLog(broker.bootstrap_servers) as log:
        for place, extent in offset_ranges({"bootstrap.servers": broker.bootstrap_servers}, [topic]).items():
            Counter(record.offset for record in log.committed(*place, range(extent.low, 2**62)))
        return log.aborted
