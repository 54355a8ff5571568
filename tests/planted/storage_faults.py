"""Faults in what the disk keeps."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from kvstore.node import database
from kvstore.node.database import Database
from tests.planted.planting import planted

begin_staging = Database._begin_staging
KILLED = (
    "test_sqlite_storage.py"
    "::test_a_node_killed_between_any_two_statements_has_a_batch_whole_or_not_at_all"
)
HISTORIES = "test_sqlite_storage.py::test_a_directory_holds_what_its_records_make_of_a_node"


@planted(
    Database._make_durable,
    "test_sqlite_storage.py::test_every_commit_is_asked_to_reach_the_disk",
)
def a_commit_does_not_wait_for_the_disk(self: Database) -> None:
    self._execute("PRAGMA journal_mode=WAL")
    self._execute("PRAGMA synchronous=NORMAL")


@planted(database._transaction, KILLED)
@contextmanager
def a_batch_is_no_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    yield


@planted(Database._cut, HISTORIES)
def the_log_is_cut_before_the_map_has_followed_it(self: Database, through: int) -> None:
    entry = next(self._entries_after(through - 1))
    self._set(base=msgspec.json.encode(entry.position))
    self._execute("DELETE FROM log WHERE last_index <= ?", (through,))


@planted(
    Database._begin_staging,
    "test_sqlite_storage.py::test_a_crash_while_staging_leaves_the_old_state",
)
def parts_that_another_process_staged_stay(self: Database, staging_id: str) -> None:
    if staging_id:
        begin_staging(self, staging_id)
