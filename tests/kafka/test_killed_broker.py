"""A single Apache Kafka broker that is killed between a commit and its markers in every partition."""

from datetime import timedelta

import pytest

from service.core.ports.messages import OutgoingMessage
from service.embedded.broker import Broker, create_topics
from service.errors import TransientError
from service.kafka.options import librdkafka_logger, producer_options
from service.kafka.sink import KafkaSink
from service.wiring.tools import fail_fast
from tests.conftest import SettingsFactory
from tests.support.kafka import patiently, read_topic

KEYS = 12


def records(name: bytes) -> list[OutgoingMessage]:
    """Return records for every partition."""
    return [OutgoingMessage("results", b"%d" % key, b"%s %d" % (name, key), []) for key in range(KEYS)]


def back_to_last_commit(sink: KafkaSink) -> None:
    sink.reset()
    sink.abort_hanging(is_committed=False)


@pytest.mark.parametrize("own_broker", ["kafka"], indirect=True)
def test_transaction_committed_just_before_a_broker_kill_is_visible_after_the_next_commit(
    own_broker: Broker, settings_factory: SettingsFactory
) -> None:
    # With many topics it does not know all partition leaders yet when it ends transactions at startup.
    create_topics(own_broker.bootstrap_servers, {f"other-{number}": 4 for number in range(20)})
    create_topics(own_broker.bootstrap_servers, {"results": 4})
    settings = settings_factory(own_broker)
    sink = KafkaSink(producer_options(settings), timedelta(seconds=3), librdkafka_logger(settings))
    patiently(sink.connect)
    sink.begin()
    sink.produce(records(b"committed"))
    sink.commit(fail_fast)

    own_broker.kill()
    sink.begin()
    sink.produce(records(b"abandoned"))
    with pytest.raises(TransientError):
        sink.reset()
    own_broker.start()
    patiently(lambda: back_to_last_commit(sink))
    sink.begin()
    sink.produce(records(b"next"))
    patiently(lambda: sink.commit(fail_fast))

    seen = sorted(record.value for record in read_topic(own_broker.bootstrap_servers, "results"))
    assert seen == sorted(record.value or b"" for record in records(b"committed") + records(b"next"))
