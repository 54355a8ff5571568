"""What goes wrong in a random schedule."""

from collections.abc import Callable

from msgspec.structs import replace

from kvstore.messages import Claim, Hello
from tests.simulation.network import Path
from tests.simulation.world import USUAL_DISK_DELAY_S, World

MEAN_DURATION_S = 0.3


class Faults:
    """Faults, one after the other and several at a time.

    :param world: where they happen.
    :param until_s: when they end.
    """

    def __init__(self, world: World, until_s: float) -> None:
        self._world = world
        self._until_s = until_s
        self._random = random = world.random
        usual = [
            self._crash_follower,
            self._crash_leader,
            self._crash_all,
            self._freeze,
            self._cut,
            self._degrade,
            self._slow_disks,
            self._change_quorum,
            self._forge,
        ]
        self._kinds: list[Callable[[], None]]
        self._kinds = random.sample(usual, random.randint(1, len(usual)))
        self.second_leader = random.random() < 0.4
        self.force = random.random() < 0.15
        self._empty = random.random() < 0.5
        if self.second_leader:
            self._kinds.append(self._use_second_leader)
        if self.force:
            self._kinds.append(self._force_start)
        if random.random() < 0.2:
            self._kinds.append(self._reroute)

    def inject(self) -> None:
        """Let something go wrong, and be mended after a while."""
        self._random.choice(self._kinds)()

    def _later(self, call: Callable[[], None], mean_s: float = MEAN_DURATION_S) -> None:
        self._world.clock.after(self._random.expovariate(1 / mean_s), call)

    def _fault(self, mend: Callable[[], None]) -> None:
        self._world.counts.faults += 1
        self._later(mend)

    # Crashes

    def _crash_follower(self) -> None:
        self._crash(self._random.choice(list(self._world.followers)))

    def _crash_leader(self) -> None:
        self._crash(self._random.choice(list(self._world.leaders)))

    def _crash_all(self) -> None:
        if self._random.random() < 0.3:
            for name in [*self._world.followers, *self._world.leaders]:
                self._crash(name, may_empty=False)

    def _crash(self, name: str, *, may_empty: bool = True) -> None:
        if self._world.machine(name).running is None or self._over:
            return
        self._world.crash(name)
        emptied = may_empty and self._empty and self._random.random() < 0.3
        self._fault(lambda: self._start(name, emptied=emptied))

    def _start(self, name: str, *, emptied: bool) -> None:
        if self._over or self._runs(name):
            return
        self._world.start(name, emptied=emptied)
        if self._random.random() < 0.2:
            # Once more, before much can have happened.
            self._later(lambda: self._crash(name), mean_s=0.01)

    def _freeze(self) -> None:
        name = self._random.choice([*self._world.followers, *self._world.leaders])
        self._world.freeze(name)
        self._fault(lambda: self._world.thaw(name))

    # Network and disks

    def _paths(self) -> list[Path]:
        leader = self._random.choice(list(self._world.leaders))
        address = self._random.choice(list(self._world.followers))
        link = self._world.network.link(leader, address)
        paths = [link.to_follower, link.to_leader]
        return paths if self._random.random() < 0.5 else [self._random.choice(paths)]

    def _cut(self) -> None:
        for path in self._paths():
            path.cut = True
            self._fault(path.mend)

    def _degrade(self) -> None:
        for path in self._paths():
            path.drop = self._random.choice([0.0, 0.1, 0.5])
            path.late = self._random.choice([0.0, 0.1, 0.3])
            path.duplicate = self._random.choice([0.0, 0.3, 0.6])
            self._fault(path.mend)

    def _reroute(self) -> None:
        network, machines = self._world.network, self._world.followers
        address = self._random.choice(list(machines))
        network.reroute(address, self._random.choice(list(machines.values())))
        self._fault(lambda: network.reroute(address, machines[address]))

    def _forge(self) -> None:
        """Repeat a message as if another reign, of the same or another epoch, had sent it."""
        network = self._world.network
        messages = [each for each in network.recent if not isinstance(each[1], Hello | Claim)]
        if messages:
            process, message = self._random.choice(messages)
            epoch = max(1, message.epoch + self._random.choice([-1, 0, 0, 1]))
            self._world.counts.faults += 1
            network.forge(process, replace(message, epoch=epoch, reign="forged"))

    def _slow_disks(self) -> None:
        world = self._world
        world.disk_delay_s = self._random.choice([0.01, 0.05, 0.2])
        self._fault(lambda: setattr(world, "disk_delay_s", USUAL_DISK_DELAY_S))

    # Operators

    def _change_quorum(self) -> None:
        size = self._random.randint(1, self._world.setup.followers)
        for leader in self._world.running_leaders():
            self._world.note("set_quorum", leader, size)
            leader.set_quorum(size)

    def _use_second_leader(self) -> None:
        name = self._random.choice(["leader", "other"])
        if self._runs(name):
            if self._random.random() < 0.5:
                return
            self._world.crash(name)
        self._world.counts.faults += 1
        is_new = name not in self._world.leaders
        self._world.start(name, emptied=is_new or (self._empty and self._random.random() < 0.3))

    def _force_start(self) -> None:
        for process in self._world.running_leaders():
            if process.leader.state_text in ("looking", "claiming") and process.leader.waiting_for:
                self._world.counts.faults += 1
                self._world.force_start(process)

    @property
    def _over(self) -> bool:
        return self._world.now_s > self._until_s

    def _runs(self, name: str) -> bool:
        return name in self._world.leaders | self._world.followers and (
            self._world.machine(name).running is not None
        )
