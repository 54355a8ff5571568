"""A virtual disk: records become durable one after the other, and a crash loses the rest."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from greenlet import getcurrent, greenlet

from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.node_state import NodeState
from kvstore.core.records import Record, SavePromise, StageParts
from kvstore.core.replication_log import ReplicationLog
from kvstore.node.storage import Spawn, Storage

if TYPE_CHECKING:
    from tests.simulation.process import Process

SLOW_PROMISE_S = 0.03
"""Now and then a promise takes longer than the first messages of its reign would."""


class Disk(NodeState):
    """What survives a crash: the state after the last record that became durable."""

    def apply(self, record: Record) -> None:
        if isinstance(record, StageParts) and self.staged(record.staging_id):
            assert self.staging is not None
            assert not any(map(self.staging.map.get, (item.key for item in record.items))), (
                "a part was staged twice"
            )
        super().apply(record)

    @property
    def names(self) -> set[str]:
        """Addresses of the followers that it knows."""
        return {*self.promise.members, *self.log.members}

    def copy(self) -> "Disk":
        """What a process that starts from here finds; what was staged is not gone on with."""
        kv_map, log = self.map, self.log
        return Disk(
            self.node_id,
            self.promise,
            KeyValueMap(
                kv_map.position,
                kv_map.items(),
                kv_map.requests.requests(),
                kv_map.requests.remembered_entries,
            ),
            ReplicationLog(log.base, log.entries(), log.lineage, log.members),
            self.discarded,
        )


class SimulatedStorage(Storage):
    """The storage of one process; without data directories, every record is durable at once.

    :param process: what writes to its machine's disk.
    """

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._machine = process.machine
        self._on_saved: Callable[[Record], None] = lambda _: None
        self._after_batch: Callable[[], None] = lambda: None
        self.queue: deque[Record] = deque()
        self._syncing = False
        self._queued = 0
        self._durable = 0
        self._flushing: deque[tuple[int, greenlet]] = deque()

    def load(self) -> NodeState:
        self._machine.disk.staging = None
        return self._machine.disk.copy()

    def start(
        self,
        on_saved: Callable[[Record], None],
        after_batch: Callable[[], None],
        spawn: Spawn,  # noqa: ARG002 (the world's events do the work)
    ) -> None:
        self._on_saved = on_saved
        self._after_batch = after_batch

    def save(self, records: list[Record]) -> None:
        for record in records:
            self._machine.record_queued(record)
            self._queued += 1
            self.queue.append(record)
            if not self._machine.world.setup.durable:
                self._write_next()
        if self.queue:
            self._sync_later()

    def flush(self) -> None:
        target = self._queued
        while self._durable < target:
            self._flushing.append((target, getcurrent()))
            world = getcurrent().parent
            assert world is not None
            world.switch()

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        """The process has ended: nothing that waits here goes on."""
        flushing, self._flushing = self._flushing, deque()
        for _, waiting in flushing:
            waiting.throw()  # else its frames would be kept for ever

    def _sync_later(self) -> None:
        world = self._machine.world
        if not self._syncing:
            self._syncing = True
            mean_s = world.disk_delay_s
            if isinstance(self.queue[0], SavePromise) and world.random.random() < 0.3:
                mean_s = SLOW_PROMISE_S
            count = world.random.choice([1, 1, 2, 4])
            self._process.later(world.random.expovariate(1 / mean_s), lambda: self._sync(count))

    def _sync(self, count: int) -> None:
        """Make the oldest queued records durable in one transaction: at most this many."""
        self._syncing = False
        for _ in range(min(count, len(self.queue))):
            self._write_next()
        self._after_batch()
        ready = [waiting for target, waiting in self._flushing if target <= self._durable]
        self._flushing = deque(w for w in self._flushing if w[0] > self._durable)
        for waiting in ready:
            waiting.switch()
        if self.queue:
            self._sync_later()
        self._process.synced()

    def _write_next(self) -> None:
        record = self.queue.popleft()
        self._machine.disk.apply(record)
        self._durable += 1
        self._machine.record_durable(record)
        self._on_saved(record)
