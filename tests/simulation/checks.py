"""What must be true after every step of a follower, and of every disk."""

from typing import TYPE_CHECKING

from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.messages import Answer, Append, Claim, Fetch, Hello, Message, SnapshotChunk
from kvstore.core.records import Promise, Record, ReplaceState
from kvstore.core.replication_log import ReplicationLog
from tests.simulation.history import History
from tests.simulation.leader_checks import LeaderChecks
from tests.simulation.ledger import equal
from tests.simulation.violation import require

if TYPE_CHECKING:
    from tests.simulation.machine import Machine, Standing
    from tests.simulation.process import FollowerProcess, Process
    from tests.simulation.world import World


class Checks:
    """The invariants of one world.

    :param world: is watched.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self._ledger = world.ledger
        self._reigns = world.ledger.reigns
        self.acknowledged: dict[tuple[str, str], int] = {}
        """Up to where a node has ever acknowledged a reign's order, by reign and node."""
        self.trusted: dict[tuple[str, str], int] = {}
        """The same, where a promise may rest on it."""
        self.leaders = LeaderChecks(world, self)

    def durable(self, machine: "Machine", record: Record, before: History, known: Promise) -> None:
        """A record has become durable.

        :param before: what the machine held.
        :param known: its promise.
        """
        require(machine.durable.is_whole, "no part of a batch", machine, "keeps", record)
        if isinstance(record, ReplaceState):
            self._ledger.is_on(machine)
        if not machine.is_follower:
            self.leaders.durable(machine, before, known)
            return
        standing, promise, now = machine.standing, machine.promise, machine.durable
        kept = now.holds(self._settled(standing, before, now)) or standing.forked
        kept |= self._ledger.apart
        require(kept, "no key goes back", machine, before.position, "to", now.position)
        if promise != known:
            self._reigns.claimed(machine, known)
        whole = isinstance(record, ReplaceState) or now is not before
        forks = self._reigns.may_fork(promise.reign) or self._reigns.replaced(promise)
        if whole and not forks:
            standing.forked = False
            self._ledger.named(machine)
        if now.position.epoch == promise.epoch:
            standing.settled = None
        elif standing.settled is None and self._reigns.is_revived(promise.reign):
            standing.settled = now.common(before)

    def _settled(self, standing: "Standing", before: History, now: History) -> History:
        """What a follower must not lose: all that it held.

        Except for what a takeover revived and no leader ever confirmed, as long as the follower
        holds no entry of that takeover's own: until then what another replaced leader had appended,
        in a later epoch, can outrank it.
        """
        dropped = before.at(now.common(before).index + 1)
        if standing.settled is None or dropped is None or dropped.confirmed:
            return before
        return standing.settled

    def recorded(self, process: "Process", promise: Promise, log: ReplicationLog) -> None:
        """A node's state is what it has recorded."""
        disk = process.machine.disk
        held, kept = (
            (each, of.base, of.lineage, of.members)
            for each, of in ((promise, log), (disk.promise, disk.log))
        )
        recorded = bool(process.storage.queue) or held == kept
        require(recorded, "every change is recorded", process, "has", held, "its disk", kept)

    def serves(self, process: "Process", kv_map: KeyValueMap, log: History) -> None:
        """A node's map holds what its log makes."""
        index = kv_map.position.index
        if process.served_index != index:
            process.served_index = index
            part = log.at(index)
            same = part is not None and equal(kv_map, part)
            require(same, "copies equal the order", process, "serves other items")
            whole = part is not None and part.is_whole
            require(whole, "no part of a batch", process, "serves one, up to", index)

    # Followers

    def answered(
        self, process: "FollowerProcess", message: Message, answer: Answer, held: Promise
    ) -> None:
        """An answer leaves a follower.

        :param held: the promise in force when the message came.
        """
        machine, accepted = process.machine, answer.error is None
        if accepted and not isinstance(message, Hello | Claim):
            same = held.reign is not None and message.of_reign == held.reign
            require(same, "only the reign in force", machine, "accepted", message)
        if accepted and isinstance(message, Claim):
            its_own = message.node_id == answer.node_id
            require(its_own, "a claim is for one node", machine, "accepted", message)
        followed, promised = answer.followed, machine.promise.reign
        durable = followed == promised or (
            promised is not None and not (followed and followed.is_later_than(promised))
        )
        require(durable, "only what is durable", machine, "promised", followed)
        part = machine.durable.at(answer.last_index)
        durable = part is not None and part.position == answer.position
        durable |= machine.standing.forked
        require(durable, "only what is durable", machine, "claims to hold", answer)
        if accepted and not isinstance(message, SnapshotChunk | Fetch):
            self._acknowledge(machine, message, answer)

    def _acknowledge(self, machine: "Machine", message: Message, answer: Answer) -> None:
        reign, index = answer.reign_id or "", answer.last_index
        order = self._ledger.orders.get(reign)
        if order is None:
            return
        if isinstance(message, Append):
            index = message.end_index
            durable = machine.durable.at(index) is order.at(index)
            require(durable, "only what is durable", machine, "confirmed", message)
        if not machine.durable.shares(order, index):
            return
        key = (reign, machine.disk.node_id)
        self.acknowledged[key] = max(self.acknowledged.get(key, 0), index)
        if not (machine.standing.forgot or self._reigns.is_loose(answer.followed)):
            self.trusted[key] = max(self.trusted.get(key, 0), index)

    def follower_changed(self, process: "FollowerProcess") -> None:
        """Something has happened at a follower."""
        machine, follower = process.machine, process.follower
        last, queued = follower.log.last, machine.queued
        require(last == queued.position, "every change is recorded", machine, last, queued.position)
        self.recorded(process, follower.promise, follower.log)
        served, durable = follower.map.position, machine.durable
        require(served == durable.position, "only what is durable", machine, "serves", served)
        self.serves(process, follower.map, durable)
        known = queued.at(follower.commit_index)
        confirmed = (known is not None and known.confirmed) or self._ledger.apart
        require(confirmed, "a lower bound", machine, follower.commit_index, "is not confirmed")
