"""A virtual disk: records become durable one after the other, and a crash loses the rest."""

from collections import deque
from collections.abc import Callable

from greenlet import getcurrent, greenlet

from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.node_state import NodeState
from kvstore.core.records import Record, StageParts
from kvstore.core.replication_log import ReplicationLog
from kvstore.node.storage import Spawn, Storage


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
    """The storage of one process, from its start to its crash.

    :param disk: what it writes to.
    :param instant: every record is durable at once, as in a memory-only node.
    :param on_queued: told of each record before it is durable.
    :param on_durable: told when the oldest of them has become durable, before the node is.
    :param ask_for_sync: called when there is something to write.
    """

    def __init__(
        self,
        disk: Disk,
        on_queued: Callable[[Record], None],
        on_durable: Callable[[Record], None],
        ask_for_sync: Callable[[], None],
        *,
        instant: bool,
    ) -> None:
        self._disk = disk
        self._instant = instant
        self._on_queued = on_queued
        self._on_durable = on_durable
        self._ask_for_sync = ask_for_sync
        self._on_saved: Callable[[Record], None] = lambda _: None
        self._after_batch: Callable[[], None] = lambda: None
        self.queue: deque[Record] = deque()
        self._queued = 0
        self._durable = 0
        self._flushing: deque[tuple[int, greenlet]] = deque()

    def load(self) -> NodeState:
        self._disk.staging = None
        return self._disk.copy()

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
            self._on_queued(record)
            self._queued += 1
            self.queue.append(record)
            if self._instant:
                self._write_next()
        if self.queue:
            self._ask_for_sync()

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

    def sync(self, count: int) -> None:
        """Make the oldest queued records durable in one transaction.

        :param count: how many of them, at most.
        """
        for _ in range(min(count, len(self.queue))):
            self._write_next()
        self._after_batch()
        ready = [waiting for target, waiting in self._flushing if target <= self._durable]
        self._flushing = deque(w for w in self._flushing if w[0] > self._durable)
        for waiting in ready:
            waiting.switch()

    def _write_next(self) -> None:
        record = self.queue.popleft()
        self._disk.apply(record)
        self._durable += 1
        self._on_durable(record)
        self._on_saved(record)
