"""What must be true after every step."""

from typing import TYPE_CHECKING

from kvstore.errors import DefiniteError, KvstoreError
from kvstore.leader import LeaderState
from kvstore.messages import Answer, Append, Claim, Fetch, Hello, Message, SnapshotChunk
from kvstore.progress import Stage
from kvstore.records import Promise
from kvstore.replication_log import ReplicationLog
from tests.simulation.history import History
from tests.simulation.ledger import equal
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from tests.simulation.follower_process import FollowerProcess
    from tests.simulation.leader_process import LeaderProcess
    from tests.simulation.machine import Machine, Process
    from tests.simulation.world import World


class Checks:
    """The invariants of one world.

    :param world: is watched.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self._ledger = world.ledger
        self._acknowledged: dict[tuple[str, str], int] = {}
        """Up to where a machine has ever acknowledged a reign's order, by reign and machine."""
        self._commits: dict[tuple[str, LeaderProcess], int] = {}
        self._promises: dict[str, Promise] = {}

    # Followers

    def durable(self, machine: "Machine", before: History) -> None:
        """A record has become durable."""
        promise = machine.disk.promise
        if promise.led_epoch is not None and promise.reign is not None:
            self._ledger.lineages.setdefault(promise.reign, machine.lineage)
        if machine.name not in self._world.followers:
            return
        if not self._ledger.apart and not machine.durable.holds(before):
            raise Violation(
                "no key goes back",
                f"{machine.name} went from {before.position} to {machine.durable.position}",
            )
        known = self._promises.get(machine.disk.node, Promise())
        if promise != known:
            self._promises[machine.disk.node] = promise
            self._check_claim(machine, known, promise)

    def _check_claim(self, machine: "Machine", known: Promise, promise: Promise) -> None:
        ledger = self._ledger
        if promise.epoch <= known.epoch:
            raise Violation("epochs grow", f"{machine.name} went from {known} to {promise}")
        lineage = ledger.lineages.get(promise.reign or "", ledger.lineage + 1)
        if known.epoch == 0 and lineage < ledger.lineage:
            ledger.apart = True
        elif lineage < ledger.lineages.get(known.reign or "", 0) and not ledger.apart:
            raise Violation(
                "a replaced leader changes nothing", f"{machine.name} left {known} for {promise}"
            )

    def answered(
        self, process: "FollowerProcess", message: Message, answer: Answer, held: Promise
    ) -> None:
        """An answer leaves a follower.

        :param held: the promise in force when the message came.
        """
        machine = process.machine
        same = (message.epoch, message.reign) == (held.epoch, held.reign)
        if not same and not isinstance(message, Hello | Claim) and answer.error is None:
            raise Violation("only the reign in force", f"{machine.name} accepted {message}")
        if answer.epoch > machine.disk.promise.epoch:
            raise Violation("only what is durable", f"{machine.name} promised {answer.epoch}")
        if self._ledger.apart:
            return
        part = machine.durable.at(answer.last_index)
        if part is None or part.position != answer.position:
            raise Violation("only what is durable", f"{machine.name} claims to hold {answer}")
        if answer.error is None and not isinstance(message, SnapshotChunk | Fetch):
            self._acknowledge(machine, message, answer)

    def _acknowledge(self, machine: "Machine", message: Message, answer: Answer) -> None:
        reign, index = answer.reign or "", answer.last_index
        order = self._ledger.orders.get(reign)
        if order is None:
            return
        if isinstance(message, Append):
            index = message.prev_index + len(message.entries)
            if machine.durable.at(index) is not order.at(index):
                raise Violation("only what is durable", f"{machine.name} confirmed {message}")
        part = order.at(index)
        if part is not None and machine.durable.holds(part):
            key = (reign, machine.name)
            self._acknowledged[key] = max(self._acknowledged.get(key, 0), index)

    def follower_changed(self, process: "FollowerProcess") -> None:
        """Something has happened at a follower."""
        machine, follower = process.machine, process.follower
        if follower.log.last != machine.queued.position:
            raise Violation(
                "every change is recorded",
                f"{machine.name} is at {follower.log.last}, recorded {machine.queued.position}",
            )
        self._check_recorded(process, follower.promise, follower.log)
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

    def _check_recorded(self, process: "Process", promise: Promise, log: ReplicationLog) -> None:
        disk = process.machine.disk
        if not process.storage.queue and (disk.promise, disk.base) != (promise, log.base):
            raise Violation(
                "every change is recorded",
                f"{process} has {promise} and a log from {log.base} on, its disk {disk.promise} "
                f"and {disk.base}",
            )

    # Leaders

    def sending(self, process: "LeaderProcess", address: str, message: Message) -> None:
        """A leader hands a message to the network."""
        machine = process.machine
        promise = machine.disk.promise
        if isinstance(message, Hello):
            return
        durable = (message.epoch, message.reign) == (promise.epoch, promise.reign)
        if isinstance(message, Append):
            last = process.log.at(message.prev_index + len(message.entries))
            durable &= last is not None and machine.durable.holds(last)
            durable &= message.last_index <= machine.durable.index
            for entry in message.entries:
                part = process.log.at(entry.index)
                if part is None or part.entry != entry:
                    raise Violation("one order", f"{machine.name} sends {message} to {address}")
        elif isinstance(message, SnapshotChunk):
            durable &= message.index <= machine.durable.index
        if not durable:
            raise Violation("only what is durable", f"{machine.name} sends {message} to {address}")

    def leader_changed(self, process: "LeaderProcess") -> None:
        """Something has happened at a leader."""
        machine, leader = process.machine, process.leader
        self._check_recorded(process, leader.promise, leader.log.entries)
        if leader.state not in (LeaderState.CATCHING_UP, LeaderState.LEADING):
            return
        reign = leader.promise.reign or ""
        if reign not in self._ledger.orders:
            self._begun(process, reign)
        self._ledger.orders[reign] = process.log
        if leader.log.entries.last != process.log.position:
            raise Violation("one order", f"{machine.name} holds {leader.log.entries.last}")
        self._check_commit(process, reign)
        served = leader.log.map.position.index
        if process.served_index == served:
            return
        process.served_index = served
        part = process.log.at(served)
        if part is None or not equal(leader.log.map, part):
            raise Violation("copies equal the order", f"{machine.name} serves other items")

    def _begun(self, process: "LeaderProcess", reign: str) -> None:
        machine, ledger = process.machine, self._ledger
        process.log = machine.durable
        ledger.lineages[reign] = machine.lineage
        newest = machine.lineage == ledger.lineage and not ledger.apart
        if newest and not process.log.holds(ledger.confirmed):
            raise Violation("confirmed entries survive", f"{machine.name} begins without them")

    def _check_commit(self, process: "LeaderProcess", reign: str) -> None:
        machine, leader = process.machine, process.leader
        commit = leader.quorum.commit_index
        known = self._commits.get((reign, process), 0)
        if leader.ready and leader.log.map.position.index > commit:
            raise Violation("only confirmed values", f"{machine.name} serves more than {commit}")
        if commit == known:
            return
        self._commits[(reign, process)] = commit
        if commit < known:
            raise Violation("the commit index never falls", f"{known} to {commit}")
        tip = process.log.at(commit)
        if tip is None or not machine.durable.holds(tip):
            raise Violation("only what is durable", f"{machine.name} confirms {commit}")
        if not tip.confirmed:
            self._check_quorum(process, reign, tip)

    def _check_quorum(self, process: "LeaderProcess", reign: str, tip: History) -> None:
        machine, size = process.machine, process.leader.quorum.size
        holders = sum(
            self._acknowledged.get((reign, name), 0) >= tip.index for name in self._world.followers
        )
        if holders < size and not self._ledger.apart:
            raise Violation(
                "the quorum holds it",
                f"{machine.name} confirms {tip.position}, which {holders} followers hold",
            )
        if size == 0 and machine.lineage < self._ledger.lineage:
            tip.confirm()  # at W = 0 a replaced leader goes on: nothing else is promised
        else:
            self._ledger.confirm(machine, tip)

    def received(
        self, process: "LeaderProcess", address: str, message: Message, answer: Answer
    ) -> None:
        """A leader has taken in an answer."""
        progress = process.leader.followers[address]
        if self._ledger.apart or progress.stage is not Stage.STREAM or progress.match_index == 0:
            return
        reign = process.leader.promise.reign
        for machine in self._world.followers.values():
            if machine.disk.node == progress.node and machine.disk.promise.reign == reign:
                part = process.log.at(progress.match_index)
                if part is None or not machine.durable.holds(part):
                    raise Violation(
                        "logs are prefixes of one order",
                        f"{process} takes {machine.name} to hold {progress.match_index} "
                        f"after {answer} to {message}",
                    )

    def refused(self, process: "LeaderProcess", before: int, error: KvstoreError) -> None:
        """A write was refused.

        :param before: the leader's last index before it.
        """
        if process.leader.log.last_index != before or not isinstance(error, DefiniteError):
            raise Violation("a refusal is definite", f"{error!r} used an index")
