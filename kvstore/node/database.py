"""The SQLite file of one node: its tables, and what a commit does to them.

The log is the truth, and the map follows it: a commit appends its entries as one row of the log,
and only every so often are the entries executed on the map's tables. A node that starts reads the
map, and executes the entries behind it. So most commits touch two or three pages.

A copy of another node's state is staged part by part in tables of its own, so that the switch to it
is short, however large the copy is.
"""

import os
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import UNSET

from kvstore.core.entries import START, Entry, Item, Members, Position, RememberedRequest
from kvstore.core.errors import StorageError
from kvstore.core.idempotency_table import REMEMBERED_ENTRIES
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.lineage import Lineage, ReignStart
from kvstore.core.node_state import NodeState
from kvstore.core.records import (
    CutLog,
    Promise,
    Record,
    ReplaceState,
    SaveEntries,
    SavePromise,
    StageParts,
)
from kvstore.core.replication_log import ReplicationLog

T = TypeVar("T")

FORMAT = 4
"""Of the tables, and of the names in the JSON that they hold. Other formats are refused."""

_STATE_TABLES = (
    "CREATE TABLE {}map (key TEXT PRIMARY KEY, version INTEGER NOT NULL, value BLOB NOT NULL)",
    (
        "CREATE TABLE {}requests"
        " (position INTEGER PRIMARY KEY, idempotency_key TEXT, fingerprint TEXT)"
    ),
)
_SCHEMA = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    # A row holds the entries of one commit: a JSON array that ends with the one at last_index.
    "CREATE TABLE log (last_index INTEGER PRIMARY KEY, entries BLOB NOT NULL)",
    *(table.format(prefix) for prefix in ("", "staged_") for table in _STATE_TABLES),
    f"PRAGMA user_version={FORMAT}",
)

_CHECKPOINT_PAGES = 1000
"""Length of SQLite's write-ahead log from which on its pages are copied into the file: within a
commit that executes the log, and never on the event loop."""

_encode = msgspec.json.Encoder().encode
_decode_entries = msgspec.json.Decoder(list[Entry]).decode


@dataclass(frozen=True)
class DatabaseLimits:
    """What a database keeps, and how far its map may be behind its log.

    :param remembered_entries: see :class:`IdempotencyTable`.
    :param entries_behind: how many entries may wait to be executed on the map.
    :param bytes_behind: how many bytes they may have. The two bound what a start has to execute.
    """

    remembered_entries: int = REMEMBERED_ENTRIES
    entries_behind: int = 1000
    bytes_behind: int = 1 << 20


DEFAULT_LIMITS = DatabaseLimits()


