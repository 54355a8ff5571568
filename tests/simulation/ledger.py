"""What every machine's state stands for, and what of it must not be lost.

A *lineage* is what begins with one takeover: the reigns of a leader that restarts from its own disk
continue it, the next takeover ends it.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kvstore.entries import Entry, Position
from kvstore.key_value_map import KeyValueMap
from kvstore.records import Promise, Record, ReplaceState, SaveEntries
from tests.simulation.history import History
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.world import World


class Ledger:
    """The histories of one world.

    :param world: has the machines.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self.root = History()
        self.confirmed = self.root
        """The longest confirmed history of which a copy is left."""
        self.apart = False
        """Whether something happened after which confirmed entries may be lost: a ``force_start``,
        or a follower without state that met a replaced leader."""
        self.lineage = 0
        """The newest one."""
        self.orders: dict[str, History] = {}
        """What the leader of each reign has appended, by the reign's id."""
        self.lineages: dict[str, int] = {}
        """The lineage of each reign that has begun."""
        self._by_position: dict[Position, list[History]] = {self.root.position: [self.root]}

    def appended(self, before: History, entry: Entry) -> History:
        """A leader has put an entry behind its log."""
        if any(key == entry.idempotency_key for key, _ in before.requests):
            raise Violation("a repeated request is one entry", f"{entry} comes again")
        history = before.extend(entry)
        known = self._by_position.setdefault(history.position, [])
        if history not in known:
            known.append(history)
        return history

    def history_after(self, machine: "Machine", record: Record) -> History:
        """What a machine holds once a record is durable."""
        history = machine.queued
        if isinstance(record, SaveEntries):
            for entry in record.entries:
                following = history.following(entry) if entry.index == history.index + 1 else None
                if following is None:
                    raise Violation(
                        "one order", f"{machine.name} put {entry} after {history.position}"
                    )
                history = following
        elif isinstance(record, ReplaceState):
            history = self._replaced(machine, record)
        return history

    def emptied(self, machine: "Machine") -> None:
        """A machine loses its state."""
        machine.empty()
        self._lose([*self._world.followers.values(), *self._world.leaders.values()])

    def confirm(self, machine: "Machine", history: History) -> None:
        """A leader confirms a history that it had not confirmed before."""
        history.confirm()
        if history.holds(self.confirmed):
            self._world.counts.confirmed += history.index - self.confirmed.index
            self.confirmed = history
        elif not self.apart and not self.confirmed.holds(history):
            raise Violation(
                "one order of confirmed entries",
                f"{machine.name} confirms {history.position}, confirmed is "
                f"{self.confirmed.position}",
            )

    def _replaced(self, machine: "Machine", record: ReplaceState) -> History:
        for history in self._by_position.get(record.position, []):
            if _is(history, record):
                break
        else:
            raise Violation("no invented state", f"{machine.name} holds {record}")
        if record.promise.led_epoch is not None:
            self._taken_over(machine, record.promise, history)
        elif not self.orders[record.promise.reign or ""].holds(history):
            raise Violation("one order", f"{machine.name} holds another order than its leader's")
        return history

    def _taken_over(self, machine: "Machine", promise: Promise, history: History) -> None:
        followers = self._world.followers.values()
        held = [follower.disk.promise for follower in followers]
        if any(p.cluster == promise.cluster and p.epoch > promise.epoch for p in held):
            machine.lineage = 0  # another takeover has overtaken this one
            return
        self.lineage += 1
        machine.lineage = self.lineage
        # Whatever only a replaced leader holds is out of reach: W = 0, or W copies were lost.
        self._lose(followers)
        if self.apart:
            self.confirmed = history.common(self.confirmed)
        elif not history.holds(self.confirmed):
            raise Violation(
                "confirmed entries survive",
                f"{machine.name} took over {history.position}, confirmed was "
                f"{self.confirmed.position}",
            )

    def _lose(self, left: "Iterable[Machine]") -> None:
        longest = self.root
        for machine in left:
            part = self.confirmed.common(machine.durable)
            if part.index > longest.index:
                longest = part
        self.confirmed = longest


def equal(kv_map: KeyValueMap, history: History) -> bool:
    """Whether a map holds what a history makes."""
    requests = tuple((each.idempotency_key, each.index) for each in kv_map.requests.requests())
    items = {item.key: (item.version, bytes(item.value)) for item in kv_map.items()}
    return (items, requests) == (history.items, history.requests)


def _is(history: History, record: ReplaceState) -> bool:
    base = history.at(record.base.index)
    if base is None or base.position != record.base:
        return False
    entries = []
    part = history
    while part is not base and part.parent is not None:
        entries.append(part.entry)
        part = part.parent
    held = KeyValueMap(record.position, record.items, record.requests)
    return entries[::-1] == record.entries and equal(held, history)
