"""Named schedules of several reigns: takeovers, replaced leaders, forced starts."""

import pytest
from msgspec import structs

from kvstore.entries import Position
from kvstore.leader import LeaderState
from kvstore.messages import Answer, Append, Claim, Hello
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
from tests.simulation.world import World


def _scattered(*, durable: bool) -> World:
    """A cluster without leader, with a confirmed entry that one follower alone holds."""
    world = cluster(followers=3, durable=durable)
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
        world = _scattered(durable=durable)
        confirmed = world.ledger.confirmed
        world.start("leader", emptied=True)
        for _ in range(steps):
            world.clock.step()
        led = world.leader().leader.ready
        world.crash("leader")
        world.start("leader")
        settle(world)
        assert confirmed.index == 3
        assert world.leader().log.holds(confirmed), f"interrupted after {steps} steps"
        steps += 1
    assert steps > 20


def test_message_of_the_old_reign_after_the_claim_changes_nothing() -> None:
    world = cluster()
    with held(world.network.link("leader", "f0").to_follower) as packets:
        put(world, 1)
        late = take(world, packets, Append)
        world.crash("leader")
    world.start("other", emptied=True)
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
    world.start("other", emptied=True)
    settle(world)
    before = world.followers["f0"].durable
    world.crash("f0")
    world.start("f0")
    late.repeat()
    world.clock.run(0.1)
    assert world.followers["f0"].durable is before
    settle(world)


def test_two_leaders_choose_the_same_epoch() -> None:
    answers: list[Answer | None] = []
    world = cluster()
    write(world, 1)
    world.crash("leader")
    with (
        held(world.network.link("other", "f0").to_follower) as to_f0,
        held(world.network.link("other", "f1").to_follower) as to_f1,
    ):
        world.start("other", emptied=True)
        take(world, to_f0, Hello).deliver()
        take(world, to_f1, Hello).deliver()
        claim_of_f0 = take(world, to_f0, Claim)
        claim_of_f1 = take(world, to_f1, Claim)
        assert isinstance(claim_of_f0.content, Claim)
        twin = claim_of_f0.content.epoch
        # The old leader returns, and reaches one follower before the other's claim does.
        cut(world, "f1")
        world.start("leader")
        wait(world, lambda: world.leader().leader.ready)
        assert world.leader().leader.promise.epoch == twin
        version = confirm(world, 2)
        before = world.follower("f0").follower.promise
        claim_of_f0.deliver()
        claim_of_f1.deliver()
        world.clock.run(0.1)
        assert world.follower("f0").follower.promise == before
        assert world.follower("f1").follower.promise.epoch == twin
        # Nothing else of the twin is accepted either.
        process, append = next(
            (process, message)
            for process, message in world.network.recent
            if isinstance(message, Append) and message.entries and message.epoch == twin
        )
        process.receive(structs.replace(append, reign="twin"), answers.append)
        assert [answer.error for answer in answers if answer] == ["another reign is in force"]
    world.network.heal()
    settle(world)
    assert world.leader().leader.state is LeaderState.DEPOSED
    assert world.ledger.confirmed.items["key2"] == (version, b"2")


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
    world.start("leader", emptied=True)
    settle(world)
    assert world.ledger.confirmed.items["key2"] == (version, b"2")


def test_takeover_waits_for_every_follower() -> None:
    world = _scattered(durable=True)
    world.crash("f1")
    world.start("leader", emptied=True)
    world.clock.run(10.0)
    assert world.leader().leader.waiting_for == ["f1"]
    assert world.put("key9", 9) is None
    world.start("f1")
    settle(world)
    assert world.ledger.confirmed.items["key3"] == (3, b"3")


def test_forced_start_drops_what_only_the_missing_follower_holds() -> None:
    world = _scattered(durable=True)
    world.crash("f1")
    world.start("leader", emptied=True)
    wait(world, lambda: world.leader().leader.waiting_for == ["f1"])
    world.force_start(world.leader())
    wait(world, lambda: world.leader().leader.ready)
    assert world.leader().leader.promise.epoch > 1000
    assert confirm(world, 4) == 3
    world.start("f1")
    settle(world)
    assert world.followers["f1"].durable.position == Position(1001, 3)


