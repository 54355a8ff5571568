"""Named schedules of one reign: what is acknowledged, counted and confirmed."""

from collections.abc import Callable

import pytest

from kvstore.core.messages import Answer, Append, SnapshotChunk
from tests.simulation.stage import (
    commit_index,
    confirm,
    in_flight,
    make_cluster,
    put,
    settle,
    take,
    wait,
    write,
)
from tests.simulation.world import World


def test_leader_killed_between_its_commit_and_its_first_send() -> None:
    world = make_cluster(write_quorum=2)
    with (
        in_flight(world, "f0"),
        in_flight(world, "f1"),
    ):
        version = put(world, 1)
        wait(world, lambda: world.leaders["leader"].durable.index == version)
        world.crash("leader")
    assert all(machine.durable.index < version for machine in world.followers.values())
    world.lead("leader")
    settle(world)
    assert world.ledger.confirmed.items["key1"] == (version, b"1")
    assert write(world, 2) == [version + 2]


def test_duplicate_is_not_acknowledged_before_the_first_copy_is_durable() -> None:
    world = make_cluster(followers=1)
    with in_flight(world, "f0") as packets:
        version = put(world, 1)
        message = take(world, packets, Append).content
    assert isinstance(message, Append)
    answers: list[Answer | None] = []
    world.followers["f0"].disk_held = True
    world.follower("f0").receive(message, answers.append)
    world.follower("f0").receive(message, answers.append)
    world.clock.run(1.0)
    assert answers == []
    assert commit_index(world) < version
    world.followers["f0"].release_disk()
    assert [answer.last_index for answer in answers if answer] == [version, version]
    settle(world)
    assert commit_index(world) == version


def test_follower_restarted_empty_is_asked_for_its_old_position() -> None:
    world = make_cluster(write_quorum=2)
    write(world, 1, 2)
    with in_flight(world, "f0") as packets:
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


def test_chunks_of_an_abandoned_snapshot_are_not_mixed_with_the_next() -> None:
    world = make_cluster(leader_retain=1, message_entries=1)
    write(world, 1, 2)
    world.crash("f0")
    for value in (3, 4, 5):
        confirm(world, value)
    with in_flight(world, "f0") as packets:
        world.start("f0")
        abandoned = take(world, packets, SnapshotChunk)
        world.put("key1", 6)
        take(world, packets, SnapshotChunk).deliver()
        second = take(world, packets, SnapshotChunk)
        abandoned.repeat()
        second.deliver()
    settle(world)
    assert world.leader().leader.followers["f0"].snapshots_sent == 1


def test_leader_alone_keeps_what_is_durable() -> None:
    world = make_cluster(followers=0, write_quorum=0)
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
        world = make_cluster(write_quorum=2)
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
