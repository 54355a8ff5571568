"""The leader's log, and how much of it is durable, confirmed and applied.

``map index = commit index <= durable index <= last index``, except at the start of a reign: the
map then holds the whole log as it was taken over, and may be read when that is confirmed.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from msgspec import UNSET, Raw

from kvstore.entries import Entry, Operation, Request
from kvstore.errors import Overloaded
from kvstore.key_value_map import KeyValueMap
from kvstore.quorum import WriteQuorum
from kvstore.replication_log import ReplicationLog
from kvstore.request_table import request_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLimits:
    """Bounds on what the leader keeps.

    :param retain: newest entries kept for catch-up.
    :param retain_bytes: the same in bytes.
    :param max_pending: unconfirmed entries; more writes than that are refused.
    :param max_pending_bytes: the same in bytes.
    """

    retain: int
    retain_bytes: int = 256 << 20
    max_pending: int = 12_000
    max_pending_bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class Write:
    """What a client wants to be written.

    :param value: canonical JSON; None for a delete.
    :param idempotency_key: under which the client may repeat the request; None = it may not.
    """

    operation: Operation
    key: str
    value: Raw | None = None
    idempotency_key: str | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of the payload: two requests with the same one ask for the same."""
        value = b"" if self.value is None else bytes(self.value)
        payload = b"\0".join((self.operation.encode(), self.key.encode("utf-8"), value))
        return hashlib.sha256(payload).hexdigest()


class LeaderLog:
    """The log of one reign.

    :param log: as it was when the reign began, durable.
    :param kv_map: at the log's last position.
    :param quorum: decides what is confirmed.
    """

    def __init__(
        self, log: ReplicationLog, kv_map: KeyValueMap, quorum: WriteQuorum, limits: LogLimits
    ) -> None:
        self.entries = log
        self.map = kv_map
        self.quorum = quorum
        self.durable_index = log.last.index
        self._start_index = log.last.index
        self._limits = limits
        self._newest_pending: dict[str, Entry] = {}
        self._pending_requests: dict[str, Request] = {}
        self._pending_bytes = 0

    @property
    def last_index(self) -> int:
        return self.entries.last.index

    @property
    def start_index(self) -> int:
        """The last index of the log as it was when the reign began."""
        return self._start_index

    @property
    def start_confirmed(self) -> bool:
        """Whether W followers hold the log as it was when the reign began.

        Before that the leader cannot know which of its entries were confirmed.
        """
        return self.quorum.commit_index >= self._start_index

    def newest_version(self, key: str) -> int | None:
        """Version of the key after the newest appended entry; None when it does not exist."""
        pending = self._newest_pending.get(key)
        if pending is not None:
            return pending.index if pending.operation == "put" else None
        item = self.map.get(key)
        return None if item is None else item.version

    def request(self, idempotency_key: str | None) -> Request | None:
        """The request under this key that made an entry; None when none is remembered."""
        if idempotency_key is None:
            return None
        pending = self._pending_requests.get(idempotency_key)
        return pending or self.map.requests.get(idempotency_key)

    def check_room(self) -> None:
        """:raises Overloaded: too many entries, or too many bytes, are pending."""
        pending = self.last_index - self.map.position.index
        limits = self._limits
        if pending >= limits.max_pending or self._pending_bytes >= limits.max_pending_bytes:
            raise Overloaded

    def append(self, write: Write, epoch: int, now_s: float) -> Entry:
        """Give the next index to a write."""
        entry = Entry(
            index=self.last_index + 1,
            epoch=epoch,
            operation=write.operation,
            key=write.key,
            value=UNSET if write.value is None else write.value,
            idempotency_key=UNSET if write.idempotency_key is None else write.idempotency_key,
            fingerprint=UNSET if write.idempotency_key is None else write.fingerprint,
        )
        self.entries.append(entry, now_s)
        self._newest_pending[write.key] = entry
        request = request_of(entry)
        if request is not None:
            self._pending_requests[request.idempotency_key] = request
        self._pending_bytes += entry.size
        return entry

    def confirm(self, match_indexes: Collection[int]) -> None:
        """Advance the commit index, and apply what is confirmed.

        :param match_indexes: one for each follower.
        """
        commit_index = self.quorum.advance(self.durable_index, match_indexes)
        while self.map.position.index < commit_index:
            entry = self.entries[self.map.position.index + 1]
            self.map.apply(entry)
            self._pending_bytes -= entry.size
            if self._newest_pending.get(entry.key) is entry:
                del self._newest_pending[entry.key]
            if isinstance(entry.idempotency_key, str):
                self._pending_requests.pop(entry.idempotency_key, None)

    def cut(self, pinned: Collection[int]) -> int | None:
        """Forget the oldest entries beyond the retention.

        :param pinned: indexes of the snapshots on their way; what is behind them stays.
        :return: the new base's index; None when nothing was cut.
        """
        floor = min([self.map.position.index, *pinned])
        index = self.entries.retention_cut(floor, self._limits.retain, self._limits.retain_bytes)
        if index is not None:
            self.entries.cut(index)
        return index
