"""Named schedules of directories: in another role, emptied, copied, or from an earlier time."""

import pytest

from kvstore.core.messages import Append
from tests.simulation.healing import converge
from tests.simulation.stage import (
    commit_index,
    confirm,
    confirmed_keys,
    cut,
    force,
    in_flight,
    make_cluster,
    put,
    reconnect,
    replace_leader,
    settle,
    take,
    wait_deposed,
    wait_ready,
    write,
)


@pytest.mark.parametrize("followers", [2, 3])
def test_replaced_leader_meets_an_emptied_follower_first(followers: int) -> None:
    world = make_cluster(followers=followers)
    write(world, 1, 2)
    replace_leader(world)
    write(world, *range(3, 23), leader="other")
    confirmed = world.ledger.confirmed
    for name in [*world.followers, "other"]:
        world.crash(name)
    world.start("leader")
    world.clock.run(1.0)
    world.restart("leader")
    world.start("f0", emptied=True)
    world.clock.run(5.0)
    assert world.machine("f0").promise.reign is None
    assert world.leader().leader.problem is not None
    for name in ["other", *world.followers]:
        if name != "f0":
            world.start(name)
    settle(world)
    wait_deposed(world)
    assert world.leader("other").leader.ready
    assert world.leader("other").log.holds(confirmed)


def test_leader_directory_from_an_older_backup_and_one_follower_that_holds_the_newest() -> None:
    world = make_cluster(followers=3)
    write(world, 1)
    backup = world.machine("leader").disk.copy()
    cut(world, "f0", "f2")
    confirm(world, 2)
    confirmed = world.ledger.confirmed
    world.crash("leader")
    world.put_back("leader", backup)
    world.network.heal()
    cut(world, "f1")
    world.start("leader")
    wait_ready(world)
    confirm(world, 3)  # before it notices
    reconnect(world)
    assert world.leader().log.holds(confirmed)
    assert confirmed_keys(world) == {"key1", "key2"}
    assert world.leader().leader.discarded > 0


def test_follower_from_an_older_backup_lets_a_replaced_leader_confirm_nothing_that_counts() -> None:
    world = make_cluster()
    write(world, 1)
    backup = world.machine("f0").disk.copy()
    world.freeze("leader")
    world.lead("other", emptied=True)
    wait_ready(world, "other")
    confirm(world, 2, leader="other")
    confirmed = world.ledger.confirmed
    world.crash("f0")
    world.put_back("f0", backup)
    cut(world, "f1")
    cut(world, "f0", leader="other")
    world.start("f0")
    world.thaw("leader")
    confirm(world, 3)
    assert world.ledger.confirmed is confirmed
    reconnect(world)
    assert world.leader("other").log.holds(confirmed)


def test_restart_of_a_leader_does_not_outrank_the_twin_that_replaced_it() -> None:
    world = make_cluster(followers=1)
    write(world, 1)
    backup = world.machine("f0").disk.copy()
    replace_leader(world)
    world.crash("other")
    world.crash("f0")
    world.put_back("f0", backup)
    world.start("f0")
    world.lead("third", emptied=True)
    settle(world)
    twin = world.machine("f0").promise
    assert twin.epoch == world.machine("other").promise.epoch
    world.start("other")
    wait_deposed(world, "other")
    assert world.machine("f0").promise == twin
    settle(world)


@pytest.mark.parametrize("addresses", [["f1", "f2"], ["f2"], []])
def test_follower_directory_started_as_a_leader(addresses: list[str]) -> None:
    world = make_cluster(followers=3)
    write(world, 1)
    cut(world, "f0", "f2")
    confirm(world, 2)
    confirmed = world.ledger.confirmed
    world.crash("leader")
    world.crash("f0")
    world.start("f0", addresses)
    wait_ready(world, "f0")
    assert world.leader("f0").log.holds(confirmed)
    assert world.leader("f0").senders.keys() == set(addresses)
    world.restart("f0")
    world.stop("f0")
    world.lead("f0")
    world.start("leader")
    world.network.heal()
    wait_deposed(world)
    settle(world)


