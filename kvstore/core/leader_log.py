"""The leader's log, and how much of it is durable, confirmed and applied.

``map index = commit index <= durable index <= last index``, except at the start of a reign: the
map then holds all of the log before it, and may be read once the first entry is confirmed.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from kvstore.core.entries import Entry, Members, Operation, ReignId, RememberedRequest
from kvstore.core.errors import BatchRefused, Overloaded
from kvstore.core.export import MAX_ENTRIES
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.node_state import NodeState
from kvstore.core.preconditions import Precondition
from kvstore.core.quorum import WriteQuorum
from kvstore.core.records import CutLog, SaveEntries
from kvstore.core.replication_log import ReplicationLog


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLimits:
    """Bounds on what the leader keeps.

    :param retain: newest entries kept for catch-up.
    :param retain_bytes: the same in bytes.
    :param max_pending: unconfirmed entries; more writes than that are refused.
    :param max_pending_bytes: the same in bytes.
    :param pinned_bytes: bytes of log kept while a snapshot is on its way; beyond them the log is
        cut, and the follower needs another snapshot.
    :param message_entries: entries or items sent in one message.
    """

    retain: int
    retain_bytes: int = 256 << 20
    max_pending: int = 12_000
    max_pending_bytes: int = 256 << 20
    pinned_bytes: int = 1 << 30
    message_entries: int = MAX_ENTRIES


@dataclass(frozen=True)
class Write:
    """A write that a client asks for.

    :param value: canonical JSON; None for a delete.
    :param idempotency_key: under which the client may repeat the request; None = it may not.
    """

    operation: Operation
    key: str
    value: Raw | None = None
    idempotency_key: str | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the payload: requests with equal fingerprints ask for the same write."""
        sha = hashlib.sha256(f"{self.operation}\0{self.key}\0".encode())
        if self.value is not None:
            sha.update(self.value)
        return sha.hexdigest()


@dataclass(frozen=True, slots=True)
class Batch:
    """Writes that a client asks for together: all of them enter the log, or none.

    :param operations: at least one; the idempotency key is not theirs but the batch's. Each is
        judged and executed as if those before it had been done, and nothing else in between.
    :param idempotency_key: under which the client may repeat the request; None = it may not.
    :param fingerprint: hash of all operations, with their preconditions; empty without an
        idempotency key.
    """

    operations: Sequence[tuple[Write, Precondition]]
    idempotency_key: str | None = None
    fingerprint: str = ""

    def indexes(self, last: int) -> range:
        """The indexes of its entries.

        :param last: index of the last one.
        """
        return range(last - len(self.operations) + 1, last + 1)


