"""Named schedules of several reigns: replaced, deposed and restarted leaders."""

from kvstore.core.leader import LeaderState
from kvstore.core.messages import Append
from tests.simulation.stage import (
    cluster,
    commit_index,
    confirm,
    cut,
    held,
    put,
    settle,
    take,
    wait,
    write,
)


def test_message_of_the_old_reign_after_the_claim_changes_nothing() -> None:
    world = cluster()
    with held(world.network.link("leader", "f0").to_follower) as packets:
        put(world, 1)
        late = take(world, packets, Append)
        world.crash("leader")
    world.lead("other", emptied=True)
    settle(world)
    follower = world.follower("f0").follower
    before = (follower.promise, follower.log.last, follower.commit_index)
    late.deliver()
    late.repeat()
    world.clock.run(0.4)
    assert (follower.promise, follower.log.last, follower.commit_index) == before
    settle(world)


def test_follower_keeps_its_promise_over_a_restart() -> None:
    world = cluster()
    with held(world.network.link("leader", "f0").to_follower) as packets:
        put(world, 1)
        late = take(world, packets, Append)
        world.crash("leader")
    world.lead("other", emptied=True)
    settle(world)
    before = world.followers["f0"].durable
    world.crash("f0")
    world.start("f0")
    late.repeat()
    world.clock.run(0.1)
    assert world.followers["f0"].durable is before
    settle(world)


def test_write_quorum_lowered_and_the_leader_lost() -> None:
    world = cluster(followers=3, write_quorum=3)
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


def test_replaced_leader_that_restarts_out_of_reach_takes_nobody_back() -> None:
    world = cluster()
    write(world, 1)
    cut(world, "f0", "f1")
    world.lead("other", emptied=True)
    wait(world, lambda: world.leader("other").leader.ready)
    confirm(world, 2, leader="other")
    for _ in range(3):
        world.crash("leader")
        world.lead("leader")
        wait(world, lambda: world.leader().leader.state is LeaderState.CATCHING_UP)
    own = world.leader().leader.promise
    assert own.epoch < world.leader("other").leader.promise.epoch
    world.network.heal()
    wait(world, lambda: world.leader().leader.state is LeaderState.DEPOSED)
    settle(world)
    assert world.leader("other").leader.ready


def test_deposed_leader_stays_so() -> None:
    world = cluster()
    write(world, 1)
    world.freeze("leader")
    world.lead("other", emptied=True)
    wait(world, lambda: world.leader("other").leader.ready)
    world.thaw("leader")
    wait(world, lambda: world.leader().leader.state is LeaderState.DEPOSED)
    assert world.put("key2", 2, "leader") is None
    wait(world, lambda: world.leaders["leader"].disk.promise.deposed_by is not None)
    world.crash("leader")
    world.lead("leader")
    assert world.leader().leader.state is LeaderState.DEPOSED
    world.clock.run(3.0)
    assert world.leader().leader.state is LeaderState.DEPOSED
    assert write(world, 3, leader="other") == [4]


def test_frozen_leader_confirms_nothing_that_its_successor_does_not_hold() -> None:
    world = cluster()
    link = world.network.link("leader", "f0")
    cut(world, "f1")
    with held(link.to_follower) as packets:
        version = put(world, 1)
        message = take(world, packets, Append)
        with held(link.to_leader) as answers:
            message.deliver()
            wait(world, lambda: bool(answers))
            world.freeze("leader")
    world.lead("other", emptied=True)
    wait(world, lambda: world.leader("other").leader.ready)
    assert world.leader("other").log.index == version + 1
    world.thaw("leader")
    answers[0].deliver()
    assert commit_index(world) == version
    settle(world)


def test_memory_only_leader_restarted_under_load_loses_nothing() -> None:
    world = cluster(followers=3, write_quorum=2, durable=False)
    for value in range(1, 30):
        if world.leader().leader.ready:
            world.put(f"key{value}", value)
        world.clock.run(0.01)
        if value % 10 == 0:
            confirmed = world.ledger.confirmed
            world.crash("leader")
            world.lead("leader")
            wait(world, lambda: world.leader().leader.ready)
            assert world.leader().log.holds(confirmed)
    settle(world)
