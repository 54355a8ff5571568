"""A machine: a disk, and the process that runs on it until it crashes."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kvstore.records import Record
from tests.simulation.disk import Disk, SimulatedStorage
from tests.simulation.history import History

if TYPE_CHECKING:
    from tests.simulation.world import World


class Process:
    """What a crash ends.

    :param machine: where it runs.
    """

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        self.alive = True
        self.frozen = False
        self.served_index = -1
        """Where its map was when the checks last compared it."""
        self._deferred: list[Callable[[], None]] = []
        self._syncing = False
        self.storage = SimulatedStorage(
            machine.disk,
            machine.record_queued,
            machine.record_durable,
            self._ask_for_sync,
            instant=not machine.world.setup.durable,
        )

    def __repr__(self) -> str:
        return self.machine.name

    def do(self, call: Callable[[], None]) -> None:
        """Let something happen to it: at once, or when it is no longer frozen."""
        if self.frozen:
            self._deferred.append(call)
        elif self.alive:
            call()

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Let something happen to it after a while."""
        self.machine.world.clock.after(seconds, lambda: self.do(call))

    def thaw(self) -> None:
        """End a freeze; what came meanwhile is there at once."""
        self.frozen = False
        deferred, self._deferred = self._deferred, []
        for call in deferred:
            self.later(0.0, call)

    def sync(self, count: int) -> None:
        """The disk has written some records."""
        self._syncing = False
        self.storage.sync(count)
        if self.storage.queue:
            self._ask_for_sync()

    def _ask_for_sync(self) -> None:
        world = self.machine.world
        if not self._syncing and not self.machine.disk_held:
            self._syncing = True
            seconds = world.random.expovariate(1 / world.disk_delay_s)
            count = world.random.choice([1, 1, 2, 4])
            self.later(seconds, lambda: self.sync(count))


class Machine:
    """A machine that runs a node.

    :param name: its address, too.
    """

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.disk = Disk(world.new_id())
        self.disk_held = False
        """Whether nothing becomes durable until a test says so."""
        self.running: Process | None = None
        self.queued = self.durable = world.ledger.root
        """What was appended, and what of it is durable."""
        self.lineage = 0
        """Number of the takeover that the state of a leader goes back to; 0 for none."""
        self._waiting: list[History] = []

    def hold_disk(self) -> None:
        """Let nothing become durable."""
        self.disk_held = True

    def release_disk(self) -> None:
        """Let everything become durable that waits for it."""
        self.disk_held = False
        if self.running is not None:
            self.running.sync(len(self.running.storage.queue))

    def empty(self) -> None:
        """Lose the disk."""
        assert self.running is None
        self.disk = Disk(self.world.new_id())
        self.queued = self.durable = self.world.ledger.root
        self.lineage = 0

    def stop(self) -> None:
        """End the process at once: what is not durable is lost."""
        assert self.running is not None
        self.running.alive = False
        self.running = None
        self.queued = self.durable
        self._waiting = []

    def record_queued(self, record: Record) -> None:
        """The node has changed its state."""
        self.queued = self.world.ledger.history_after(self, record)
        self._waiting.append(self.queued)

    def record_durable(self) -> None:
        """The change is durable."""
        before, self.durable = self.durable, self._waiting.pop(0)
        self.world.checks.durable(self, before)
