"""Clients that write, read and delete a few keys, so that their operations overlap."""

import random

from analysis.nodes.node import Node
from tests.chaos.client import TIMEOUT_S, Batch, Client, Write
from tests.chaos.cluster import ChaosCluster
from tests.chaos.history import Operation, Precondition

KEYS = [f"key{number}" for number in range(1, 6)]

# What a client does next, and how often: mostly writes, because these can be lost.
_ACTIONS = {
    "put": 36,
    "put if unchanged": 14,
    "delete": 6,
    "delete if unchanged": 3,
    "read from the leader": 22,
    "read from a follower": 16,
    "put at a follower": 3,
    "batch": 10,
}
_REPEATS = 0.4  # of writes: those with an idempotency key, repeated while their outcome is open
_IMPATIENCE = 0.06  # of operations: those whose client hangs up long before the node gives up
_LONGEST_PAUSE_S = 0.02
_PAUSE_AFTER_REFUSAL_S = 0.05


class WorkingClient:
    """One client; the seed decides what it does, and when is up to the machine."""

    def __init__(self, name: str, cluster: ChaosCluster) -> None:
        self._name = name
        self._leader = cluster.leader
        self._followers = cluster.followers
        self._random = random.Random(f"{name} {cluster.campaign.seed}")
        self._stopped = cluster.stopped
        self._client = Client(name, cluster.recorder)
        self._writes = 0
        self._newest = 0
        """The newest confirmed version that this client has seen, of any key."""

    def work(self) -> None:
        """Begin one operation after the other until told to stop."""
        while not self._stopped.is_set():
            if self._act().outcome in ("refused", "unavailable"):
                # A node that is down or not ready answers at once; do not ask without a pause.
                self._stopped.wait(_PAUSE_AFTER_REFUSAL_S)
            self._stopped.wait(self._random.uniform(0.0, _LONGEST_PAUSE_S))

    def _act(self) -> Operation:
        key = self._random.choice(KEYS)
        (action,) = self._random.choices([*_ACTIONS], weights=[*_ACTIONS.values()])
        match action:
            case "put" | "delete":
                return self._write(self._leader, key, delete=action == "delete")
            case "put if unchanged" | "delete if unchanged":
                return self._change(key, delete=action == "delete if unchanged")
            case "batch":
                return self._batch()
            case "put at a follower":
                return self._write(self._random.choice(self._followers), key)
            case "read from a follower":
                minimum = self._newest if self._random.random() < 0.5 else None
                return self._read(self._random.choice(self._followers), key, minimum)
            case _:
                return self._read(self._leader, key)

    def _change(self, key: str, *, delete: bool) -> Operation:
        """Read a key, and write it on the condition that nobody else has meanwhile."""
        seen = self._read(self._leader, key)
        if seen.outcome == "unavailable" or (delete and seen.outcome == "absent"):
            return seen
        precondition = Precondition(seen.version, seen.value)
        return self._write(self._leader, key, precondition, delete=delete)

    def _write(
        self,
        node: Node,
        key: str,
        precondition: Precondition | None = None,
        *,
        delete: bool = False,
    ) -> Operation:
        unique = self._unique()
        repeats = self._random.random() < _REPEATS
        write = Write(key, None if delete else unique, precondition, unique if repeats else None)
        operation = self._client.write(node, write, self._patience_s())
        if operation.outcome == "confirmed":
            self._note(operation)
        return operation

    def _batch(self) -> Operation:
        """Write some keys in one request, perhaps one of them twice; returns the last operation."""
        keys = self._random.choices(KEYS, k=self._random.randint(2, 6))
        writes = [Write(keys[0], None), *(Write(key, self._unique()) for key in keys[1:])]
        repeats = self._random.random() < _REPEATS
        batch = Batch(writes, self._unique() if repeats else None)
        operations = self._client.batch(self._leader, batch, self._patience_s())
        if operations[-1].outcome == "confirmed":
            self._note(operations[-1])
        return operations[-1]

    def _unique(self) -> str:
        self._writes += 1
        return f"{self._name}-{self._writes}"

    def _read(self, node: Node, key: str, min_version: int | None = None) -> Operation:
        operation = self._client.read(node, key, self._patience_s(), min_version)
        if node is self._leader:
            self._note(operation)
        return operation

    def _note(self, operation: Operation) -> None:
        self._newest = max(self._newest, operation.version or 0)

    def _patience_s(self) -> float:
        if self._random.random() < _IMPATIENCE:
            return self._random.uniform(0.01, 0.3)
        return TIMEOUT_S
