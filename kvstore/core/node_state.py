"""The state of a node, and what each record of a change means for it.

A change takes effect in two steps. The promise and the log change at once, and a record is left for
the storage to save. The map follows when the record is durable, because clients read it. A storage
that has saved a record holds what :meth:`NodeState.apply` makes of it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from kvstore.core.entries import Entry, Item, RememberedRequest
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.records import (
    CutLog,
    Promise,
    Record,
    ReplaceState,
    SaveEntries,
    SavePromise,
    StageParts,
)
from kvstore.core.replication_log import ReplicationLog


class Staging:
    """The copy of another node's map while it arrives, part by part.

    :param staging: id of the copy.
    :param remembered_entries: see :class:`IdempotencyTable`.
    """

    def __init__(self, staging: str, remembered_entries: int) -> None:
        self.id = staging
        self.count = 0
        """How many items and requests have arrived."""
        self.map = KeyValueMap(remembered_entries=remembered_entries)

    def add(self, items: Iterable[Item], requests: Iterable[RememberedRequest]) -> None:
        """Add the next parts."""
        items, requests = [item.detached() for item in items], list(requests)
        self.map.add(items, requests)
        self.count += len(items) + len(requests)


@dataclass(slots=True, eq=False)
class NodeState:
    """Everything that a node has to keep.

    :param node_id: id of the node.
    :param map: at the log's last position where everything is durable. On a leader it is at the
        commit index instead.
    :param discarded: how many entries and items were set aside so far, see :class:`ReplaceState`.
    :ivar staging: the copy that is arriving; None for none. It does not outlive the process.
    """

    node_id: str
    promise: Promise = field(default_factory=Promise)
    map: KeyValueMap = field(default_factory=KeyValueMap)
    log: ReplicationLog = field(default_factory=ReplicationLog)
    discarded: int = 0
    staging: Staging | None = field(default=None, init=False)
    _unsaved: list[Record] = field(default_factory=list, init=False)
    _arrived: deque[KeyValueMap] = field(default_factory=deque, init=False)
    """Maps that replace ``map`` when their records are durable, oldest first."""

    def apply(self, record: Record) -> None:
        """Apply a durable record: the result is the state that a node starts with after it."""
        self._change(record)
        self.execute(record)

    def change(self, record: Record, now_s: float = 0.0) -> None:
        """Make a change, and leave its record for the storage.

        :param now_s: time of the change, for lag figures; 0 = not known.
        """
        self._change(record, now_s)
        self._unsaved.append(record)

    def replace(self, record: ReplaceState) -> None:
        """Adopt another node's state, and set aside what it lacks."""
        self.change(replace(record, discarded=self._not_in(record)))

    def take_unsaved(self) -> list[Record]:
        """The records of the changes since the last call, for the storage."""
        records, self._unsaved = self._unsaved, []
        return records

    def execute(self, record: Record) -> None:
        """Carry a durable change over to the map."""
        match record:
            case SaveEntries():
                for entry in record.entries:
                    self.map.apply(entry)
            case ReplaceState():
                self.map = self._arrived.popleft()

    def staged(self, staging: str) -> int:
        """How many parts of a copy have arrived; 0 where another one, or none, is arriving."""
        return self.staging.count if self.staging and self.staging.id == staging else 0

    def _change(self, record: Record, now_s: float = 0.0) -> None:
        match record:
            case SavePromise():
                self.promise = record.promise
            case SaveEntries():
                for entry in record.entries:
                    self.log.append(entry, now_s)
            case StageParts():
                self._staging_of(record.staging_id).add(record.items, record.requests)
            case ReplaceState():
                kv_map = self._staging_of(record.staging_id).map
                kv_map.position = record.position
                self._arrived.append(kv_map)
                self.staging = None
                self.promise = record.promise
                self.log = ReplicationLog(
                    record.base, record.entries, record.lineage, record.members
                )
                self.discarded += len(record.discarded)
            case CutLog():
                self.log.cut(record.through)

    def _staging_of(self, staging: str) -> Staging:
        if self.staging is None or self.staging.id != staging:
            self.staging = Staging(staging, self.map.requests.remembered_entries)
        return self.staging

    def _not_in(self, record: ReplaceState) -> list[Entry | Item]:
        """Entries that another state lacks, and items where the entries that made them are cut."""
        log, kv_map = self.log, self._arrived[-1] if self._arrived else self.map
        common = log.lineage.common_index(log.last.index, record.lineage, record.position.index)
        entries = log.entries(behind=common)
        if common >= log.base.index:
            return [*entries]
        items = [item for item in kv_map.items() if common < item.version <= log.base.index]
        return [*items, *entries]
