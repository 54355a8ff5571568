"""A machine: a disk, and the process that runs on it until it crashes."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kvstore.core.records import Record
from tests.simulation.disk import Disk
from tests.simulation.history import History

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World


@dataclass(slots=True)
class Standing:
    """What the judge has to know of a machine's disk.

    :param forgot: the epoch that the node had promised before its disk went back in time, or that
        was the newest then; 0 when it has promised as much again.
    :param stale: the leader's disk went back in time, or was cloned; until its next takeover.
    :param forked: the node may hold what is not promised to anybody, and lose it again.
    :param counted: a leader counted the follower's copy.
    :param misled: the follower's address led elsewhere since a leader counted it there.
    :param forced: an operator told the leader to take over; until it has.
    :param unnamed: addresses of followers that the follower's disk named before it went back in
        time; until it names them again.
    :param settled: what the follower held when a takeover that revived a history began to bring it
        that; None, for all, once it holds an entry of a takeover's own.
    """

    forgot: int = 0
    stale: bool = False
    forked: bool = False
    counted: bool = False
    misled: bool = False
    forced: bool = False
    unnamed: set[str] = field(default_factory=set)
    settled: History | None = None


class Machine:
    """A machine that runs a node, as a follower or as a leader.

    :param name: its address, too.
    """

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.disk = world.new_disk()
        self.addresses: list[str] | None = None
        """The followers that it is told of as a leader; None where it is a follower."""
        self.clock_error_ms = world.random.randint(-2000, 2000)
        self.running: Process | None = None
        self.queued: History = world.ledger.root
        """What was appended."""
        self.durable: History = world.ledger.root
        """What of it is durable."""
        self.promise = self.disk.promise
        """The promise that was durable last."""
        self.standing = Standing()
        self._waiting: list[History] = []

    def __repr__(self) -> str:
        return self.name

    @property
    def is_follower(self) -> bool:
        return self.addresses is None

    @property
    def now_ms(self) -> int:
        return 1_000_000 + int(self.world.now_s * 1000) + self.clock_error_ms

    def put_in(self, disk: Disk, history: History) -> None:
        """Give it a disk with what is on it."""
        assert self.running is None
        self.disk = disk
        self.queued = self.durable = history
        self.promise = disk.promise

    def stop(self) -> None:
        """End the process at once: what is not durable is lost."""
        assert self.running is not None
        self.running.alive = False
        self.running.storage.abandon()
        self.running = None
        self.queued = self.durable
        self._waiting = []

    def record_queued(self, record: Record) -> None:
        """The node has changed its state."""
        self.queued = self.world.ledger.history_after(self, record)
        self._waiting.append(self.queued)

    def record_durable(self, record: Record) -> None:
        """The change is durable."""
        before, self.durable = self.durable, self._waiting.pop(0)
        known, self.promise = self.promise, self.disk.promise
        self.world.checks.durable(self, record, before, known)
