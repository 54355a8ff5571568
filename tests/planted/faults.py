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
        "follower.py",
        "if not self.log.contains(message.prev):",
        "if False:",
        SIMULATOR,
    ),
    PlantedFault(
        "a follower answers before it is durable",
        "follower_node.py",
        "        self._storage.flush()\n",
        "",
        SIMULATOR,
    ),
    PlantedFault(
        "a follower forgets to save a claim",
        "follower.py",
        "self.unsaved.append(SavePromise(self.promise))",
        "pass",
        SIMULATOR,
    ),
    PlantedFault(
        "a follower does not check the epoch",
        "follower.py",
        'return "another reign is in force"\n',
        "return None\n",
        SIMULATOR,
    ),
    PlantedFault(
        "a late claim passes a leader that came in between",
        "follower.py",
        "if message.after_epoch is not None and found != (held.epoch, held.reign):",
        "if False:",
        UNIT + "test_follower.py::test_claims",
    ),
    PlantedFault(
        "a snapshot is installed without its index",
        "follower.py",
        "self.log = ReplicationLog(position)",
        "self.log = ReplicationLog()",
        SIMULATOR,
    ),
    PlantedFault(
        "a late snapshot is installed again",
        "follower.py",
        "if not (newer_reign or message.index > self.log.last.index):",
        "if False:",
        SIMULATOR,
    ),
    PlantedFault(
        "an acknowledgement counts a follower twice",
        "quorum.py",
        "sorted(match_indexes, reverse=True)",
        "sorted([*match_indexes, *match_indexes], reverse=True)",
        SIMULATOR,
    ),
    PlantedFault(
        "two addresses of one node count twice",
        "progress.py",
        "if other is not progress and other.node == node:",
        "if False:",
        SIMULATOR,
    ),
    PlantedFault(
        "the commit index is the maximum, not the W-th largest",
        "quorum.py",
        "[self.size - 1]",
        "[0]",
        SIMULATOR,
    ),
    PlantedFault(
        "the leader sends what is not durable yet",
        "leader.py",
        "        self._unsaved.append(SaveEntries([entry], self.promise.epoch))\n",
        "        self._unsaved.append(SaveEntries([entry], self.promise.epoch))\n"
        "        self.log.durable_index = entry.index\n",
        SIMULATOR,
    ),
    PlantedFault(
        "the leader shows unconfirmed values",
        "leader_log.py",
        "while self.map.position.index < commit_index:",
        "while self.map.position.index < self.last_index:",
        SIMULATOR,
    ),
    PlantedFault(
        "a takeover does not wait for the last follower",
        "takeover.py",
        "        if self.waiting_for:\n            return\n        found",
        "        if len(self.waiting_for) > 1:\n            return\n        found",
        SIMULATOR,
    ),
    PlantedFault(
        "a takeover takes the state that holds least",
        "takeover.py",
        "best = max(self._claimed",
        "best = min(self._claimed",
        SIMULATOR,
    ),
    PlantedFault(
        "a replaced leader takes its followers back",
        "records.py",
        "            epoch >= self.led_epoch\n",
        "            False\n",
        SIMULATOR,
    ),
    PlantedFault(
        "a delete forgets its version",
        "key_value_map.py",
        "            self._items.pop(entry.key, None)\n",
        "            self._items.pop(entry.key, None)\n            return\n",
        SIMULATOR,
    ),
    PlantedFault(
        "a repeated request makes a second entry",
        "leader.py",
        "            return known.index\n",
        "            pass\n",
        SIMULATOR,
    ),
    PlantedFault(
        "a timed-out entry is removed",
        "leader_node.py",
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
        "leader_node.py",
        "        self._after_change()\n        pending = ",
        "        if index < self._leader.log.last_index or not self._leader._unsaved:\n"
        "            return Confirmed(index, self._leader.quorum.size)\n"
        "        self._after_change()\n        pending = ",
        FAULT + "test_idempotency.py::test_a_retry_waits_for_the_quorum_of_the_first_entry",
    ),
    PlantedFault(
        "an emptied follower answers before it has caught up",
        "follower.py",
        "if not (self._caught_up or self._kept_state):",
        "if False:",
        UNIT
        + "test_follower.py::test_an_emptied_follower_serves_when_it_has_reached_what_it_was_told",
    ),
    PlantedFault(
        "a batch is no transaction",
        "sqlite_storage.py",
        "    with _transaction(connection):\n        entries: list[Entry] = []\n",
        "    if True:\n        entries: list[Entry] = []\n",
        UNIT + "test_sqlite_storage.py::"
        "test_a_node_killed_between_any_two_statements_has_a_batch_whole_or_not_at_all",
    ),
    PlantedFault(
        "a commit does not wait for the disk",
        "sqlite_storage.py",
        '    connection.execute("PRAGMA synchronous=FULL")\n'
        '    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()\n'
        '    if (mode, synchronous) != ("wal", 2):\n',
        '    connection.execute("PRAGMA synchronous=NORMAL")\n    if mode != "wal":\n',
        UNIT + "test_sqlite_storage.py::test_every_commit_is_asked_to_reach_the_disk",
    ),
]
