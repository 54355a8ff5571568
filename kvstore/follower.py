"""The rules of a follower: which messages it accepts, and what its answers confirm.

Every method takes one message, changes the state, and returns the answer. The answer may leave
the node only when every record in ``unsaved`` has been saved: it confirms what is durable.
"""

import msgspec
from msgspec import UNSET

from kvstore.entries import Entry, Item, Position, Request
from kvstore.errors import InvalidRequest, NotReady
from kvstore.key_value_map import KeyValueMap
from kvstore.messages import (
    Answer,
    Append,
    Claim,
    Fetch,
    Fetched,
    Hello,
    Message,
    SnapshotChunk,
    bounded,
)
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

MAX_EPOCH_JUMP = 1_000_000
"""A claim may raise the epoch by this much; more is a mistake, and would leave no room."""


class _Staging:
    """The chunks of one snapshot that have arrived so far."""

    def __init__(self, chunk: SnapshotChunk) -> None:
        self.snapshot = chunk.snapshot
        self.items: list[Item] = []
        self.requests: list[Request] = []

    @property
    def count(self) -> int:
        """How many items and requests have arrived."""
        return len(self.items) + len(self.requests)


class Follower:
    """One follower.

    :param state: what the node kept, or a new state.
    :param log_retain: newest entries to keep for a leader that takes over from here.
    :param log_retain_bytes: the same in bytes.
    """

    def __init__(self, state: NodeState, log_retain: int, log_retain_bytes: int) -> None:
        self.node = state.node
        self.promise = state.promise
        self.log = state.log
        self.map = state.map
        self.commit_index = 0
        self.unsaved: list[Record] = []
        self._synced_epoch = state.synced_epoch
        self._log_retain = log_retain
        self._log_retain_bytes = log_retain_bytes
        self._kept_state = state.log.last.index > 0
        self._target_index: int | None = None
        self._caught_up = False
        self._staging: _Staging | None = None
        self._export: list[Item | Request | Entry] = []

    # What this node may serve

    @property
    def applied_index(self) -> int:
        """Index of the map that is served: received and durable."""
        return self.map.position.index

    @property
    def ready(self) -> bool:
        """Whether it has reached the last index that a leader told it."""
        return self._caught_up

    @property
    def state(self) -> str:
        """For people: waiting, catching up or following."""
        if self._caught_up:
            return "following"
        return "waiting" if self._target_index is None else "catching up"

    def check_readable(self) -> None:
        """An emptied follower must not answer "not found" for what it has yet to receive.

        :raises NotReady: it has neither kept its state nor caught up.
        """
        if not (self._caught_up or self._kept_state):
            raise NotReady("this follower has not caught up with its leader yet")

    # Messages

    def hello(self, message: Hello) -> Answer:
        """Say who this is and what it holds."""
        return self._answer(None if message.cluster is None else self._other_cluster(message))

    def claim(self, message: Claim) -> Answer:
        """Begin a reign, unless it is an older one than the one in force, or its twin."""
        held = self.promise
        if refusal := self._other_cluster(message):
            return self._answer(refusal)
        if (message.epoch, message.reign) == (held.epoch, held.reign):
            return self._answer()
        if message.cluster is None:
            raise InvalidRequest("invalid message: a claim names its cluster")
        if message.epoch <= held.epoch:
            return self._answer("another reign is in force")
        found = (message.after_epoch, message.after_reign)
        if message.after_epoch is not None and found != (held.epoch, held.reign):
            return self._answer("another reign began meanwhile")
        if message.epoch > held.epoch + MAX_EPOCH_JUMP:
            return self._answer("the epoch is absurdly high")
        self.promise = Promise(message.cluster, message.epoch, message.reign, message.leader)
        self._staging = None
        self._export = []
        self._target_index = None
        self.unsaved.append(SavePromise(self.promise))
        return self._answer()

    def append(self, message: Append) -> Answer:
        """Append what is new of a batch; checking and appending is one step."""
        _check_batch(message)
        if refusal := self._other_reign(message):
            return self._answer(refusal)
        self._export = []
        if not self.log.contains(message.prev):
            return self._answer("the position before the entries is not held")
        for entry in message.entries:
            if entry.index > self.log.last.index:
                break
            if self.log[entry.index].epoch != entry.epoch:
                return self._answer("an entry differs from the one held")
        held = self.log.last.index
        new = [entry.detached() for entry in message.entries if entry.index > held]
        for entry in new:
            self.log.append(entry)
        self._note_synced(message, new)
        self._note_target(message.last_index)
        self.commit_index = max(self.commit_index, min(message.commit_index, self.log.last.index))
        return self._answer()

    def snapshot(self, message: SnapshotChunk) -> Answer:
        """Stage one chunk; with the last one, switch to the snapshot in one step."""
        _check_chunk(message)
        if refusal := self._other_reign(message):
            return self._answer(refusal)
        self._note_target(message.last_index)
        newer_reign = message.epoch > self._synced_epoch
        if not (newer_reign or message.index > self.log.last.index):
            return self._answer()
        if message.offset == 0:
            self._staging = _Staging(message)
        staging = self._staging
        if staging is None or staging.snapshot != message.snapshot:
            return self._answer("the snapshot's first chunks are missing")
        if message.offset > staging.count:
            return self._answer("a chunk of the snapshot is missing")
        if message.offset == staging.count:
            staging.items += [item.detached() for item in message.items]
            staging.requests += message.requests
        if message.done:
            self._install(message.position, staging)
        return self._answer()

    def fetch(self, message: Fetch) -> Fetched | Answer:
        """Hand a part of the state to the leader that claimed this follower.

        Nothing else changes it meanwhile: only the leader of the reign in force could.
        """
        if refusal := self._other_reign(message):
            return self._answer(refusal)
        if self.map.position != self.log.last:
            return self._answer("the last entries are not durable yet")
        if message.offset == 0:
            requests = self.map.requests.requests()
            self._export = [*self.map.items(), *requests, *self.log.entries()]
        parts = bounded(self._export, message.offset, len(self._export))
        return Fetched(
            **msgspec.structs.asdict(self._answer()),
            base_index=self.log.base.index,
            base_epoch=self.log.base.epoch,
            items=[part for part in parts if isinstance(part, Item)],
            requests=[part for part in parts if isinstance(part, Request)],
            entries=[part for part in parts if isinstance(part, Entry)],
            total=len(self._export),
        )

    # Storage

    def take_unsaved(self) -> list[Record]:
        """The records since the last call, for the storage."""
        records, self.unsaved = self.unsaved, []
        return records

    def saved(self, record: Record) -> None:
        """A record is durable: what it holds may be served. Called in the order of the records."""
        if isinstance(record, SaveEntries):
            for entry in record.entries:
                self.map.apply(entry)
            self._cut_log()
        elif isinstance(record, ReplaceState):
            self.map = KeyValueMap(record.position, record.items, record.requests)
        if self._target_index is not None and self.applied_index >= self._target_index:
            self._caught_up = True

    # Helpers

    def _answer(self, error: str | None = None) -> Answer:
        return Answer(
            node=self.node,
            cluster=self.promise.cluster,
            epoch=self.promise.epoch,
            reign=self.promise.reign,
            last_index=self.log.last.index,
            last_epoch=self.log.last.epoch,
            commit_index=self.commit_index,
            error=error,
        )

    def _other_cluster(self, message: Message) -> str | None:
        if self.promise.cluster in (None, message.cluster):
            return None
        return "this node belongs to another cluster"

    def _other_reign(self, message: Message) -> str | None:
        held = self.promise
        if refusal := self._other_cluster(message):
            return refusal
        if (message.epoch, message.reign) == (held.epoch, held.reign):
            return None
        if message.epoch > held.epoch:
            return "this reign has not claimed the follower"
        return "another reign is in force"

    def _note_synced(self, message: Append, new: list[Entry]) -> None:
        # Only if nothing is left beyond the batch is the whole log known to be this reign's order.
        whole = message.prev_index + len(message.entries) == self.log.last.index
        synced_epoch = message.epoch if whole else self._synced_epoch
        if new or synced_epoch != self._synced_epoch:
            self._synced_epoch = synced_epoch
            self.unsaved.append(SaveEntries(new, synced_epoch))

    def _note_target(self, last_index: int) -> None:
        if self._target_index is None:
            self._target_index = last_index
        if self.applied_index >= self._target_index:
            self._caught_up = True

    def _install(self, position: Position, staging: _Staging) -> None:
        self._staging = None
        if self.promise.epoch > self._synced_epoch:
            self.commit_index = 0  # of another order, perhaps; the leader says it anew
        self._synced_epoch = self.promise.epoch
        self.log = ReplicationLog(position)
        self.unsaved.append(
            ReplaceState(
                promise=self.promise,
                synced_epoch=self._synced_epoch,
                position=position,
                items=staging.items,
                requests=staging.requests,
                base=position,
                entries=[],
            )
        )

    def _cut_log(self) -> None:
        cut = self.log.retention_cut(self.applied_index, self._log_retain, self._log_retain_bytes)
        if cut is not None:
            self.log.cut(cut)
            self.unsaved.append(CutLog(cut))


