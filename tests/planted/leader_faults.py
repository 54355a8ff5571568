"""Faults in what a leader appends, sends, counts, confirms and forgets."""

from collections.abc import Collection
from dataclasses import replace

from msgspec import structs

from kvstore.api_types import BatchWritten, Written
from kvstore.core.entries import Entry, Position, ReignId, RememberedRequest
from kvstore.core.errors import BatchRefused, KvstoreError, QuorumNotReached
from kvstore.core.export import MAX_ENTRIES, bounded
from kvstore.core.idempotency_table import IdempotencyTable
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.leader import Leader
from kvstore.core.leader_log import Batch, LeaderLog, Write
from kvstore.core.messages import Answer, Append
from kvstore.core.preconditions import Precondition
from kvstore.core.progress import FollowerProgress, Stage, find_twin
from kvstore.core.quorum import WriteQuorum
from kvstore.core.reign import Reign
from kvstore.core.replication_log import ReplicationLog
from kvstore.node.leader_node import LeaderNode
from tests.planted.planting import SIMULATOR, planted

# The quorum

advance = WriteQuorum.advance
begin = WriteQuorum.begin
sync = Reign._sync


@planted(WriteQuorum.advance, SIMULATOR)
def the_commit_index_is_the_highest_match_index(
    self: WriteQuorum, leader_index: int, match_indexes: Collection[int]
) -> int:
    highest = max(match_indexes, default=0)
    return advance(self, leader_index, [highest] * len(match_indexes))


@planted(WriteQuorum.advance, SIMULATOR)
def an_acknowledgement_counts_twice(
    self: WriteQuorum, leader_index: int, match_indexes: Collection[int]
) -> int:
    return advance(self, leader_index, [*match_indexes, *match_indexes])


@planted(
    WriteQuorum.begin,
    "test_reigns.py::test_nothing_is_confirmed_and_shown_before_the_first_entry_is",
)
def a_write_is_confirmed_before_the_first_entry_of_the_reign(
    self: WriteQuorum, first_index: int
) -> None:
    begin(self, 0)


@planted(
    WriteQuorum.resize,
    "test_log_and_map.py::test_a_quorum_raised_from_0_begins_anew",
)
def a_quorum_raised_from_0_is_ready_at_once(self: WriteQuorum, size: int) -> None:
    self.size = size


@planted(find_twin, SIMULATOR)
def two_addresses_of_one_node_count_twice(
    progress: FollowerProgress, node: str, others: list[FollowerProgress], own_node: str
) -> str | None:
    return "the leader itself" if node == own_node else None


@planted(
    Reign._is_confirmed,
    "test_leader.py::test_an_answer_counts_only_if_the_whole_log_is_a_part_of_the_leaders",
)
def an_acknowledgement_counts_though_the_log_of_the_follower_parts(
    self: Reign, message: Append, answer: Answer
) -> bool:
    return answer.last_index >= message.end_index


@planted(
    Reign._sync, "test_reigns.py::test_nothing_is_confirmed_and_shown_before_the_first_entry_is"
)
def a_hello_confirms_what_the_follower_says_it_holds(
    self: Reign, progress: FollowerProgress, answer: Answer
) -> None:
    sync(self, progress, answer)
    if progress.stage is Stage.STREAM:
        progress.match_index = answer.last_index


# The log

append = LeaderLog._append
apply_through = LeaderLog._apply_through


@planted(LeaderLog._append, SIMULATOR)
def the_leader_sends_what_is_not_durable_yet(
    self: LeaderLog, entries: list[Entry], now_s: float
) -> None:
    append(self, entries, now_s)
    self.durable_index = entries[-1].index


@planted(LeaderLog._apply_through, SIMULATOR)
def the_leader_shows_unconfirmed_values(self: LeaderLog, index: int) -> None:
    apply_through(self, self.last_index)


@planted(ReplicationLog.contains, "test_follower.py::test_an_entry_of_another_order_is_refused")
def entries_are_compared_by_their_epochs(self: ReplicationLog, position: Position) -> bool:
    held = self.position_at(position.index)
    return held is not None and held.epoch == position.epoch


@planted(
    Reign.pinned,
    "test_leader.py::test_the_log_behind_a_snapshot_stays_until_the_entries_behind_it_have_arrived",
)
def the_retention_cuts_what_a_snapshot_on_its_way_needs(self: Reign) -> list[int]:
    return []


# Writes, and requests that are repeated

TIMED_OUT = "test_nodes.py::test_a_timed_out_write_stays_and_a_retry_waits_for_it"
apply = KeyValueMap.apply
forget_through = IdempotencyTable._forget_through
refusal_of = Leader._refusal
write_to_quorum = LeaderNode.write


