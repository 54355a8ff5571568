"""Named schedules: what the random ones meet too rarely, or not at every step."""

from random import Random

import pytest

from kvstore.core.messages import Append, Claim, Hello
from tests.simulation.healing import converge
from tests.simulation.stage import Stage
from tests.simulation.world import Setup, World


@pytest.mark.parametrize(
    ("victims", "emptied"),
    [
        (["leader"], False),
        (["leader"], True),
        (["f0"], False),
        (["f0"], True),
        (["leader", "f0"], True),
        (["leader", "f0", "f1"], False),
    ],
)
def test_crash_at_every_step_of_a_few_writes(victims: list[str], *, emptied: bool) -> None:
    steps = 0
    confirmed_index = 0
    while confirmed_index < 4:
        stage = Stage(write_quorum=2)
        for value in range(3):
            stage.put(value)
        for _ in range(steps):
            stage.clock.step()
        confirmed, durable = stage.ledger.confirmed, stage.machine("leader").durable
        for name in victims:
            stage.crash(name)
        for name in victims:
            stage.start(name, emptied=emptied)
        stage.settle()
        kept = confirmed if emptied else durable
        assert stage.leader().log.holds(kept), f"after {steps} steps"
        confirmed_index = confirmed.index
        steps += 1
    assert steps > 5


def test_leader_alone_keeps_what_is_durable() -> None:
    stage = Stage(followers=0, write_quorum=0)
    stage.confirm(1)
    stage.put(2)
    stage.start("leader")
    stage.settle()
    assert stage.confirmed_keys == {"key1"}
    assert stage.confirm(3) == 4


class ScatteredStage(Stage):
    """A cluster without leader, with a confirmed entry that f1 alone holds."""

    def __init__(self, **setup: bool) -> None:
        super().__init__(followers=3, **setup)
        self.confirm(1, 2)
        self.settle()
        self.cut("f0", "f2")
        self.confirm(3)
        self.crash("leader")
        self.network.heal()


@pytest.mark.parametrize("durable", [True, False])
def test_takeover_interrupted_at_every_step_starts_over(*, durable: bool) -> None:
    steps = 0
    led = False
    while not led:
        stage = ScatteredStage(durable=durable)
        confirmed = stage.ledger.confirmed
        stage.lead(emptied=True)
        for _ in range(steps):
            stage.clock.step()
        led = stage.leader().leader.ready
        stage.start("leader")
        converge(stage)  # a late claim of the takeover before may have made a twin of this one
        assert confirmed.index == 4
        assert stage.leader().log.holds(confirmed), f"interrupted after {steps} steps"
        steps += 1
    assert steps > 20


def test_forced_start_drops_what_only_the_missing_follower_holds() -> None:
    stage = ScatteredStage()
    stage.crash("f1")
    stage.lead(emptied=True)
    stage.wait(lambda: stage.leader().leader.waiting_for == ["f1"])
    stage.force()
    stage.wait_ready()
    epoch = stage.leader().leader.promise.epoch
    assert epoch > 1000
    assert stage.confirm(4) == 5
    stage.start("f1")
    stage.settle()
    position = stage.machine("f1").durable.position
    assert (position.epoch, position.index) == (epoch, 6)
    assert stage.machine("f1").disk.discarded == 1


@pytest.mark.parametrize("addresses", [["f1", "f2"], ["f2"], []])
def test_follower_directory_started_as_a_leader(addresses: list[str]) -> None:
    stage = ScatteredStage()
    confirmed = stage.ledger.confirmed
    stage.crash("f0")
    stage.start("f0", addresses)
    stage.wait_ready("f0")
    assert stage.leader("f0").log.holds(confirmed)
    assert stage.leader("f0").senders.keys() == set(addresses)
    stage.crash("f0")
    stage.lead("f0")
    stage.start("leader")
    stage.wait_deposed()
    stage.settle()


def test_two_takeovers_choose_the_same_epoch() -> None:
    stage = Stage()
    stage.confirm(1)
    stage.crash("leader")
    leaders = ("other", "third")
    packets = {
        (leader, address): stage.hold(address, leader)
        for leader in leaders
        for address in stage.followers
    }
    for leader in leaders:
        stage.lead(leader, emptied=True)
    for each in packets.values():
        stage.take(each, Hello).deliver()
    claims = {key: stage.take(each, Claim) for key, each in packets.items()}
    for key in [("other", "f0"), ("third", "f1"), ("other", "f1"), ("third", "f0")]:
        claims[key].deliver()
    for leader in leaders:
        stage.wait_deposed(leader)
    stage.network.heal()
    stage.force("third")
    stage.settle()
    assert not stage.ledger.apart
    assert stage.confirmed_keys == {"key1"}


@pytest.mark.parametrize("seed", range(20))
def test_two_first_starts_make_one_cluster(seed: int) -> None:
    world = World(Setup(followers=2), Random(seed))
    world.start_all()
    world.clock.run(seed / 1000)
    world.lead("other")
    converge(world)
    clusters = {machine.promise.cluster_id for machine in world.followers.values()}
    assert len(clusters) == 1
    assert not world.ledger.apart


def test_unsent_entries_of_two_deposed_leaders_that_come_back_one_after_the_other() -> None:
    stage = Stage(followers=1, leader_retain=2)
    stage.confirm(1)
    stage.cut("f0")
    for value in range(2, 12):
        stage.put(value)
    stage.clock.run(0.1)
    stage.crash("leader")
    stage.network.heal()
    packets = stage.hold("f0", "other")
    stage.lead("other", emptied=True)
    stage.take(packets, Append)
    stage.crash("other")
    stage.network.heal()
    stage.start("leader")
    stage.wait_deposed()
    packets = stage.hold("f0", "leader")
    stage.force()
    stage.take(packets, Append)
    stage.crash("leader")
    stage.network.heal()
    assert "key11" in stage.machine("f0").durable.items
    stage.start("other")
    stage.wait_deposed("other")
    stage.force("other")
    stage.settle()
    assert not stage.ledger.apart
    assert stage.machine("f0").durable.items.keys() == stage.confirmed_keys == {"key1"}


def test_follower_put_back_to_before_another_one_was_named() -> None:
    stage = Stage(followers=1)
    stage.confirm(1)
    old = stage.machine("f0").disk.copy()
    stage.start("f1")
    stage.lead()
    stage.settle()
    stage.confirm(2)
    stage.put_back("f0", old)
    stage.start("f0")
    stage.crash("leader")
    stage.start("other", ["f0"])
    stage.wait_ready("other")
    assert stage.ledger.apart
    assert stage.confirmed_keys == {"key1"}


def test_leader_put_back_to_before_what_one_follower_alone_holds() -> None:
    stage = Stage(followers=3)
    stage.confirm(1)
    stage.settle()
    backup = stage.machine("leader").disk.copy()
    stage.cut("f0", "f2")
    stage.confirm(2)
    confirmed = stage.ledger.confirmed
    stage.put_back("leader", backup)
    stage.network.heal()
    stage.cut("f1")
    stage.start("leader")
    stage.wait_ready()
    stage.confirm(3)  # before it notices
    stage.network.heal()
    stage.settle()
    assert stage.leader().log.holds(confirmed)
    assert stage.confirmed_keys == {"key1", "key2"}


def test_lower_quorum_confirms_what_enough_followers_hold() -> None:
    stage = Stage(followers=3, write_quorum=3)
    stage.cut("f0", "f2")
    version = stage.put(1)
    stage.wait(lambda: stage.leader().leader.replicas(version) == 1)
    stage.leader().set_quorum(1)
    assert stage.leader().leader.log.commit_index == version
