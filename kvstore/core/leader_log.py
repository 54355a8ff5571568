"""The leader's log, and how much of it is durable, confirmed and applied.

``map index = commit index <= durable index <= last index``, except at the start of a reign: the
map then holds all of the log before it, and may be read once the first entry is confirmed.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from msgspec import UNSET, Raw, UnsetType

from kvstore.core.entries import Entry, Members, Operation, ReignId, RememberedRequest
from kvstore.core.errors import Overloaded
from kvstore.core.export import MAX_ENTRIES
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.node_state import NodeState
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

    def check_room(self) -> None:
        """:raises Overloaded: too many entries, or too many bytes, are pending."""
        pending = self.last_index - self.map.position.index
        limits = self.limits
        if pending >= limits.max_pending or self._pending_bytes >= limits.max_pending_bytes:
            raise Overloaded

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
        entry = Entry(
            index=self.last_index + 1,
            epoch=reign.epoch,
            reign_id=reign.id,
            operation=write.operation,
            key=write.key,
            value=UNSET if write.value is None else write.value,
            idempotency_key=UNSET if write.idempotency_key is None else write.idempotency_key,
            fingerprint=UNSET if write.idempotency_key is None else write.fingerprint,
        )
        self._append(entry, now_s)
        self._newest_pending[write.key] = entry
        if (request := entry.request) is not None:
            self._pending_requests[request.idempotency_key] = request
        return entry.index

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
        self._append(entry, now_s)

    def _append(self, entry: Entry, now_s: float) -> None:
        self._state.change(SaveEntries([entry]), now_s)
        self._pending_bytes += entry.size

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
