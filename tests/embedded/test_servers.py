"""Embedded servers start, answer, keep or lose data as documented, and clean up."""

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.embedded import processes
from service.embedded.broker import Broker, EmbeddedBroker, create_topics, find_kafka
from service.embedded.processes import ChildProcess, accepts_connections, free_port
from service.embedded.redis import EmbeddedRedis
from service.errors import BrokerUnavailableError, FatalError, InputError
from service.kafka.topic_admin import TopicAdmin
from tests.conftest import TopicFactory
from tests.support.kafka import produce, read_topic, wait_until


def topic_names(bootstrap_servers: str) -> set[str]:
    return set(TopicAdmin({"bootstrap.servers": bootstrap_servers}).partitions())


def test_broker_returns_what_was_produced(broker: Broker, unique_topic: TopicFactory) -> None:
    topic = unique_topic(broker, partitions=3)
    values = [b"%d" % index for index in range(30)]

    produce(broker.bootstrap_servers, topic, values, partition=lambda index: index % 3)

    records = read_topic(broker.bootstrap_servers, topic)
    assert [r.partition for r in records] == [0] * 10 + [1] * 10 + [2] * 10
    assert sorted(records, key=lambda r: int(r.value)) == sorted(
        records, key=lambda r: (r.offset, r.partition)
    )


def test_creating_an_existing_topic_keeps_it(broker: Broker, unique_topic: TopicFactory) -> None:
    topic = unique_topic(broker, partitions=2)
    produce(broker.bootstrap_servers, topic, [b"kept"])

    create_topics(broker.bootstrap_servers, {topic: 2})

    assert topic in topic_names(broker.bootstrap_servers)
    assert [r.value for r in read_topic(broker.bootstrap_servers, topic)] == [b"kept"]


def test_killed_broker_restarts_on_its_port_and_with_its_data_if_durable(own_broker: Broker) -> None:
    address = own_broker.bootstrap_servers
    create_topics(address, {"t": 1})
    produce(address, "t", [b"before"])

    own_broker.kill()
    assert not own_broker.running
    own_broker.start()

    assert own_broker.bootstrap_servers == address
    assert ("t" in topic_names(address)) is own_broker.durable
    if own_broker.durable:
        assert [r.value for r in read_topic(address, "t")] == [b"before"]


def test_restart_without_data_deletes_topics(own_broker: Broker) -> None:
    create_topics(own_broker.bootstrap_servers, {"t": 1})
    own_broker.restart(keep_data=False)
    assert "t" not in topic_names(own_broker.bootstrap_servers)


@pytest.mark.parametrize("append_only", [True, False])
def test_killed_redis_keeps_data_only_with_an_append_only_file(append_only: bool) -> None:
    with EmbeddedRedis(append_only=append_only) as server, Redis.from_url(server.url) as client:
        client.set("k", "v")
        server.kill()
        server.start()
        assert client.exists("k") == append_only


def test_paused_redis_answers_only_after_it_resumes(own_redis: EmbeddedRedis) -> None:
    with Redis.from_url(own_redis.url, socket_timeout=1, retry=None) as client:
        own_redis.pause()
        started = time.monotonic()
        with pytest.raises(RedisTimeoutError):
            client.ping()
        assert time.monotonic() - started >= 1
        own_redis.resume()
        assert client.ping()


def test_redis_rejects_writes_beyond_its_memory_limit() -> None:
    with EmbeddedRedis(max_memory_bytes=2**22) as server, Redis.from_url(server.url) as client:
        client.set("small", b"x")
        with pytest.raises(OutOfMemoryError):
            client.set("large", b"x" * 2**22)


def test_closed_server_leaves_no_process_port_or_directory() -> None:
    with EmbeddedRedis() as server:
        pid, directory, port = server.child.pid, server.directory, server.ports[0]
    assert not psutil.pid_exists(pid)
    assert not directory.exists()
    assert not accepts_connections(port)


def test_server_that_cannot_start_reports_the_end_of_its_log() -> None:
    class Broken(EmbeddedRedis):
        def _command(self) -> list[str]:
            return [*super()._command(), "--no-such-option", "1"]

    with pytest.raises(FatalError, match=r"(?s)ended during startup with exit code 1.*no-such-option"):
        Broken().start()


def test_server_that_never_answers_is_killed_after_the_timeout() -> None:
    class Mute(EmbeddedRedis):
        def _command(self) -> list[str]:
            return ["sleep", "60"]

    server = Mute()
    server.start_timeout = timedelta(seconds=0.3)
    with pytest.raises(FatalError, match=r"did not answer within 0\.3 s"):
        server.start()
    assert not server.running


def test_port_taken_by_another_program_is_replaced() -> None:
    with EmbeddedRedis() as first:
        second = EmbeddedRedis()
        second.ports = list(first.ports)
        with second:
            assert second.ports != first.ports
            assert first.running
            assert second.running


def test_missing_program_is_reported(tmp_path: Path) -> None:
    child = ChildProcess("thing", ["/no/such/program"], tmp_path / "log")
    child.start()
    wait_until(lambda: not child.running, "it ends")
    assert "/no/such/program: No such file or directory" in child.output()


def test_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    child = ChildProcess(
        "stubborn", ["bash", "-c", "trap '' TERM; echo up; sleep 60 & wait; wait"], tmp_path / "log"
    )
    child.start()
    wait_until(lambda: "up" in child.output(), "it starts")
    assert child.stop(grace=timedelta(seconds=0.3)) == -9


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the kernel's parent-death signal is Linux's"
)
def test_servers_die_with_their_killed_parent() -> None:
    script = (
        "from service.embedded.broker import EmbeddedBroker\n"
        "from service.embedded.redis import EmbeddedRedis\n"
        "import time\n"
        "with EmbeddedBroker() as b, EmbeddedRedis() as r:\n"
        "    print(b.child.pid, r.child.pid, flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(psutil.pid_exists(pid) for pid in pids)
        parent.kill()
    wait_until(lambda: not any(map(_alive, pids)), "the servers end")


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_free_ports_are_below_those_of_outgoing_connections() -> None:
    first_outgoing = 32_768
    kernel_range = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if kernel_range.exists():
        first_outgoing = int(kernel_range.read_text().split()[0])
    assert max(free_port() for _ in range(50)) < first_outgoing


def test_no_free_port_is_returned_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    few = [free_port() for _ in range(20)]
    monkeypatch.setattr(processes, "PORTS", few)
    with pytest.raises(FatalError, match="no free port"):
        free_port()


def test_missing_kafka_installation_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="set NIGHTJAR_KAFKA_HOME"):
        find_kafka(tmp_path)


def test_unreachable_broker_is_a_transient_error() -> None:
    server = EmbeddedBroker()
    with server:
        address = server.bootstrap_servers
    with pytest.raises(BrokerUnavailableError, match=address):
        topic_names(address)
