"""One random schedule: a cluster, clients, faults; then everything heals and has to converge."""

from collections.abc import Callable, Collection
from dataclasses import replace
from random import Random

import gevent
from msgspec import Raw

from kvstore.core.leader_log import Batch, Write
from kvstore.core.preconditions import ALWAYS, Precondition
from tests.simulation.faults import Faults
from tests.simulation.healing import heal_and_converge
from tests.simulation.process import LeaderProcess
from tests.simulation.world import Setup, World

HORIZON_S = 4.0
KEYS = "abcdefgh"


class Schedule:
    """A schedule that its seed repeats exactly.

    :param seed: decides everything.
    :param random: decides in the seed's place.
    :param left_out: causes of what does not happen: see :attr:`causes`.
    """

    def __init__(
        self, seed: int, *, random: Random | None = None, left_out: Collection[str] = ()
    ) -> None:
        self.seed = seed
        self._random = random = random or Random(seed)
        self.world = World(_setup(random), random)
        self.causes: list[str] = []
        """The faults and the clients' turns that were not left out."""
        self._left_out = left_out
        self._faults = Faults(self.world, HORIZON_S)
        self._keys = KEYS[: random.choice([2, 4, 8])]
        self._writes = 0
        self._last = Batch([(Write("delete", "a"), ALWAYS)])
        self._batches = random.choice([0.0, 0.1, 0.5])

    def run(self) -> Exception | None:
        """Run it to its end.

        :return: why it failed: a violated invariant, or an exception out of the code under test.
        """
        try:
            self._disturb()
            heal_and_converge(self.world)
        except Exception as error:  # noqa: BLE001 (whatever the rules raise is a finding)
            return error
        finally:
            gevent.sleep(0)  # what the nodes have spawned; it only frees memory
        return None

    def _disturb(self) -> None:
        world, random = self.world, self._random
        world.start_all()
        self._write_now_and_then(random.choice([0.01, 0.05, 0.2]))
        pause_s = random.choice([0.03, 0.1, 0.3])
        number = 0
        while world.now_s < HORIZON_S:
            world.clock.run(random.expovariate(1 / pause_s))
            number += 1
            self._do(f"fault {number}", self._faults.inject)

    def _do(self, cause: str, call: Callable[[], None]) -> None:
        if cause not in self._left_out:
            self.causes.append(cause)
            self.world.clock.do(cause, call)

    # Clients

    def _write_now_and_then(self, pause_s: float, number: int = 1) -> None:
        world = self.world
        if world.now_s > HORIZON_S:
            return
        self._do(f"write {number}", self._write_everywhere)
        world.clock.after(
            self._random.expovariate(1 / pause_s),
            lambda: self._write_now_and_then(pause_s, number + 1),
        )

    def _write_everywhere(self) -> None:
        for leader in self.world.running_leaders():
            if not leader.frozen:
                self._write(leader)

    def _write(self, leader: LeaderProcess) -> None:
        if self._last.idempotency_key is None or self._random.random() < 0.8:
            self._last = self._new_batch(leader)
        if len(self._last.operations) > 1:
            self.world.write_batch(leader, self._last)
            return
        [(write, expected)] = self._last.operations
        write = replace(write, idempotency_key=self._last.idempotency_key)
        self.world.write(leader, write, expected)

    def _new_batch(self, leader: LeaderProcess) -> Batch:
        """What a client writes next: often one key only."""
        random = self._random
        count = random.randint(2, 5) if random.random() < self._batches else 1
        writes = [self._new_write() for _ in range(count)]
        key = f"r{self._writes}" if random.random() < 0.3 else None
        operations = [(write, self._expected(leader, write.key)) for write in writes]
        return Batch(operations, key, key or "")

    def _new_write(self) -> Write:
        self._writes += 1
        key = self._random.choice(self._keys)
        if self._random.random() < 0.2:
            return Write("delete", key)
        return Write("put", key, Raw(b"%d" % self._writes))

    def _expected(self, leader: LeaderProcess, key: str) -> Precondition:
        """What the client wants of the key before it is written: often what is true."""
        random = self._random
        if random.random() < 0.7:
            return ALWAYS
        version, _ = leader.log.items.get(key, (None, b""))
        other = random.choice([version, version, 1, 2, 3, None])
        match random.randrange(3):
            case 0:
                return Precondition(versions=frozenset(() if other is None else (other,)))
            case 1:
                return Precondition(not_versions=frozenset(() if other is None else (other,)))
        return Precondition(exists=random.random() < 0.5)


def _setup(random: Random) -> Setup:
    followers = random.randint(1, 4)
    return Setup(
        followers=followers,
        write_quorum=random.randint(0 if random.random() < 0.1 else 1, followers),
        durable=random.random() < 0.7,
        leader_retain=random.choice([2, 5, 1000]),
        follower_retain=random.choice([1, 5, 1000]),
        retain_bytes=random.choice([300, 1 << 20]),
        max_pending=random.choice([3, 50]),
        message_entries=random.choice([1, 2, 4, 1000]),
        remembered_entries=8,
    )
