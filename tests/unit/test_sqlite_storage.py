"""What a node finds again in its data directory."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import gevent
import msgspec
import pytest
from gevent.pool import Group
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from kvstore.core.entries import START, Entry, Item, Position, RememberedRequest
from kvstore.core.errors import StorageError
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
from kvstore.node.database import DEFAULT_LIMITS, FORMAT, DatabaseLimits
from kvstore.node.sqlite_storage import SqliteStorage
from tests.support.replication import R2, at, delete, entries, first_entry, naming_entry, put, reign

PROMISE = Promise("c", R2, "http://leader:5000", {"f:1": "n"})
REPLACEMENT = ReplaceState(
    promise=PROMISE,
    staging_id="s",
    position=at(9, R2),
    base=at(8, R2),
    entries=[put(9, "b", of=R2)],
    lineage=Lineage([ReignStart(R2, 1)]),
    members={"g:1": "m"},
)
ITEMS = [Item("a", 8, Raw(b"1")), Item("b", 9, Raw(b"1"))]
REQUEST = RememberedRequest("kept", 7, "f")


def started(
    directory: Path,
    on_saved: Callable[[Record], None] = lambda _: None,
    limits: DatabaseLimits = DEFAULT_LIMITS,
) -> SqliteStorage:
    storage = SqliteStorage(directory, limits)
    storage.start(on_saved, lambda: None, gevent.spawn)
    return storage


def save(directory: Path, *records: Record) -> None:
    """Save records, and close."""
    reported: list[Record] = []
    storage = started(directory, reported.append)
    storage.save(list(records))
    storage.flush()
    assert reported == list(records)
    storage.close()


def load(directory: Path) -> NodeState:
    with closing(started(directory)) as storage:
        return storage.load()


def contents(state: NodeState) -> tuple[object, ...]:
    """Everything, to be compared."""
    log, kv_map = state.log, state.map
    return (
        state.node_id,
        state.promise,
        kv_map.position,
        sorted((item.key, item.version, bytes(item.value)) for item in kv_map.items()),
        kv_map.requests.requests(),
        log.base,
        log.entries(),
        log.lineage,
        log.members,
        state.discarded,
    )


def test_a_new_directory_is_an_empty_node_that_keeps_its_id(tmp_path: Path) -> None:
    first, second = load(tmp_path / "new"), load(tmp_path / "new")
    assert first.node_id == second.node_id
    assert (second.promise, second.log.last, second.map.items()) == (Promise(), START, [])
    assert load(tmp_path / "other").node_id != first.node_id


# Records


PROMISES = st.builds(
    Promise,
    st.just("c"),
    st.builds(reign, st.integers(1, 9), st.just(5)),
    st.just("http://l"),
    st.just({"f:1": "n"}),
    is_own=st.booleans(),
    has_led=st.booleans(),
    deposed_by=st.none() | st.just("another"),
)


@st.composite
def appended(draw: st.DrawFn, before: Position) -> list[Entry]:
    """Some entries behind a position."""
    made: list[Entry] = []
    of = reign(before.epoch or 1)
    for index in range(before.index + 1, before.index + 1 + draw(st.integers(1, 3))):
        if index == 1 or draw(st.integers(0, 4)) == 0:
            of = reign(of.epoch + (index > 1))
            made.append(first_entry(index, of, {"f:1": f"node{index}"}))
            continue
        key = draw(st.sampled_from(["", "a", "b"]))
        puts = [put(index, key, str(index), of, request) for request in (None, "x", "y")]
        others = [delete(index, key, of), naming_entry(index, {"g:1": f"node{index}"}, of)]
        made.append(draw(st.sampled_from([*puts, *others])))
    return made


@st.composite
def parts(draw: st.DrawFn, state: NodeState) -> StageParts:
    """The next parts of a copy."""
    staging = draw(st.sampled_from("sst"))
    count = state.staged(staging)
    items = [Item(key, 1 + count, Raw(b"1")) for key in draw(st.sets(st.sampled_from("abc")))]
    index = 1 + count + len(items)
    requests = [RememberedRequest(f"r{index}", index, "f")] if draw(st.booleans()) else []
    return StageParts(staging, items, requests)


@st.composite
def other_states(draw: st.DrawFn, held: NodeState) -> ReplaceState:
    """Another state, at a position behind all that can have been staged."""
    arrived = "s" if held.staging is None else held.staging.id
    of = reign(draw(st.integers(2, 4)))
    last = draw(st.integers(30, 40))
    base = draw(st.integers(last - 3, last))
    return ReplaceState(
        promise=draw(PROMISES),
        staging_id=draw(st.sampled_from([arrived, arrived, "other"])),
        position=at(last, of),
        base=at(base, of),
        entries=[put(index, of=of) for index in range(base + 1, last + 1)],
        lineage=Lineage([ReignStart(reign(1, takeover="t"), 1), ReignStart(of, 7)]),
        members={"h:1": "m"},
    )


KINDS = ["entries", "entries", "parts", "parts", "state", "cut", "promise"]


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[list[Record], bool]]:
    """Records that one node may leave, in batches; and whether it restarts after a batch."""
    state = NodeState("n")
    history: list[tuple[list[Record], bool]] = []
    for size in draw(st.lists(st.integers(1, 5), min_size=1, max_size=5)):
        for _ in range(size):
            match draw(st.sampled_from(KINDS)):
                case "entries":
                    state.change(SaveEntries(draw(appended(state.log.last))))
                case "parts":
                    state.change(draw(parts(state)))
                case "state":
                    state.replace(draw(other_states(state)))
                case "cut" if state.log.entries():
                    kept = st.integers(state.log.base.index + 1, state.log.last.index)
                    state.change(CutLog(draw(kept)))
                case _:
                    state.change(SavePromise(draw(PROMISES)))
        records = state.take_unsaved()
        for record in records:
            state.execute(record)
        restarts = draw(st.booleans())
        if restarts:
            state.staging = None
        history.append((records, restarts))
    return history


LIMITS = st.builds(
    DatabaseLimits,
    remembered_entries=st.just(4),
    entries_behind=st.integers(0, 8),
    bytes_behind=st.sampled_from([0, 700, 1 << 20]),
)


@settings(max_examples=100, deadline=None)
@given(histories(), LIMITS)
def test_a_directory_holds_what_its_records_make_of_a_node(
    history: list[tuple[list[Record], bool]], limits: DatabaseLimits
) -> None:
    with TemporaryDirectory() as folder:
        storage = started(Path(folder), limits=limits)
        node_id = storage.load().node_id
        state = NodeState(node_id, map=KeyValueMap(remembered_entries=4))
        for records, restarts in history:
            storage.save(records)
            storage.flush()
            for record in records:
                state.apply(record)
            if restarts:
                storage.close()
                storage = started(Path(folder), limits=limits)
                state.staging = None
            assert contents(storage.load()) == contents(state)
        storage.close()


# Another node's state


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


def test_what_is_discarded_is_in_a_file_before_the_state_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        with closing(connect(tmp_path)) as other:
            assert other.execute("SELECT max(last_index) FROM log").fetchone() == (3,)

    save(tmp_path, SaveEntries(entries(3)))
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", fsync)
        save(tmp_path, replace(REPLACEMENT, discarded=DISCARDED))
    (path,) = (tmp_path / "discarded").iterdir()
    assert synced == [path.name, "discarded", tmp_path.name]
    assert path.name.endswith("-r2.jsonl")
    item, *rest = path.read_bytes().splitlines()
    assert msgspec.json.decode(item, type=Item) == DISCARDED[0]
    assert [msgspec.json.decode(line, type=Entry) for line in rest] == DISCARDED[1:]
    assert load(tmp_path).discarded == 3
    save(tmp_path, replace(REPLACEMENT, discarded=DISCARDED[:1]))
    assert load(tmp_path).discarded == 4


def test_a_state_that_cannot_be_kept_apart_is_not_given_up(tmp_path: Path) -> None:
    save(tmp_path, SaveEntries(entries(3)))
    (tmp_path / "discarded").write_text("a file where the folder should be")
    check_fails(tmp_path, replace(REPLACEMENT, discarded=DISCARDED), "discarded")
    assert load(tmp_path).log.last == at(3)


# Durable, or an error


BEFORE: list[Record] = [
    SavePromise(PROMISE),
    SaveEntries(
        [first_entry(1, R2), *(put(index, key, of=R2) for index, key in enumerate("abc", 2))]
    ),
]
CHANGE = SaveEntries([put(5, "a", "2", of=R2, request="one"), delete(6, "b", of=R2)])
BATCHES: dict[str, list[Record]] = {
    "records of every kind": [
        CHANGE,
        CutLog(2),
        SavePromise(Promise("c", reign(3), "http://l", is_own=True, has_led=True)),
        SaveEntries([first_entry(7, reign(3), {"f:2": "n"}), delete(8, "c", of=reign(3))]),
    ],
    "another state": [StageParts("s", ITEMS, [REQUEST]), REPLACEMENT],
}


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
    before = contents(load(directory))
    storage = started(directory)
    storage._thread.apply(storage._database._connection.set_trace_callback, (copy,))
    storage.save(BATCHES[batch])
    storage.flush()
    storage._thread.apply(storage._database._connection.set_trace_callback, (None,))
    copy("the last statement is done")
    storage.close()
    found = [contents(load(killed)) for killed in copies]
    after = found.pop()
    assert after == contents(load(directory)) != before
    assert len(found) > 5
    assert [state for state in found if state not in (before, after)] == []


def test_every_commit_is_asked_to_reach_the_disk(tmp_path: Path) -> None:
    with closing(started(tmp_path)) as storage:
        found = {
            name: storage._database._execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous")
        }
    full = 2
    assert found == {"journal_mode": "wal", "synchronous": full}


def check_fails(directory: Path, record: Record, text: str, harm: str = "SELECT 1") -> None:
    """Save a record, which must end the greenlet that saves.

    :param harm: done to the file before, through another connection.
    """
    storage, greenlets = SqliteStorage(directory), Group()
    storage.start(lambda _: None, lambda: None, greenlets.spawn)
    (saver,) = greenlets
    with closing(connect(directory)) as other:
        other.execute(harm)
    storage.save([record])
    with pytest.raises(StorageError, match=text):
        saver.get(timeout=10)
    # close() would wait for what can no longer be saved.
    storage._database.close()
    storage._thread.kill()
    storage._lock.close()


def connect(directory: Path) -> sqlite3.Connection:
    return sqlite3.connect(directory / "kvstore.db", isolation_level=None)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (FORMAT + 1, "a newer version wrote it"),
        (FORMAT - 1, f"its format {FORMAT - 1} is from before the first release; empty it"),
    ],
)
def test_a_directory_of_another_format_is_refused(tmp_path: Path, number: int, text: str) -> None:
    load(tmp_path)
    with closing(connect(tmp_path)) as connection:
        connection.execute(f"PRAGMA user_version={number}")
    with pytest.raises(StorageError, match=f"{tmp_path}: .*{text}"):
        SqliteStorage(tmp_path)


def test_what_is_no_directory_or_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "kvstore.db"
    file.write_bytes(b"not a database, but long enough to look like one" * 99)
    for path, text in ((tmp_path, "not a database"), (file, str(file))):
        with pytest.raises(StorageError, match=text):
            SqliteStorage(path)


def test_the_stored_names_are_those_of_this_format() -> None:
    promise = msgspec.json.decode(msgspec.json.encode(Promise()), type=dict)
    position = msgspec.json.decode(msgspec.json.encode(START), type=dict)
    assert (FORMAT, [*promise], [*position], [*Entry.__struct_encode_fields__]) == (
        4,
        ["cluster_id", "reign", "leader_url", "members", "is_own", "has_led", "deposed_by"],
        ["epoch", "index", "reign_id"],
        [
            *("index", "epoch", "reign", "operation", "key", "value"),
            *("idempotency_key", "fingerprint", "begins", "members", "continues"),
        ],
    ), "a name that changes needs another FORMAT: reading ignores unknown names"


def test_a_directory_in_use_is_refused_until_it_is_free(tmp_path: Path) -> None:
    with (
        closing(started(tmp_path)),
        pytest.raises(StorageError, match="in use by another process"),
    ):
        SqliteStorage(tmp_path)
    load(tmp_path)


def test_a_failed_write_is_an_error_of_the_greenlet_that_saves(tmp_path: Path) -> None:
    check_fails(tmp_path, SaveEntries([first_entry(1)]), "no such table", "DROP TABLE log")
