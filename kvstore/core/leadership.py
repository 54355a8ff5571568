"""Whether a node leads, and in which reign: how its reigns begin and end.

A node that is started as a leader begins a reign from its own state, if it has led before, or after
a takeover; it stops leading when it meets a later reign.
"""

from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from kvstore.core.entries import Members, ReignId, members_at
from kvstore.core.errors import Deposed, NothingToForce, OldCopy
from kvstore.core.known_followers import NAMING_PAUSE_S
from kvstore.core.leader_log import LeaderLog, LogLimits
from kvstore.core.messages import Answer, Hello, Message
from kvstore.core.node_state import NodeState
from kvstore.core.progress import FollowerProgress, Stage
from kvstore.core.quorum import WriteQuorum
from kvstore.core.records import Promise, Record, ReplaceState, SaveEntries, SavePromise
from kvstore.core.reign import Reign
from kvstore.core.survey import OwnState
from kvstore.core.takeover import Phase, Takeover


class LeaderState(Enum):
    """Where the leader stands; the values are shown in ``/status``."""

    TAKEOVER = "takeover"  # /status shows the takeover's own phase
    STARTING = "starting"  # the reign is being saved
    CATCHING_UP = "catching up"  # waiting until W followers hold the reign's first entry
    LEADING = "leading"
    DEPOSED = "deposed"


