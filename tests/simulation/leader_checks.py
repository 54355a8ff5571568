"""What must be true after every step of a leader."""

from typing import TYPE_CHECKING

from msgspec import Raw

from kvstore.core.errors import DefiniteError, KvstoreError, OutcomeUnknown, PreconditionFailed
from kvstore.core.leader import LeaderState
from kvstore.core.leader_log import Write
from kvstore.core.messages import Answer, Append, Hello, Message, SnapshotChunk
from kvstore.core.preconditions import Precondition
from kvstore.core.progress import Stage
from kvstore.core.records import Promise
from tests.simulation.history import History
from tests.simulation.ledger import equal
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from tests.simulation.checks import Checks
    from tests.simulation.leader_process import LeaderProcess
    from tests.simulation.machine import Machine
    from tests.simulation.world import World

IN_OFFICE = (LeaderState.CATCHING_UP, LeaderState.LEADING)


class LeaderChecks:
    """The invariants of the leaders of one world.

    :param world: is watched.
    :param checks: knows what the followers have acknowledged.
    """

    def __init__(self, world: "World", checks: "Checks") -> None:
        self._world = world
        self._ledger = world.ledger
        self._reigns = world.ledger.reigns
        self._checks = checks
        self._commits: dict[tuple[str, LeaderProcess], int] = {}

    def durable(self, machine: "Machine", before: History, known: Promise) -> None:
        """A leader's record has become durable."""
        promise = machine.promise
        if promise == known or promise.reign is None:
            return
        if promise.is_own:
            self._reigns.began(machine, known)
        over = promise.deposed_by is not None and known.deposed_by is None
        if over and not self._reigns.has_later(promise.reign):
            raise Violation("only a takeover deposes", f"{machine.name}: {promise}")
        same = known.reign is not None and known.reign.takeover == promise.reign.takeover
        if promise.has_led and not (same and known.has_led):
            asked = self._world.leader(machine.name).leader.followers
            self._ledger.taken_over(machine, before, asked)

    # Messages

    def sending(self, process: "LeaderProcess", address: str, message: Message) -> None:
        """A leader hands a message to the network."""
        machine = process.machine
        if isinstance(message, Hello):
            return
        durable = message.of_reign == machine.promise.reign
        if isinstance(message, Append):
            last = process.log.at(message.end_index)
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

    def received(
        self, process: "LeaderProcess", address: str, message: Message, answer: Answer
    ) -> None:
        """A leader has taken in an answer."""
        leader = process.leader
        own, met = message.of_reign, answer.followed
        over = met is not None and (met.is_later_than(own) or met.is_twin_of(own))
        same = answer.cluster == leader.promise.cluster and own == leader.promise.reign
        if over and same and leader.state in IN_OFFICE and answer.node != leader.node:
            raise Violation("a replaced leader stops", f"{process} goes on after {answer}")
        progress = leader.followers.get(address)
        if progress is None or progress.stage is not Stage.STREAM or progress.match_index == 0:
            return
        for machine in self._world.machines.values():
            standing = machine.standing
            if (machine.disk.node, machine.promise.reign) != (progress.node, own):
                continue
            if progress.counts and machine.is_follower and machine.name == address:
                standing.counted, standing.misled = True, False
            part = process.log.at(progress.match_index)
            if not standing.forked and (part is None or not machine.durable.holds(part)):
                raise Violation(
                    "logs are prefixes of one order",
                    f"{process} takes {machine.name} to hold {progress.match_index} "
                    f"after {answer} to {message}",
                )

    # State

    def changed(self, process: "LeaderProcess") -> None:
        """Something has happened at a leader."""
        machine, leader = process.machine, process.leader
        self._checks.recorded(process, leader.promise, leader.log.entries)
        if leader.state not in IN_OFFICE or leader.promise.reign is None:
            return
        reign = leader.promise.reign.id
        if reign not in self._ledger.orders:
            self._check_begun(process)
        self._ledger.orders[reign] = process.log
        if leader.log.entries.last != process.log.position:
            raise Violation("one order", f"{machine.name} holds {leader.log.entries.last}")
        self._check_commit(process, reign)
        self._check_ready(process, reign)
        served = leader.log.map.position.index
        if process.served_index == served:
            return
        process.served_index = served
        part = process.log.at(served)
        if part is None or not equal(leader.log.map, part):
            raise Violation("copies equal the order", f"{machine.name} serves other items")

    def _check_begun(self, process: "LeaderProcess") -> None:
        machine, ledger = process.machine, self._ledger
        promise = machine.promise
        outside = self._reigns.replaced(promise) or self._reigns.is_loose(promise.reign)
        if outside or machine.standing.stale or ledger.apart:
            return
        if not process.log.holds(ledger.of(promise.cluster)):
            raise Violation("confirmed entries survive", f"{machine.name} begins without them")

    def _check_ready(self, process: "LeaderProcess", reign: str) -> None:
        leader = process.leader
        if not leader.ready:
            process.was_ready = False
            return
        if leader.log.map.position.index > leader.log.commit_index:
            raise Violation("only confirmed values", f"{process} serves what is not")
        if process.was_ready or leader.write_quorum == 0:
            process.was_ready = leader.write_quorum > 0
            return
        process.was_ready = True
        first = process.log
        while first.parent is not None and first.parent.position.reign == reign:
            first = first.parent
        acknowledged = self._checks.acknowledged
        if first.position.reign != reign or not any(
            of == reign and index >= first.index for (of, _), index in acknowledged.items()
        ):
            raise Violation("a quorum knows a ready leader", f"{process} is ready in {reign}")

    def _check_commit(self, process: "LeaderProcess", reign: str) -> None:
        machine, leader = process.machine, process.leader
        commit = leader.log.commit_index
        known = self._commits.get((reign, process), 0)
        if commit == known:
            return
        self._commits[(reign, process)] = commit
        if commit < known:
            raise Violation("the commit index never falls", f"{known} to {commit}")
        tip = process.log.at(commit)
        if tip is None or not machine.durable.holds(tip):
            raise Violation("only what is durable", f"{machine.name} confirms {commit}")
        if tip.confirmed:
            return
        if tip.position.reign != reign:
            raise Violation("the first entry comes first", f"{machine.name} confirms {commit}")
        self._check_quorum(process, reign, tip)

    def _check_quorum(self, process: "LeaderProcess", reign: str, tip: History) -> None:
        machine, size = process.machine, process.leader.write_quorum
        # Not by machine: one that was emptied may be another follower's by now.
        nodes = {each.node for each in process.leader.followers.values() if each.node}
        holders, trusted = (
            {node for node in nodes if counts.get((reign, node), 0) >= tip.index}
            for counts in (self._checks.acknowledged, self._checks.trusted)
        )
        if len(holders) < size:
            raise Violation(
                "the quorum holds it",
                f"{machine.name} confirms {tip.position}, which {len(holders)} followers hold",
            )
        tip.confirm()
        replaced = self._reigns.replaced(machine.promise)
        loose = self._reigns.is_loose(machine.promise.reign)
        # A replaced leader's own copy is lost; so are those of followers that were emptied since.
        left = {each.disk.node for each in self._world.machines.values()}
        gone = replaced and (size == 0 or trusted.isdisjoint(left))
        if len(trusted) < size or machine.standing.stale or loose or gone:
            return
        self._ledger.confirm(machine, tip)

    # Clients

    def refused(
        self, process: "LeaderProcess", before: int, write: Write, error: KvstoreError
    ) -> None:
        """A write was refused.

        :param before: the leader's last index before it.
        """
        definite = isinstance(error, DefiniteError) or (
            isinstance(error, OutcomeUnknown) and write.idempotency_key is not None
        )
        if process.leader.log.last_index != before or not definite:
            raise Violation("a refusal is definite", f"{error!r} used an index")

    def judged(
        self, newest: History, write: Write, expected: Precondition, error: KvstoreError | None
    ) -> None:
        """A write's precondition was judged.

        :param newest: the leader's log before the write.
        """
        version, _ = newest.items.get(write.key, (None, Raw()))
        try:
            expected.check(version)
            holds = True
        except PreconditionFailed:
            holds = False
        passed = not isinstance(error, PreconditionFailed)
        if (error is None or not passed) and passed != holds:
            raise Violation(
                "preconditions", f"{write} under {expected}, version {version}: {error}"
            )
