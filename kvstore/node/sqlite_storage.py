"""A node's state in a SQLite file: durable when it says so.

One native thread owns the one connection; everything that is queued goes into one transaction
(group commit), so the event loop never waits for the disk. On disk the map is always at the last
position of the log: one transaction appends the entries and executes them.

A copy of another node's state is staged part by part in tables of its own, so that the switch to it
is short, however large the copy is.
"""

import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

import msgspec
from gevent.event import Event
from gevent.threadpool import ThreadPool
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
from kvstore.node.storage import Spawn, Storage
from kvstore.node.waiters import IndexWaiters

P = ParamSpec("P")
T = TypeVar("T")

FORMAT = 3
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
    "CREATE TABLE log (position INTEGER PRIMARY KEY, entry BLOB NOT NULL)",
    *(table.format(prefix) for prefix in ("", "staged_") for table in _STATE_TABLES),
    f"PRAGMA user_version={FORMAT}",
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class SqliteStorage(Storage):
    """Keeps everything in ``<directory>/kvstore.db``.

    :param directory: made if it is missing; only one process at a time may use it.
    :raises StorageError: it cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = _lock(directory)
        self._thread = ThreadPool(1)
        self._queue: list[Record] = []
        self._wake = Event()
        self._queued = 0
        self._saved = 0
        self._waiters = IndexWaiters()
        try:
            self._connection = self._call(_open, directory)
        except StorageError as error:
            self._thread.kill()
            self._lock.close()
            raise StorageError(f"{directory}: {error}") from None

    def load(self) -> NodeState:
        return self._call(_load, self._connection)

    def start(
        self,
        on_saved: Callable[[Record], None],
        after_batch: Callable[[], None],
        spawn: Spawn,
    ) -> None:
        def run() -> None:
            while True:
                self._wake.wait()
                self._wake.clear()
                batch, self._queue = self._queue, []
                self._call(_commit, self._connection, self._directory, batch)
                for record in batch:
                    on_saved(record)
                self._saved += len(batch)
                after_batch()
                self._waiters.release(self._saved)

        spawn(run)

    def save(self, records: list[Record]) -> None:
        self._queue += records
        self._queued += len(records)
        self._wake.set()

    def flush(self) -> None:
        queued = self._queued
        while self._saved < queued:
            self._waiters.wait(queued, None)

    def close(self) -> None:
        self.flush()
        self._call(self._connection.close)
        self._thread.kill()
        self._lock.close()

    def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in the native thread.

        :raises StorageError: it failed.
        """

        def run() -> T | Exception:
            # An error is returned, because gevent would print one that is raised.
            try:
                return function(*args, **kwargs)
            except (sqlite3.Error, msgspec.MsgspecError, StorageError) as error:
                return error

        result: T | Exception = self._thread.apply(run)
        if isinstance(result, Exception):
            raise StorageError(str(result)) from result
        return result