def test_takeover_from_a_follower_that_a_forced_start_took_back() -> None:
    world = cluster()
    write(world, 1)
    cut(world, "f0")
    for value in range(2, 8):
        confirm(world, value)
    world.crash("leader")
    world.network.heal()
    cut(world, "f1")
    world.start("leader", emptied=True)
    wait(world, lambda: world.leader().leader.waiting_for == ["f1"])
    world.force_start(world.leader())
    wait(world, lambda: world.leader().leader.ready)
    world.network.heal()
    settle(world)
    assert world.follower("f1").follower.log.last.index == 1
    cut(world, "f0")
    confirm(world, 8)
    world.crash("leader")
    world.network.heal()
    world.start("leader", emptied=True)
    settle(world)
    assert world.leader().log.position == Position(1001, 2)


def test_replaced_leader_that_restarts_out_of_reach_takes_nobody_back() -> None:
    world = cluster()
    write(world, 1)
    cut(world, "f0", "f1")
    world.start("other", emptied=True)
    wait(world, lambda: world.leader("other").leader.ready)
    confirm(world, 2, leader="other")
    for _ in range(3):
        world.crash("leader")
        world.start("leader")
        wait(world, lambda: world.leader().leader.state is LeaderState.CATCHING_UP)
    assert world.leader().leader.promise.epoch > world.leader("other").leader.promise.epoch
    world.network.heal()
    wait(world, lambda: world.leader().leader.state is LeaderState.DEPOSED)
    settle(world)
    assert world.leader("other").leader.ready


def test_claim_that_a_takeover_overtook_is_refused() -> None:
    world = cluster()
    write(world, 1)
    with (
        held(world.network.link("leader", "f0").to_follower) as to_f0,
        held(world.network.link("leader", "f1").to_follower),
    ):
        for _ in range(3):
            world.crash("leader")
            to_f0.clear()
            world.start("leader")
            wait(world, lambda: world.leader().leader.state is LeaderState.CATCHING_UP)
        claim = take(world, to_f0, Claim)
        world.start("other", emptied=True)
        wait(world, lambda: world.leader("other").leader.ready)
        before = world.follower("f0").follower.promise
        assert isinstance(claim.content, Claim)
        assert claim.content.epoch > before.epoch
        claim.deliver()
        world.clock.run(0.1)
        assert world.follower("f0").follower.promise == before
    settle(world)


def test_deposed_leader_stays_so() -> None:
    world = cluster()
    write(world, 1)
    world.freeze("leader")
    world.start("other", emptied=True)
    wait(world, lambda: world.leader("other").leader.ready)
    world.thaw("leader")
    wait(world, lambda: world.leader().leader.state is LeaderState.DEPOSED)
    assert world.put("key2", 2, "leader") is None
    wait(world, lambda: world.leaders["leader"].disk.promise.deposed_by is not None)
    world.crash("leader")
    world.start("leader")
    assert world.leader().leader.state is LeaderState.DEPOSED
    world.clock.run(3.0)
    assert world.leader().leader.state is LeaderState.DEPOSED
    assert write(world, 3, leader="other") == [2]


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
    world.start("other", emptied=True)
    wait(world, lambda: world.leader("other").leader.ready)
    assert world.leader("other").log.index == version
    world.thaw("leader")
    answers[0].deliver()
    assert commit_index(world) == version
    settle(world)


def test_two_takeovers_at_once_end() -> None:
    world = cluster()
    write(world, 1, 2)
    world.crash("leader")
    world.start("leader", emptied=True)
    world.start("other", emptied=True)
    wait(
        world,
        lambda: (
            {process.leader.state for process in world.running_leaders()}
            == {LeaderState.LEADING, LeaderState.DEPOSED}
        ),
        within_s=15.0,
    )
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
            world.start("leader")
            wait(world, lambda: world.leader().leader.ready)
            assert world.leader().log.holds(confirmed)
    settle(world)