class Leadership:
    """The leadership of one node: a takeover, then a reign, until another one deposes it.

    :param state: the node's saved state, or a new one.
    :param addresses: the followers, as ``host:port``.
    :param write_quorum: W, ``0 … len(addresses)``.
    :param url: URL under which others reach this leader.
    :param new_id: makes random ids.
    :param now_ms: the wall clock in milliseconds.
    :param naming_pause_s: see :class:`KnownFollowers`.
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
        now_ms: Callable[[], int],
        naming_pause_s: float = NAMING_PAUSE_S,
    ) -> None:
        self.node_id = state.node_id
        self.followers = {address: FollowerProgress(address) for address in addresses}
        """By address; during a takeover, also the other nodes that it asks."""
        self._quorum = WriteQuorum(write_quorum, len(addresses))
        self.log = LeaderLog(state, self._quorum, limits)
        self._node_state = state
        self._addresses = addresses
        self._url = url
        self._limits = limits
        self._new_id = new_id
        self._now_ms = now_ms
        self._naming_pause_s = naming_pause_s
        self._now_s = 0.0
        self.durable_promise = state.promise
        """The last promise that is durable."""
        self._takeover: Takeover | None = None
        self._reign: Reign | None = None
        if self.promise.deposed_by is None:
            if self.promise.has_led:
                self._begin_own_reign()
            else:
                self._begin_takeover()

    # What is in force

    @property
    def promise(self) -> Promise:
        """The latest reign that this node knows of, and its known followers."""
        return self._node_state.promise

    @property
    def reign(self) -> ReignId | None:
        """The reign in which it leads; None while it does not."""
        return None if self._reign is None else self._reign.id

    @property
    def state(self) -> LeaderState:
        if self._takeover is not None:
            return LeaderState.TAKEOVER
        if self.promise.deposed_by is not None:
            return LeaderState.DEPOSED
        if self._reign is None:
            return LeaderState.STARTING
        return LeaderState.LEADING if self._quorum.has_begun else LeaderState.CATCHING_UP

    @property
    def state_text(self) -> str:
        """The state, for people."""
        return self._takeover.phase.value if self._takeover else self.state.value

    @property
    def problem(self) -> str | None:
        """What an operator has to fix; None if nothing."""
        if self._takeover is not None:
            return self._takeover.problem
        if self.promise.deposed_by is not None:
            return (
                f"this leader was deposed by {self.promise.deposed_by}; start it as a follower, or "
                "POST /admin/force_start to let it take over"
            )
        return None if self._reign is None else self._reign.problem

    @property
    def waiting_for(self) -> list[str]:
        """Addresses of the followers without which this leader cannot continue; may be empty."""
        if self._takeover is not None:
            return self._takeover.waiting_for
        if self.state is LeaderState.CATCHING_UP:
            first = self.log.first_index
            return [p.address for p in self.followers.values() if p.confirmed_index < first]
        return []

    # Messages

    def next_message(self, address: str, now_s: float) -> Message | None:
        """What to send to a follower now; None while there is nothing to say."""
        progress = self.followers.get(address)
        if progress is None:
            return None
        self._now_s = now_s
        message: Message | None = None
        if self._takeover is not None:
            message = self._takeover.next_message(progress, now_s)
        elif self._reign is not None:
            message = self._reign.next_message(progress, now_s)
        elif progress.stage is Stage.HELLO or progress.is_due(now_s):
            # Only to learn which nodes are there, in case an operator forces a start.
            message = Hello(cluster_id=None, epoch=0, reign_id="", leader_url=self._url)
        if message is not None:
            progress.last_sent_s = now_s
        return message

    def receive(self, address: str, message: Message, answer: Answer, now_s: float) -> None:
        """Handle the answer to a message, accepted or refused."""
        progress = self.followers.get(address)
        if progress is None:
            return
        self._now_s = now_s
        progress.answered(answer, now_s)
        try:
            if self._takeover is not None:
                self._takeover.receive(progress, message, answer)
                self._follow_takeover(self._takeover)
            elif self._reign is not None:
                self._reign.receive(progress, message, answer, now_s)
                self.log.cut(self._reign.pinned())
            else:
                progress.stage = Stage.CLAIM
        except Deposed as deposed:
            self._end_reign(replace(self.promise, deposed_by=str(deposed)))
        except OldCopy:
            self._end_reign(replace(self.promise, has_led=False))
            self._begin_takeover()

    def lost(self, address: str, reason: str) -> None:
        """A message got no answer, or the connection is gone."""
        progress = self.followers.get(address)
        if progress is None:
            return
        if self._reign is not None:
            self._reign.lost(progress, reason)
            return
        progress.lost(reason)
        if self._takeover is not None:
            self._takeover.lost(progress)

    # Storage

    def take_unsaved(self) -> list[Record]:
        """The records since the last call, for the storage."""
        return self._node_state.take_unsaved()

    def saved(self, record: Record) -> None:
        """A record is durable. Called in the order of the records."""
        if isinstance(record, SaveEntries):
            self.log.durable_index = record.entries[-1].index
            self._confirm()
        elif isinstance(record, SavePromise):
            self.durable_promise = record.promise
            self._promise_saved(record.promise)
        elif isinstance(record, ReplaceState):
            self.durable_promise = record.promise
            self._node_state.execute(record)
            # The reign may have ended while this was being saved.
            if record.promise == self.promise:
                self._begin_reign()

    # Operators

    def force_start(self, keep: str | None = None) -> list[str]:
        """Let an operator decide where this leader cannot; may lose confirmed writes.

        A takeover continues without the nodes whose answer is missing, or with one of two
        histories. A leader that was deposed, or that leads with a problem, begins a takeover: its
        own state is one candidate, and followers that do not answer now are given up.

        :param keep: the address whose history to keep, or ``self``; None = no choice.
        :return: addresses of the nodes that are given up.
        :raises NothingToForce: there is nothing to decide.
        """
        if self._takeover is not None:
            missing = self._takeover.force(keep)
            self._follow_takeover(self._takeover)
            return missing
        deposed = self.promise.deposed_by is not None
        stuck = self._reign is not None and self._reign.needs_decision
        if keep is not None or not (deposed or stuck):
            raise NothingToForce(f"this leader is {self.state.value}: it needs no decision")
        gone = [p.address for p in self.followers.values() if p.is_missing]
        self._end_reign(self.promise)
        self._begin_takeover(forced=True)
        if gone and self._takeover is not None:
            self._takeover.give_up(gone)
            self._follow_takeover(self._takeover)
        return gone

    # Reigns

    def _promise_saved(self, promise: Promise) -> None:
        if self._reign is not None:
            self._reign.saved(promise)
            self._confirm()
        elif promise != self.promise or promise.deposed_by is not None:
            return
        elif promise.has_led:
            self._begin_reign()
        elif self._takeover is not None:
            self._takeover.promise_saved = True

    def _begin_own_reign(self) -> None:
        before = self.promise.reign
        assert before is not None, "it has led in a reign"
        reign = before.restarted(self._new_id(), self._now_ms())
        known = self._listed(self.promise.members)
        self._save_promise(replace(self.promise, reign=reign, leader_url=self._url, members=known))

    def _begin_takeover(self, *, forced: bool = False) -> None:
        state = self._node_state
        own = OwnState.of(state, self._url)
        self._takeover = Takeover(
            state.promise, own, self.followers, self._new_id, state.change, forced=forced
        )
        self._follow_takeover(self._takeover)

    def _follow_takeover(self, takeover: Takeover) -> None:
        """Save what the takeover has reached."""
        if takeover.phase is not Phase.DONE:
            self._save_promise(takeover.promise)
            return
        known = self._listed(takeover.promise.members)
        promise = replace(takeover.promise, members=known, has_led=True)
        if takeover.taken is None:
            self._save_promise(promise)
        elif promise != self.promise:
            self._quorum.commit_index = takeover.commit_index
            self._node_state.replace(replace(takeover.taken, promise=promise))

    def _listed(self, members: Members) -> Members:
        # A follower that is no longer listed cannot vouch for this leader: a takeover waits only
        # for those named since, so it need not have heard of one.
        return members_at(self._addresses, members) or members

    def _begin_reign(self) -> None:
        """The promise to lead is durable, with the complete state."""
        self._end_takeover()
        self.log = LeaderLog(self._node_state, self._quorum, self._limits)
        reign = self.promise.reign
        assert reign is not None, "the promise is of a reign"
        self.log.begin(reign, members_at(self._addresses, self.promise.members), self._now_s)
        self._reign = Reign(
            self.promise,
            self.node_id,
            self.log,
            self.followers,
            self._new_id,
            self._node_state.change,
            self._naming_pause_s,
        )

    def _end_reign(self, promise: Promise) -> None:
        """The reign, or the attempt to begin one, is over; open writes stay open."""
        self._end_takeover()
        self._reign = None
        self._save_promise(promise)

    def _end_takeover(self) -> None:
        self._takeover = None
        self._node_state.staging = None
        for address in [address for address in self.followers if address not in self._addresses]:
            del self.followers[address]

    def _save_promise(self, promise: Promise) -> None:
        if promise != self.promise:
            self._node_state.change(SavePromise(promise))

    def _confirm(self) -> None:
        if self._reign is not None:
            self._reign.confirm()
            self.log.cut(self._reign.pinned())