def _lock(directory: Path) -> IO[str]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise StorageError(f"{directory}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StorageError(f"{directory} is in use by another process") from None
    return lock


# What follows runs in the native thread.


def _open(directory: Path) -> sqlite3.Connection:
    path = directory / "kvstore.db"
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        _make_durable(connection)
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_durable(connection: sqlite3.Connection) -> None:
    """Let every commit wait for the disk."""
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    connection.execute("PRAGMA synchronous=FULL")
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    if (mode, synchronous) != ("wal", 2):
        raise StorageError(f"SQLite cannot make writes durable here (journal mode {mode})")


def _prepare(connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > FORMAT:
        raise StorageError(
            f"a newer version wrote it: its format is {found}, and this version knows {FORMAT}"
        )
    if 0 < found < FORMAT:
        raise StorageError(f"its format {found} is from before the first release; empty it")
    if found == 0:
        with _transaction(connection):
            for statement in _SCHEMA:
                connection.execute(statement)
            _set(connection, node=secrets.token_hex(8))
    with _transaction(connection):
        # A copy that an earlier process began is not continued: it will be sent from its start.
        _begin_staging(connection, "")


def _load(connection: sqlite3.Connection) -> NodeState:
    (node,) = connection.execute("SELECT value FROM meta WHERE name = 'node'").fetchone()
    rows = connection.execute("SELECT entry FROM log ORDER BY position")
    log = ReplicationLog(
        _get(connection, "base", Position, START),
        (_decode(row[0]) for row in rows),
        Lineage(_get(connection, "lineage", list[ReignStart], [])),
        _get(connection, "members", Members, {}),
    )
    items = (
        Item(key, version, msgspec.Raw(value))
        for key, version, value in connection.execute("SELECT key, version, value FROM map")
    )
    requests = (
        RememberedRequest(key, position, fingerprint)
        for position, key, fingerprint in connection.execute("SELECT * FROM requests")
    )
    return NodeState(
        node_id=node,
        promise=_get(connection, "promise", Promise, Promise()),
        map=KeyValueMap(log.last, items, requests),
        log=log,
        discarded=_get(connection, "discarded", int, 0),
    )


def _commit(connection: sqlite3.Connection, directory: Path, batch: list[Record]) -> None:
    with _transaction(connection):
        _write(connection, directory, batch)


def _write(connection: sqlite3.Connection, directory: Path, batch: list[Record]) -> None:
    entries: list[Entry] = []
    for record in batch:
        if isinstance(record, SaveEntries):
            entries += record.entries
            continue
        _append(connection, entries)
        entries = []
        match record:
            case SavePromise():
                _set(connection, promise=_encode(record.promise))
            case StageParts():
                _stage(connection, record)
            case ReplaceState():
                _keep_discarded(connection, directory, record)
                _replace(connection, record)
            case CutLog():
                _cut(connection, record.through)
    _append(connection, entries)


class _transaction:  # noqa: N801 (used like a function)
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")


def _append(connection: sqlite3.Connection, entries: list[Entry]) -> None:
    connection.executemany(
        "INSERT INTO log VALUES (?, ?)", [(entry.index, _encode(entry)) for entry in entries]
    )
    _insert_requests(connection, [request for entry in entries if (request := entry.request)])
    for entry in entries:
        if entry.operation == "noop":
            _note_noop(connection, entry)
    if entries:
        forgotten = entries[-1].index - REMEMBERED_ENTRIES
        connection.execute("DELETE FROM requests WHERE position <= ?", (forgotten,))
    newest = {entry.key: entry for entry in entries if entry.operation != "noop"}
    connection.executemany(
        "DELETE FROM map WHERE key = ?",
        [(entry.key,) for entry in newest.values() if entry.operation == "delete"],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO map VALUES (?, ?, ?)",
        [
            (entry.key, entry.index, bytes(entry.value))
            for entry in newest.values()
            if isinstance(entry.value, msgspec.Raw)
        ],
    )


def _stage(connection: sqlite3.Connection, record: StageParts) -> None:
    _begin_staging(connection, record.staging_id)
    connection.executemany(
        "INSERT OR REPLACE INTO staged_map VALUES (?, ?, ?)",
        ((item.key, item.version, bytes(item.value)) for item in record.items),
    )
    _insert_requests(connection, record.requests, "staged_requests")


def _begin_staging(connection: sqlite3.Connection, staging: str) -> None:
    if _get(connection, "staging", str, "") != staging:
        connection.execute("DELETE FROM staged_map")
        connection.execute("DELETE FROM staged_requests")
        _set(connection, staging=_encode(staging))


def _replace(connection: sqlite3.Connection, record: ReplaceState) -> None:
    _begin_staging(connection, record.staging_id)
    for table in ("map", "requests"):
        connection.execute(f"DROP TABLE {table}")
        connection.execute(f"ALTER TABLE staged_{table} RENAME TO {table}")
    for statement in _STATE_TABLES:
        connection.execute(statement.format("staged_"))
    connection.execute("DELETE FROM log")
    connection.executemany(
        "INSERT INTO log VALUES (?, ?)", ((e.index, _encode(e)) for e in record.entries)
    )
    _set(
        connection,
        promise=_encode(record.promise),
        base=_encode(record.base),
        lineage=_encode(list(record.lineage)),
        members=_encode(record.members),
    )


def _keep_discarded(connection: sqlite3.Connection, directory: Path, record: ReplaceState) -> None:
    """Write what is given up to a file of its own, durably, before it goes."""
    if not record.discarded:
        return
    folder = directory / "discarded"
    reign = "" if record.promise.reign is None else record.promise.reign.id
    path = folder / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{reign}.jsonl"
    try:
        folder.mkdir(exist_ok=True)
        with path.open("ab") as file:
            file.writelines(_encode(part) + b"\n" for part in record.discarded)
            file.flush()
            os.fsync(file.fileno())
        for parent in (folder, directory):
            descriptor = os.open(parent, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from None
    before = _get(connection, "discarded", int, 0)
    _set(connection, discarded=_encode(before + len(record.discarded)))


def _insert_requests(
    connection: sqlite3.Connection, requests: list[RememberedRequest], table: str = "requests"
) -> None:
    connection.executemany(
        f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)",  # noqa: S608 (one of two names)
        [(r.index, r.idempotency_key, r.fingerprint) for r in requests],
    )


def _cut(connection: sqlite3.Connection, through: int) -> None:
    (entry,) = connection.execute("SELECT entry FROM log WHERE position = ?", (through,)).fetchone()
    _set(connection, base=_encode(_decode(entry).position))
    connection.execute("DELETE FROM log WHERE position <= ?", (through,))


def _note_noop(connection: sqlite3.Connection, entry: Entry) -> None:
    """Keep what a noop says beside the log, from which it may be cut."""
    if entry.begins is not UNSET:
        lineage = Lineage(_get(connection, "lineage", list[ReignStart], []))
        _set(connection, lineage=_encode(list(lineage.extended(entry.begins, entry.index))))
    if entry.members is not UNSET:
        _set(connection, members=_encode(entry.members))


def _get(connection: sqlite3.Connection, name: str, kind: type[T], default: T) -> T:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return default if row is None else msgspec.json.decode(row[0], type=kind)


def _set(connection: sqlite3.Connection, **values: str | bytes) -> None:
    rows: Iterable[tuple[str, str | bytes]] = values.items()
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
