"""What a node finds again in its data directory."""

import ctypes
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import gevent
import pytest
from msgspec import Raw

from kvstore.entries import START, Entry, Item, Position, Request
from kvstore.errors import StorageError
from kvstore.records import (
    CutLog,
    NodeState,
    Promise,
    Record,
    ReplaceState,
    SaveEntries,
    SavePromise,
)
from kvstore.request_table import REMEMBERED_ENTRIES
from kvstore.sqlite_storage import FORMAT, SqliteStorage

CACHESTAT = 451
"""Number of the system call, the same on every architecture."""
PROMISE = Promise(cluster="c", epoch=2, reign="r", leader="http://leader:5000")


def put(index: int, key: str = "k", value: str = "1", request: str | None = None) -> Entry:
    entry = Entry(index=index, epoch=1, operation="put", key=key, value=Raw(value.encode()))
    if request is None:
        return entry
    return Entry(
        index=index,
        epoch=1,
        operation="put",
        key=key,
        value=entry.value,
        idempotency_key=request,
        fingerprint="f",
    )


def delete(index: int, key: str = "k") -> Entry:
    return Entry(index=index, epoch=1, operation="delete", key=key)


def save(directory: Path, *records: Record) -> list[Record]:
    """Save records, close, and return those that were reported saved."""
    reported: list[Record] = []
    storage = SqliteStorage(directory)
    storage.start(reported.append, lambda: None, gevent.spawn)
    storage.save(list(records))
    storage.flush()
    assert reported == list(records)
    storage.close()
    return reported


def load(directory: Path) -> NodeState:
    storage = SqliteStorage(directory)
    try:
        return storage.load()
    finally:
        storage.start(lambda _: None, lambda: None, gevent.spawn)
        storage.close()


def test_a_new_directory_is_an_empty_node_that_keeps_its_id(tmp_path: Path) -> None:
    first, second = load(tmp_path / "new"), load(tmp_path / "new")
    assert first.node == second.node
    assert (second.promise, second.log.last, second.map.items()) == (Promise(), START, [])
    assert load(tmp_path / "other").node != first.node


def test_entries_build_log_and_map(tmp_path: Path) -> None:
    entries = [put(1, "a"), put(2, "b"), put(3, "a", '"é"'), delete(4, "b"), delete(5, "never")]
    save(tmp_path, SaveEntries(entries[:2], 1), SaveEntries(entries[2:], 1))
    state = load(tmp_path)
    assert state.log.entries() == entries
    assert state.map.items() == [Item("a", 3, Raw('"é"'.encode()))]
    assert (state.map.position, state.synced_epoch) == (Position(1, 5), 1)


def test_a_promise_is_found_again_whole(tmp_path: Path) -> None:
    led = Promise("c", 3, "r3", "http://l", led_epoch=3, deposed_by="epoch 4")
    save(tmp_path, SavePromise(PROMISE), SavePromise(led))
    assert load(tmp_path).promise == led


def test_a_replaced_state_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    save(tmp_path, SaveEntries([put(1, "old", request="gone"), put(2, "old2")], 1))
    replacement = ReplaceState(
        promise=PROMISE,
        synced_epoch=2,
        position=Position(1, 9),
        items=[Item("a", 8, Raw(b"1"))],
        requests=[Request("kept", 7, "f")],
        base=Position(1, 8),
        entries=[put(9, "b")],
    )
    save(tmp_path, replacement, SaveEntries([put(10, "c")], 2))
    state = load(tmp_path)
    assert (state.log.base, state.log.last) == (Position(1, 8), Position(1, 10))
    assert {item.key for item in state.map.items()} == {"a", "c"}
    assert state.map.requests.requests() == [Request("kept", 7, "f")]
    assert state.promise == PROMISE


def test_a_cut_log_begins_at_its_base_and_the_map_stays(tmp_path: Path) -> None:
    save(tmp_path, SaveEntries([put(1, "a"), put(2, "b"), put(3, "c")], 1), CutLog(2))
    state = load(tmp_path)
    assert (state.log.base, state.log.entries()) == (Position(1, 2), [put(3, "c")])
    assert len(state.map) == 3