@planted(KeyValueMap.apply, "test_log_and_map.py::test_map_executes_entries_in_order_once")
def a_delete_forgets_its_version(self: KeyValueMap, entry: Entry) -> None:
    before = self.position
    apply(self, entry)
    if entry.operation == "delete":
        self.position = before


@planted(LeaderLog.request, SIMULATOR)
def a_repeated_request_makes_a_second_entry(
    self: LeaderLog, idempotency_key: str | None
) -> RememberedRequest | None:
    return None


@planted(
    Leader._refusal, "test_leader.py::test_a_retry_is_open_while_the_table_of_requests_is_not_known"
)
def a_repeated_request_is_refused_though_it_may_have_been_done(
    self: Leader, write: Write | Batch
) -> KvstoreError:
    return refusal_of(self, replace(write, idempotency_key=None))


@planted(
    IdempotencyTable._forget_through, "test_log_and_map.py::test_requests_are_forgotten_by_index"
)
def a_request_is_forgotten_one_entry_too_early(self: IdempotencyTable, index: int) -> None:
    forget_through(self, index + 1)


@planted(LeaderNode.write, TIMED_OUT)
def a_repeated_request_is_confirmed_at_once(
    self: LeaderNode, write: Write, precondition: Precondition
) -> Written:
    known = self._leader.log.request(write.idempotency_key)
    if known is not None:
        held = self._leader.write_quorum
        return Written(key=write.key, version=known.index, replicas_confirmed=held)
    return write_to_quorum(self, write, precondition)


@planted(LeaderNode.write, TIMED_OUT)
def a_timed_out_entry_is_removed(
    self: LeaderNode, write: Write, precondition: Precondition
) -> Written:
    try:
        return write_to_quorum(self, write, precondition)
    except QuorumNotReached as error:
        log = self._leader.log.replication_log
        if log.last.index == error.version:
            log._entries.pop(), log._appended_at_s.pop()
            before = log.position_at(error.version - 1)
            assert before is not None
            log.last = before
            self._leader.log.durable_index = before.index
        raise


# Batches

append_batch = LeaderLog.append_batch
judge = LeaderLog.judge
written_batch = LeaderNode.write_batch


@planted(LeaderLog.judge, SIMULATOR)
def a_refused_batch_leaves_its_first_entry_in_the_log(self: LeaderLog, batch: Batch) -> None:
    try:
        judge(self, batch)
    except BatchRefused:
        first, last = batch.operations[0], self.replication_log.last
        reign = ReignId(last.epoch, 0, last.reign_id, last.reign_id)
        append_batch(self, Batch([first]), reign, 0.0)
        raise


@planted(LeaderLog.judge, SIMULATOR)
def an_operation_does_not_see_the_earlier_ones_of_its_batch(self: LeaderLog, batch: Batch) -> None:
    newest = [self.newest_version(write.key) for write, _ in batch.operations]
    outcomes = [
        (write.key, precondition.holds(version), version)
        for (write, precondition), version in zip(batch.operations, newest, strict=True)
    ]
    if not all(holds for _, holds, _ in outcomes):
        raise BatchRefused(outcomes)


@planted(LeaderLog.judge, SIMULATOR)
def the_outcomes_of_a_refused_batch_are_shifted_by_one(self: LeaderLog, batch: Batch) -> None:
    try:
        judge(self, batch)
    except BatchRefused as refused:
        raise BatchRefused([*refused.outcomes[1:], refused.outcomes[0]]) from None


@planted(LeaderLog._append, SIMULATOR)
def a_batch_is_saved_entry_by_entry(self: LeaderLog, entries: list[Entry], now_s: float) -> None:
    for entry in entries:
        append(self, [entry], now_s)


@planted(ReplicationLog.after, SIMULATOR)
def a_message_ends_where_it_is_full_even_within_a_batch(
    self: ReplicationLog, index: int, through: int, max_entries: int = MAX_ENTRIES
) -> list[Entry]:
    base = self.base.index
    return bounded(self._entries, index - base, through - base, max_entries)


@planted(
    LeaderNode.write_batch,
    "test_nodes.py::test_a_batch_is_answered_when_the_quorum_holds_the_last_of_it",
)
def the_versions_of_a_batch_are_shifted_by_one(self: LeaderNode, batch: Batch) -> BatchWritten:
    written = written_batch(self, batch)
    shifted = [structs.replace(each, version=each.version - 1) for each in written.results]
    return structs.replace(written, results=shifted)
