"""The rules as a Hypothesis state machine: a failure shrinks to the few steps that it needs."""

from random import Random
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec import Raw

from kvstore.core.leader_log import Write
from tests.simulation.disk import Disk
from tests.simulation.healing import heal_and_converge, help_out
from tests.simulation.network import Packet, Path
from tests.simulation.setup import Setup
from tests.simulation.world import World

NUMBERS = st.integers(0, 5)
KEYS = st.sampled_from("abc")


class Cluster(RuleBasedStateMachine):
    """One to three followers, a leader that may be replaced, and everything that may happen.

    Numbers choose among what there is, so that the same steps stay possible while others are
    left out.
    """

    world: World

    def __init__(self) -> None:
        super().__init__()
        self._writes = 0
        self._copies: dict[str, Disk] = {}
        self._paths: list[Path] = []
        self._patch = patch("kvstore.core.messages.MAX_ENTRIES", 1)
        self._patch.start()

    @initialize(
        followers=st.integers(1, 3),
        write_quorum=st.integers(1, 3),
        durable=st.booleans(),
        leader_retain=st.sampled_from([1, 1000]),
    )
    def start(self, followers: int, write_quorum: int, durable: bool, leader_retain: int) -> None:
        setup = Setup(
            followers=followers,
            write_quorum=min(write_quorum, followers),
            durable=durable,
            leader_retain=leader_retain,
        )
        self.world = World(setup, Random(0))
        for name in self.world.followers:
            self.world.start(name)
        self.world.lead()
        self.world.clock.run_until(self.world.converged)

    @rule(milliseconds=st.sampled_from([1, 5, 20, 200, 1000]))
    def let_time_pass(self, milliseconds: int) -> None:
        self.world.clock.run(milliseconds / 1000)

    # Clients and operators

    @rule(which=NUMBERS, key=KEYS, delete=st.booleans(), repeat=st.booleans())
    def write(self, which: int, key: str, delete: bool, repeat: bool) -> None:
        leaders = self.world.running_leaders()
        if leaders:
            self._writes += 1
            value = None if delete else Raw(b"%d" % self._writes)
            write = Write("delete" if delete else "put", key, value, f"r{self._writes}")
            for _ in range(1 + repeat):
                self.world.write(leaders[which % len(leaders)], write)

    @rule(size=st.integers(0, 3))
    def change_write_quorum(self, size: int) -> None:
        for leader in self.world.running_leaders():
            leader.set_quorum(min(size, len(leader.machine.addresses or ())))

    @rule(emptied=st.booleans(), which=NUMBERS, shortened=st.booleans())
    def start_a_leader(self, emptied: bool, which: int, shortened: bool) -> None:
        name = ["leader", "other"][which % 2]
        followers = [each for each in self.world.followers if each != name]
        if name not in self.world.followers and len(followers) > 1:
            self.world.stop(name)
            self.world.start(name, followers[shortened:], emptied=emptied)

    @rule(which=NUMBERS)
    def change_a_role(self, which: int) -> None:
        name = self._name(which)
        if name in self.world.leaders and self._is_single(name):
            self.world.stop(name)
            self.world.follow(name)
        elif len(self.world.followers) > 1:
            self.world.stop(name)
            self.world.lead(name)

    @precondition(lambda self: self.world.setup.durable)
    @rule(which=NUMBERS)
    def copy_a_disk(self, which: int) -> None:
        self._copies[self._name(which)] = self.world.machine(self._name(which)).disk.copy()

    @rule(which=NUMBERS)
    def put_a_disk_back(self, which: int) -> None:
        if self._copies:
            name = list(self._copies)[which % len(self._copies)]
            self.world.stop(name)
            self.world.put_back(name, self._copies.pop(name))
            self.world.start(name)

    @rule()
    def an_operator_looks(self) -> None:
        help_out(self.world)

    # Processes and disks

    @rule(which=NUMBERS)
    def crash(self, which: int) -> None:
        name = self._name(which)
        if self.world.machine(name).running is not None:
            self.world.crash(name)
            self.world.machine(name).disk_held = False

    @rule(which=NUMBERS, emptied=st.booleans())
    def restart(self, which: int, emptied: bool) -> None:
        name = self._name(which)
        if self.world.machine(name).running is None:
            self.world.start(name, emptied=emptied)

    @rule(which=NUMBERS)
    def freeze(self, which: int) -> None:
        self.world.freeze(self._name(which))

    @rule(which=NUMBERS)
    def thaw(self, which: int) -> None:
        self.world.thaw(self._name(which))

    @precondition(lambda self: self.world.setup.durable)
    @rule(which=NUMBERS)
    def hold_or_release_disk(self, which: int) -> None:
        machine = self.world.machine(self._name(which))
        if machine.disk_held:
            machine.release_disk()
        else:
            machine.disk_held = True

    # Network

    @rule(which=NUMBERS)
    def hold(self, which: int) -> None:
        path = self._path(which)
        if path.held is None:
            path.held = []

    @rule(which=NUMBERS)
    def lose_what_is_held_and_go_on(self, which: int) -> None:
        self._path(which).held = None

    @rule(which=NUMBERS, number=NUMBERS)
    def deliver(self, which: int, number: int) -> None:
        held = self._held(which)
        if held:
            held.pop(number % len(held)).deliver()

    @rule(which=NUMBERS, number=NUMBERS)
    def repeat(self, which: int, number: int) -> None:
        held = self._held(which)
        if held:
            held[number % len(held)].repeat()

    @rule(which=NUMBERS)
    def cut_or_mend(self, which: int) -> None:
        path = self._path(which)
        path.cut = not path.cut

    # The end

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self._come_to_rest()
        finally:
            self._patch.stop()

    def _come_to_rest(self) -> None:
        for machine in self.world.machines.values():
            machine.release_disk()
        for path in self._paths:
            held, path.held = path.held, None
            for packet in held or ():
                packet.deliver()
        heal_and_converge(self.world)

    def _name(self, which: int) -> str:
        names = list(self.world.machines)
        return names[which % len(names)]

    def _is_single(self, name: str) -> bool:
        nodes = [machine.disk.node for machine in self.world.machines.values()]
        return nodes.count(self.world.machine(name).disk.node) == 1

    def _path(self, which: int) -> Path:
        leaders, addresses = list(self.world.leaders), list(self.world.followers)
        if not leaders or not addresses:
            return Path()
        leader = leaders[which // len(addresses) % len(leaders)]
        path = self.world.network.link(leader, addresses[which % len(addresses)]).to_follower
        if path not in self._paths:
            self._paths.append(path)
        return path

    def _held(self, which: int) -> list[Packet]:
        return self._path(which).held or []


TestCluster = Cluster.TestCase
TestCluster.settings = settings(
    max_examples=400,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
