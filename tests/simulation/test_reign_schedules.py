"""Named schedules of several reigns: replaced, deposed and restarted leaders."""

import pytest

from kvstore.core.messages import Append
from tests.simulation.stage import (
    commit_index,
    cut,
    in_flight,
    make_cluster,
    put,
    settle,
    take,
    wait,
    wait_ready,
    write,
)


@pytest.mark.parametrize("restart", [False, True])
def test_message_of_the_old_reign_after_the_claim_changes_nothing(restart: bool) -> None:
    world = make_cluster()
    with in_flight(world, "f0") as packets:
        put(world, 1)
        late = take(world, packets, Append)
        world.crash("leader")
    world.lead("other", emptied=True)
    settle(world)
    if restart:
        world.restart("f0")
        settle(world)
    machine, follower = world.machine("f0"), world.follower("f0").follower
    before = (machine.durable, follower.promise, follower.log.last, follower.commit_index)
    late.deliver()
    late.repeat()
    world.clock.run(0.4)
    assert before == (machine.durable, follower.promise, follower.log.last, follower.commit_index)
    settle(world)


def test_write_quorum_lowered_and_the_leader_lost() -> None:
    world = make_cluster(followers=3, write_quorum=3)
    write(world, 1)
    cut(world, "f0", "f2")
    version = put(world, 2)
    wait(world, lambda: world.leader().leader.replicas(version) == 1)
    assert commit_index(world) < version
    world.leader().set_quorum(1)
    assert commit_index(world) == version
    world.crash("leader")
    world.network.heal()
    world.lead("leader", emptied=True)
    settle(world)
    assert world.ledger.confirmed.items["key2"] == (version, b"2")


def test_frozen_leader_confirms_nothing_that_its_successor_does_not_hold() -> None:
    world = make_cluster()
    cut(world, "f1")
    with in_flight(world, "f0") as packets:
        version = put(world, 1)
        message = take(world, packets, Append)
        with in_flight(world, "f0", answers=True) as answers:
            message.deliver()
            wait(world, lambda: bool(answers))
            world.freeze("leader")
    world.lead("other", emptied=True)
    wait_ready(world, "other")
    assert world.leader("other").log.index == version + 1
    world.thaw("leader")
    answers[0].deliver()
    assert commit_index(world) == version
    settle(world)


def test_memory_only_leader_restarted_under_load_loses_nothing() -> None:
    world = make_cluster(followers=3, write_quorum=2, durable=False)
    for value in range(1, 30):
        if world.leader().leader.ready:
            world.put(f"key{value}", value)
        world.clock.run(0.01)
        if value % 10 == 0:
            confirmed = world.ledger.confirmed
            world.crash("leader")
            world.lead("leader")
            wait_ready(world)
            assert world.leader().log.holds(confirmed)
    settle(world)
