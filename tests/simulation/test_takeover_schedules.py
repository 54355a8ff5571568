"""Named schedules of takeovers."""

from contextlib import ExitStack
from random import Random

import pytest

from kvstore.core.messages import Claim, Fetch, Hello
from tests.simulation.healing import converge
from tests.simulation.setup import Setup
from tests.simulation.stage import (
    confirm,
    confirmed_keys,
    cut,
    force,
    in_flight,
    make_cluster,
    reconnect,
    settle,
    take,
    wait,
    wait_deposed,
    wait_ready,
    write,
)
from tests.simulation.world import World


def make_scattered_cluster(*, durable: bool) -> World:
    """A cluster without leader, with a confirmed entry that one follower alone holds."""
    world = make_cluster(followers=3, durable=durable)
    write(world, 1, 2)
    cut(world, "f0", "f2")
    confirm(world, 3)
    world.crash("leader")
    world.network.heal()
    return world


@pytest.mark.parametrize("durable", [True, False])
def test_takeover_interrupted_at_every_step_starts_over(durable: bool) -> None:
    steps = 0
    led = False
    while not led:
        world = make_scattered_cluster(durable=durable)
        confirmed = world.ledger.confirmed
        world.lead("leader", emptied=True)
        for _ in range(steps):
            world.clock.step()
        led = world.leader().leader.ready
        world.crash("leader")
        world.lead("leader")
        converge(world)  # a late claim of the takeover before may have made a twin of this one
        assert confirmed.index == 4
        assert world.leader().log.holds(confirmed), f"interrupted after {steps} steps"
        steps += 1
    assert steps > 20


def test_forced_start_drops_what_only_the_missing_follower_holds() -> None:
    world = make_scattered_cluster(durable=True)
    world.crash("f1")
    world.lead("leader", emptied=True)
    wait(world, lambda: world.leader().leader.waiting_for == ["f1"])
    force(world)
    wait_ready(world)
    epoch = world.leader().leader.promise.epoch
    assert epoch > 1000
    assert confirm(world, 4) == 5
    world.start("f1")
    settle(world)
    position = world.followers["f1"].durable.position
    assert (position.epoch, position.index) == (epoch, 6)
    assert world.followers["f1"].disk.discarded == 1


def test_takeover_from_a_follower_that_a_forced_start_took_back() -> None:
    world = make_cluster()
    write(world, 1)
    cut(world, "f0")
    for value in range(2, 8):
        confirm(world, value)
    world.crash("leader")
    world.network.heal()
    cut(world, "f1")
    world.lead("leader", emptied=True)
    wait(world, lambda: world.leader().leader.waiting_for == ["f1"])
    force(world)
    wait_ready(world)
    reconnect(world)
    assert world.follower("f1").follower.log.last.index == 4
    cut(world, "f0")
    confirm(world, 8)
    world.crash("leader")
    world.network.heal()
    world.lead("leader", emptied=True)
    settle(world)
    position = world.leader().log.position
    assert position.epoch > 1001
    assert position.index == 6


def test_two_takeovers_choose_the_same_epoch() -> None:
    world = make_cluster()
    write(world, 1)
    world.crash("leader")
    leaders = ("other", "third")
    with ExitStack() as stack:
        packets = {
            (leader, address): stack.enter_context(in_flight(world, address, leader))
            for leader in leaders
            for address in world.followers
        }
        for leader in leaders:
            world.lead(leader, emptied=True)
        for each in packets.values():
            take(world, each, Hello).deliver()
        claims = {key: take(world, each, Claim) for key, each in packets.items()}
        for key in [("other", "f0"), ("third", "f1"), ("other", "f1"), ("third", "f0")]:
            claims[key].deliver()
        for leader in leaders:
            wait_deposed(world, leader)
    force(world, "third")
    settle(world)
    assert not world.ledger.apart
    assert world.ledger.confirmed.items["key1"] == (2, b"1")


@pytest.mark.parametrize("seed", range(20))
def test_two_first_starts_make_one_make_cluster(seed: int) -> None:
    world = World(Setup(followers=2), Random(seed))
    for name in world.followers:
        world.start(name)
    world.lead("leader")
    world.clock.run(seed / 1000)
    world.lead("other")
    converge(world)
    clusters = {machine.promise.cluster_id for machine in world.followers.values()}
    assert len(clusters) == 1
    assert not world.ledger.apart


def test_fetch_that_begins_anew_half_way_is_not_taken_for_complete() -> None:
    world = make_cluster(followers=1, message_entries=1)
    write(world, 1, 2, 3, 4)
    world.crash("leader")
    with (
        in_flight(world, "f0", "other") as packets,
        in_flight(world, "f0", "other", answers=True) as answers,
    ):
        world.lead("other", emptied=True)
        fetches = 0
        while fetches < 3:
            wait(world, lambda: bool(packets))
            packet = packets.pop(0)
            fetches += isinstance(packet.content, Fetch)
            packet.deliver()
            wait(world, lambda: bool(answers))
            answers.pop(0).deliver()
        wait(world, lambda: bool(packets))
        world.restart("f0")
        # A proxy keeps the leader's connection, and opens another to the new process.
        answers.clear()
        connection = world.leader("other").senders["f0"].connection
        assert connection is not None
        connection.process = world.follower("f0")
        packets.pop(0).deliver()
    settle(world)
    assert confirmed_keys(world) == {"key1", "key2", "key3", "key4"}


def test_address_that_led_elsewhere_only_while_a_takeover_looked() -> None:
    world = make_cluster()
    write(world, 1)
    with in_flight(world, "f0", "other") as packets:
        world.network.reroute("f1", world.followers["f0"])
        world.start("other", ["f0"])
        take(world, packets, Hello).deliver()
        claim = take(world, packets, Claim)
        world.network.heal()
        settle(world)
        cut(world, "f0")
        confirm(world, 2)
        world.crash("leader")
        claim.deliver()
    wait_ready(world, "other")
    assert confirmed_keys(world) == {"key1", "key2"}
