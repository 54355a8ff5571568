"""The rules of the leader: how its reigns begin and end, and which writes enter the log.

The leader is driven from outside: ``propose`` appends an entry, ``next_message`` says what to
send to a follower now, ``receive`` and ``lost`` report what came of it, ``saved`` reports what
is durable. Only entries that are durable here are sent, so no follower is ever ahead of a leader
that kept its disk.
"""

from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from kvstore.errors import KeyReused, NotEnoughFollowers, NothingToForce, NotReady, WriteRefused
from kvstore.key_value_map import KeyValueMap
from kvstore.leader_log import LeaderLog, LogLimits, Write
from kvstore.messages import Answer, Message
from kvstore.preconditions import ALWAYS, Precondition
from kvstore.progress import FollowerProgress, Stage
from kvstore.quorum import WriteQuorum
from kvstore.records import CutLog, NodeState, Record, ReplaceState, SaveEntries, SavePromise
from kvstore.reign import Reign
from kvstore.replication_log import ReplicationLog
from kvstore.takeover import Deposed, Takeover


class LeaderState(Enum):
    """Where the leader stands; the values are shown in ``/status``."""

    TAKEOVER = "takeover"  # /status shows the takeover's own phase
    STARTING = "starting"  # the reign is being saved
    CATCHING_UP = "catching up"  # waiting until W followers hold the log as it was at the start
    LEADING = "leading"
    DEPOSED = "deposed"


