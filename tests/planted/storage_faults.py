"""Faults in what the disk keeps."""

import sqlite3
from pathlib import Path

from kvstore.core.records import Record
from kvstore.node import sqlite_storage
from tests.planted.planting import planted

begin_staging = sqlite_storage._begin_staging


@planted(
    sqlite_storage._make_durable,
    "test_sqlite_storage.py::test_every_commit_is_asked_to_reach_the_disk",
)
def a_commit_does_not_wait_for_the_disk(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


@planted(
    sqlite_storage._commit,
    "test_sqlite_storage.py"
    "::test_a_node_killed_between_any_two_statements_has_a_batch_whole_or_not_at_all",
)
def a_batch_is_no_transaction(
    connection: sqlite3.Connection, directory: Path, batch: list[Record]
) -> None:
    sqlite_storage._write(connection, directory, batch)


@planted(
    sqlite_storage._begin_staging,
    "test_sqlite_storage.py::test_a_crash_while_staging_leaves_the_old_state",
)
def parts_that_another_process_staged_stay(connection: sqlite3.Connection, staging: str) -> None:
    if staging:
        begin_staging(connection, staging)
