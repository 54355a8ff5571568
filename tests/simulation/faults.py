"""What goes wrong in a random schedule."""

from collections.abc import Callable, Collection

from msgspec.structs import replace

from kvstore.core.messages import Claim, Hello
from tests.simulation.mistakes import Mistakes
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
            self._set_clock,
            self._forge,
        ]
        self._kinds: list[Callable[[], None]]
        self._kinds = random.sample(usual, random.randint(1, len(usual)))
        self._empty = random.random() < 0.5
        if random.random() < 0.2:
            self._kinds.append(self._reroute)
        if random.random() < 0.6:
            self._kinds += Mistakes(world, self._later).kinds

    def inject(self) -> None:
        """Let something go wrong, and be mended after a while."""
        kind = self._random.choice(self._kinds)
        self._world.counts["faults"] += 1
        self._world.note(kind.__name__.strip("_"))
        kind()

    def _later(self, call: Callable[[], None], mean_s: float = MEAN_DURATION_S) -> None:
        self._world.clock.after(
            self._random.expovariate(1 / mean_s), lambda: None if self._over else call()
        )

    # Crashes

    def _crash_follower(self) -> None:
        self._crash_one(self._world.followers)

    def _crash_leader(self) -> None:
        self._crash_one(self._world.leaders)

    def _crash_all(self) -> None:
        if self._random.random() < 0.3:
            for name in self._world.machines:
                self._crash(name, may_empty=False)

    def _crash_one(self, names: Collection[str]) -> None:
        if names:
            self._crash(self._random.choice(list(names)))

    def _crash(self, name: str, *, may_empty: bool = True) -> None:
        if self._world.machine(name).running is None:
            return
        self._world.crash(name)
        emptied = may_empty and self._empty and self._random.random() < 0.3
        self._later(lambda: self._start(name, emptied=emptied))

    def _start(self, name: str, *, emptied: bool) -> None:
        if self._world.machine(name).running is not None:
            return
        self._world.start(name, emptied=emptied)
        if self._random.random() < 0.2:
            # Once more, before much can have happened.
            self._later(lambda: self._crash(name), mean_s=0.01)

    def _freeze(self) -> None:
        name = self._random.choice(list(self._world.machines))
        self._world.freeze(name)
        self._later(lambda: self._world.thaw(name))

    # Network and disks

    def _paths(self) -> list[Path]:
        machines = self._world.machines
        leader = self._random.choice(list(self._world.leaders or machines))
        address = self._random.choice(list(self._world.followers or machines))
        ways = [False, True]
        if self._random.random() >= 0.5:
            ways = [self._random.choice(ways)]
        self._world.note("paths", leader, address, "answers:", ways)
        return [self._world.network.path(leader, address, answers=way) for way in ways]

    def _cut(self) -> None:
        for path in self._paths():
            path.cut = True
            self._later(path.mend)

    def _degrade(self) -> None:
        for path in self._paths():
            path.drop = self._random.choice([0.0, 0.1, 0.5])
            path.late = self._random.choice([0.0, 0.1, 0.3])
            path.duplicate = self._random.choice([0.0, 0.3, 0.6])
            self._later(path.mend)

    def _reroute(self) -> None:
        network, machines = self._world.network, self._world.followers
        if not machines:
            return
        address = self._random.choice(list(machines))
        network.reroute(address, self._random.choice(list(machines.values())))
        self._later(lambda: network.reroute(address, machines[address]))

    def _forge(self) -> None:
        """Repeat a message as if another reign, of the same or another epoch, had sent it."""
        network = self._world.network
        messages = [each for each in network.recent if not isinstance(each[1], Hello | Claim)]
        if messages:
            process, message = self._random.choice(messages)
            epoch = max(1, message.epoch + self._random.choice([-1, 0, 0, 1]))
            restart = max(0, message.restart + self._random.choice([-1, 0, 1]))
            takeover = self._random.choice(["forged", message.takeover_id])
            forged = replace(
                message, epoch=epoch, restart=restart, takeover_id=takeover, reign_id="forged"
            )
            network.forge(process, forged)

    def _slow_disks(self) -> None:
        world = self._world
        world.disk_delay_s = self._random.choice([0.01, 0.05, 0.2])
        self._later(lambda: setattr(world, "disk_delay_s", USUAL_DISK_DELAY_S))

    def _change_quorum(self) -> None:
        for leader in self._world.running_leaders():
            most = len(leader.machine.addresses or ())
            size = self._random.randint(0 if self._random.random() < 0.3 else min(1, most), most)
            self._world.note("set_quorum", leader, size)
            leader.set_quorum(size)

    def _set_clock(self) -> None:
        machine = self._random.choice(list(self._world.machines.values()))
        machine.clock_error_ms += self._random.randint(-3000, 3000)

    @property
    def _over(self) -> bool:
        return self._world.now_s > self._until_s
