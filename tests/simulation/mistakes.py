"""What people do to a cluster in a random schedule, on purpose or not."""

from collections.abc import Callable, Collection
from functools import partial

from kvstore.core.leadership import LeaderState
from tests.simulation.disk import Disk
from tests.simulation.healing import help_out
from tests.simulation.world import World

LEADERS = ["leader", "other", "third"]


class Mistakes:
    """Starts with other roles, other lists and other disks than a machine had before.

    :param world: where they happen.
    :param later: lets something happen after a while.
    """

    def __init__(self, world: World, later: Callable[[Callable[[], None], float], None]) -> None:
        self._world = world
        self._random = random = world.random
        self._later = later
        self._copies: list[tuple[str, Disk]] = []
        self._empties = random.random() < 0.5
        kinds: list[tuple[float, Callable[[], None]]] = [
            (0.4, self._use_another_leader),
            (0.15, self._let_two_take_over),
            (0.2, self._swap),
            (0.15, self._promote),
            (0.15, self._demote),
            (0.2, self._put_back),
            (0.12, self._clone),
            (0.15, self._replace_unnoticed),
            (0.12, self._force_start),
        ]
        self.kinds = [kind for share, kind in kinds if random.random() < share]
        self._shortens = random.random() < 0.4
        if self.kinds and random.random() < 0.7:
            self.kinds.append(self._attend)
        if not world.setup.durable:
            self.kinds = [each for each in self.kinds if each not in (self._put_back, self._clone)]
        if self._put_back in self.kinds:
            self._copy_now_and_then()

    # Leaders

    def _use_another_leader(self) -> None:
        name = self._random.choice(LEADERS[:2] if self._random.random() < 0.8 else LEADERS)
        if name not in self._world.followers:
            self._lead(name, emptied=self._empties and self._random.random() < 0.3)

    def _let_two_take_over(self) -> None:
        for name in self._random.sample(LEADERS, 2):
            if name not in self._world.followers:
                self._lead(name, emptied=True)

    def _replace_unnoticed(self) -> None:
        """The leader is replaced, and starts alone; a follower that was emptied meets it first."""
        world, random = self._world, self._random
        leaders, followers = world.running_leaders(), list(world.followers)
        if len(leaders) != 1 or not followers:
            return
        old = leaders[0].machine.name
        new = "leader" if old == "other" else "other"
        emptied = random.choice(followers)
        self._world.crash(old)
        self._lead(new, emptied=True)

        def return_alone() -> None:
            for name in [new, *followers]:
                self._world.crash(name)
            for _ in range(random.randint(1, 2)):
                self._lead(old)

        self._later(return_alone, 0.5)
        self._later(lambda: self._world.start(emptied, emptied=True), 0.8)
        for name in [*followers, new]:
            self._later(partial(world.start, name), 1.2)

    def _force_start(self) -> None:
        for process in self._world.running_leaders():
            leader = process.leader
            waits = leader.state_text in ("looking", "claiming") and leader.waiting_for
            if waits or (leader.state is LeaderState.DEPOSED and self._random.random() < 0.3):
                self._world.force_start(process)

    def _attend(self) -> None:
        if self._random.random() < 0.3:
            help_out(self._world)

    # Roles

    def _swap(self) -> None:
        leader, follower = self._one_of(self._world.leaders), self._one_of(self._world.followers)
        if leader and follower and self._world.is_single(leader):
            self._follow(leader)
            self._lead(follower)

    def _promote(self) -> None:
        followers = self._world.followers
        name = self._one_of(followers)
        if name and len(followers) > 1:
            self._lead(name)
            if self._random.random() < 0.7:
                self._later(lambda: self._follow(name), 0.5)

    def _demote(self) -> None:
        name = self._one_of(self._world.leaders)
        if name and self._world.is_single(name):
            self._follow(name)
            if self._random.random() < 0.5:
                self._later(lambda: self._lead(name), 0.5)

    # Disks

    def _copy_now_and_then(self) -> None:
        name = self._one_of(self._world.machines)
        if name:
            self._copies.append((name, self._world.machine(name).disk.copy()))
        self._later(self._copy_now_and_then, 0.4)

    def _put_back(self) -> None:
        if not self._copies:
            return
        name, disk = self._random.choice(self._copies)
        others = [m.disk.node_id for m in self._world.machines.values() if m.name != name]
        if disk.node_id not in others:
            self._world.put_back(name, disk)
            self._world.start(name)

    def _clone(self) -> None:
        name = self._one_of(self._world.leaders)
        clone = self._random.choice(["clone", *LEADERS])
        if name is None or name == clone or (clone in self._world.followers and clone != "clone"):
            return
        machine = self._world.machine(name)
        if machine.promise.reign is not None:
            self._world.put_back(clone, machine.disk, of=name)
            self._lead(clone)

    # Helpers

    def _lead(self, name: str, *, emptied: bool = False) -> None:
        world, random = self._world, self._random
        world.crash(name)
        followers = [each for each in world.followers if each != name]
        if self._shortens and random.random() < 0.5:
            least = 0 if random.random() < 0.2 else min(1, len(followers))
            followers = random.sample(followers, random.randint(least, len(followers)))
        world.start(name, followers, emptied=emptied)

    def _follow(self, name: str) -> None:
        if self._world.is_single(name):
            self._world.follow(name)

    def _one_of(self, machines: Collection[str]) -> str | None:
        return self._random.choice(sorted(machines)) if machines else None