def test_leader_directory_started_as_a_follower() -> None:
    world = make_cluster()
    write(world, 1)
    cut(world, "f0", "f1")
    put(world, 2)
    world.clock.run(1.0)
    world.crash("leader")
    world.network.heal()
    world.lead("other", emptied=True)
    settle(world)
    write(world, 3, 4, leader="other")
    world.follow("leader")
    world.stop("other")
    world.lead("other")
    settle(world)
    assert confirmed_keys(world) == {"key1", "key3", "key4"}
    assert world.machine("leader").disk.discarded == 1
    world.restart("leader")
    settle(world)


def test_leader_that_follows_has_to_take_over_before_it_leads_again() -> None:
    world = make_cluster()
    write(world, 1)
    replace_leader(world)
    world.follow("leader")
    world.stop("other")
    world.lead("other")
    settle(world)
    write(world, 2, leader="other")
    world.stop("other")
    world.stop("leader")
    world.lead("leader")
    settle(world)
    own, other = world.machine("leader").promise, world.machine("other").promise
    assert own.epoch > other.epoch
    assert confirmed_keys(world) == {"key1", "key2"}


@pytest.mark.parametrize("apart", [False, True])
def test_cloned_leader_and_its_original_do_not_both_go_on(apart: bool) -> None:
    world = make_cluster()
    write(world, 1)
    confirmed = world.ledger.confirmed
    world.put_back("clone", world.machine("leader").disk, of="leader")
    if apart:
        cut(world, "f1")
        cut(world, "f0", leader="clone")
    world.lead("clone")
    wait_ready(world, "clone")
    if apart:
        confirm(world, 2)
        confirm(world, 3, leader="clone")
        world.network.heal()
    converge(world)
    ready = [process for process in world.running_leaders() if process.leader.ready]
    assert len(ready) == 1
    assert ready[0].log.holds(confirmed)


def test_unsent_entry_of_a_deposed_leader_does_not_outrank_what_was_confirmed_since() -> None:
    world = make_cluster()
    write(world, 1)
    cut(world, "f0", "f1")
    for value in range(2, 12):
        world.put(f"key{value}", value)
    world.clock.run(0.1)
    world.crash("leader")
    world.network.heal()
    world.lead("other", emptied=True)
    settle(world)
    write(world, 20, leader="other")
    world.start("leader")
    wait_deposed(world)
    world.crash("other")
    force(world)
    settle(world)
    assert not world.ledger.apart
    assert confirmed_keys(world) == {"key1", "key20"}
    assert commit_index(world) == world.leader().log.index


def test_unsent_entries_of_two_deposed_leaders_that_come_back_one_after_the_other() -> None:
    world = make_cluster(followers=1, leader_retain=2)
    write(world, 1)
    cut(world, "f0")
    for value in range(2, 12):
        world.put(f"key{value}", value)
    world.clock.run(0.1)
    world.crash("leader")
    world.network.heal()
    with in_flight(world, "f0", "other") as packets:
        world.lead("other", emptied=True)
        take(world, packets, Append)
        world.crash("other")
    world.start("leader")
    wait_deposed(world)
    with in_flight(world, "f0") as packets:
        force(world)
        take(world, packets, Append)
        world.crash("leader")
    assert "key11" in world.machine("f0").durable.items
    world.start("other")
    wait_deposed(world, "other")
    force(world, "other")
    settle(world)
    assert not world.ledger.apart
    assert world.machine("f0").durable.items.keys() == confirmed_keys(world) == {"key1"}


def test_follower_put_back_to_before_another_one_was_named() -> None:
    world = make_cluster(followers=1)
    write(world, 1)
    old = world.machine("f0").disk.copy()
    world.start("f1")
    world.crash("leader")
    world.lead("leader")
    settle(world)
    write(world, 2)
    world.crash("f0")
    world.put_back("f0", old)
    world.start("f0")
    world.crash("leader")
    world.start("other", ["f0"])
    wait_ready(world, "other")
    assert world.ledger.apart
    assert confirmed_keys(world) == {"key1"}


def test_append_of_a_fork_is_refused_by_the_reign_of_the_entry_before() -> None:
    world = make_cluster(write_quorum=2)
    write(world, 1)
    with in_flight(world, "f0") as packets:
        put(world, 2)
        late = take(world, packets, Append)
        world.crash("leader")
        world.machine("leader").clock_error_ms -= 5000
    world.start("leader")
    settle(world)
    before = world.machine("f0").durable
    late.repeat()
    world.clock.run(0.1)
    assert world.machine("f0").durable is before
    settle(world)