def test_requests_are_remembered_and_forgotten_by_index(tmp_path: Path) -> None:
    far = 1 + REMEMBERED_ENTRIES
    base = ReplaceState(PROMISE, 2, Position(1, far - 2), [], [Request("first", 1, "f")],
                        Position(1, far - 2), [])  # fmt: skip
    save(tmp_path, base, SaveEntries([put(far - 1, request="second")], 2))
    assert load(tmp_path).map.requests.get("first") is not None
    save(tmp_path, SaveEntries([put(far)], 2))
    state = load(tmp_path)
    assert state.map.requests.get("first") is None
    assert state.map.requests.get("second") == Request("second", far - 1, "f")


def test_what_was_not_saved_is_not_there(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    storage.start(lambda _: None, lambda: None, gevent.spawn)
    storage.save([SaveEntries([put(1)], 1)])
    storage.flush()
    storage.save([SaveEntries([put(2)], 1)])
    # Without a turn of the event loop nothing more can have been written: this is the crash.
    with closing(connect(tmp_path)) as other:
        assert other.execute("SELECT max(position) FROM log").fetchone() == (1,)
    storage.close()


def test_flush_waits_for_what_was_queued_by_others(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    saved: list[Record] = []
    storage.start(saved.append, lambda: None, gevent.spawn)
    storage.save([SaveEntries([put(1)], 1)])
    storage.flush()
    assert len(saved) == 1
    storage.close()


BEFORE: list[Record] = [
    SavePromise(PROMISE),
    SaveEntries([put(1, "a"), put(2, "b"), put(3, "c")], 1),
]
BATCHES: dict[str, list[Record]] = {
    "entries": [SaveEntries([put(4, "a", "2", request="one"), delete(5, "b"), put(6, "d")], 2)],
    "records of every kind": [
        SaveEntries([put(4, "a", "2", request="one")], 2),
        CutLog(2),
        SavePromise(Promise("c", 3, "r3", "http://l", led_epoch=3)),
        SaveEntries([delete(5, "b")], 3),
    ],
    "another state": [
        ReplaceState(
            promise=Promise("c", 3, "r3", "http://l"),
            synced_epoch=3,
            position=Position(1, 9),
            items=[Item("x", 8, Raw(b"1")), Item("y", 9, Raw(b"2"))],
            requests=[Request("kept", 7, "f")],
            base=Position(1, 8),
            entries=[put(9, "y", "2")],
        ),
    ],
}


def held(directory: Path) -> tuple[object, ...]:
    """Everything that a node finds in its directory."""
    state = load(directory)
    log, kv_map = state.log, state.map
    items, requests = kv_map.items(), kv_map.requests.requests()
    return state.promise, state.synced_epoch, log.base, log.entries(), items, requests


@pytest.mark.parametrize("batch", BATCHES)
def test_a_node_killed_between_any_two_statements_has_a_batch_whole_or_not_at_all(
    batch: str, tmp_path: Path
) -> None:
    """What a killed process leaves behind is what is in its files at that moment."""
    directory, copies = tmp_path / "data", list[Path]()

    def copy(_statement: str) -> None:
        copies.append(tmp_path / f"killed{len(copies)}")
        copies[-1].mkdir()
        for name in ("kvstore.db", "kvstore.db-wal"):
            shutil.copy(directory / name, copies[-1])

    save(directory, *BEFORE)
    before = held(directory)
    storage = SqliteStorage(directory)
    storage.start(lambda _: None, lambda: None, gevent.spawn)
    storage._thread.apply(storage._connection.set_trace_callback, (copy,))
    storage.save(BATCHES[batch])
    storage.flush()
    storage._thread.apply(storage._connection.set_trace_callback, (None,))
    copy("the last statement is done")
    storage.close()
    found = [held(killed) for killed in copies]
    after = found.pop()
    assert after == held(directory) != before
    assert len(found) > 5
    assert [state for state in found if state not in (before, after)] == []


def test_every_commit_is_asked_to_reach_the_disk(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    storage.start(lambda _: None, lambda: None, gevent.spawn)

    def pragma(name: str) -> object:
        return storage._connection.execute(f"PRAGMA {name}").fetchone()[0]

    found = [storage._thread.apply(pragma, (name,)) for name in ("journal_mode", "synchronous")]
    storage.close()
    full = 2
    assert found == ["wal", full]


def test_what_is_reported_saved_has_left_the_page_cache(tmp_path: Path) -> None:
    """No page of the log that SQLite writes ahead is still to be written to the disk."""
    probe = tmp_path / "probe"
    probe.write_bytes(b"x")
    if not dirty_pages(probe):
        pytest.skip("this file system does not say what is still to be written")
    dirty = []
    storage = SqliteStorage(tmp_path)
    storage.start(
        lambda _: dirty.append(dirty_pages(tmp_path / "kvstore.db-wal")),
        lambda: None,
        gevent.spawn,
    )
    for index in range(1, 6):
        storage.save([SaveEntries([put(index)], 1)])
        storage.flush()
    storage.close()
    assert dirty == [0] * 5


def dirty_pages(path: Path) -> int:
    """How many pages of a file are in memory only.

    :raises pytest.skip.Exception: the kernel does not say (Linux does from 6.5 on).
    """
    whole_file = (ctypes.c_uint64 * 2)(0, 0)
    cached = (ctypes.c_uint64 * 5)()
    with path.open("rb") as file:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(CACHESTAT, file.fileno(), whole_file, cached, 0) != 0:
            pytest.skip(f"cachestat: {os.strerror(ctypes.get_errno())}")
    return cached[1] + cached[2]


def connect(directory: Path) -> sqlite3.Connection:
    return sqlite3.connect(directory / "kvstore.db", isolation_level=None)


def write_format(directory: Path) -> None:
    load(directory)
    with closing(connect(directory)) as connection:
        connection.execute(f"PRAGMA user_version={FORMAT + 1}")


def write_garbage(directory: Path) -> None:
    directory.mkdir()
    (directory / "kvstore.db").write_bytes(b"not a database, but long enough to look like one" * 99)


def put_a_file_there(directory: Path) -> None:
    directory.write_text("a file")


@pytest.mark.parametrize(
    ("prepare", "text"),
    [
        (write_format, "a newer version wrote it"),
        (write_garbage, "not a database"),
        (put_a_file_there, "data"),
    ],
)
def test_a_directory_that_cannot_be_used_is_refused(
    prepare: Callable[[Path], None], text: str, tmp_path: Path
) -> None:
    directory = tmp_path / "data"
    prepare(directory)
    with pytest.raises(StorageError, match=text):
        SqliteStorage(directory)


def test_a_directory_in_use_is_refused_until_it_is_free(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    with pytest.raises(StorageError, match="in use by another process"):
        SqliteStorage(tmp_path)
    storage.start(lambda _: None, lambda: None, gevent.spawn)
    storage.close()
    load(tmp_path)


def test_a_failed_write_is_an_error_of_the_greenlet_that_saves(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    greenlets: list[gevent.Greenlet[[], None]] = []

    def spawn(function: Callable[[], None]) -> "gevent.Greenlet[[], None]":
        greenlet = gevent.spawn(function)
        greenlets.append(greenlet)
        return greenlet

    storage.start(lambda _: None, lambda: None, spawn)
    with closing(connect(tmp_path)) as other:
        other.execute("DROP TABLE log")
    storage.save([SaveEntries([put(1)], 1)])
    with pytest.raises(StorageError, match="no such table"):
        greenlets[0].get(timeout=10)
    # close() would wait for what can no longer be saved.
    storage._thread.apply(storage._connection.close)
    storage._thread.kill()
    storage._lock.close()
