"""Faults in what a follower accepts, keeps, answers and serves."""

from dataclasses import replace

from msgspec import structs

from kvstore.core.entries import ReignId
from kvstore.core.export import Export
from kvstore.core.follower import Follower
from kvstore.core.messages import (
    Answer,
    Append,
    Claim,
    Fetch,
    Fetched,
    Message,
    Refusal,
    SnapshotChunk,
)
from kvstore.core.records import SavePromise
from kvstore.node.local_copy import LocalCopy
from tests.planted.planting import SIMULATOR, planted

# Claims

refused_claim = Follower._refused_claim
begin_reign = Follower._begin_reign


@planted(Follower._refused_claim, "test_follower.py::test_claims")
def a_node_accepts_a_claim_that_is_meant_for_another(
    self: Follower, message: Claim, reign: ReignId
) -> Refusal | None:
    refusal = refused_claim(self, message, reign)
    return None if refusal is Refusal.OTHER_NODE else refusal


@planted(Follower._refused_claim, "test_follower.py::test_claims")
def a_late_claim_passes_an_intervening_leader(
    self: Follower, message: Claim, reign: ReignId
) -> Refusal | None:
    refusal = refused_claim(self, message, reign)
    return None if refusal is Refusal.REIGN_CHANGED else refusal


@planted(Follower._begin_reign, SIMULATOR)
def a_follower_forgets_to_save_a_claim(self: Follower, message: Claim, reign: ReignId) -> None:
    begin_reign(self, message, reign)
    self.take_unsaved()


@planted(
    Follower._begin_reign,
    "test_follower.py::test_an_accepted_claim_ends_the_right_to_lead_in_the_same_record",
)
def an_accepted_claim_leaves_the_right_to_lead(
    self: Follower, message: Claim, reign: ReignId
) -> None:
    begin_reign(self, message, reign)
    self.take_unsaved()
    self._node_state.change(SavePromise(replace(self.promise, has_led=True)))


@planted(Follower._other_cluster, "test_follower.py::test_the_cluster_binds_with_the_first_entry")
def the_id_of_a_cluster_binds_without_an_entry(self: Follower, message: Message) -> Refusal | None:
    bound = self.promise.cluster_id not in (None, message.cluster_id)
    return Refusal.OTHER_CLUSTER if bound else None


# Entries

other_reign = Follower._other_reign
other_order = Follower._other_order


@planted(Follower._other_reign, SIMULATOR)
def a_follower_does_not_check_the_epoch(self: Follower, message: Message) -> Refusal | None:
    refusal = other_reign(self, message)
    return None if refusal is Refusal.OTHER_REIGN else refusal


@planted(Follower._other_order, "test_follower.py::test_an_entry_of_another_order_is_refused")
def a_follower_skips_the_position_check(self: Follower, message: Append) -> Refusal | None:
    refusal = other_order(self, message)
    return None if refusal is Refusal.POSITION_NOT_HELD else refusal


@planted(LocalCopy.flush, SIMULATOR)
def a_follower_answers_before_it_is_durable(self: LocalCopy) -> None:
    pass


# Snapshots, and copies for a leader that takes over

WHEN_INSTALLED = "test_follower.py::test_when_a_snapshot_is_installed"
install = Follower._install
fetch = Follower.fetch


@planted(Follower._install, SIMULATOR)
def a_snapshot_is_installed_without_its_index(self: Follower, message: SnapshotChunk) -> None:
    install(self, structs.replace(message, index=0, index_epoch=0, index_reign_id=""))


@planted(Follower._is_late, WHEN_INSTALLED)
def a_late_snapshot_is_installed_again(self: Follower, message: SnapshotChunk) -> bool:
    return False


@planted(Follower._is_late, WHEN_INSTALLED)
def a_snapshot_is_installed_over_entries_of_the_reign_in_force(
    self: Follower, message: SnapshotChunk
) -> bool:
    return self.log.last == message.position


@planted(Follower._is_late, WHEN_INSTALLED)
def a_snapshot_is_never_installed_over_a_shorter_log_of_its_reign(
    self: Follower, message: SnapshotChunk
) -> bool:
    return self.log.last == message.position or self.log.last.reign_id == message.reign_id


@planted(Follower.fetch, "test_follower.py::test_a_copy_that_has_begun_is_of_one_moment")
def a_copy_goes_on_where_its_beginning_was_lost(self: Follower, message: Fetch) -> Fetched | Answer:
    if self._export is None:
        self._export = Export(self.map.items(), [], self.log.entries())
    return fetch(self, message)


# Reads

follow = LocalCopy.follow


@planted(
    Follower.check_readable,
    "test_follower.py::test_an_emptied_follower_serves_when_it_has_reached_what_it_was_told",
)
def an_emptied_follower_answers_before_it_has_caught_up(self: Follower) -> None:
    pass


@planted(LocalCopy.follow, "test_nodes.py::test_min_version_waits_for_what_is_applied")
def min_version_waits_for_what_is_received(self: LocalCopy) -> None:
    follow(self)
    if isinstance(self._rules, Follower):
        self._applied_waiters.release(self._rules.log.last.index)
