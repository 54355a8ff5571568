"""The schedule of a campaign: decided by the seed, and never more than may be lost at a time."""

from itertools import pairwise
from typing import get_args

import pytest

from tests.chaos.fault import LEADER, Action, Way
from tests.chaos.schedule import make_schedule


def test_the_seed_decides_everything() -> None:
    short = make_schedule(7, 30.0, 5, 2)
    assert make_schedule(7, 90.0, 5, 2)[: len(short)] == short, "a longer one begins like it"
    assert make_schedule(8, 30.0, 5, 2) != short


def test_all_faults_lie_within_the_campaign_and_in_order() -> None:
    for seed in range(50):
        schedule = make_schedule(seed, 40.0, 3, 2)
        assert [fault.number for fault in schedule] == list(range(1, len(schedule) + 1))
        assert [f.at_s for f in schedule] == sorted(f.at_s for f in schedule)
        assert all(0 < fault.at_s <= fault.end_s <= 40.0 for fault in schedule)


@pytest.mark.parametrize("write_quorum", [1, 2, 3])
def test_every_kind_of_fault_comes_up_alone_and_together(write_quorum: int) -> None:
    schedule = make_schedule(3, 300.0, 5, write_quorum)
    assert {fault.action for fault in schedule} == set(get_args(Action))
    assert {fault.way for fault in schedule} == set(get_args(Way))
    assert any(fault.kills_again_s for fault in schedule)
    emptied = [fault.emptied for fault in schedule if fault.action == "empty"]
    assert any(names == [LEADER] for names in emptied)
    assert any(LEADER not in names for names in emptied)
    assert max(map(len, emptied)) == write_quorum, "no more than may be lost"
    assert all(set(fault.emptied) <= set(fault.nodes) for fault in schedule)
    overlaps = {later.at_s < earlier.end_s for earlier, later in pairwise(schedule)}
    assert overlaps == {False, True}