class Database:
    """``<directory>/kvstore.db``. One thread at a time may use it.

    :raises StorageError: it cannot be used. So do the methods, or :exc:`sqlite3.Error` or
        :exc:`msgspec.MsgspecError`, where the file fails them.
    """

    def __init__(self, directory: Path, limits: DatabaseLimits) -> None:
        self._directory = directory
        self._limits = limits
        path = directory / "kvstore.db"
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._execute = self._connection.execute
        try:
            self._make_durable()
            self._prepare()
            self._executed = self._get("executed", int, 0)
            self._last_index, self._bytes_behind = self._log_behind()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def load(self) -> NodeState:
        """Everything that was saved."""
        base = self._get("base", Position, START)
        log = ReplicationLog(
            base,
            self._entries_after(base.index),
            Lineage(self._get("lineage", list[ReignStart], [])),
            self._get("members", Members, {}),
        )
        position = log.position_at(self._executed)
        assert position is not None, "a log is never cut behind the map"
        items = (
            Item(key, version, msgspec.Raw(value))
            for key, version, value in self._execute("SELECT key, version, value FROM map")
        )
        requests = (
            RememberedRequest(key, index, fingerprint)
            for index, key, fingerprint in self._execute("SELECT * FROM requests")
        )
        kv_map = KeyValueMap(position, items, requests, self._limits.remembered_entries)
        for entry in log.entries(behind=self._executed):
            kv_map.apply(entry)
        (node,) = self._execute("SELECT value FROM meta WHERE name = 'node'").fetchone()
        return NodeState(
            node_id=node,
            promise=self._get("promise", Promise, Promise()),
            map=kv_map,
            log=log,
            discarded=self._get("discarded", int, 0),
        )

    def is_light(self, batch: list[Record]) -> bool:
        """Whether to save these records is only to append to the log, and little."""
        entries, size = self._last_index - self._executed, self._bytes_behind
        for record in batch:
            if isinstance(record, SaveEntries):
                entries += len(record.entries)
                size += sum(entry.size for entry in record.entries)
            elif not isinstance(record, SavePromise):
                return False
        limits = self._limits
        return entries <= limits.entries_behind and size <= limits.bytes_behind

    def commit(self, batch: list[Record]) -> None:
        """Save records, all or none. They are on the disk when it returns."""
        with _transaction(self._connection):
            self._write(batch)

    def commit_and_execute(self, batch: list[Record]) -> None:
        """Save records, let the map catch up with the log, and the file with SQLite's own log."""
        self._execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        with _transaction(self._connection):
            self._write(batch)
            self._execute_log()
        self._execute("PRAGMA wal_autocheckpoint=0")

    def _make_durable(self) -> None:
        """Let every commit wait for the disk."""
        (mode,) = self._execute("PRAGMA journal_mode=WAL").fetchone()
        self._execute("PRAGMA synchronous=FULL")
        (synchronous,) = self._execute("PRAGMA synchronous").fetchone()
        if (mode, synchronous) != ("wal", 2):
            raise StorageError(f"SQLite cannot make writes durable here (journal mode {mode})")

    def _prepare(self) -> None:
        (found,) = self._execute("PRAGMA user_version").fetchone()
        if found > FORMAT:
            raise StorageError(
                f"a newer version wrote it: its format is {found}, and this version knows {FORMAT}"
            )
        if 0 < found < FORMAT:
            raise StorageError(f"its format {found} is from before the first release; empty it")
        with _transaction(self._connection):
            if found == 0:
                for statement in _SCHEMA:
                    self._execute(statement)
                self._set(node=secrets.token_hex(8))
            # A copy that an earlier process began is not continued: it will be sent from its start.
            self._begin_staging("")
        self._execute("PRAGMA wal_autocheckpoint=0")

    def _write(self, batch: list[Record]) -> None:
        entries: list[Entry] = []
        for record in batch:
            if isinstance(record, SaveEntries):
                entries += record.entries
                continue
            self._append(entries)
            entries = []
            match record:
                case SavePromise():
                    self._set(promise=_encode(record.promise))
                case StageParts():
                    self._stage(record)
                case ReplaceState():
                    self._keep_discarded(record)
                    self._replace(record)
                case CutLog():
                    self._cut(record.through)
        self._append(entries)

    # The log

    def _append(self, entries: list[Entry]) -> None:
        if not entries:
            return
        row = _encode(entries)
        self._last_index = entries[-1].index
        self._bytes_behind += len(row)
        self._execute("INSERT INTO log VALUES (?, ?)", (self._last_index, row))

    def _entries_after(self, index: int) -> Iterator[Entry]:
        rows = self._execute(
            "SELECT entries FROM log WHERE last_index > ? ORDER BY last_index", (index,)
        )
        for (row,) in rows:
            for entry in _decode_entries(row):
                if entry.index > index:
                    yield entry

    def _cut(self, through: int) -> None:
        """Forget entries. A row stays while one of its entries does."""
        self._execute_log()
        entry = next(self._entries_after(through - 1))
        self._set(base=_encode(entry.position))
        self._execute("DELETE FROM log WHERE last_index <= ?", (through,))

    # The map, which follows the log

    def _log_behind(self) -> tuple[int, int]:
        """:return: index of the last entry, and the bytes of those that are not executed."""
        query = "SELECT max(last_index), sum(length(entries)) FROM log WHERE last_index > ?"
        last_index, size = self._execute(query, (self._executed,)).fetchone()
        return last_index or self._executed, size or 0

    def _execute_log(self) -> None:
        if self._executed == self._last_index:
            return
        newest: dict[str, Entry] = {}
        requests: list[RememberedRequest] = []
        for entry in self._entries_after(self._executed):
            if entry.operation == "noop":
                self._note_noop(entry)
            else:
                newest[entry.key] = entry
            if (request := entry.request) is not None:
                requests.append(request)
        self._insert_requests(requests)
        forgotten = self._last_index - self._limits.remembered_entries
        self._execute("DELETE FROM requests WHERE position <= ?", (forgotten,))
        self._connection.executemany(
            "DELETE FROM map WHERE key = ?",
            [(entry.key,) for entry in newest.values() if entry.operation == "delete"],
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO map VALUES (?, ?, ?)",
            [
                (entry.key, entry.index, bytes(entry.value))
                for entry in newest.values()
                if isinstance(entry.value, msgspec.Raw)
            ],
        )
        self._set_executed(self._last_index)

    def _set_executed(self, index: int) -> None:
        self._set(executed=_encode(index))
        self._last_index = self._executed = index
        self._bytes_behind = 0

    def _note_noop(self, entry: Entry) -> None:
        """Keep what a noop says beside the log, from which it may be cut."""
        if entry.begins is not UNSET:
            lineage = Lineage(self._get("lineage", list[ReignStart], []))
            self._set(lineage=_encode(list(lineage.extended(entry.begins, entry.index))))
        if entry.members is not UNSET:
            self._set(members=_encode(entry.members))

    def _insert_requests(self, requests: list[RememberedRequest], table: str = "requests") -> None:
        self._connection.executemany(
            f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)",  # noqa: S608 (one of two names)
            [(r.index, r.idempotency_key, r.fingerprint) for r in requests],
        )

    # Another node's state

    def _stage(self, record: StageParts) -> None:
        self._begin_staging(record.staging_id)
        self._connection.executemany(
            "INSERT OR REPLACE INTO staged_map VALUES (?, ?, ?)",
            ((item.key, item.version, bytes(item.value)) for item in record.items),
        )
        self._insert_requests(record.requests, "staged_requests")

    def _begin_staging(self, staging_id: str) -> None:
        if self._get("staging", str, "") != staging_id:
            self._execute("DELETE FROM staged_map")
            self._execute("DELETE FROM staged_requests")
            self._set(staging=_encode(staging_id))

    def _replace(self, record: ReplaceState) -> None:
        self._begin_staging(record.staging_id)
        for table in ("map", "requests"):
            self._execute(f"DROP TABLE {table}")
            self._execute(f"ALTER TABLE staged_{table} RENAME TO {table}")
        for statement in _STATE_TABLES:
            self._execute(statement.format("staged_"))
        self._execute("DELETE FROM log")
        self._append(record.entries)
        self._set_executed(record.position.index)
        self._set(
            promise=_encode(record.promise),
            base=_encode(record.base),
            lineage=_encode(list(record.lineage)),
            members=_encode(record.members),
        )

    def _keep_discarded(self, record: ReplaceState) -> None:
        """Write what is given up to a file of its own, durably, before it goes."""
        if not record.discarded:
            return
        folder = self._directory / "discarded"
        reign = "" if record.promise.reign is None else record.promise.reign.id
        path = folder / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{reign}.jsonl"
        try:
            folder.mkdir(exist_ok=True)
            with path.open("ab") as file:
                file.writelines(_encode(part) + b"\n" for part in record.discarded)
                file.flush()
                os.fsync(file.fileno())
            for parent in (folder, self._directory):
                descriptor = os.open(parent, os.O_RDONLY)
                os.fsync(descriptor)
                os.close(descriptor)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from None
        before = self._get("discarded", int, 0)
        self._set(discarded=_encode(before + len(record.discarded)))

    # Single values

    def _get(self, name: str, kind: type[T], default: T) -> T:
        row = self._execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return default if row is None else msgspec.json.decode(row[0], type=kind)

    def _set(self, **values: str | bytes) -> None:
        rows: Iterable[tuple[str, str | bytes]] = values.items()
        self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
