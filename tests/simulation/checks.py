"""What must be true after every step of a follower, and of every disk."""

from typing import TYPE_CHECKING

from kvstore.core.messages import Answer, Append, Claim, Fetch, Hello, Message, SnapshotChunk
from kvstore.core.records import Promise, Record, ReplaceState
from kvstore.core.replication_log import ReplicationLog
from tests.simulation.history import History
from tests.simulation.leader_checks import LeaderChecks
from tests.simulation.ledger import equal
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from tests.simulation.follower_process import FollowerProcess
    from tests.simulation.machine import Machine, Process
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
        if isinstance(record, ReplaceState):
            self._ledger.is_on(machine)
        if not machine.is_follower:
            self.leaders.durable(machine, before, known)
            return
        standing, promise = machine.standing, machine.promise
        excused = standing.forked or self._ledger.apart
        if not machine.durable.holds(before) and not excused:
            raise Violation(
                "no key goes back",
                f"{machine.name} went from {before.position} to {machine.durable.position}",
            )
        if promise != known:
            self._reigns.claimed(machine, known)
        whole = isinstance(record, ReplaceState) or machine.durable is not before
        forks = self._reigns.may_fork(promise.reign) or self._reigns.replaced(promise)
        if whole and not forks:
            standing.forked = False
            self._ledger.named(machine.disk.log.members)

    def recorded(self, process: "Process", promise: Promise, log: ReplicationLog) -> None:
        """A node's state is what it has recorded."""
        disk = process.machine.disk
        if process.storage.queue:
            return
        has, recorded = (
            (each, of.base, of.lineage, of.members)
            for each, of in ((promise, log), (disk.promise, disk.log))
        )
        if has != recorded:
            raise Violation("every change is recorded", f"{process} has {has}, its disk {recorded}")

    # Followers

    def answered(
        self, process: "FollowerProcess", message: Message, answer: Answer, held: Promise
    ) -> None:
        """An answer leaves a follower.

        :param held: the promise in force when the message came.
        """
        machine = process.machine
        same = held.reign is not None and message.of_reign == held.reign
        if not same and not isinstance(message, Hello | Claim) and answer.error is None:
            raise Violation("only the reign in force", f"{machine.name} accepted {message}")
        if isinstance(message, Claim) and answer.error is None and message.node != answer.node:
            raise Violation("a claim is for one node", f"{machine.name} accepted {message}")
        promised = machine.promise.reign
        if answer.followed != promised and (
            promised is None or (answer.followed and answer.followed.is_later_than(promised))
        ):
            raise Violation("only what is durable", f"{machine.name} promised {answer.followed}")
        part = machine.durable.at(answer.last_index)
        if (part is None or part.position != answer.position) and not machine.standing.forked:
            raise Violation("only what is durable", f"{machine.name} claims to hold {answer}")
        if answer.error is None and not isinstance(message, SnapshotChunk | Fetch):
            self._acknowledge(machine, message, answer)

    def _acknowledge(self, machine: "Machine", message: Message, answer: Answer) -> None:
        reign, index = answer.reign or "", answer.last_index
        order = self._ledger.orders.get(reign)
        if order is None:
            return
        if isinstance(message, Append):
            index = message.end_index
            if machine.durable.at(index) is not order.at(index):
                raise Violation("only what is durable", f"{machine.name} confirmed {message}")
        part = order.at(index)
        if part is None or not machine.durable.holds(part):
            return
        key = (reign, machine.disk.node)
        self.acknowledged[key] = max(self.acknowledged.get(key, 0), index)
        if not (machine.standing.forgot or self._reigns.is_loose(answer.followed)):
            self.trusted[key] = max(self.trusted.get(key, 0), index)

    def follower_changed(self, process: "FollowerProcess") -> None:
        """Something has happened at a follower."""
        machine, follower = process.machine, process.follower
        if follower.log.last != machine.queued.position:
            raise Violation(
                "every change is recorded",
                f"{machine.name} is at {follower.log.last}, recorded {machine.queued.position}",
            )
        self.recorded(process, follower.promise, follower.log)
        if follower.map.position != machine.durable.position:
            raise Violation(
                "only what is durable",
                f"{machine.name} serves {follower.map.position}, holds {machine.durable.position}",
            )
        if process.served_index != machine.durable.index:
            process.served_index = machine.durable.index
            if not equal(follower.map, machine.durable):
                raise Violation("copies equal the order", f"{machine.name} serves other items")
        known = machine.queued.at(follower.commit_index)
        if (known is None or not known.confirmed) and not self._ledger.apart:
            raise Violation(
                "a lower bound", f"{machine.name} thinks {follower.commit_index} is confirmed"
            )
