"""The takeovers and restarts of one world: which came when, and which of them are excused."""

from collections import defaultdict
from typing import TYPE_CHECKING

from kvstore.core.entries import ReignId
from kvstore.core.records import Promise
from tests.simulation.disk import Disk
from tests.simulation.violation import require

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.world import World


class Reigns:
    """The reigns of one world.

    :param world: has the machines.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self.loose: set[str] = set()
        """Takeovers of a leader that was accepted by a follower that had forgotten a later one, or
        that asked nobody who knew of a later one."""
        self.copied: set[str] = set()
        """Takeovers whose leader's disk was cloned, or went back in time."""
        self.revived: set[str] = set()
        """Takeovers that kept what forked nodes alone, a replaced leader say, had a copy of."""
        self._forced: set[str] = set()
        """Takeovers that an operator asked for."""
        self._made: dict[str, ReignId] = {}
        """The latest reign of each takeover."""
        self._promised: dict[str, ReignId] = {}
        """The latest reign that each node has promised as a follower."""
        self._heard: defaultdict[str, set[str]] = defaultdict(set)
        """The takeovers that the nodes of each takeover had taken part in before."""
        self._complete: dict[str, Promise] = {}
        """Those that replaced all others when they were complete, in this order."""
        self._newest: dict[str | None, ReignId] = {}
        """The newest complete takeover that a machine knows of, by cluster."""

    def replaced(self, promise: Promise) -> bool:
        """Whether a takeover that is complete was followed by another one."""
        newest, reign = self._newest.get(promise.cluster_id), promise.reign
        if newest is None or reign is None or reign.takeover_id not in self._complete:
            return False
        return reign.epoch < newest.epoch or reign.is_twin_of(newest)

    def is_loose(self, reign: ReignId | None) -> bool:
        """Whether nothing more is promised in a reign's takeover."""
        return reign is not None and reign.takeover_id in self.loose

    def may_fork(self, reign: ReignId | None) -> bool:
        """Whether what a reign's leader makes followers hold may be lost."""
        return reign is not None and reign.takeover_id in self.loose | self.copied

    def has_later(self, own: ReignId) -> bool:
        """Whether a takeover deposes the leader of a reign."""
        return own.takeover_id in self.copied or any(
            reign.epoch >= own.epoch and reign.takeover_id != own.takeover_id
            for reign in self._made.values()
        )

    # What happens

    def began(self, machine: "Machine", before: Promise) -> None:
        """A leader has made a reign, or an attempt at one."""
        promise, reign = machine.promise, machine.promise.reign
        assert reign is not None
        known = self._made.get(reign.takeover_id)
        if known is not None and known.id != reign.id and known.restart >= reign.restart:
            copied = reign.takeover_id in self.copied
            require(copied, "restarts grow", machine, "made", reign, "after", known)
            self._world.ledger.apart = True
        self._made[reign.takeover_id] = reign
        self._hear(promise, before)
        if machine.standing.forced and not promise.has_led:
            self._forced.add(reign.takeover_id)

    def completed(self, promise: Promise) -> bool:
        """A takeover is complete.

        :return: whether it replaces all others, as far as somebody knows of them.
        """
        newest, reign = self._newest.get(promise.cluster_id), promise.reign
        assert reign is not None
        if newest is not None and newest.takeover_id not in self._heard[reign.takeover_id]:
            self.loose.add(reign.takeover_id)
            outranks = reign.epoch >= newest.epoch or reign.takeover_id in self._forced
            self._world.ledger.apart |= outranks
            return False
        self._newest[promise.cluster_id] = reign
        self._complete[reign.takeover_id] = promise
        return True

    def is_revived(self, reign: ReignId | None) -> bool:
        """Whether what a reign's leader found, and did not append, may be outranked again."""
        return reign is not None and reign.takeover_id in self.revived

    def claimed(self, machine: "Machine", known: Promise) -> None:
        """A follower belongs to another reign."""
        promise, standing = machine.promise, machine.standing
        reign = promise.reign
        later = reign == known.reign or (reign is not None and _is_later(reign, known.reign))
        require(later, "reigns grow", machine, known, "to", promise)
        assert reign is not None
        self._promised[machine.disk.node_id] = reign
        self._hear(promise, known)
        if reign.epoch < standing.forgot or (
            reign.epoch == standing.forgot and self.replaced(promise)  # it forgot the twin
        ):
            self.loose.add(reign.takeover_id)
        else:
            standing.forgot = 0
        standing.forked |= self.may_fork(reign)
        excused = self._world.ledger.apart or self.is_loose(reign)
        in_force = excused or not self.replaced(promise)
        require(in_force, "a replaced leader changes nothing", machine, known, "to", promise)

    def _hear(self, promise: Promise, before: Promise) -> None:
        if promise.reign is not None and before.reign is not None:
            earlier = before.reign.takeover_id
            self._heard[promise.reign.takeover_id] |= {earlier} | self._heard[earlier]

    def went_back(self, disk: Disk) -> int:
        """An earlier copy of a disk takes its place.

        :return: the epoch that its node forgets; 0 for none.
        """
        promise = disk.promise
        reign, latest = promise.reign, self._promised.get(disk.node_id)
        newest = self._newest.get(promise.cluster_id)
        # It comes from a time that everybody else has forgotten, and outranks what was since.
        self._world.ledger.apart |= newest is not None and promise.epoch > newest.epoch
        forgot = max((each.epoch for each in self._newest.values()), default=0)
        if latest is not None and latest.takeover_id != (reign and reign.takeover_id):
            forgot = max(forgot, latest.epoch, promise.epoch + 1)
        if reign is not None and promise.is_own:
            self.copied.add(reign.takeover_id)
        elif reign is not None and forgot > promise.epoch:
            self.loose.add(reign.takeover_id)
        return forgot if forgot > promise.epoch else 0

    def forget(self) -> None:
        """What no machine knows of any more has never been."""
        held = [machine.promise for machine in self._world.machines.values()]
        self._newest = {
            promise.cluster_id: promise.reign
            for promise in self._complete.values()
            if promise.reign is not None
            and any(p.cluster_id == promise.cluster_id and p.epoch >= promise.epoch for p in held)
        }


def _is_later(reign: ReignId, other: ReignId | None) -> bool:
    if other is None or reign.epoch != other.epoch:
        return other is None or reign.epoch > other.epoch
    return reign.takeover_id == other.takeover_id and reign.restart > other.restart
