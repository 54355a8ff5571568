"""What must be true after every step of a leader."""

from typing import TYPE_CHECKING

from msgspec import Raw

from kvstore.core.errors import (
    BatchRefused,
    DefiniteError,
    KvstoreError,
    OutcomeUnknown,
    PreconditionFailed,
)
from kvstore.core.leader_log import Batch
from kvstore.core.leadership import LeaderState
from kvstore.core.messages import Answer, Append, Hello, Message, SnapshotChunk
from kvstore.core.progress import Stage
from kvstore.core.records import Promise
from tests.simulation.history import History
from tests.simulation.violation import require

if TYPE_CHECKING:
    from tests.simulation.checks import Checks
    from tests.simulation.machine import Machine
    from tests.simulation.process import LeaderProcess
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
        if promise.deposed_by is not None and known.deposed_by is None:
            later = self._reigns.has_later(promise.reign)
            require(later, "only a takeover deposes", machine, promise)
        same = known.reign is not None and known.reign.takeover_id == promise.reign.takeover_id
        if promise.has_led and not (same and known.has_led):
            self._ledger.taken_over(machine, before, self._asked(machine))

    def _asked(self, machine: "Machine") -> list[str]:
        """Whom a takeover had to wait for, or did not ask in vain."""
        listed, route = machine.addresses or [], self._world.network.route
        return [
            address
            for address in self._world.leader(machine.name).leader.followers
            if address in listed or route[address].promise.reign == machine.promise.reign
        ]

    # Messages

    def sending(self, process: "LeaderProcess", address: str, message: Message) -> None:
        """A leader hands a message to the network."""
        machine = process.machine
        if isinstance(message, Hello):
            return
        durable = message.of_reign == machine.promise.reign
        if isinstance(message, Append):
            durable &= machine.durable.shares(process.log, message.end_index)
            durable &= message.last_index <= machine.durable.index
        elif isinstance(message, SnapshotChunk):
            durable &= message.index <= machine.durable.index
        require(durable, "only what is durable", machine, "sends", message, "to", address)

    def received(
        self, process: "LeaderProcess", address: str, message: Message, answer: Answer
    ) -> None:
        """A leader has taken in an answer."""
        leader = process.leader
        own, met = message.of_reign, answer.followed
        over = met is not None and (met.is_later_than(own) or met.is_twin_of(own))
        same = answer.cluster_id == leader.promise.cluster_id and own == leader.promise.reign
        goes_on = over and same and leader.state in IN_OFFICE and answer.node_id != leader.node_id
        require(not goes_on, "a replaced leader stops", process, "goes on after", answer)
        progress = leader.followers.get(address)
        if progress is None or progress.stage is not Stage.STREAM or progress.match_index == 0:
            return
        for machine in self._world.machines.values():
            standing = machine.standing
            if (machine.disk.node_id, machine.promise.reign) != (progress.node_id, own):
                continue
            if progress.counts and machine.is_follower and machine.name == address:
                standing.counted, standing.misled = True, False
            holds = standing.forked or machine.durable.shares(process.log, progress.match_index)
            seen = (process, "takes", machine, "to hold", progress.match_index, "after", answer)
            require(holds, "logs are prefixes of one order", *seen)

    # State

    def changed(self, process: "LeaderProcess") -> None:
        """Something has happened at a leader."""
        leader = process.leader
        self._checks.recorded(process, leader.promise, leader.log.replication_log)
        if leader.state not in IN_OFFICE or leader.promise.reign is None:
            return
        reign = leader.promise.reign.id
        if reign not in self._ledger.orders:
            self._check_begun(process)
        self._ledger.orders[reign] = process.log
        self._check_commit(process, reign)
        self._check_ready(process, reign)
        self._checks.serves(process, leader.log.map, process.log)

    def _check_begun(self, process: "LeaderProcess") -> None:
        machine, ledger = process.machine, self._ledger
        promise = machine.promise
        excused = self._reigns.replaced(promise) or self._reigns.is_loose(promise.reign)
        excused |= machine.standing.stale or ledger.apart
        kept = excused or process.log.holds(ledger.of(promise.cluster_id))
        require(kept, "confirmed entries survive", machine, "begins without them")

    def _check_ready(self, process: "LeaderProcess", reign: str) -> None:
        leader = process.leader
        known, process.was_ready = process.was_ready, leader.ready and leader.write_quorum > 0
        if not leader.ready:
            return
        confirmed = leader.log.map.position.index <= leader.log.commit_index
        require(confirmed, "only confirmed values", process, "serves what is not")
        if known or leader.write_quorum == 0:
            return
        acknowledged = [i for (of, _), i in self._checks.acknowledged.items() if of == reign]
        newest = process.log.at(max(acknowledged, default=0))
        held = newest is not None and newest.position.reign_id == reign
        require(held, "a quorum knows a ready leader", process, "is ready in", reign)

    def _check_commit(self, process: "LeaderProcess", reign: str) -> None:
        machine, leader = process.machine, process.leader
        commit = leader.log.commit_index
        known = self._commits.get((reign, process), 0)
        if commit == known:
            return
        self._commits[(reign, process)] = commit
        require(commit > known, "the commit index never falls", process, known, "to", commit)
        tip = process.log.at(commit)
        durable = machine.durable.shares(process.log, commit)
        require(durable, "only what is durable", process, "confirms", commit)
        if tip is not None and not tip.confirmed:
            own = tip.position.reign_id == reign
            require(own, "the first entry comes first", process, "confirms", commit)
            self._check_quorum(process, reign, tip)

    def _check_quorum(self, process: "LeaderProcess", reign: str, tip: History) -> None:
        machine, size = process.machine, process.leader.write_quorum
        # Not by machine: one that was emptied may be another follower's by now.
        nodes = {each.node_id for each in process.leader.followers.values() if each.node_id}
        holders, trusted = (
            {node for node in nodes if counts.get((reign, node), 0) >= tip.index}
            for counts in (self._checks.acknowledged, self._checks.trusted)
        )
        enough = len(holders) >= size
        require(enough, "the quorum holds it", process, "confirms", tip.position, "at", holders)
        tip.confirm()
        replaced = self._reigns.replaced(machine.promise)
        loose = self._reigns.is_loose(machine.promise.reign)
        # A replaced leader's own copy is lost; so are those of followers that were emptied since.
        left = {each.disk.node_id for each in self._world.machines.values()}
        gone = replaced and (size == 0 or trusted.isdisjoint(left))
        if len(trusted) < size or machine.standing.stale or loose or gone:
            return
        self._ledger.confirm(machine, tip)

    # Clients

    def judged(
        self,
        process: "LeaderProcess",
        newest: History,
        batch: Batch,
        error: KvstoreError | None,
    ) -> None:
        """Writes were accepted, or refused, all together.

        :param newest: the leader's log before them.
        """
        appended = process.log.entries_behind(newest.index)
        if error is not None:
            definite = isinstance(error, DefiniteError) or (
                isinstance(error, OutcomeUnknown) and batch.idempotency_key is not None
            )
            require(not appended and definite, "a refusal is definite", repr(error), appended)
        refused = isinstance(error, PreconditionFailed | BatchRefused)
        if not appended and not refused:
            return  # it was refused for another reason, or it is a repeated request
        versions = {key: version for key, (version, _) in newest.items.items()}
        outcomes = []
        for index, (write, expected) in enumerate(batch.operations, newest.index + 1):
            before, _ = newest.items.get(write.key, (None, Raw()))
            outcomes.append((write.key, expected.holds(versions.get(write.key)), before))
            versions.pop(write.key, None)
            if write.operation == "put":
                versions[write.key] = index
        holds = all(each for _, each, _ in outcomes)
        require(refused is not holds, "preconditions", batch, "after", newest, repr(error))
        if isinstance(error, BatchRefused):
            same = error.outcomes == outcomes
            require(same, "each operation has its outcome", batch, error.outcomes, outcomes)
        if appended:
            wanted = [(write.operation, write.key, write.value) for write, _ in batch.operations]
            made = [(each.operation, each.key, each.value or None) for each in appended]
            require(made == wanted, "all or none enter the log", batch, "made", appended)
