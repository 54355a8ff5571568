"""Named schedules of one reign: what is acknowledged, counted and confirmed."""

from collections.abc import Callable
from unittest.mock import patch

import pytest
from msgspec import Raw

from kvstore.core.leader_log import Write
from kvstore.core.messages import Answer, Append, SnapshotChunk
from kvstore.core.progress import Stage
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


def test_leader_killed_between_its_commit_and_its_first_send() -> None:
    world = cluster(write_quorum=2)
    with (
        held(world.network.link("leader", "f0").to_follower),
        held(world.network.link("leader", "f1").to_follower),
    ):
        version = put(world, 1)
        wait(world, lambda: world.leaders["leader"].durable.index == version)
        world.crash("leader")
    assert all(machine.durable.index < version for machine in world.followers.values())
    world.lead("leader")
    settle(world)
    assert world.ledger.confirmed.items["key1"] == (version, b"1")
    assert write(world, 2) == [version + 2]


def test_leader_killed_before_its_commit_forgets_the_entry() -> None:
    world = cluster(write_quorum=2)
    world.leaders["leader"].hold_disk()
    version = put(world, 1)
    world.clock.run(1.0)
    assert all(machine.durable.index < version for machine in world.followers.values())
    world.crash("leader")
    world.leaders["leader"].disk_held = False
    world.lead("leader")
    settle(world)
    assert write(world, 2) == [version + 1]
    assert "key1" not in world.ledger.confirmed.items


def test_duplicate_is_not_acknowledged_before_the_first_copy_is_durable() -> None:
    world = cluster(followers=1)
    with held(world.network.link("leader", "f0").to_follower) as packets:
        version = put(world, 1)
        message = take(world, packets, Append).content
    assert isinstance(message, Append)
    answers: list[Answer | None] = []
    world.followers["f0"].hold_disk()
    world.follower("f0").receive(message, answers.append)
    world.follower("f0").receive(message, answers.append)
    world.clock.run(1.0)
    assert answers == []
    assert commit_index(world) < version
    world.followers["f0"].release_disk()
    assert [answer.last_index for answer in answers if answer] == [version, version]
    settle(world)
    assert commit_index(world) == version


def test_follower_killed_before_its_commit_never_acknowledged() -> None:
    world = cluster(followers=1)
    world.followers["f0"].hold_disk()
    version = put(world, 1)
    wait(world, lambda: world.followers["f0"].queued.index == version)
    world.crash("f0")
    assert world.followers["f0"].durable.index < version
    assert commit_index(world) < version
    world.followers["f0"].disk_held = False
    world.start("f0")
    settle(world)
    assert commit_index(world) == version


def test_follower_restarted_empty_is_asked_for_its_old_position() -> None:
    world = cluster(write_quorum=2)
    path = world.network.link("leader", "f0").to_follower
    write(world, 1, 2)
    with held(path) as packets:
        version = put(world, 3)
        late = take(world, packets, Append)
        world.crash("f0")
        world.start("f0", emptied=True)
        late.deliver()
        assert world.follower("f0").follower.log.last.index == 0
        take(world, packets, SnapshotChunk)
        # Claimed by now, but it holds nothing of what the late message builds on.
        late.repeat()
        assert world.follower("f0").follower.log.last.index == 0
        assert commit_index(world) < version
    settle(world)
    assert world.ledger.confirmed.items["key3"] == (version, b"3")


@pytest.mark.parametrize("restart", [False, True])
def test_snapshot_duplicated_late_changes_nothing(restart: bool) -> None:
    world = cluster(leader_retain=1)
    world.crash("f0")
    for value in range(1, 6):
        confirm(world, value)
    with held(world.network.link("leader", "f0").to_follower) as packets:
        world.start("f0")
        late = take(world, packets, SnapshotChunk)
        late.deliver()
    write(world, 6, 7)
    assert world.leader().leader.followers["f0"].snapshots_sent == 1
    if restart:
        world.crash("f0")
        world.start("f0")
        settle(world)
    before = world.followers["f0"].durable
    late.repeat()
    world.clock.run(1.0)
    assert world.followers["f0"].durable is before
    settle(world)


