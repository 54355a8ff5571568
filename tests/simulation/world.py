"""The virtual world: machines, a network, a clock, and what can happen to them.

Every choice comes from one seeded generator, so that a seed repeats a schedule exactly.
"""

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from kvstore.core.errors import KvstoreError, NothingToForce
from kvstore.core.idempotency_table import REMEMBERED_ENTRIES
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.leader_log import Batch, Write
from kvstore.core.preconditions import ALWAYS, Precondition
from tests.simulation.checks import Checks
from tests.simulation.clock import Clock
from tests.simulation.disk import Disk
from tests.simulation.ledger import Ledger
from tests.simulation.machine import Machine
from tests.simulation.network import Network
from tests.simulation.process import FollowerProcess, LeaderProcess

USUAL_DISK_DELAY_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a cluster is set up.

    :param durable: whether the nodes keep a data directory.
    :param leader_retain: entries the leader's log keeps; few of them make many snapshots.
    :param follower_retain: entries a follower's log keeps.
    :param message_entries: entries or items in one message.
    :param remembered_entries: entries for which a request is remembered.
    """

    followers: int = 2
    write_quorum: int = 1
    durable: bool = True
    leader_retain: int = 1000
    follower_retain: int = 1000
    retain_bytes: int = 1 << 20
    max_pending: int = 50
    message_entries: int = 1000
    remembered_entries: int = REMEMBERED_ENTRIES


class World:
    """One cluster in its virtual world.

    :param random: decides everything that is left to chance.
    """

    def __init__(self, setup: Setup, random: Random) -> None:
        self.setup = setup
        self.random = random
        self.clock = Clock()
        self.counts: Counter[str] = Counter()
        """Faults, writes, writes refused, and entries confirmed."""
        self.trace: list[tuple[float, tuple[object, ...]]] = []
        """The events and their times, for a failure's report."""
        self.disk_delay_s = USUAL_DISK_DELAY_S
        self.machines: dict[str, Machine] = {}
        self._ids = itertools.count(1)
        self.ledger = Ledger(self)
        self.checks = Checks(self)
        self.network = Network(self)
        for number in range(setup.followers):
            self.machine(f"f{number}")

    @property
    def now_s(self) -> float:
        return self.clock.now_s

    def new_id(self) -> str:
        return f"id{next(self._ids)}"

    def new_disk(self) -> Disk:
        """The disk of a node that holds nothing yet."""
        kv_map = KeyValueMap(remembered_entries=self.setup.remembered_entries)
        return Disk(self.new_id(), map=kv_map)

    def note(self, *event: object) -> None:
        self.trace.append((self.now_s, event))

    # Machines

    def start(
        self, name: str, followers: list[str] | None = None, *, emptied: bool = False
    ) -> None:
        """Start a machine's process, whatever ran there, in the role that the machine has.

        :param followers: start it as a leader that is told of these.
        """
        self.crash(name)
        machine = self.machine(name)
        if followers is not None:
            machine.addresses = followers
        if emptied:
            self.ledger.emptied(machine)
        self.note("start", name, machine.addresses, "emptied" if emptied else "")
        machine.standing.counted &= machine.is_follower
        machine.running = (FollowerProcess if machine.is_follower else LeaderProcess)(machine)
        machine.running.start()

    def start_all(self) -> None:
        """Start the followers, and their leader."""
        for name in self.followers:
            self.start(name)
        self.lead()

    def lead(self, name: str = "leader", *, emptied: bool = False) -> None:
        """Start a machine as a leader of all followers."""
        self.start(name, [each for each in self.followers if each != name], emptied=emptied)

    def follow(self, name: str) -> None:
        """Start a machine as a follower."""
        self.crash(name)
        machine = self.machine(name)
        if not machine.is_follower:
            machine.addresses = None
            # It serves what it appended as a leader, until its own leader says better.
            machine.standing.forked = True
        self.start(name)

    def crash(self, name: str) -> None:
        """End a machine's process at once, if one runs: what is not durable is lost."""
        machine = self.machine(name)
        process = machine.running
        if process is None:
            return
        self.note("crash", name)
        machine.stop()
        if not self.setup.durable:
            self.ledger.emptied(machine)
        self.network.stopped(process)

    def put_back(self, name: str, disk: Disk, *, of: str | None = None) -> None:
        """Put an earlier copy of a machine's disk in its place.

        :param of: it is a copy of this leader's disk.
        """
        self.crash(name)
        self.note("put back", name, disk.log.last, disk.promise, of or "")
        original = self.machine(of) if of else None
        self.ledger.put_back(self.machine(name), disk.copy(), of=original)

    def freeze(self, name: str) -> None:
        process = self.machine(name).running
        if process is not None:
            self.note("freeze", name)
            process.frozen = True

    def thaw(self, name: str) -> None:
        process = self.machine(name).running
        if process is not None and process.frozen:
            self.note("thaw", name)
            process.thaw()

    def machine(self, name: str) -> Machine:
        """The machine of this name; a name that is new is another one's."""
        if name not in self.machines:
            self.machines[name] = self.network.route[name] = Machine(self, name)
        return self.machines[name]

    def is_single(self, name: str) -> bool:
        """Whether no other machine has a copy of this one's disk."""
        nodes = [machine.disk.node_id for machine in self.machines.values()]
        return nodes.count(self.machine(name).disk.node_id) == 1

    @property
    def followers(self) -> dict[str, Machine]:
        return {name: machine for name, machine in self.machines.items() if machine.is_follower}

    @property
    def leaders(self) -> dict[str, Machine]:
        return {n: machine for n, machine in self.machines.items() if not machine.is_follower}

    def leader(self, name: str = "leader") -> LeaderProcess:
        process = self.machines[name].running
        assert isinstance(process, LeaderProcess), f"{name} does not lead"
        return process

    def running_leaders(self) -> list[LeaderProcess]:
        running = (machine.running for machine in self.leaders.values())
        return [process for process in running if isinstance(process, LeaderProcess)]

    # Clients and operators

    def write(
        self, leader: LeaderProcess, write: Write, expected: Precondition = ALWAYS
    ) -> int | None:
        """A client writes.

        :return: the version; None where it was refused.
        """
        batch = Batch([(write, expected)], write.idempotency_key)
        return self._judged(leader, batch, lambda: leader.propose(write, expected))

    def write_batch(self, leader: LeaderProcess, batch: Batch) -> int | None:
        """A client writes several keys at once.

        :return: the version of the last one; None where all of it was refused.
        """
        return self._judged(leader, batch, lambda: leader.propose_batch(batch))

    def _judged(
        self, leader: LeaderProcess, batch: Batch, propose: Callable[[], int]
    ) -> int | None:
        newest, index, error = leader.log, None, None
        try:
            index = propose()
            self.note("write", leader, index, batch)
        except KvstoreError as refusal:
            error = refusal
        self.checks.leaders.judged(leader, newest, batch, error)
        self.counts["refused" if error else "writes"] += 1
        return index

    def force_start(self, leader: LeaderProcess, keep: str | None = None) -> bool:
        """An operator lets a leader go on, or try again.

        :return: whether the leader needs it, and knows that by now.
        """
        self.note("force_start", leader, keep)
        apart, self.ledger.apart = self.ledger.apart, True
        standing, missing = leader.machine.standing, []
        forced, standing.forced = standing.forced, True
        try:
            missing = leader.force_start(keep)
        except NothingToForce:
            standing.forced = forced
            return False
        finally:
            self.ledger.apart = apart or bool(missing) or keep is not None
        return True

    def heal(self) -> None:
        """End every fault, and start everything that is down."""
        self.note("heal")
        self.disk_delay_s = USUAL_DISK_DELAY_S
        self.network.heal()
        for name, machine in self.machines.items():
            self.thaw(name)
            if machine.running is None:
                self.start(name)

    def converged(self) -> bool:
        """Whether one leader leads, and every copy is durable and equals its own."""
        ready = [process for process in self.running_leaders() if process.leader.ready]
        if len(ready) != 1:
            return False
        leader, log = ready[0].leader, ready[0].log
        followers = self.followers
        running = [machine.running for machine in followers.values()]
        return (
            ready[0].machine.durable is log
            and leader.log.commit_index == log.index
            and leader.followers.keys() == followers.keys()
            and all(
                progress.counts and progress.match_index == log.index
                for progress in leader.followers.values()
            )
            and all(machine.durable is log for machine in followers.values())
            and all(isinstance(each, FollowerProcess) and each.follower.ready for each in running)
        )
