"""The rules of a follower: which messages it accepts, and what its answers confirm.

Every method takes one message, changes the state, and returns the answer. The answer may leave
the node only when every record of the changes has been saved: it confirms what is durable.
"""

import msgspec

from kvstore.core.entries import MAX_EPOCH, MAX_EPOCH_JUMP, START, Entry, Members, ReignId
from kvstore.core.errors import InvalidRequest, NotReady
from kvstore.core.export import MAX_ENTRIES, Export
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.lineage import Lineage, ReignStart
from kvstore.core.message_checks import check_append, check_chunk
from kvstore.core.messages import (
    Answer,
    Append,
    Claim,
    Fetch,
    Fetched,
    Hello,
    Message,
    Refusal,
    SnapshotChunk,
)
from kvstore.core.node_state import NodeState
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


class Follower:
    """One follower.

    :param state: the node's saved state, or a new one.
    :param log_retain: newest entries to keep for a leader that takes over from here.
    :param log_retain_bytes: the same in bytes.
    :param message_entries: entries or items sent in one message.
    """

    def __init__(
        self,
        state: NodeState,
        log_retain: int,
        log_retain_bytes: int,
        message_entries: int = MAX_ENTRIES,
    ) -> None:
        self.node_id = state.node_id
        self.commit_index = 0
        self._node_state = state
        self._log_retain = log_retain
        self._log_retain_bytes = log_retain_bytes
        self._message_entries = message_entries
        self._kept_state = state.log.last.index > 0
        self._target_index: int | None = None
        self._caught_up = False
        self._export: Export | None = None

    # What this node holds

    @property
    def promise(self) -> Promise:
        """The reign that it accepted last."""
        return self._node_state.promise

    @property
    def log(self) -> ReplicationLog:
        """What it has received, durable or not."""
        return self._node_state.log

    @property
    def map(self) -> KeyValueMap:
        """What it serves: received and durable."""
        return self._node_state.map

    @property
    def discarded(self) -> int:
        """How many entries were set aside because the leader's log does not contain them."""
        return self._node_state.discarded

    # What this node may serve

    @property
    def applied_index(self) -> int:
        """Index of the map that is served."""
        return self.map.position.index

    @property
    def ready(self) -> bool:
        """Whether it has caught up with its leader, at least once."""
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

    @property
    def confirmed_index(self) -> int:
        """Up to where entries may be shown as confirmed: served, and known to be confirmed."""
        return min(self.commit_index, self.applied_index)

    def confirmed_after(self, index: int) -> list[Entry]:
        """The next entries behind an index that are confirmed, at most a message full of them.

        :raises NotReady: this follower cannot tell now what is confirmed.
        :raises EntriesCut: the log no longer reaches back to the index.
        """
        self.check_readable()
        if self.commit_index == 0:
            raise NotReady("this follower does not know yet what is confirmed")
        return self.log.confirmed_after(index, self.confirmed_index)

    # Messages

    def hello(self, message: Hello) -> Answer:
        """Say which node this is, what it holds, and which nodes a takeover has to ask too."""
        refusal = None if message.cluster_id is None else self._other_cluster(message)
        return self._answer(message, refusal, members=self._members_to_ask)

    def claim(self, message: Claim) -> Answer:
        """Begin a reign, unless it is earlier than the one in force, or its twin."""
        held, reign = self.promise.reign, message.of_reign
        if message.cluster_id is None or reign is None:
            raise InvalidRequest("invalid message: a claim names its cluster and an epoch from 1")
        if refusal := self._refused_claim(message, reign):
            return self._answer(message, refusal)
        if held is None or held.id != reign.id:
            self._begin_reign(message, reign)
        return self._answer(message, members=self._members_to_ask, lineage=list(self.log.lineage))

    def append(self, message: Append) -> Answer:
        """Append what is new in a batch; checking and appending are one step."""
        check_append(message)
        if refusal := self._other_reign(message):
            return self._answer(message, refusal)
        self._export = None
        if refusal := self._other_order(message):
            return self._answer(message, refusal)
        held = self.log.last.index
        new = [entry.detached() for entry in message.entries if entry.index > held]
        if new:
            self._node_state.change(SaveEntries(new))
        self._note_target(message.last_index)
        self.commit_index = max(self.commit_index, min(message.commit_index, message.end_index))
        return self._answer(message)

    def snapshot(self, message: SnapshotChunk) -> Answer:
        """Stage one chunk; with the last one, switch to the snapshot in one step.

        A late duplicate is only acknowledged.
        """
        check_chunk(message)
        if refusal := self._other_reign(message):
            return self._answer(message, refusal)
        self._note_target(message.last_index)
        if self._is_late(message):
            return self._answer(message)
        staged = self._node_state.staged(message.snapshot_id)
        if message.offset > staged:
            return self._answer(message, Refusal.CHUNK_MISSING)
        if message.offset == staged:
            parts = StageParts(message.snapshot_id, message.items, message.requests)
            self._node_state.change(parts)
        if message.done:
            self._install(message)
        return self._answer(message)

    def fetch(self, message: Fetch) -> Fetched | Answer:
        """Hand a part of the state to the leader that claimed this follower.

        Nothing else changes the state meanwhile: only the leader of the reign in force could.
        """
        if refusal := self._other_reign(message):
            return self._answer(message, refusal)
        if self.map.position != self.log.last:
            return self._answer(message, Refusal.NOT_DURABLE_YET)
        if message.offset == 0:
            requests = self.map.requests.requests()
            self._export = Export(
                self.map.items(), requests, self.log.entries(), self._message_entries
            )
        elif self._export is None:
            return self._answer(message, Refusal.COPY_LOST)
        items, requests, entries = self._export.parts(message.offset)
        return Fetched(
            **msgspec.structs.asdict(self._answer(message, members=self.log.members)),
            base_index=self.log.base.index,
            items=items,
            requests=requests,
            entries=entries,
            total=self._export.total,
        )

    # Storage

    def take_unsaved(self) -> list[Record]:
        """The records since the last call, for the storage."""
        return self._node_state.take_unsaved()

    def saved(self, record: Record) -> None:
        """A record is durable: what it holds may be served. Called in the order of the records."""
        self._node_state.execute(record)
        if isinstance(record, SaveEntries):
            self._cut_log()
        if self._target_index is not None and self.applied_index >= self._target_index:
            self._caught_up = True

    # Helpers

    @property
    def _members_to_ask(self) -> Members:
        # The followers named by a takeover's claim matter only until its first entry arrives, which
        # names them anew; a restart's claim may name newer ones than this log does.
        reign = self.promise.reign
        if reign is None or self.log.last.epoch < reign.epoch:
            return self.promise.members
        if reign.restart == 0:
            return self.log.members
        return {**self.promise.members, **self.log.members}

    def _answer(
        self,
        message: Message,
        refusal: Refusal | None = None,
        *,
        members: Members | None = None,
        lineage: list[ReignStart] | None = None,
    ) -> Answer:
        held, last = self.promise.reign, self.log.last
        return Answer(
            node_id=self.node_id,
            cluster_id=self.promise.cluster_id,
            epoch=self.promise.epoch,
            reign_id=None if held is None else held.id,
            restart=0 if held is None else held.restart,
            takeover_id="" if held is None else held.takeover_id,
            last_index=last.index,
            last_epoch=last.epoch,
            last_reign_id=last.reign_id,
            commit_index=self.commit_index,
            members=members or {},
            lineage=lineage or [],
            number=message.number,
            error=refusal,
        )

    def _other_cluster(self, message: Message) -> Refusal | None:
        # The id binds only with an entry: two first starts must not end in two clusters.
        if self.promise.cluster_id in (None, message.cluster_id) or self.log.last == START:
            return None
        return Refusal.OTHER_CLUSTER

    def _other_reign(self, message: Message) -> Refusal | None:
        held, reign = self.promise.reign, message.of_reign
        if refusal := self._other_cluster(message):
            return refusal
        if held is not None and held == reign:
            return None
        if reign is not None and reign.is_later_than(held):
            return Refusal.NOT_CLAIMED
        return Refusal.OTHER_REIGN

    def _refused_claim(self, message: Claim, reign: ReignId) -> Refusal | None:
        held = self.promise.reign
        if refusal := self._other_cluster(message):
            return refusal
        if message.node_id != self.node_id:
            return Refusal.OTHER_NODE
        if held is not None and held.id == reign.id:
            return None
        if not reign.is_later_than(held):
            return Refusal.OTHER_REIGN
        if message.found_reign_id != (None if held is None else held.id):
            return Refusal.REIGN_CHANGED
        # A node without a reign cannot tell what is too much, but that there has to be room.
        highest = MAX_EPOCH if held is None else held.epoch + MAX_EPOCH_JUMP
        return Refusal.EPOCH_TOO_HIGH if reign.epoch > min(highest, MAX_EPOCH) else None

    def _begin_reign(self, message: Claim, reign: ReignId) -> None:
        members = message.members
        if reign.epoch > self.log.last.epoch:
            # A leader that is being replaced may have named another one since this was found.
            members = {**self._members_to_ask, **members}
        promise = Promise(message.cluster_id, reign, message.leader_url, members)
        self._node_state.change(SavePromise(promise))
        self._node_state.staging = None
        self._export = None
        self._target_index = None

    def _other_order(self, message: Append) -> Refusal | None:
        if not self.log.contains(message.prev):
            return Refusal.POSITION_NOT_HELD
        held = self.log.last.index
        if any(e.index <= held and not self.log.contains(e.position) for e in message.entries):
            return Refusal.ENTRY_DIFFERS
        return None

    def _is_late(self, message: SnapshotChunk) -> bool:
        """Whether the snapshot's own position is here already, or as much of its own reign."""
        last, position = self.log.last, message.position
        return last == position or (
            last.reign_id == message.reign_id and last.index >= position.index
        )

    def _note_target(self, last_index: int) -> None:
        if self._target_index is None:
            self._target_index = last_index
        if self.applied_index >= self._target_index:
            self._caught_up = True

    def _install(self, message: SnapshotChunk) -> None:
        self.commit_index = 0  # perhaps of another order; the leader will send its own
        self._node_state.replace(
            ReplaceState(
                promise=self.promise,
                staging_id=message.snapshot_id,
                position=message.position,
                base=message.position,
                entries=[],
                lineage=Lineage(message.lineage),
                members=message.members,
            )
        )

    def _cut_log(self) -> None:
        cut = self.log.retention_cut(self.applied_index, self._log_retain, self._log_retain_bytes)
        if cut is not None:
            self._node_state.change(CutLog(cut))