def _check_chunk(message: SnapshotChunk) -> None:
    if message.index_epoch > message.epoch:
        raise InvalidRequest("invalid message: a snapshot from a later epoch than its reign")
    if message.last_index < message.index:
        raise InvalidRequest("invalid message: last_index is below the snapshot's index")
    versions = [item.version for item in message.items]
    if not all(0 < v <= message.index for v in [*versions, *(r.index for r in message.requests)]):
        raise InvalidRequest("invalid message: a version is not from before the snapshot")


def _check_batch(message: Append) -> None:
    if message.last_index < message.prev_index + len(message.entries):
        raise InvalidRequest("invalid message: last_index is below the entries' indexes")
    if message.commit_index > message.last_index:
        raise InvalidRequest("invalid message: commit_index is above last_index")
    before = message.prev
    for entry in message.entries:
        if entry.index != before.index + 1:
            raise InvalidRequest("invalid message: the entries' indexes are not in order")
        if not before.epoch <= entry.epoch <= message.epoch:
            raise InvalidRequest("invalid message: the entries' epochs are not in order")
        if (entry.operation == "put") != isinstance(entry.value, msgspec.Raw):
            raise InvalidRequest("invalid message: a put has a value and a delete has none")
        if (entry.idempotency_key is UNSET) != (entry.fingerprint is UNSET):
            raise InvalidRequest("invalid message: an idempotency key goes with a fingerprint")
        before = entry.position
