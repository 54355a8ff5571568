"""The schedule of a campaign: decided by the seed, and never more than may be lost at a time."""

from collections import Counter
from itertools import pairwise

from tests.chaos.fault import LEADER
from tests.chaos.schedule import make_schedule


def test_the_seed_decides_everything() -> None:
    assert make_schedule(7, 60.0, 5, 2) == make_schedule(7, 60.0, 5, 2)
    assert make_schedule(7, 60.0, 5, 2) != make_schedule(8, 60.0, 5, 2)


def test_a_longer_campaign_begins_like_a_shorter_one() -> None:
    short = make_schedule(7, 30.0, 5, 2)
    assert make_schedule(7, 90.0, 5, 2)[: len(short)] == short


def test_all_faults_lie_within_the_campaign_and_in_order() -> None:
    for seed in range(50):
        schedule = make_schedule(seed, 40.0, 3, 2)
        assert [fault.number for fault in schedule] == list(range(1, len(schedule) + 1))
        assert [f.at_s for f in schedule] == sorted(f.at_s for f in schedule)
        assert all(0 < fault.at_s <= fault.end_s <= 40.0 for fault in schedule)


def test_every_kind_of_fault_comes_up_alone_and_together() -> None:
    schedule = make_schedule(1, 300.0, 5, 2)
    actions = Counter(fault.action for fault in schedule)
    assert set(actions) == {
        "kill", "kill worker", "stop", "empty", "freeze", "cut", "stall", "hold", "slow", "refuse",
        "replay", "raise quorum", "put back",
    }  # fmt: skip
    assert {fault.way for fault in schedule} == {"both ways", "to the follower", "to the leader"}
    assert any(fault.kills_again_s for fault in schedule)
    emptied = [fault.emptied for fault in schedule if fault.action == "empty"]
    assert any(names == [LEADER] for names in emptied)
    assert any(LEADER not in names for names in emptied)
    overlaps = [later.at_s < earlier.end_s for earlier, later in pairwise(schedule)]
    assert any(overlaps)
    assert not all(overlaps)


def test_no_fault_empties_more_nodes_than_may_be_lost() -> None:
    for write_quorum in (1, 2, 3):
        schedule = make_schedule(3, 300.0, 5, write_quorum)
        most = max(len(fault.emptied) for fault in schedule)
        assert most == write_quorum
        assert all(set(fault.emptied) <= set(fault.nodes) for fault in schedule)
