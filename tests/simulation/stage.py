"""What the named schedules are made of."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

from kvstore.core.errors import NothingToForce
from kvstore.core.leadership import LeaderState
from kvstore.core.messages import Append, Message
from tests.simulation.brief import describe
from tests.simulation.network import Packet
from tests.simulation.setup import Setup
from tests.simulation.world import World


def make_cluster(
    *,
    followers: int = 2,
    write_quorum: int = 1,
    durable: bool = True,
    leader_retain: int = 1000,
    message_entries: int = 1000,
) -> World:
    """A cluster whose leader leads, over a network and disks without faults."""
    setup = Setup(
        followers=followers,
        write_quorum=write_quorum,
        durable=durable,
        leader_retain=leader_retain,
        message_entries=message_entries,
    )
    world = World(setup, Random(1))
    for name in world.followers:
        world.start(name)
    world.lead()
    settle(world)
    return world


def settle(world: World) -> None:
    """Let everything that is mended come to rest: one leader, equal copies."""
    assert world.clock.run_until(world.converged), describe(world)


def wait(world: World, reached: Callable[[], bool], within_s: float = 5.0) -> None:
    """Let things happen until a state is reached."""
    assert world.clock.run_until(reached, within_s), describe(world)


def wait_ready(world: World, leader: str = "leader") -> None:
    """Wait until a leader is ready."""
    wait(world, lambda: world.leader(leader).leader.ready)


def wait_deposed(world: World, leader: str = "leader") -> None:
    """Wait until a leader has met the one that replaced it."""
    wait(world, lambda: world.leader(leader).leader.state is LeaderState.DEPOSED)


def replace_leader(world: World) -> None:
    """Crash the leader and let another one, without state, take over."""
    world.crash("leader")
    world.lead("other", emptied=True)
    settle(world)


def write(world: World, *values: int, leader: str = "leader") -> list[int]:
    """Put numbers under one key each, and let every copy have them.

    :return: their versions.
    """
    versions = [put(world, value, leader) for value in values]
    settle(world)
    return versions


def put(world: World, value: int, leader: str = "leader") -> int:
    """Put a number under a key of its own; the version, which is not confirmed yet."""
    version = world.put(f"key{value}", value, leader)
    assert version is not None, describe(world)
    return version


def confirm(world: World, value: int, leader: str = "leader") -> int:
    """Put a number and wait for its quorum; its version."""
    version = put(world, value, leader)
    wait(world, lambda: commit_index(world, leader) >= version)
    return version


def cut(world: World, *addresses: str, leader: str = "leader") -> None:
    """Cut a leader off from followers, in both directions."""
    for address in addresses:
        link = world.network.link(leader, address)
        link.to_follower.cut = link.to_leader.cut = True


def reconnect(world: World) -> None:
    """Carry everything again, to where it belongs, and let it come to rest."""
    world.network.heal()
    settle(world)


@contextmanager
def in_flight(
    world: World, address: str, leader: str = "leader", *, answers: bool = False
) -> Iterator[list[Packet]]:
    """Keep what a leader sends to a follower in flight, for the test to deliver.

    :param answers: keep the follower's answers instead.
    """
    link = world.network.link(leader, address)
    path = link.to_leader if answers else link.to_follower
    packets: list[Packet] = []
    path.held = packets
    try:
        yield packets
    finally:
        path.held = None


def take(world: World, packets: list[Packet], kind: type[Message]) -> Packet:
    """Deliver what is in flight until a message of a kind comes, and take that one out.

    Of appends, only those that carry entries count.
    """
    end_s = world.now_s + 5.0
    while world.now_s < end_s:
        wait(world, lambda: bool(packets))
        packet = packets.pop(0)
        if _is(packet, kind):
            return packet
        packet.deliver()
    raise AssertionError(f"no {kind.__name__} came\n{describe(world)}")


def force(world: World, leader: str = "leader") -> None:
    """Let a leader go on without those that do not answer, once it has asked them."""

    def forced() -> bool:
        try:
            world.force_start(world.leader(leader))
        except NothingToForce:
            return False
        return True

    wait(world, forced)


def commit_index(world: World, leader: str = "leader") -> int:
    """The commit index of a running leader."""
    return world.leader(leader).leader.log.commit_index


def confirmed_keys(world: World) -> set[str]:
    """The keys of the numbers whose confirmation still holds."""
    return {key for key in world.ledger.confirmed.items if key.startswith("key")}


def _is(packet: Packet, kind: type[Message]) -> bool:
    content = packet.content
    return isinstance(content, kind) and (not isinstance(content, Append) or bool(content.entries))
