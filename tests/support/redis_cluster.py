"""A Redis Cluster of real servers on this machine: masters, and a replica for each."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError

from service.embedded.processes import LOOPBACK, free_port
from service.embedded.redis import EmbeddedRedis

__all__ = ["EmbeddedRedisCluster", "Node"]

N_SLOTS = 16384
NODE_TIMEOUT_MS = 1500
PATIENCE_S = 30.0


class Node(EmbeddedRedis):
    """One server of a cluster; its bus has a port of its own.

    Parameters
    ----------
    address
        Where it listens besides the loopback address, and what it tells others of itself.
    """

    def __init__(self, address: str = LOOPBACK) -> None:
        super().__init__()
        self.bus_port = free_port()
        self.address = address

    @property
    def place(self) -> str:
        return f"{self.address}:{self.ports[0]}"

    def _command(self) -> Sequence[str]:
        options = {
            "bind": " ".join(dict.fromkeys((LOOPBACK, self.address))),
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-port": str(self.bus_port),
            "cluster-announce-ip": self.address,
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            # A replica whose link was down for longer would not stand for election.
            "cluster-replica-validity-factor": "0",
            "repl-diskless-sync-delay": "0",
            "protected-mode": "no",
        }
        return [
            *super()._command(),
            *(part for key, value in options.items() for part in (f"--{key}", value)),
        ]

    def ask(self, *command: Any) -> Any:
        """Send one command to this server alone; gives its reply as it came."""
        client: Any = Redis(host=LOOPBACK, port=self.ports[0], socket_timeout=5.0, protocol=2)
        client.response_callbacks.clear()
        try:
            return client.execute_command(*command)
        finally:
            client.close()


class EmbeddedRedisCluster:
    """Three masters that share all slots, each with one replica; a context manager.

    Parameters
    ----------
    addresses
        Where the servers listen, by turns.
    replicas
        Per master: 0 or 1.
    """

    def __init__(
        self, *, n_masters: int = 3, replicas: int = 1, addresses: Sequence[str] = (LOOPBACK,)
    ) -> None:
        total = n_masters * (1 + replicas)
        self.nodes = [Node(addresses[number % len(addresses)]) for number in range(total)]
        self.masters, self.replicas = self.nodes[:n_masters], self.nodes[n_masters:]
        self._cleanup = ExitStack()

    @property
    def url(self) -> str:
        """URL that names every node."""
        return f"redis+cluster://{','.join(node.place for node in self.nodes)}/0"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node)
            self._form()
            self._cleanup = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._cleanup.close()

    def _form(self) -> None:
        bounds = [N_SLOTS * number // len(self.masters) for number in range(len(self.masters) + 1)]
        for master, low, high in zip(self.masters, bounds, bounds[1:], strict=False):
            master.ask("CLUSTER ADDSLOTSRANGE", low, high - 1)
        first = self.masters[0]
        for epoch, node in enumerate(self.nodes, 1):
            node.ask("CLUSTER SET-CONFIG-EPOCH", epoch)
            if node is not first:
                node.ask("CLUSTER MEET", first.address, first.ports[0], first.bus_port)
        self._wait(lambda: all(self._knows_all(node) for node in self.nodes), "all to know each other")
        for replica, master in zip(self.replicas, self.masters, strict=False):
            replica.ask("CLUSTER REPLICATE", master.ask("CLUSTER MYID"))
        self.wait_until_whole()

    def _knows_all(self, node: Node) -> bool:
        lines = node.ask("CLUSTER NODES").decode().splitlines()
        return len(lines) == len(self.nodes) and not any("handshake" in line for line in lines)

    def wait_until_whole(self) -> None:
        """Wait until every running server says that all slots are served and replicas are in step."""
        running = [node for node in self.nodes if node.running]
        self._wait(lambda: all(map(_is_well, running)), "the cluster to be whole")

    def master_of(self, node: Node) -> Node:
        """Give the server that has the slots which this one had or copies."""
        group = {id(one) for one in (node, self._partner(node))}
        return next(one for one in self.nodes if id(one) in group and one.running and _role(one) == "master")

    def _partner(self, node: Node) -> Node:
        if node in self.masters:
            return self.replicas[self.masters.index(node)]
        return self.masters[self.replicas.index(node)]

    def fail_over(self, node: Node) -> Node:
        """Kill a master and wait until its replica has taken its place; gives that."""
        replica = self._partner(node)
        node.kill()
        self._wait(lambda: _role(replica) == "master" and _is_well(replica), "a replica to take over")
        return replica

    def _wait(self, condition: Any, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                told = b"\n".join(node.ask("CLUSTER NODES") for node in self.nodes if node.running)
                raise TimeoutError(f"waited in vain for {what}:\n{told.decode()}")
            time.sleep(0.05)


def _role(node: Node) -> str:
    role: str = node.ask("ROLE")[0].decode()
    return role


def _is_well(node: Node) -> bool:
    try:
        info, role = node.ask("CLUSTER INFO").split(), node.ask("ROLE")
    except RedisError:
        return False
    covered = {b"cluster_state:ok", f"cluster_slots_assigned:{N_SLOTS}".encode()} <= set(info)
    return covered and (role[0] == b"master" or role[3] == b"connected")
