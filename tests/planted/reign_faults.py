"""Faults in how reigns begin and end, and in who counts in them."""

from kvstore.core import lineage
from kvstore.core.entries import ReignId
from kvstore.core.known_followers import KnownFollowers
from kvstore.core.messages import Answer
from kvstore.core.progress import FollowerProgress
from kvstore.core.reign import Reign
from tests.planted.planting import planted

# Which reign is later

restarted = ReignId.restarted
is_later_than = ReignId.is_later_than
wins_fork = lineage._wins_fork


@planted(
    ReignId.restarted,
    "test_reigns.py::test_a_leader_that_was_replaced_takes_nobody_back_however_often_it_restarts",
)
def a_replaced_leader_takes_its_followers_back(
    self: ReignId, reign_id: str, now_ms: int
) -> ReignId:
    return restarted(
        ReignId(self.epoch + 1, self.restart, self.id, self.takeover_id), reign_id, now_ms
    )


@planted(ReignId.restarted, "test_reigns.py::test_a_restart_keeps_the_epoch_and_is_later")
def a_restart_is_not_later_than_the_reign_before(
    self: ReignId, reign_id: str, now_ms: int
) -> ReignId:
    return ReignId(self.epoch, now_ms, reign_id, self.takeover_id)


@planted(
    ReignId.is_later_than,
    "test_lineage.py::test_later_is_the_epoch_then_the_restart_of_one_takeover",
)
def two_reigns_of_one_epoch_are_compared_by_their_restarts_alone(
    self: ReignId, other: ReignId | None
) -> bool:
    if other is None or self.epoch != other.epoch:
        return is_later_than(self, other)
    return self.restart > other.restart


@planted(lineage._wins_fork, "test_lineage.py::test_which_state_holds_more")
def at_a_fork_the_higher_restart_wins(reign: ReignId | None, other: ReignId | None) -> bool:
    return wins_fork(other, reign)


@planted(Reign._is_over, "test_reigns.py::test_a_later_reign_or_a_twin_deposes_for_good")
def a_leader_does_not_mind_a_twin_of_its_epoch(self: Reign, followed: ReignId | None) -> bool:
    return followed is not None and followed.is_later_than(self.id)


@planted(Reign._is_old_copy, "test_reigns.py::test_an_old_copy_is_no_leader_from_its_own_state")
def an_old_copy_of_a_directory_is_not_noticed(self: Reign, answer: Answer) -> bool:
    return False


# Who counts

meet = KnownFollowers.meet


@planted(
    KnownFollowers.meet,
    "test_reigns.py::test_an_unknown_follower_waits_until_a_known_one_has_vouched",
)
def an_unknown_follower_counts_before_a_known_one_has_vouched(
    self: KnownFollowers, progress: FollowerProgress, now_s: float
) -> bool:
    meet(self, progress, now_s)
    return True


@planted(
    KnownFollowers.meet,
    "test_reigns.py::test_a_follower_that_is_back_at_its_address_is_named_again",
)
def a_follower_that_is_back_at_its_address_is_not_named_again(
    self: KnownFollowers, progress: FollowerProgress, now_s: float
) -> bool:
    known = self.promise.members.get(progress.address) == progress.node_id
    return known or meet(self, progress, now_s)


@planted(
    KnownFollowers.vouched,
    "test_reigns.py::test_a_known_follower_vouches_with_what_was_sent_after_the_meeting",
)
def a_newcomer_counts_before_a_follower_holds_the_entry_that_names_it(
    self: KnownFollowers, progress: FollowerProgress
) -> None:
    if progress.node_id in self._known:
        for address in list(self._newcomers):
            self._adopt(address)