class LeaderLog:
    """The log of one reign.

    :param state: the durable state from before the reign; entries that its map lacks are applied
        here.
    :param quorum: decides what is confirmed.
    """

    def __init__(self, state: NodeState, quorum: WriteQuorum, limits: LogLimits) -> None:
        self._state = state
        self._quorum = quorum
        self.durable_index = self.last_index
        self.first_index = self.last_index + 1
        """Index of the reign's first entry."""
        for entry in self.replication_log.entries(behind=self.map.position.index):
            self.map.apply(entry)
        self.limits = limits
        self._newest_pending: dict[str, Entry] = {}
        self._pending_requests: dict[str, RememberedRequest] = {}
        self._pending_bytes = 0

    @property
    def replication_log(self) -> ReplicationLog:
        """The entries themselves, durable or not."""
        return self._state.log

    @property
    def map(self) -> KeyValueMap:
        """What is served."""
        return self._state.map

    @property
    def last_index(self) -> int:
        return self.replication_log.last.index

    @property
    def commit_index(self) -> int:
        """The index up to which the log is known to be confirmed."""
        return self._quorum.commit_index

    def newest_version(self, key: str) -> int | None:
        """Version of the key after the newest appended entry; None when it does not exist."""
        pending = self._newest_pending.get(key)
        if pending is not None:
            return pending.index if pending.operation == "put" else None
        item = self.map.get(key)
        return None if item is None else item.version

    def request(self, idempotency_key: str | None) -> RememberedRequest | None:
        """The request under this key that made an entry; None when none is remembered."""
        if idempotency_key is None:
            return None
        pending = self._pending_requests.get(idempotency_key)
        return pending or self.map.requests.get(idempotency_key)

    def check_room(self, count: int = 1) -> None:
        """Whether so many entries may be appended.

        :raises Overloaded: too many entries, or too many bytes, are pending.
        """
        pending = self.last_index - self.map.position.index + count
        limits = self.limits
        if pending > limits.max_pending or self._pending_bytes >= limits.max_pending_bytes:
            raise Overloaded

    def judge(self, batch: Batch) -> None:
        """:raises BatchRefused: the precondition of one of its operations does not hold."""
        written: dict[str, int | None] = {}
        outcomes = []
        for index, (write, precondition) in enumerate(batch.operations, self.last_index + 1):
            newest = self.newest_version(write.key)
            holds = precondition.holds(written.get(write.key, newest))
            outcomes.append((write.key, holds, newest))
            written[write.key] = index if write.operation == "put" else None
        if not all(holds for _, holds, _ in outcomes):
            raise BatchRefused(outcomes)

    def begin(self, reign: ReignId, members: Members, now_s: float) -> None:
        """Append the first entry of a reign.

        :param members: the followers that the leader knows.
        """
        self._quorum.begin(self.first_index)
        self._append_noop(reign, members, now_s, begins=reign)

    def name(self, reign: ReignId, members: Members, now_s: float) -> int:
        """Append an entry that names a new follower.

        :param members: the followers that the leader knows, with the new one.
        :return: its index.
        """
        self._append_noop(reign, members, now_s)
        return self.last_index

    def append(self, write: Write, reign: ReignId, now_s: float) -> int:
        """Give the next index to a write.

        :return: the index.
        """
        self._append([_entry(write, self.last_index + 1, reign)], now_s)
        return self.last_index

    def append_batch(self, batch: Batch, reign: ReignId, now_s: float) -> int:
        """Give the next indexes to the operations of a batch.

        :return: the last one, whose entry keeps the idempotency key.
        """
        entries = [
            _entry(write, index, reign, continues=True)
            for index, (write, _) in enumerate(batch.operations, self.last_index + 1)
        ]
        last = replace(entries[-1], continues=False)
        if batch.idempotency_key is not None:
            last = replace(
                last, idempotency_key=batch.idempotency_key, fingerprint=batch.fingerprint
            )
        self._append([*entries[:-1], last], now_s)
        return self.last_index

    def _append_noop(
        self, reign: ReignId, members: Members, now_s: float, begins: ReignId | UnsetType = UNSET
    ) -> None:
        entry = Entry(
            index=self.last_index + 1,
            epoch=reign.epoch,
            reign_id=reign.id,
            operation="noop",
            begins=begins,
            members=members,
        )
        self._append([entry], now_s)

    def _append(self, entries: list[Entry], now_s: float) -> None:
        self._state.change(SaveEntries(entries), now_s)
        for entry in entries:
            self._pending_bytes += entry.size
            if entry.operation != "noop":
                self._newest_pending[entry.key] = entry
            if (request := entry.request) is not None:
                self._pending_requests[request.idempotency_key] = request

    def confirm(self, match_indexes: Collection[int]) -> None:
        """Advance the commit index, and apply what is confirmed.

        :param match_indexes: one for each follower.
        """
        self._apply_through(self._quorum.advance(self.durable_index, match_indexes))

    def _apply_through(self, index: int) -> None:
        while self.map.position.index < index:
            entry = self.replication_log[self.map.position.index + 1]
            self.map.apply(entry)
            self._pending_bytes -= entry.size
            if self._newest_pending.get(entry.key) is entry:
                del self._newest_pending[entry.key]
            if isinstance(entry.idempotency_key, str):
                self._pending_requests.pop(entry.idempotency_key, None)

    def cut(self, pinned: Collection[int]) -> None:
        """Drop the oldest entries beyond the retention.

        :param pinned: indexes of the snapshots on their way; the entries after them are kept, up to
            ``pinned_bytes``.
        """
        if self.replication_log.size > self.limits.pinned_bytes:
            pinned = ()
        floor = min([self.map.position.index, *pinned])
        index = self.replication_log.retention_cut(
            floor, self.limits.retain, self.limits.retain_bytes
        )
        if index is not None:
            self._state.change(CutLog(index))


def _entry(write: Write, index: int, reign: ReignId, *, continues: bool = False) -> Entry:
    return Entry(
        index=index,
        epoch=reign.epoch,
        reign_id=reign.id,
        operation=write.operation,
        key=write.key,
        value=UNSET if write.value is None else write.value,
        idempotency_key=UNSET if write.idempotency_key is None else write.idempotency_key,
        fingerprint=UNSET if write.idempotency_key is None else write.fingerprint,
        continues=continues,
    )
