"""Clients that write, read and delete a few keys, so that their operations overlap."""

import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from analysis.nodes.node import Node
from tests.chaos.client import Client, Write
from tests.chaos.cluster import ChaosCluster
from tests.chaos.history import Campaign, Operation, Precondition
from tests.chaos.recorder import Recorder

# What a client does next, and how often: mostly writes, because these can be lost.
_ACTIONS = {
    "put": 36,
    "put if unchanged": 14,
    "delete": 6,
    "delete if unchanged": 3,
    "read from the leader": 22,
    "read from a follower": 16,
    "put at a follower": 3,
}
_REPEATS = 0.4  # of writes: those with an idempotency key, repeated while their outcome is open
_REPEAT_ATTEMPTS = 4
_IMPATIENCE = 0.06  # of operations: those whose client hangs up long before the node gives up
_LONGEST_PAUSE_S = 0.02
_PAUSE_AFTER_REFUSAL_S = 0.05


class Workload:
    """Clients in threads of their own; a context manager that ends them.

    :param campaign: says how many clients, with which keys, and what they do; when they do it is up
        to the machine.
    :param timeout_s: how long a client waits for an answer, unless it is impatient.
    """

    def __init__(
        self, cluster: ChaosCluster, recorder: Recorder, campaign: Campaign, timeout_s: float
    ) -> None:
        self._stopped = threading.Event()
        self._threads = ThreadPoolExecutor(campaign.clients)
        self._clients = {
            name: _WorkingClient(
                name, cluster, recorder, campaign, timeout_s=timeout_s, stopped=self._stopped
            )
            for name in (f"client{number}" for number in range(1, campaign.clients + 1))
        }
        self._working: dict[str, Future[None]] = {}

    def __enter__(self) -> Self:
        for name, client in self._clients.items():
            self._working[name] = self._threads.submit(client.work)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._threads.shutdown()

    @property
    def failures(self) -> list[str]:
        """Why clients have stopped working; empty while none has."""
        return [
            f"{name} failed: {working.exception()!r}"
            for name, working in self._working.items()
            if working.done() and working.exception() is not None
        ]


class _WorkingClient:
    def __init__(
        self,
        name: str,
        cluster: ChaosCluster,
        recorder: Recorder,
        campaign: Campaign,
        *,
        timeout_s: float,
        stopped: threading.Event,
    ) -> None:
        self._name = name
        self._leader = cluster.leader
        self._followers = cluster.followers
        self._keys = campaign.keys
        self._random = random.Random(f"{name} {campaign.seed}")
        self._timeout_s = timeout_s
        self._stopped = stopped
        self._client = Client(name, recorder, self._pause)
        self._writes = 0
        self._newest = 0
        """The newest confirmed version that this client has seen, of any key."""

    def work(self) -> None:
        """Begin one operation after the other until told to stop."""
        while not self._stopped.is_set():
            if self._act() in ("refused", "unavailable"):
                # A node that is down or not ready answers at once; do not ask without a pause.
                self._pause(_PAUSE_AFTER_REFUSAL_S)
            self._pause(self._random.uniform(0.0, _LONGEST_PAUSE_S))

    def _act(self) -> str:
        key = self._random.choice(self._keys)
        (action,) = self._random.choices([*_ACTIONS], weights=[*_ACTIONS.values()])
        match action:
            case "put":
                return self._write(self._leader, self._new_write(key))
            case "delete":
                return self._write(self._leader, self._new_write(key, delete=True))
            case "put if unchanged" | "delete if unchanged":
                return self._change(key, delete=action == "delete if unchanged")
            case "put at a follower":
                return self._write(self._random.choice(self._followers), self._new_write(key))
            case "read from a follower":
                minimum = self._newest if self._random.random() < 0.5 else None
                return self._read(self._random.choice(self._followers), key, minimum).outcome
            case _:
                return self._read(self._leader, key).outcome

    def _change(self, key: str, *, delete: bool) -> str:
        """Read a key, and write it on the condition that nobody else has meanwhile."""
        seen = self._read(self._leader, key)
        if seen.outcome == "unavailable" or (delete and seen.outcome == "absent"):
            return seen.outcome
        precondition = Precondition(seen.version, seen.value)
        return self._write(self._leader, self._new_write(key, precondition, delete=delete))

    def _new_write(
        self, key: str, precondition: Precondition | None = None, *, delete: bool = False
    ) -> Write:
        self._writes += 1
        unique = f"{self._name}-{self._writes}"
        repeats = self._random.random() < _REPEATS
        return Write(key, None if delete else unique, precondition, unique if repeats else None)

    def _write(self, node: Node, write: Write) -> str:
        attempts = 1 if write.idempotency_key is None else _REPEAT_ATTEMPTS
        op = self._client.write(node, write, self._patience_s(), attempts)
        if op.outcome == "confirmed":
            self._note(op)
        return op.outcome

    def _read(self, node: Node, key: str, min_version: int | None = None) -> Operation:
        op = self._client.read(node, key, self._patience_s(), min_version)
        if node is self._leader:
            self._note(op)
        return op

    def _note(self, op: Operation) -> None:
        if op.version is not None:
            self._newest = max(self._newest, op.version)

    def _patience_s(self) -> float:
        if self._random.random() < _IMPATIENCE:
            return self._random.uniform(0.01, 0.3)
        return self._timeout_s

    def _pause(self, seconds: float) -> None:
        self._stopped.wait(seconds)
