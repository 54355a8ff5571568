"""A virtual disk: records become durable one after the other, and a crash loses the rest."""

from collections import deque
from collections.abc import Callable

from greenlet import getcurrent, greenlet
from msgspec import Raw

from kvstore import request_table
from kvstore.entries import START, Entry, Item, Request
from kvstore.key_value_map import KeyValueMap
from kvstore.records import (
    CutLog,
    NodeState,
    Promise,
    Record,
    ReplaceState,
    SaveEntries,
    SavePromise,
)
from kvstore.replication_log import ReplicationLog
from kvstore.storage import Spawn, Storage


class Disk:
    """What survives a crash.

    :param node: id of the node, kept with everything else.
    """

    def __init__(self, node: str) -> None:
        self.node = node
        self.promise = Promise()
        self.synced_epoch = 0
        self.position = START
        self.items: dict[str, Item] = {}
        self.requests: list[Request] = []
        self.base = START
        self.entries: list[Entry] = []

    def write(self, record: Record) -> None:
        """Make one record durable."""
        match record:
            case SavePromise():
                self.promise = record.promise
            case SaveEntries():
                self.synced_epoch = record.synced_epoch
                for entry in record.entries:
                    self._write_entry(entry)
            case ReplaceState():
                self.promise = record.promise
                self.synced_epoch = record.synced_epoch
                self.position = record.position
                self.items = {item.key: item for item in record.items}
                self.requests = list(record.requests)
                self.base = record.base
                self.entries = list(record.entries)
            case CutLog():
                kept = [entry for entry in self.entries if entry.index > record.through]
                if len(kept) < len(self.entries):
                    self.base = self.entries[-len(kept) - 1].position
                self.entries = kept

    def state(self) -> NodeState:
        """What a node that starts from this disk begins with."""
        return NodeState(
            self.node,
            self.promise,
            self.synced_epoch,
            KeyValueMap(self.position, self.items.values(), self.requests),
            ReplicationLog(self.base, self.entries),
        )

    def _write_entry(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.position = entry.position
        self.items.pop(entry.key, None)
        if isinstance(entry.value, Raw):
            self.items[entry.key] = Item(entry.key, entry.index, entry.value)
        if isinstance(entry.idempotency_key, str) and isinstance(entry.fingerprint, str):
            self.requests.append(Request(entry.idempotency_key, entry.index, entry.fingerprint))
        forgotten = entry.index - request_table.REMEMBERED_ENTRIES
        self.requests = [request for request in self.requests if request.index > forgotten]


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
        on_durable: Callable[[], None],
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
        return self._disk.state()

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
        self._disk.write(record)
        self._durable += 1
        self._on_durable()
        self._on_saved(record)
