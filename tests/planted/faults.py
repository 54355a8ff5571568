"""The faults, as replacements in the source, and what catches each.

``docs/TESTING.md`` shows them as a table; ``test_planted_faults`` plants each into a copy of the
tree and runs its catcher there.
"""

from dataclasses import dataclass

SIMULATOR = "simulator"
UNIT = "tests/unit/"
FAULT = "tests/fault/"


@dataclass(frozen=True, slots=True)
class PlantedFault:
    """One fault.

    :param name: what is wrong then.
    :param file: below ``kvstore/``.
    :param old: stands there exactly once.
    :param new: what takes its place.
    :param caught_by: ``SIMULATOR``, or the id of a pytest test.
    """

    name: str
    file: str
    old: str
    new: str
    caught_by: str


FAULTS = [
    PlantedFault(
        "a follower skips the position check",
        "core/follower.py",
        "if not self.log.contains(message.prev):",
        "if False:",
        SIMULATOR,
    ),
    PlantedFault(
        "a follower answers before it is durable",
        "node/follower_node.py",
        "        self._copy.flush()\n",
        "",
        SIMULATOR,
    ),
    PlantedFault(
        "a follower forgets to save a claim",
        "core/follower.py",
        "self.unsaved.append(SavePromise(self.promise))",
        "pass",
        SIMULATOR,
    ),
    PlantedFault(
        "a follower does not check the epoch",
        "core/follower.py",
        'return "another reign is in force"\n',
        "return None\n",
        SIMULATOR,
    ),
    PlantedFault(
        "a late claim passes a leader that came in between",
        "core/follower.py",
        "if message.found_reign != (None if held is None else held.id):",
        "if False:",
        UNIT + "test_follower.py::test_claims",
    ),
    PlantedFault(
        "a snapshot is installed without its index",
        "core/follower.py",
        "self.log = ReplicationLog(position, lineage=lineage, members=message.members)",
        "self.log = ReplicationLog()",
        SIMULATOR,
    ),
    PlantedFault(
        "a late snapshot is installed again",
        "core/follower.py",
        "if last == position or (last.reign == message.reign and last.index >= position.index):",
        "if False:",
        SIMULATOR,
    ),
    PlantedFault(
        "an acknowledgement counts a follower twice",
        "core/quorum.py",
        "sorted(match_indexes, reverse=True)",
        "sorted([*match_indexes, *match_indexes], reverse=True)",
        SIMULATOR,
    ),
    PlantedFault(
        "two addresses of one node count twice",
        "core/progress.py",
        "if other is not progress and other.node == node:",
        "if False:",
        SIMULATOR,
    ),
    PlantedFault(
        "the commit index is the maximum, not the W-th largest",
        "core/quorum.py",
        "[self.size - 1]",
        "[0]",
        SIMULATOR,
    ),
    PlantedFault(
        "the leader sends what is not durable yet",
        "core/leader.py",
        "        self._save(SaveEntries([entry]))\n",
        "        self._save(SaveEntries([entry]))\n        self.log.durable_index = entry.index\n",
        SIMULATOR,
    ),
    PlantedFault(
        "the leader shows unconfirmed values",
        "core/leader_log.py",
        "while self.map.position.index < commit_index:",
        "while self.map.position.index < self.last_index:",
        SIMULATOR,
    ),
    PlantedFault(
        "a takeover does not wait for the last follower",
        "core/takeover.py",
        "return [address for address in self._addresses if address not in answered]",
        "return [address for address in self._addresses if address not in answered][1:]",
        SIMULATOR,
    ),
    PlantedFault(
        "a takeover takes the state that holds least",
        "core/takeover.py",
        "if all(holds_more(state, other) for",
        "if all(holds_more(other, state) for",
        SIMULATOR,
    ),
    PlantedFault(
        "a replaced leader takes its followers back",
        "core/leader.py",
        "epoch=before.epoch,",
        "epoch=before.epoch + 1,",
        UNIT + "test_reigns.py"
        "::test_a_leader_that_was_replaced_takes_nobody_back_however_often_it_restarts",
    ),
    PlantedFault(
        "a delete forgets its version",
        "core/key_value_map.py",
        "            self._items.pop(entry.key, None)\n",
        "            self._items.pop(entry.key, None)\n            return\n",
        SIMULATOR,
    ),
    PlantedFault(
        "a repeated request makes a second entry",
        "core/leader.py",
        "            return known.index\n",
        "            pass\n",
        SIMULATOR,
    ),
    PlantedFault(
        "a timed-out entry is removed",
        "node/leader_node.py",
        "            raise QuorumNotReached(index, replicas)\n",
        "            log = self._leader.log.entries\n"
        "            if log.last.index == index:\n"
        "                log._entries.pop(), log._appended_at_s.pop()\n"
        "                log.last = log.position_at(index - 1)\n"
        "                self._leader.log.durable_index = index - 1\n"
        "            raise QuorumNotReached(index, replicas)\n",
        FAULT + "test_follower_faults.py::test_follower_frozen_in_mid_write",
    ),
    PlantedFault(
        "a repeated request is confirmed at once",
        "node/leader_node.py",
        "        reign = leader.reign\n",
        "        reign = leader.reign\n"
        "        if index < leader.log.last_index or not leader._unsaved:\n"
        "            held = leader.write_quorum\n"
        "            return Written(key=write.key, version=index, replicas_confirmed=held)\n",
        FAULT + "test_idempotency.py::test_a_retry_waits_for_the_quorum_of_the_first_entry",
    ),
    PlantedFault(
        "an emptied follower answers before it has caught up",
        "core/follower.py",
        "if not (self._caught_up or self._kept_state):",
        "if False:",
        UNIT
        + "test_follower.py::test_an_emptied_follower_serves_when_it_has_reached_what_it_was_told",
    ),
    PlantedFault(
        "two reigns of one epoch are compared by their restarts alone",
        "core/entries.py",
        "return self.takeover == other.takeover and self.restart > other.restart",
        "return self.restart > other.restart",
        UNIT + "test_lineage.py::test_later_is_the_epoch_then_the_restart_of_one_takeover",
    ),
    PlantedFault(
        "a restart is not later than the reign before",
        "core/leader.py",
        "max(before.restart + 1, self._now_ms())",
        "self._now_ms()",
        UNIT + "test_reigns.py::test_a_restart_keeps_the_epoch_and_is_later",
    ),
    PlantedFault(
        "a leader does not mind a twin of its epoch",
        "core/reign.py",
        "followed.is_later_than(self.id) or followed.is_twin_of(self.id)",
        "followed.is_later_than(self.id)",
        UNIT + "test_reigns.py::test_a_later_reign_or_a_twin_deposes_for_good",
    ),
    PlantedFault(
        "entries are compared by their epochs",
        "core/replication_log.py",
        "return self.position_at(position.index) == position",
        "held = self.position_at(position.index)\n"
        "        return held is not None and held.epoch == position.epoch",
        UNIT + "test_follower.py::test_an_entry_of_another_order_is_refused",
    ),
    PlantedFault(
        "a write is confirmed before the reign's first entry",
        "core/quorum.py",
        "if confirmed >= self._first_index:",
        "if True:",
        UNIT + "test_reigns.py::test_nothing_is_confirmed_and_shown_before_the_first_entry_is",
    ),
    PlantedFault(
        "a quorum raised from 0 is ready at once",
        "core/quorum.py",
        "if self.size == 0 < size:",
        "if False:",
        UNIT + "test_reigns.py"
        "::test_a_quorum_raised_from_0_needs_a_follower_that_holds_the_first_entry",
    ),
    PlantedFault(
        "at a fork the higher restart wins",
        "core/lineage.py",
        "return reign.restart < other.restart",
        "return reign.restart > other.restart",
        UNIT + "test_lineage.py::test_which_state_holds_more",
    ),
    PlantedFault(
        "a takeover ignores its own state",
        "core/takeover.py",
        "return held or {SELF: found[SELF]}",
        "held.pop(SELF, None)\n        return held or {SELF: found[SELF]}",
        UNIT + "test_takeover.py::test_the_best_state_is_kept_or_fetched",
    ),
    PlantedFault(
        "an old copy of a directory is not noticed",
        "core/reign.py",
        "if answer.last_epoch == self.id.epoch and not "
        "self._log.entries.contains(answer.position):",
        "if False:",
        UNIT + "test_reigns.py::test_an_old_copy_is_no_leader_from_its_own_state",
    ),
    PlantedFault(
        "an unknown follower counts before a known one has vouched",
        "core/reign.py",
        "return node in self._known\n",
        "return True\n",
        UNIT + "test_reigns.py::test_an_unknown_follower_waits_until_a_known_one_has_vouched",
    ),
    PlantedFault(
        "a newcomer counts before a follower holds the entry that names it",
        "core/reign.py",
        "if index <= progress.match_index:",
        "if True:",
        UNIT + "test_reigns.py::test_a_known_follower_vouches_with_what_was_sent_after_the_meeting",
    ),
    PlantedFault(
        "a takeover ignores the nodes that are named",
        "core/takeover.py",
        "return sorted(missing)",
        "return []",
        UNIT + "test_takeover.py::test_a_named_node_is_waited_for_claimed_and_fetched_from",
    ),
    PlantedFault(
        "a node accepts a claim that is meant for another",
        "core/follower.py",
        "if message.node != self.node:",
        "if False:",
        UNIT + "test_follower.py::test_claims",
    ),
    PlantedFault(
        "an accepted claim leaves the right to lead",
        "core/follower.py",
        "Promise(message.cluster, reign, message.leader, members)",
        "Promise(message.cluster, reign, message.leader, members, has_led=True)",
        UNIT + "test_follower.py::test_an_accepted_claim_ends_the_right_to_lead_in_the_same_record",
    ),
    PlantedFault(
        "a claim is sent before the leader's promise is durable",
        "core/takeover.py",
        "            if self.promise_saved:\n",
        "            if True:\n",
        UNIT + "test_takeover.py"
        "::test_nothing_is_claimed_before_all_have_answered_and_the_promise_is_saved",
    ),
    PlantedFault(
        "a takeover does not check again after its last claim",
        "core/takeover.py",
        "            self._to_ask = set(self._claimed)\n            self._hellos = {}\n",
        "            self._choose()\n",
        UNIT + "test_takeover_attempts.py::test_it_starts_over_under_a_higher_epoch",
    ),
    PlantedFault(
        "a directory that remembers alone starts anew",
        "core/takeover.py",
        "elif self._remembers and not self._forced and self._nobody_remembers():",
        "elif False:",
        UNIT + "test_takeover.py::test_a_directory_that_remembers_alone_needs_an_operator",
    ),
    PlantedFault(
        "a cluster's id binds without an entry",
        "core/follower.py",
        "if self.promise.cluster in (None, message.cluster) or self.log.last == START:",
        "if self.promise.cluster in (None, message.cluster):",
        UNIT + "test_follower.py::test_the_cluster_binds_with_the_first_entry",
    ),
    PlantedFault(
        "a snapshot is installed over entries of the reign in force",
        "core/follower.py",
        "if last == position or (last.reign == message.reign and last.index >= position.index):",
        "if last == position:",
        UNIT + "test_follower.py::test_when_a_snapshot_is_installed",
    ),
    PlantedFault(
        "a snapshot is never installed over a shorter log of its reign",
        "core/follower.py",
        "if last == position or (last.reign == message.reign and last.index >= position.index):",
        "if last == position or last.reign == message.reign:",
        UNIT + "test_follower.py::test_when_a_snapshot_is_installed",
    ),
    PlantedFault(
        "an acknowledgement counts though the follower's log parts",
        "core/reign.py",
        "if answer.last_index < message.end_index or not "
        "self._log.entries.contains(answer.position):",
        "if answer.last_index < message.end_index:",
        UNIT + "test_leader.py"
        "::test_an_answer_counts_only_if_the_whole_log_is_a_part_of_the_leaders",
    ),
    PlantedFault(
        "a hello confirms what the follower says it holds",
        "core/reign.py",
        "            progress.sent_index = answer.last_index\n",
        "            progress.sent_index = progress.match_index = answer.last_index\n",
        UNIT + "test_leader.py::test_hello_and_claim_confirm_nothing",
    ),
    PlantedFault(
        "the retention cuts what a snapshot on its way needs",
        "core/leader_log.py",
        "floor = min([self.map.position.index, *pinned])",
        "floor = self.map.position.index",
        UNIT + "test_leader.py"
        "::test_the_log_behind_a_snapshot_stays_until_the_entries_behind_it_have_arrived",
    ),
    PlantedFault(
        "parts that another process staged stay",
        "node/sqlite_storage.py",
        '        _begin_staging(connection, "")\n',
        "        pass\n",
        UNIT + "test_sqlite_storage.py::test_a_crash_while_staging_leaves_the_old_state",
    ),
    PlantedFault(
        "a copy goes on where its beginning was lost",
        "core/follower.py",
        "        elif self._export is None:\n"
        '            return self._answer(message, "the copy has to begin anew")\n',
        "        elif self._export is None:\n"
        "            self._export = Export(self.map.items(), [], self.log.entries())\n",
        UNIT + "test_follower.py::test_a_copy_that_has_begun_is_of_one_moment",
    ),
    PlantedFault(
        "a repeated request is refused though it may have been done",
        "core/leader.py",
        "        if write.idempotency_key is not None:\n            return OutcomeUnknown()\n",
        "",
        UNIT + "test_leader.py::test_a_retry_is_open_while_the_table_of_requests_is_not_known",
    ),
    PlantedFault(
        "a request is forgotten one entry too early",
        "core/request_table.py",
        "entry.index - REMEMBERED_ENTRIES:",
        "entry.index - REMEMBERED_ENTRIES + 1:",
        UNIT + "test_log_and_map.py::test_requests_are_forgotten_by_index",
    ),
    PlantedFault(
        "min_version waits for what is received, not applied",
        "node/local_copy.py",
        "self._applied_waiters.release(self._rules.map.position.index)",
        "self._applied_waiters.release(self._rules.log.last.index)",
        UNIT + "test_nodes.py::test_min_version_waits_for_what_is_applied",
    ),
    PlantedFault(
        "a batch is no transaction",
        "node/sqlite_storage.py",
        "    with _transaction(connection):\n        entries: list[Entry] = []\n",
        "    if True:\n        entries: list[Entry] = []\n",
        UNIT + "test_sqlite_storage.py::"
        "test_a_node_killed_between_any_two_statements_has_a_batch_whole_or_not_at_all",
    ),
    PlantedFault(
        "a commit does not wait for the disk",
        "node/sqlite_storage.py",
        '    connection.execute("PRAGMA synchronous=FULL")\n'
        '    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()\n'
        '    if (mode, synchronous) != ("wal", 2):\n',
        '    connection.execute("PRAGMA synchronous=NORMAL")\n    if mode != "wal":\n',
        UNIT + "test_sqlite_storage.py::test_every_commit_is_asked_to_reach_the_disk",
    ),
]