class Leader:
    """One leader.

    :param state: what the node kept, or a new state.
    :param addresses: the followers, as ``host:port``.
    :param write_quorum: W, ``0 … len(addresses)``.
    :param url: URL under which others reach this leader.
    :param new_id: makes random ids.
    """

    def __init__(
        self,
        state: NodeState,
        addresses: list[str],
        write_quorum: int,
        *,
        url: str,
        limits: LogLimits,
        new_id: Callable[[], str],
    ) -> None:
        self.node = state.node
        self.promise = state.promise
        self.followers = {address: FollowerProgress(address) for address in addresses}
        self.quorum = WriteQuorum(write_quorum, len(addresses))
        self.log = LeaderLog(state.log, state.map, self.quorum, limits)
        self._url = url
        self._limits = limits
        self._new_id = new_id
        self._unsaved: list[Record] = []
        self._takeover: Takeover | None = None
        self._reign: Reign | None = None
        if self.promise.deposed_by is None:
            if self.promise.led_epoch is None:
                self._begin_takeover()
            else:
                self._begin_own_reign()

    # What is in force

    @property
    def state(self) -> LeaderState:
        if self.promise.deposed_by is not None:
            return LeaderState.DEPOSED
        if self._takeover is not None:
            return LeaderState.TAKEOVER
        if self._reign is None:
            return LeaderState.STARTING
        return LeaderState.LEADING if self.log.start_confirmed else LeaderState.CATCHING_UP

    @property
    def state_text(self) -> str:
        """The state, for people."""
        return self._takeover.phase.value if self._takeover else self.state.value

    @property
    def ready(self) -> bool:
        """Whether it may answer reads and be relied on for writes."""
        return self.state is LeaderState.LEADING and self.problem is None

    @property
    def problem(self) -> str | None:
        """What an operator has to mend; None for nothing."""
        if self.promise.deposed_by is not None:
            return f"this leader was deposed by {self.promise.deposed_by}"
        if self._takeover is not None:
            return self._takeover.problem
        for progress in self.followers.values():
            if progress.stage is Stage.CONFLICT:
                return progress.problem
        return None

    @property
    def waiting_for(self) -> list[str]:
        """Addresses of the followers without which this leader cannot go on; may be empty."""
        if self._takeover is not None:
            return self._takeover.waiting_for
        if self.state is LeaderState.CATCHING_UP:
            start = self.log.start_index
            return [p.address for p in self.followers.values() if p.match_index < start]
        return []

    def replicas(self, index: int) -> int:
        """How many followers are known to hold the entry at an index."""
        return sum(progress.match_index >= index for progress in self.followers.values())

    def lag(self, address: str, now_s: float, started_s: float = 0.0) -> tuple[int, float]:
        """How far a follower is behind.

        :param started_s: when this process began: what was in the log before counts from then on,
            because its age is not known.
        :return: entries, and the age in seconds of the oldest entry it lacks.
        """
        entries = self.log.entries
        match_index = self.followers[address].match_index
        behind = entries.last.index - match_index
        if behind <= 0:
            return behind, 0.0
        since_s = max(entries.appended_at_s(match_index + 1), started_s)
        return behind, max(0.0, now_s - since_s)

    def check_readable(self) -> None:
        """Before the start of the reign is confirmed, no value is known to be.

        :raises NotReady: this leader cannot answer reads now.
        """
        if self.state is not LeaderState.LEADING:
            raise NotReady(self._not_ready_reason)

    # Writes

    def propose(self, write: Write, now_s: float, precondition: Precondition = ALWAYS) -> int:
        """Append a client's write: check, index assignment and append are one step.

        A write whose idempotency key is known makes no second entry. That is looked up before
        everything else: a definite refusal would be wrong while the first entry is pending.

        :param precondition: judged against the newest *appended* entry of the key.
        :return: index of the entry, which need not be durable or confirmed yet.
        :raises KeyReused: the idempotency key is known with another payload.
        :raises WriteRefused: this leader takes no writes now, fewer than W followers are reachable,
            or too much is pending.
        :raises PreconditionFailed: the key has another version.
        """
        if self._takeover is None and (known := self.log.request(write.idempotency_key)):
            if known.fingerprint != write.fingerprint:
                raise KeyReused
            return known.index
        if self._reign is None:
            raise self._refusal()
        if sum(progress.counts for progress in self.followers.values()) < self.quorum.size:
            raise NotEnoughFollowers
        precondition.check(self.log.newest_version(write.key))
        self.log.check_room()
        entry = self.log.append(write, self.promise.epoch, now_s)
        self._unsaved.append(SaveEntries([entry], self.promise.epoch))
        return entry.index

    def set_quorum(self, size: int) -> None:
        """Change W; pending writes are judged by the new value.

        :raises ValueError: outside ``0 … number of followers``.
        """
        self.quorum.resize(size)
        self._confirm()

    def force_start(self) -> list[str]:
        """Take over without the followers that do not answer; may lose confirmed writes.

        :return: their addresses.
        :raises NothingToForce: no takeover is waiting for anyone.
        """
        if self._takeover is None:
            raise NothingToForce(f"this leader is {self.state.value} and waits for nobody")
        missing = self._takeover.force()
        self._follow_takeover(self._takeover)
        return missing

    # Messages

    def next_message(self, address: str, now_s: float) -> Message | None:
        """What to send to a follower now; None while there is nothing to say."""
        progress = self.followers[address]
        message: Message | None = None
        if self._takeover is not None:
            message = self._takeover.next_message(progress, now_s)
        elif self._reign is not None:
            message = self._reign.next_message(progress, now_s)
        if message is not None:
            progress.last_sent_s = now_s
        return message

    def receive(self, address: str, message: Message, answer: Answer, now_s: float) -> None:
        """Take in the answer to a message, accepted or refused."""
        progress = self.followers[address]
        progress.answered(answer, now_s)
        try:
            if self._takeover is not None:
                self._takeover.receive(progress, message, answer)
                self._follow_takeover(self._takeover)
            elif self._reign is not None:
                self._reign.receive(progress, message, answer)
                self._cut_log(self._reign)
        except Deposed as deposed:
            self._depose(str(deposed))

    def lost(self, address: str, reason: str) -> None:
        """A message got no answer, or the connection is gone."""
        progress = self.followers[address]
        progress.lost(reason)
        if self._takeover is not None:
            self._takeover.lost(progress)

    # Storage

    def take_unsaved(self) -> list[Record]:
        """The records since the last call, for the storage."""
        records, self._unsaved = self._unsaved, []
        return records

    def saved(self, record: Record) -> None:
        """A record is durable. Called in the order of the records."""
        if isinstance(record, SaveEntries):
            self.log.durable_index = record.entries[-1].index
            self._confirm()
        elif isinstance(record, SavePromise) and record.promise == self.promise:
            if self._takeover is not None:
                self._takeover.promise_saved = True
            elif self.promise.deposed_by is None:
                self._begin_reign()
        elif isinstance(record, ReplaceState) and self._takeover is not None:
            self._begin_taken_reign(self._takeover, record)

    # Reigns

    def _begin_own_reign(self) -> None:
        epoch = self.promise.epoch + 1
        reign = f"{self.promise.lineage}.{self._new_id()}"
        self.promise = replace(self.promise, epoch=epoch, reign=reign, leader=self._url)
        self._unsaved.append(SavePromise(self.promise))

    def _begin_takeover(self) -> None:
        followers = list(self.followers.values())
        self._takeover = Takeover(self.promise, followers, self.node, self._url, self._new_id)
        self._follow_takeover(self._takeover)

    def _follow_takeover(self, takeover: Takeover) -> None:
        if takeover.taken is not None:
            if self.promise.led_epoch is None:
                taken = takeover.taken
                self.promise = replace(takeover.promise, led_epoch=takeover.promise.epoch)
                self._unsaved.append(
                    ReplaceState(
                        promise=self.promise,
                        synced_epoch=self.promise.epoch,
                        position=taken.position,
                        items=taken.items,
                        requests=taken.requests,
                        base=taken.base,
                        entries=taken.entries,
                    )
                )
        elif takeover.promise != self.promise:
            self.promise = takeover.promise
            self._unsaved.append(SavePromise(self.promise))

    def _begin_taken_reign(self, takeover: Takeover, record: ReplaceState) -> None:
        assert takeover.taken is not None
        self.quorum.commit_index = takeover.taken.commit_index
        self._takeover = None
        self.log = LeaderLog(
            ReplicationLog(record.base, record.entries),
            KeyValueMap(record.position, record.items, record.requests),
            self.quorum,
            self._limits,
        )
        self._begin_reign()

    def _begin_reign(self) -> None:
        self._reign = Reign(self.promise, self.node, self.log, self.followers, self._new_id)

    def _depose(self, by: str) -> None:
        self._takeover = None
        self._reign = None
        self.promise = replace(self.promise, deposed_by=by)
        self._unsaved.append(SavePromise(self.promise))

    # Helpers

    @property
    def _not_ready_reason(self) -> str:
        return self.problem or f"this leader is not ready: {self.state_text}"

    def _refusal(self) -> WriteRefused:
        if self.problem is None and self.waiting_for:
            return NotEnoughFollowers()
        return WriteRefused(self._not_ready_reason)

    def _confirm(self) -> None:
        if self._reign is not None:
            self._reign.confirm()
            self._cut_log(self._reign)

    def _cut_log(self, reign: Reign) -> None:
        cut = self.log.cut(reign.pinned())
        if cut is not None:
            self._unsaved.append(CutLog(cut))
