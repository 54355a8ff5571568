"""A leader, as clients and operators see it: which writes enter the log, and what may be read.

The leader is driven from outside: ``propose`` appends an entry, ``next_message`` says what to
send to a follower now, ``receive`` and ``lost`` report what came of it, ``saved`` reports what
is durable. Only entries that are durable here are sent, so no follower is ever ahead of a leader
that kept its disk.
"""

from kvstore.core.entries import Entry, ReignId
from kvstore.core.errors import (
    KeyReused,
    KvstoreError,
    NotEnoughFollowers,
    NotReady,
    OutcomeUnknown,
    WriteRefused,
)
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.leader_log import Batch, Write
from kvstore.core.leadership import Leadership, LeaderState
from kvstore.core.preconditions import ALWAYS, Precondition


class Leader(Leadership):
    """One leader; its parameters are those of :class:`Leadership`."""

    # Writes

    def propose(self, write: Write, now_s: float, precondition: Precondition = ALWAYS) -> int:
        """Append a client's write: check, index assignment and append are one step.

        A write whose idempotency key is known makes no second entry. That is looked up first:
        a definite refusal would be wrong while the first entry is pending.

        :param precondition: judged against the newest *appended* entry of the key.
        :return: index of the entry, which need not be durable or confirmed yet.
        :raises KeyReused: the idempotency key is known with another payload.
        :raises WriteRefused: this leader takes no writes now, fewer than W followers are reachable,
            or too much is pending.
        :raises PreconditionFailed: the key has another version.
        :raises OutcomeUnknown: it cannot be told now whether the idempotency key was used before.
        """
        if known := self._index_of_first_attempt(write):
            return known
        reign = self._reign_for(write)
        precondition.check(self.log.newest_version(write.key))
        self.log.check_room()
        return self.log.append(write, reign, now_s)

    def propose_batch(self, batch: Batch, now_s: float) -> int:
        """Append all operations of a batch, or none: like :meth:`propose`, it is one step.

        :return: index of the last entry; the others are just before it.
        :raises BatchRefused: the precondition of one of the operations does not hold.
        :raises KvstoreError: as :meth:`propose` does, for the batch as a whole.
        """
        if known := self._index_of_first_attempt(batch):
            return known
        reign = self._reign_for(batch)
        self.log.judge(batch)
        self.log.check_room(len(batch.operations))
        return self.log.append_batch(batch, reign, now_s)

    def _index_of_first_attempt(self, write: Write | Batch) -> int | None:
        """Of the entry that the same request has made before; None when it has made none."""
        if self._takeover is not None or not (known := self.log.request(write.idempotency_key)):
            return None
        if known.fingerprint != write.fingerprint:
            raise KeyReused
        return known.index

    def _reign_for(self, write: Write | Batch) -> ReignId:
        """The reign in which a new write may be appended now."""
        if self._reign is None or (
            write.idempotency_key is not None and not self._quorum.has_begun
        ):
            raise self._refusal(write)
        if sum(progress.counts for progress in self.followers.values()) < self.write_quorum:
            raise NotEnoughFollowers
        return self._reign.id

    def _refusal(self, write: Write | Batch) -> KvstoreError:
        # Until its first entry is confirmed, it may have been replaced without knowing it.
        if write.idempotency_key is not None:
            return OutcomeUnknown()
        if self.problem is None and self.waiting_for:
            return NotEnoughFollowers()
        return WriteRefused(self._not_ready_reason)

    @property
    def _not_ready_reason(self) -> str:
        return self.problem or f"this leader is not ready: {self.state_text}"

    # Reads

    @property
    def map(self) -> KeyValueMap:
        """What is confirmed, as far as this node knows."""
        return self.log.map

    @property
    def ready(self) -> bool:
        """Whether it may answer reads and be relied on for writes."""
        return self.state is LeaderState.LEADING and self.problem is None

    def check_readable(self) -> None:
        """Until the reign's first entry is confirmed, no value is known to be confirmed.

        :raises NotReady: this leader cannot answer reads now.
        """
        if self.state is not LeaderState.LEADING:
            raise NotReady(self._not_ready_reason)

    @property
    def confirmed_index(self) -> int:
        """Up to where entries may be shown as confirmed."""
        return self.log.commit_index

    def confirmed_after(self, index: int) -> list[Entry]:
        """The next entries behind an index that are confirmed, at most a message full of them.

        :raises NotReady: this leader cannot tell now what is confirmed.
        :raises EntriesCut: the log no longer reaches back to the index.
        """
        self.check_readable()
        return self.log.replication_log.confirmed_after(index, self.confirmed_index)

    # The write quorum, and figures

    @property
    def write_quorum(self) -> int:
        """The W in force."""
        return self._quorum.size

    def set_quorum(self, size: int) -> None:
        """Change W; pending writes are judged by the new value.

        :raises ValueError: outside ``0 … number of followers``.
        """
        self._quorum.resize(size)
        self._confirm()

    @property
    def discarded(self) -> int:
        """How many entries were set aside because a state that was taken over lacks them."""
        return self._node_state.discarded

    def replicas(self, index: int) -> int:
        """How many followers are known to hold the entry at an index."""
        return sum(progress.confirmed_index >= index for progress in self.followers.values())

    def lag(self, address: str, now_s: float, started_s: float = 0.0) -> tuple[int, float]:
        """How far a follower is behind.

        :param started_s: when this process started: the age of earlier entries is unknown, and
            counted from then on.
        :return: entries, and the age in seconds of the oldest entry it lacks.
        """
        log = self.log.replication_log
        match_index = self.followers[address].match_index
        behind = log.last.index - match_index
        if behind <= 0:
            return behind, 0.0
        since_s = max(log.appended_at_s(match_index + 1), started_s)
        return behind, max(0.0, now_s - since_s)
