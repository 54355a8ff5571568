"""The virtual world: machines, a network, a clock, and what can happen to them.

Every choice comes from one seeded generator, so that a seed repeats a schedule exactly.
"""

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from msgspec import Raw

from kvstore.errors import KvstoreError
from kvstore.follower import Follower
from kvstore.follower_node import FollowerNode
from kvstore.leader import Leader
from kvstore.leader_log import Write
from tests.simulation.checks import Checks
from tests.simulation.clock import Clock
from tests.simulation.follower_process import FollowerProcess
from tests.simulation.leader_process import LeaderProcess
from tests.simulation.ledger import Ledger
from tests.simulation.machine import Machine
from tests.simulation.network import Network

USUAL_DISK_DELAY_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a cluster is set up.

    :param durable: whether the nodes keep a data directory.
    :param leader_retain: entries the leader's log keeps; few of them make many snapshots.
    :param follower_retain: entries a follower's log keeps.
    """

    followers: int = 2
    write_quorum: int = 1
    durable: bool = True
    leader_retain: int = 1000
    follower_retain: int = 1000
    retain_bytes: int = 1 << 20
    max_pending: int = 50
    request_timeout_s: float = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The code under test; a planted fault is a subclass in place of one of them."""

    leader: Callable[..., Leader] = Leader
    follower: Callable[..., Follower] = Follower
    follower_node: Callable[..., FollowerNode] = FollowerNode


@dataclass(slots=True)
class Counts:
    """What has happened so far.

    :param confirmed: entries that a leader has confirmed.
    """

    faults: int = 0
    writes: int = 0
    refused: int = 0
    confirmed: int = 0


class World:
    """One cluster in its virtual world.

    :param random: decides everything that is left to chance.
    :param rules: the code under test.
    """

    def __init__(self, setup: Setup, random: Random, rules: Rules | None = None) -> None:
        self.setup = setup
        self.random = random
        self.rules = rules or Rules()
        self.clock = Clock()
        self.counts = Counts()
        self.trace: deque[tuple[float, tuple[object, ...]]] = deque(maxlen=100)
        """The last events, for a failure's report."""
        self.disk_delay_s = USUAL_DISK_DELAY_S
        self.followers: dict[str, Machine] = {}
        self.leaders: dict[str, Machine] = {}
        self._ids = itertools.count(1)
        self.ledger = Ledger(self)
        self.checks = Checks(self)
        for number in range(setup.followers):
            self.followers[f"f{number}"] = Machine(self, f"f{number}")
        self.network = Network(self)

    @property
    def now_s(self) -> float:
        return self.clock.now_s

    def new_id(self) -> str:
        """A random id."""
        return f"id{next(self._ids)}"

    def note(self, *event: object) -> None:
        """Remember an event for a failure's report."""
        self.trace.append((self.now_s, event))

    # Machines

    def start(self, name: str, *, emptied: bool = False) -> None:
        """Start a machine's process; a name that is new is another leader's."""
        if name not in self.followers:
            self.leaders.setdefault(name, Machine(self, name))
        machine = self.machine(name)
        assert machine.running is None, f"{name} runs already"
        if emptied:
            self.ledger.emptied(machine)
        self.note("start", name, "emptied" if emptied else "")
        if name in self.followers:
            machine.running = FollowerProcess(machine)
        else:
            machine.running = process = LeaderProcess(machine)
            process.start()

    def crash(self, name: str) -> None:
        """End a machine's process at once: what is not durable is lost."""
        machine = self.machine(name)
        process = machine.running
        self.note("crash", name)
        machine.stop()
        if not self.setup.durable:
            self.ledger.emptied(machine)
        self.network.stopped(process)

    def freeze(self, name: str) -> None:
        """Stop a process without ending it."""
        process = self.machine(name).running
        if process is not None:
            self.note("freeze", name)
            process.frozen = True

    def thaw(self, name: str) -> None:
        """Let a frozen process go on."""
        process = self.machine(name).running
        if process is not None and process.frozen:
            self.note("thaw", name)
            process.thaw()

    def machine(self, name: str) -> Machine:
        return self.followers.get(name) or self.leaders[name]

    def leader(self, name: str = "leader") -> LeaderProcess:
        """The running leader of this name."""
        process = self.leaders[name].running
        assert isinstance(process, LeaderProcess), f"{name} does not run"
        return process

    def follower(self, name: str) -> FollowerProcess:
        """The running follower of this name."""
        process = self.followers[name].running
        assert isinstance(process, FollowerProcess), f"{name} does not run"
        return process

    def running_leaders(self) -> list[LeaderProcess]:
        """Every leader's process."""
        running = (machine.running for machine in self.leaders.values())
        return [process for process in running if isinstance(process, LeaderProcess)]

    # Clients and operators

    def write(self, leader: LeaderProcess, write: Write) -> int | None:
        """A client writes.

        :return: the version; None where it was refused.
        """
        before = leader.leader.log.last_index
        try:
            index = leader.propose(write)
        except KvstoreError as error:
            self.counts.refused += 1
            self.checks.refused(leader, before, error)
            return None
        self.note("write", leader, index, write)
        self.counts.writes += 1
        return index

    def put(self, key: str, value: int, leader: str = "leader") -> int | None:
        """A client puts a number: see :meth:`write`."""
        return self.write(self.leader(leader), Write("put", key, Raw(b"%d" % value)))

    def force_start(self, leader: LeaderProcess) -> None:
        """An operator goes on without the followers that are missing."""
        self.note("force_start", leader)
        self.ledger.apart = True
        leader.force_start()

    def heal(self) -> None:
        """End every fault, and start everything that is down."""
        self.note("heal")
        self.disk_delay_s = USUAL_DISK_DELAY_S
        self.network.heal()
        for name, machine in (self.followers | self.leaders).items():
            self.thaw(name)
            if machine.running is None:
                self.start(name)

    def converged(self) -> bool:
        """Whether one leader leads, and every copy is durable and equals its own."""
        ready = [process for process in self.running_leaders() if process.leader.ready]
        if len(ready) != 1:
            return False
        leader, log = ready[0].leader, ready[0].log
        return (
            ready[0].machine.durable is log
            and leader.quorum.commit_index == log.index
            and all(
                progress.counts and progress.match_index == log.index
                for progress in leader.followers.values()
            )
            and all(machine.durable is log for machine in self.followers.values())
            and all(self.follower(name).follower.ready for name in self.followers)
        )

    def describe(self) -> str:
        """Where everything stands."""
        lines = [f"{self.setup} at {self.now_s:.3f} s, {self.counts}"]
        for process in self.running_leaders():
            leader = process.leader
            lines.append(
                f"{process}: {leader.state_text}, {leader.promise}, log {process.log.position}, "
                f"commit {leader.quorum.commit_index}, W {leader.quorum.size}, {leader.problem}"
            )
            lines += [
                f"  {each.address}: {each.stage} {each.node} match {each.match_index} "
                f"{each.problem}"
                for each in leader.followers.values()
            ]
        lines += [
            f"{name}: {machine.disk.node} {machine.durable.position} {machine.disk.promise}"
            for name, machine in self.followers.items()
        ]
        return "\n".join(lines)
