"""What a node finds again in its data directory."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import gevent
import msgspec
import pytest
from msgspec import Raw

from kvstore.core.entries import START, Entry, Item, RememberedRequest
from kvstore.core.errors import StorageError
from kvstore.core.idempotency_table import REMEMBERED_ENTRIES
from kvstore.core.lineage import Lineage, ReignStart
from kvstore.core.records import (
    CutLog,
    NodeState,
    Promise,
    Record,
    ReplaceState,
    SaveEntries,
    SavePromise,
    StageParts,
)
from kvstore.node.sqlite_storage import FORMAT, SqliteStorage
from tests.unit.core import R1, R2, at, begin, delete, entries, name, put, reign

PROMISE = Promise("c", R2, "http://leader:5000", {"f:1": "n"})
REPLACEMENT = ReplaceState(
    promise=PROMISE,
    staging="s",
    position=at(9, R2),
    base=at(8, R2),
    entries=[put(9, "b", of=R2)],
    lineage=Lineage([ReignStart(R2, 1)]),
    members={"g:1": "m"},
)
ITEMS = [Item("a", 8, Raw(b"1")), Item("b", 9, Raw(b"1"))]
REQUEST = RememberedRequest("kept", 7, "f")


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
    steps = [begin(1), put(2, "a"), put(3, "b"), put(4, "a", '"é"'), delete(5, "b"), delete(6, "c")]
    save(tmp_path, SaveEntries(steps[:2]), SaveEntries(steps[2:]))
    state = load(tmp_path)
    assert state.log.entries() == steps
    assert state.map.items() == [Item("a", 4, Raw('"é"'.encode()))]
    assert state.map.position == at(6)


def test_a_noop_is_of_no_key_not_even_of_the_empty_one(tmp_path: Path) -> None:
    save(tmp_path, SaveEntries([begin(1), put(2, ""), name(3, {})]))
    assert load(tmp_path).map.items() == [Item("", 2, Raw(b"1"))]


def test_a_promise_is_found_again_whole(tmp_path: Path) -> None:
    led = Promise("c", reign(3, 5), "http://l", {"f:1": "n"}, True, True, "epoch 4")  # noqa: FBT003
    save(tmp_path, SavePromise(PROMISE), SavePromise(led))
    assert load(tmp_path).promise == led


def test_a_cut_log_begins_at_its_base_and_what_it_said_stays(tmp_path: Path) -> None:
    steps = [begin(1, members={"f:1": "n"}), put(2), begin(3, R2), name(4, {"g:1": "m"}, R2)]
    save(tmp_path, SaveEntries([*steps, put(5, of=R2)]), CutLog(4))
    log = load(tmp_path).log
    assert (log.base, log.entries()) == (at(4, R2), [put(5, of=R2)])
    assert log.lineage == Lineage([ReignStart(R1, 1), ReignStart(R2, 3)])
    assert log.members == {"g:1": "m"}
    assert len(load(tmp_path).map) == 1


# Another node's state


def test_the_replaced_state_is_what_was_staged_and_nothing_of_the_old_one(tmp_path: Path) -> None:
    save(tmp_path, SaveEntries([begin(1), put(2, "old", request="gone")]))
    save(tmp_path, StageParts("s", ITEMS[:1], []), StageParts("s", ITEMS[1:], [REQUEST]))
    save(
        tmp_path, StageParts("s", ITEMS[:1], []), StageParts("s", ITEMS[1:], [REQUEST]), REPLACEMENT
    )
    save(tmp_path, SaveEntries([put(10, "c", of=R2)]))
    state = load(tmp_path)
    assert (state.log.base, state.log.last) == (at(8, R2), at(10, R2))
    assert (state.log.lineage, state.log.members) == (REPLACEMENT.lineage, {"g:1": "m"})
    assert sorted(item.key for item in state.map.items()) == ["a", "b", "c"]
    assert state.map.requests.requests() == [REQUEST]
    assert state.promise == PROMISE


def test_the_staging_that_came_last_counts(tmp_path: Path) -> None:
    other = StageParts("other", [Item("x", 1, Raw(b"1"))], [RememberedRequest("x", 1, "f")])
    save(tmp_path, other, StageParts("s", ITEMS, [REQUEST]), REPLACEMENT)
    state = load(tmp_path)
    assert (state.map.items(), state.map.requests.requests()) == (ITEMS, [REQUEST])


@pytest.mark.parametrize("before", [[], [StageParts("other", ITEMS, [REQUEST])]])
def test_where_nothing_was_staged_the_map_is_empty(before: list[Record], tmp_path: Path) -> None:
    save(tmp_path, SaveEntries(entries(3)), *before, REPLACEMENT)
    state = load(tmp_path)
    assert (state.map.items(), state.map.requests.requests()) == ([], [])
    assert state.log.last == at(9, R2)


def test_what_is_staged_may_be_replaced_by_the_next_copy(tmp_path: Path) -> None:
    save(tmp_path, StageParts("s", ITEMS, []), REPLACEMENT)
    save(tmp_path, StageParts("t", ITEMS[:1], []), replace(REPLACEMENT, staging="t"))
    assert load(tmp_path).map.items() == ITEMS[:1]


def test_a_crash_while_staging_leaves_the_old_state(tmp_path: Path) -> None:
    save(tmp_path, SaveEntries(entries(3)))
    before = load(tmp_path)
    save(tmp_path, StageParts("s", ITEMS, [REQUEST]))
    after = load(tmp_path)
    assert (after.log.entries(), after.map.items()) == (before.log.entries(), before.map.items())
    assert after.map.requests.requests() == []
    with closing(connect(tmp_path)) as connection:
        assert connection.execute("SELECT count(*) FROM staged_map").fetchone() == (0,)


DISCARDED: list[Entry | Item] = [Item("cut", 1, Raw(b"1")), put(2), put(3)]


def test_what_is_discarded_is_kept_in_a_file(tmp_path: Path) -> None:
    assert load(tmp_path).discarded == 0
    save(tmp_path, SaveEntries(entries(3)), replace(REPLACEMENT, discarded=DISCARDED))
    (path,) = (tmp_path / "discarded").iterdir()
    assert path.name.endswith("-r2.jsonl")
    item, *rest = path.read_bytes().splitlines()
    assert msgspec.json.decode(item, type=Item) == DISCARDED[0]
    assert [msgspec.json.decode(line, type=Entry) for line in rest] == DISCARDED[1:]
    assert load(tmp_path).discarded == 3
    save(tmp_path, replace(REPLACEMENT, discarded=DISCARDED[:1]))
    assert load(tmp_path).discarded == 4


def test_what_is_discarded_is_durable_before_the_state_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        with closing(connect(tmp_path)) as other:
            assert other.execute("SELECT max(position) FROM log").fetchone() == (3,)

    monkeypatch.setattr("os.fsync", fsync)
    save(tmp_path, SaveEntries(entries(3)))
    save(tmp_path, replace(REPLACEMENT, discarded=DISCARDED))
    (path,) = (tmp_path / "discarded").iterdir()
    assert synced == [path.name, "discarded", tmp_path.name]


def test_a_state_that_cannot_be_kept_apart_is_not_given_up(tmp_path: Path) -> None:
    save(tmp_path, SaveEntries(entries(3)))
    (tmp_path / "discarded").write_text("a file where the folder should be")
    check_fails(tmp_path, replace(REPLACEMENT, discarded=DISCARDED), "discarded")
    assert load(tmp_path).log.last == at(3)


# Requests


def test_requests_are_remembered_and_forgotten_by_index(tmp_path: Path) -> None:
    far = 1 + REMEMBERED_ENTRIES
    position, lineage = at(far - 2), Lineage([ReignStart(R1, 1)])
    state = replace(REPLACEMENT, position=position, base=position, entries=[], lineage=lineage)
    save(tmp_path, StageParts("s", [], [RememberedRequest("first", 1, "f")]), state)
    save(tmp_path, SaveEntries([put(far - 1, request="second")]))
    assert load(tmp_path).map.requests.get("first") is not None
    save(tmp_path, SaveEntries([put(far)]))
    found = load(tmp_path).map.requests
    assert found.get("first") is None
    assert found.get("second") == RememberedRequest("second", far - 1, "f")


# Durable, or an error


def test_what_was_not_saved_is_not_there(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    storage.start(lambda _: None, lambda: None, gevent.spawn)
    storage.save([SaveEntries([begin(1)])])
    storage.flush()
    storage.save([SaveEntries([put(2)])])
    # Without a turn of the event loop nothing more can have been written: this is the crash.
    with closing(connect(tmp_path)) as other:
        assert other.execute("SELECT max(position) FROM log").fetchone() == (1,)
    storage.close()


def test_flush_waits_for_what_was_queued_by_others(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    saved: list[Record] = []
    storage.start(saved.append, lambda: None, gevent.spawn)
    storage.save([SaveEntries([begin(1)])])
    storage.flush()
    assert len(saved) == 1
    storage.close()


BEFORE: list[Record] = [
    SavePromise(PROMISE),
    SaveEntries([begin(1, R2), *(put(index, key, of=R2) for index, key in enumerate("abc", 2))]),
]
CHANGE = SaveEntries([put(5, "a", "2", of=R2, request="one"), delete(6, "b", of=R2)])
BATCHES: dict[str, list[Record]] = {
    "entries": [CHANGE],
    "records of every kind": [
        CHANGE,
        CutLog(2),
        SavePromise(Promise("c", reign(3), "http://l", is_own=True, has_led=True)),
        SaveEntries([begin(7, reign(3), {"f:2": "n"}), delete(8, "c", of=reign(3))]),
    ],
    "another state": [StageParts("s", ITEMS, [REQUEST]), REPLACEMENT],
}


def held(directory: Path) -> tuple[object, ...]:
    """Everything that a node finds in its directory."""
    state = load(directory)
    log, kv_map = state.log, state.map
    items, requests = kv_map.items(), kv_map.requests.requests()
    return state.promise, log.base, log.lineage, log.members, log.entries(), items, requests


@pytest.mark.parametrize("batch", BATCHES)
def test_a_node_killed_between_any_two_statements_has_a_batch_whole_or_not_at_all(
    batch: str, tmp_path: Path
) -> None:
    """What a killed process leaves behind is what is in its files at that moment."""
    directory, copies = tmp_path / "data", list[Path]()

    def copy(_statement: str) -> None:
        copies.append(tmp_path / f"killed{len(copies)}")
        copies[-1].mkdir()
        for file in ("kvstore.db", "kvstore.db-wal"):
            shutil.copy(directory / file, copies[-1])

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


def check_fails(directory: Path, record: Record, text: str) -> None:
    """Save a record, which must end the greenlet that saves."""
    storage = SqliteStorage(directory)
    greenlets: list[gevent.Greenlet[[], None]] = []

    def spawn(function: Callable[[], None]) -> "gevent.Greenlet[[], None]":
        greenlet = gevent.spawn(function)
        greenlets.append(greenlet)
        return greenlet

    storage.start(lambda _: None, lambda: None, spawn)
    storage.save([record])
    try:
        with pytest.raises(StorageError, match=text):
            greenlets[0].get(timeout=10)
    finally:
        # close() would wait for what can no longer be saved.
        storage._thread.apply(storage._connection.close)
        storage._thread.kill()
        storage._lock.close()


def connect(directory: Path) -> sqlite3.Connection:
    return sqlite3.connect(directory / "kvstore.db", isolation_level=None)


def write_format(number: int) -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        load(directory)
        with closing(connect(directory)) as connection:
            connection.execute(f"PRAGMA user_version={number}")

    return write


def write_garbage(directory: Path) -> None:
    directory.mkdir()
    (directory / "kvstore.db").write_bytes(b"not a database, but long enough to look like one" * 99)


def put_a_file_there(directory: Path) -> None:
    directory.write_text("a file")


@pytest.mark.parametrize(
    ("prepare", "text"),
    [
        (write_format(FORMAT + 1), "a newer version wrote it"),
        (write_format(1), "data: its format 1 is from before the first release; empty it"),
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
    load(tmp_path)
    with closing(connect(tmp_path)) as other:
        other.execute("DROP TABLE log")
    check_fails(tmp_path, SaveEntries([begin(1)]), "no such table")
