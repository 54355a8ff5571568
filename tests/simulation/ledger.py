"""What every machine's state stands for, and what of it is promised.

A confirmed history is *promised* when a leader confirmed it that is not ``stale``, and as many
followers as its write quorum (any number, where that is 0) acknowledged it that had not
``forgot`` a later reign (see :class:`Standing`), in a takeover that is not ``loose`` (see
:class:`Reigns`). From then on:

- it survives while a copy is left on a machine that kept its state. A takeover counts the copies on
  its own machine and on every follower that a leader has counted since the takeover before: those
  on other leaders' machines are lost with it;
- no two promised histories of one cluster part, and a leader that begins holds all of it;
- nobody drops an entry of it;
- a takeover that is complete *replaces* those of lower epochs, while a machine is left that knows
  of it: their leaders change no follower, unless they are loose, and what they confirm is held by
  the newer one.

Nothing is promised any more (``apart``) after a ``force_start`` that went without somebody, or
chose between two histories; after a takeover before which a follower's address led elsewhere, or
that did not hear of a counted follower because a node that had named it was put back; after a
takeover that asked nobody who knew of the newest one (all that it asked were emptied or put back),
if it outranks that or was forced; where a leader's disk went back in time and its clock, too; and
where a disk comes back from a time that everybody else was put back from.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kvstore.core.entries import Entry, Position
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.records import Record, ReplaceState, SaveEntries
from tests.simulation.disk import Disk
from tests.simulation.history import History
from tests.simulation.machine import Standing
from tests.simulation.reigns import Reigns
from tests.simulation.violation import require

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.world import World


class Ledger:
    """The histories of one world.

    :param world: has the machines.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self.root = History(remembered_entries=world.setup.remembered_entries)
        self.promised: dict[str | None, History] = {}
        """The longest promised history of which a copy is left, by cluster."""
        self.apart = False
        """Whether confirmed entries may be lost."""
        self.orders: dict[str, History] = {}
        """What the leader of each reign has appended, by the reign's id."""
        self.reigns = Reigns(world)
        self._histories: dict[Position, History] = {self.root.position: self.root}

    # Histories

    @property
    def confirmed(self) -> History:
        """The longest promised history."""
        return max(self.promised.values(), key=lambda each: each.index, default=self.root)

    def at(self, position: Position | None) -> History | None:
        """The history that ends at a position; None where no leader appended there."""
        return None if position is None else self._histories.get(position)

    def appended(self, before: History, entry: Entry) -> History:
        """A leader has put an entry behind its log."""
        new = all(key != entry.idempotency_key for key, _ in before.requests)
        require(new, "a repeated request is one entry", entry, "comes again")
        known = self._histories.setdefault(entry.position, History(before, entry))
        same = known.parent is before and known.entry == entry
        require(same, "a position is of one entry", entry, "and", known.entry)
        return known

    def history_after(self, machine: "Machine", record: Record) -> History:
        """What a machine holds once a record is durable."""
        history = machine.queued
        if isinstance(record, SaveEntries):
            for entry in record.entries:
                before, history = history, self._histories.get(entry.position, self.root)
                follows = history.parent is before and history.entry == entry
                require(follows, "one order", machine, "put", entry, "after", before.position)
        elif isinstance(record, ReplaceState):
            history = self._replaced(machine, record)
        return history

    def _replaced(self, machine: "Machine", record: ReplaceState) -> History:
        known = record.position in self._histories
        require(known, "no invented state", machine, "holds", record)
        history, reign = self._histories[record.position], record.promise.reign
        if machine.is_follower:
            same = reign is not None and self.orders[reign.id].holds(history)
            require(same, "one order", machine, "holds another order than its leader's")
        self._check_dropped(machine, history, record)
        return history

    def _check_dropped(self, machine: "Machine", history: History, record: ReplaceState) -> None:
        before = machine.queued
        promised = self.of(machine.promise.cluster_id).common(before)
        kept = self.apart or history.holds(promised)
        require(kept, "promised entries are not dropped", machine, "drops", record)
        common = history.common(before).index
        dropped = [entry for entry in before.entries_behind(common) if entry.key]
        apart = [each for each in record.discarded if isinstance(each, Entry) and each.key]
        whole = machine.disk.log.base.index <= common and machine.queued is machine.durable
        found = apart == dropped[-len(apart) :] or not (apart or (whole and dropped))
        require(found, "what is dropped is kept apart", machine, "drops", dropped)

    # What is promised

    def of(self, cluster: str | None) -> History:
        """The longest promised history of a cluster."""
        return self.promised.get(cluster, self.root)

    def confirm(self, machine: "Machine", history: History) -> None:
        """A leader confirms a history, which is promised from now on."""
        cluster = machine.promise.cluster_id
        promised = self.of(cluster)
        if history.holds(promised):
            self._world.counts["confirmed"] += history.index - promised.index
            self.promised[cluster] = history
            return
        same, seen = self.apart or promised.holds(history), (history.position, promised.position)
        require(same, "one order of confirmed entries", machine, *seen)

    def taken_over(self, machine: "Machine", before: History, asked: Iterable[str]) -> None:
        """A leader's takeover is complete.

        :param before: what it held itself.
        :param asked: the addresses of the followers that it knows.
        """
        sound = [] if machine.standing.forked else [before]
        machine.standing = Standing()
        if not self.reigns.completed(machine.promise):
            return
        route = self._world.network.route
        asked = set(asked)
        counted = {name for name, m in self._world.machines.items() if m.standing.counted}
        self.apart |= any(self._world.machine(name).standing.misled for name in counted)
        self.apart |= not counted.isdisjoint(self._unnamed(asked))
        # Whoever leads itself is another leader, whatever named it.
        copies = {route[address] for address in asked} | {route[name] for name in counted}
        leading = {each for each in copies if not each.is_follower and each.promise.has_led}
        copies -= {machine, *leading, *(each for each in copies if each.standing.forgot)}
        self._lose([before, *(other.durable for other in copies)])
        sound += [other.durable for other in copies if not other.standing.forked]
        if not any(each.holds(machine.durable) for each in sound):
            assert machine.promise.reign is not None
            self.reigns.revived.add(machine.promise.reign.takeover_id)
        for other in self._world.machines.values():
            other.standing.counted = (
                other in copies and other.promise.reign == machine.promise.reign
            )
            other.standing.forked |= other not in copies and other is not machine
        cluster, history = machine.promise.cluster_id, machine.durable
        promised = self.of(cluster)
        if self.apart:
            self.promised[cluster] = history.common(promised)
        kept, seen = history.holds(self.of(cluster)), (history.position, promised.position)
        require(kept, "confirmed entries survive", machine, *seen)

    def _unnamed(self, asked: set[str]) -> set[str]:
        """Addresses that a takeover did not hear of: the disks that named them were put back."""
        machines = [self._world.network.route[address] for address in asked]
        forgotten = {name for each in machines for name in each.standing.unnamed}
        return forgotten.difference(asked, *(each.disk.names for each in machines))

    def named(self, machine: "Machine") -> None:
        """A follower holds an entry that names the followers: the others count no more."""
        members = machine.disk.log.members
        machine.standing.unnamed.difference_update(members)
        for name, other in self._world.machines.items():
            other.standing.counted &= name in members

    # Disks

    def emptied(self, machine: "Machine") -> None:
        """A machine loses its state."""
        machine.put_in(self._world.new_disk(), self.root)
        machine.standing = Standing()
        self._lose_copies()

    def put_back(self, machine: "Machine", disk: Disk, *, of: "Machine | None" = None) -> None:
        """A machine's disk goes back in time.

        :param of: it is a copy of another machine's disk, a leader's, which is cloned by that.
        """
        history = self._histories[disk.log.last]
        same = history is machine.durable and disk.promise == machine.promise
        if of is not None or not same or disk.node_id != machine.disk.node_id:
            machine.standing = Standing(
                forgot=self.reigns.went_back(disk),
                stale=True,
                forked=True,
                counted=machine.standing.counted,
                unnamed=(machine.standing.unnamed | machine.disk.names) - disk.names,
            )
        if of is not None:
            of.standing.stale = True
        machine.put_in(disk, history)
        self._lose_copies()
        self.apart |= any(self._outranks_promised(each) for each in self._world.machines.values())

    def _outranks_promised(self, machine: "Machine") -> bool:
        """Whether a leader's disk that went back holds another branch, of an earlier restart."""
        promised, history = self.of(machine.promise.cluster_id), machine.durable
        common = promised.common(history).index
        own, theirs = history.at(common + 1), promised.at(common + 1)
        if not (own and own.reign and theirs and theirs.reign):
            return False
        if not (machine.standing.stale and machine.promise.is_own):
            return False
        same = own.reign.takeover_id == theirs.reign.takeover_id
        return same and own.reign.restart < theirs.reign.restart

    def is_on(self, machine: "Machine") -> None:
        """Compare a machine's disk with what it stands for."""
        disk, history = machine.disk, machine.durable
        base = history.at(disk.log.base.index)
        same = (
            disk.log.last == disk.map.position == history.position
            and base is not None
            and base.position == disk.log.base
            and disk.log.entries() == history.entries_behind(base.index)
            and equal(disk.map, history)
        )
        require(same, "no invented state", machine, "holds", disk)

    def _lose_copies(self) -> None:
        self.reigns.forget()
        self._lose([machine.durable for machine in self._world.machines.values()])

    def _lose(self, left: list[History]) -> None:
        for cluster, promised in self.promised.items():
            parts = [promised.common(history) for history in left]
            self.promised[cluster] = max(parts, key=lambda part: part.index, default=self.root)


def equal(kv_map: KeyValueMap, history: History) -> bool:
    """Whether a map holds what a history makes."""
    requests = tuple((each.idempotency_key, each.index) for each in kv_map.requests.requests())
    items = {item.key: (item.version, bytes(item.value)) for item in kv_map.items()}
    return (items, requests) == (history.items, history.requests)
