"""A virtual disk: records become durable one after the other, and a crash loses the rest."""

from collections import deque
from collections.abc import Callable
from copy import copy

from greenlet import getcurrent, greenlet
from msgspec import UNSET, Raw

from kvstore.core import idempotency_table
from kvstore.core.entries import START, Entry, Item, Members, RememberedRequest
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.lineage import Lineage
from kvstore.core.records import (
    CutLog,
    NodeState,
    Promise,
    Record,
    ReplaceState,
    SaveEntries,
    SavePromise,
    StageParts,
)
from kvstore.core.replication_log import ReplicationLog
from kvstore.node.storage import Spawn, Storage


class Disk:
    """What survives a crash.

    :param node: id of the node, kept with everything else.
    """

    def __init__(self, node: str) -> None:
        self.node = node
        self.promise = Promise()
        self.position = START
        self.items: dict[str, Item] = {}
        self.requests: list[RememberedRequest] = []
        self.base = START
        self.entries: list[Entry] = []
        self.lineage = Lineage()
        self.members: Members = {}
        self.discarded = 0
        self.staging = ""
        """Id of the copy of a state that is beside the node's own."""
        self.staged: list[StageParts] = []

    def copy(self) -> "Disk":
        """A copy of the whole disk."""
        other = copy(self)
        other.items = dict(self.items)
        other.requests = list(self.requests)
        other.entries = list(self.entries)
        other.staged = list(self.staged)
        return other

    def write(self, record: Record) -> None:
        """Make one record durable."""
        match record:
            case SavePromise():
                self.promise = record.promise
            case SaveEntries():
                for entry in record.entries:
                    self._write_entry(entry)
            case StageParts():
                self._stage(record)
            case ReplaceState():
                self._replace(record)
            case CutLog():
                kept_entries = [entry for entry in self.entries if entry.index > record.through]
                if len(kept_entries) < len(self.entries):
                    self.base = self.entries[-len(kept_entries) - 1].position
                self.entries = kept_entries

    def state(self) -> NodeState:
        """What a node that starts from this disk begins with."""
        return NodeState(
            self.node,
            self.promise,
            KeyValueMap(self.position, self.items.values(), self.requests),
            ReplicationLog(self.base, self.entries, self.lineage, self.members),
            self.discarded,
        )

    def _stage(self, record: StageParts) -> None:
        if self.staging != record.staging:
            self.staging, self.staged = record.staging, []
        keys = {item.key for part in self.staged for item in part.items}
        assert keys.isdisjoint(item.key for item in record.items), "a part was staged twice"
        self.staged.append(record)

    def _replace(self, record: ReplaceState) -> None:
        parts = self.staged if self.staging == record.staging else []
        self.staging, self.staged = "", []
        self.promise = record.promise
        self.position = record.position
        self.items = {item.key: item for part in parts for item in part.items}
        self.requests = [request for part in parts for request in part.requests]
        self.base = record.base
        self.entries = list(record.entries)
        self.lineage = record.lineage
        self.members = record.members
        self.discarded += len(record.discarded)

    def _write_entry(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.position = entry.position
        if entry.begins is not UNSET:
            self.lineage = self.lineage.extended(entry.begins, entry.index)
        if entry.members is not UNSET:
            self.members = entry.members
        self.items.pop(entry.key, None)
        if isinstance(entry.value, Raw):
            self.items[entry.key] = Item(entry.key, entry.index, entry.value)
        if isinstance(entry.idempotency_key, str) and isinstance(entry.fingerprint, str):
            self.requests.append(
                RememberedRequest(entry.idempotency_key, entry.index, entry.fingerprint)
            )
        forgotten = entry.index - idempotency_table.REMEMBERED_ENTRIES
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
        self._disk.staging, self._disk.staged = "", []
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
        self._disk.write(record)
        self._durable += 1
        self._on_durable(record)
        self._on_saved(record)