def test_chunks_of_an_abandoned_snapshot_are_not_mixed_with_the_next() -> None:
    with patch("kvstore.core.messages.MAX_ENTRIES", 1):
        world = cluster(leader_retain=1)
        write(world, 1, 2)
        world.crash("f0")
        for value in (3, 4, 5):
            confirm(world, value)
        with held(world.network.link("leader", "f0").to_follower) as packets:
            world.start("f0")
            abandoned = take(world, packets, SnapshotChunk)
            world.put("key1", 6)
            take(world, packets, SnapshotChunk).deliver()
            second = take(world, packets, SnapshotChunk)
            abandoned.repeat()
            second.deliver()
        settle(world)
    assert world.leader().leader.followers["f0"].snapshots_sent == 1


def test_two_addresses_of_one_node_count_once() -> None:
    world = cluster(write_quorum=2)
    write(world, 1)
    world.network.reroute("f1", world.followers["f0"])
    version = world.put("key2", 2)
    wait(world, lambda: world.leader().leader.problem is not None)
    assert not world.leader().leader.ready
    world.clock.run(2.0)
    assert version is None or commit_index(world) < version
    world.network.heal()
    settle(world)


def test_entry_that_missed_its_quorum_stays_and_is_confirmed_later() -> None:
    world = cluster(write_quorum=2)
    cut(world, "f1")
    version = put(world, 1)
    world.clock.run(3.0)
    assert commit_index(world) < version
    assert world.put("key2", 2) is None
    world.network.heal()
    settle(world)
    assert world.ledger.confirmed.items["key1"] == (version, b"1")
    assert write(world, 3) == [version + 1]


def test_repeated_request_makes_no_second_entry() -> None:
    world = cluster(write_quorum=2)
    request = Write("put", "a", Raw(b"1"), idempotency_key="once")
    cut(world, "f1")
    version = world.write(world.leader(), request)
    assert version is not None
    wait(world, lambda: not world.leader().leader.followers["f1"].reachable)
    assert world.write(world.leader(), request) == version
    world.crash("leader")
    world.network.heal()
    world.lead("leader", emptied=True)
    settle(world)
    assert world.write(world.leader(), request) == version
    assert write(world, 2) == [version + 2]


def test_follower_returns_where_it_was() -> None:
    world = cluster()
    write(world, 1)
    sent = world.leader().leader.followers["f0"].entries_sent
    world.crash("f0")
    wait(world, lambda: not world.leader().leader.followers["f0"].reachable)
    for value in range(2, 12):
        put(world, value)
        world.clock.run(0.1)
    world.start("f0")
    settle(world)
    progress = world.leader().leader.followers["f0"]
    assert progress.entries_sent - sent == 10
    assert progress.snapshots_sent == 0
    assert progress.stage is Stage.STREAM


def test_leader_alone_keeps_what_is_durable() -> None:
    world = cluster(followers=0, write_quorum=0)
    write(world, 1)
    put(world, 2)
    assert commit_index(world) == 2
    world.crash("leader")
    world.lead("leader")
    settle(world)
    assert world.ledger.confirmed.items == {"key1": (2, b"1")}
    assert write(world, 3) == [4]


Victim = Callable[[World], None]


def _restart(*names: str, emptied: bool = False) -> Victim:
    def restart(world: World) -> None:
        for name in names:
            world.crash(name)
        for name in names:
            world.start(name, emptied=emptied)

    return restart


@pytest.mark.parametrize(
    "restart",
    [
        pytest.param(_restart("leader"), id="leader"),
        pytest.param(_restart("leader", emptied=True), id="leader-emptied"),
        pytest.param(_restart("f0"), id="follower"),
        pytest.param(_restart("f0", emptied=True), id="follower-emptied"),
        pytest.param(_restart("leader", "f0", "f1"), id="all"),
        pytest.param(_restart("leader", "f0", emptied=True), id="leader-and-follower-emptied"),
    ],
)
def test_crash_at_every_step_of_a_few_writes(restart: Victim) -> None:
    steps = 0
    while True:
        world = cluster(write_quorum=2)
        for value in range(3):
            put(world, value)
        for _ in range(steps):
            world.clock.step()
        confirmed = world.ledger.confirmed
        restart(world)
        settle(world)
        assert world.leader().log.holds(confirmed), f"after {steps} steps"
        if confirmed.index == 4:
            break
        steps += 1
    assert steps > 5
