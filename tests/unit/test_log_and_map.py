"""The pure data structures: log, map, table of requests, quorum, preconditions."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from kvstore.entries import START, Entry, Item, Position, Request
from kvstore.errors import PreconditionFailed
from kvstore.key_value_map import KeyValueMap
from kvstore.messages import MAX_BYTES, MAX_ENTRIES, bounded
from kvstore.preconditions import Precondition
from kvstore.quorum import WriteQuorum
from kvstore.replication_log import ReplicationLog
from kvstore.request_table import RequestTable
from tests.unit.core import delete, put

# The log


def log_of(count: int, base: Position = START) -> ReplicationLog:
    entries = [put(base.index + number) for number in range(1, count + 1)]
    return ReplicationLog(base, entries)


def test_log_holds_positions_from_its_base_to_its_end() -> None:
    log = log_of(3, Position(1, 10))
    assert [log.position_at(index) for index in (9, 10, 13, 14)] == [
        None,
        Position(1, 10),
        Position(1, 13),
        None,
    ]
    assert log.contains(Position(1, 10))
    assert log.contains(Position(1, 13))
    assert not log.contains(Position(2, 13))
    assert not log.contains(Position(1, 14))


@pytest.mark.parametrize("entry", [put(5), put(3), put(4, epoch=0x7FFF), put(2)])
def test_log_takes_the_next_index_only(entry: Entry) -> None:
    log = log_of(3)
    if entry.index == 4:
        log.append(entry)
        assert log.last == entry.position
        with pytest.raises(AssertionError, match="never fall"):
            log.append(put(5))
    else:
        with pytest.raises(AssertionError, match="no gaps"):
            log.append(entry)


def test_log_gives_what_fits_into_a_message() -> None:
    log = log_of(MAX_ENTRIES + 5)
    assert [e.index for e in log.after(2, through=5)] == [3, 4, 5]
    assert len(log.after(0, through=log.last.index)) == MAX_ENTRIES
    assert log.after(5, through=5) == []


def test_a_large_entry_travels_alone() -> None:
    large = put(2, value=f'"{"x" * MAX_BYTES}"')
    parts = [put(1), large, put(3)]
    assert bounded(parts, 0, 3) == [parts[0]]
    assert bounded(parts, 1, 3) == [large]
    assert bounded(parts, 2, 3) == [parts[2]]


def test_cutting_moves_the_base_and_the_size() -> None:
    log = log_of(10)
    size = log.size
    log.cut(4)
    assert (log.base, log.entries()[0].index) == (Position(1, 4), 5)
    assert log.size == size - sum(put(number).size for number in range(1, 5))
    log.cut(10)
    assert (log.size, log.entries(), log.last) == (0, [], Position(1, 10))


@pytest.mark.parametrize(
    ("floor", "max_entries", "cut"),
    [(20, 18, 2), (20, 19, None), (20, 10, 10), (7, 10, 7), (0, 10, None)],
)
def test_retention_by_entries(floor: int, max_entries: int, cut: int | None) -> None:
    assert log_of(20).retention_cut(floor, max_entries, 1 << 30) == cut


def test_retention_by_bytes() -> None:
    log = log_of(20)
    cut = log.retention_cut(20, 1000, log.size // 2)
    assert cut == 10


@pytest.mark.parametrize(("floor", "cut"), [(20, 10), (10, 10), (7, 7), (1, 1), (0, None)])
def test_retention_by_bytes_leaves_what_is_behind_the_floor(floor: int, cut: int | None) -> None:
    log = log_of(20)
    assert log.retention_cut(floor, 1000, log.size // 2) == cut


class WalkedEntries(list[Entry]):
    """Entries that count how many of them were looked at."""

    walked = 0

    def __iter__(self) -> Iterator[Entry]:
        for index in range(len(self)):
            yield self[index]

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        self.walked += len(found) if isinstance(index, slice) else 1
        return found


@pytest.mark.parametrize(
    ("floor", "max_entries", "max_bytes"),
    [(1, 1000, 1000), (20, 1000, 1000), (5, 1000, 1000), (1, 2, 1 << 30), (20, 1000, 1 << 30)],
)
def test_the_cut_looks_at_no_more_entries_than_it_cuts(
    floor: int, max_entries: int, max_bytes: int
) -> None:
    """However long a floor holds back a cut, it costs nothing to ask for one."""
    log = log_of(20)
    log.cut(1)
    entries = log._entries = WalkedEntries(log._entries)
    cut = log.retention_cut(floor, max_entries, max_bytes)
    assert entries.walked <= (0 if cut is None else cut - log.base.index + 1)


# The map


def test_map_executes_entries_in_order_once() -> None:
    kv_map = KeyValueMap()
    for entry in (put(1, "a"), put(2, "b"), put(3, "a", "2"), delete(4, "b"), delete(5, "c")):
        kv_map.apply(entry)
    assert kv_map.items() == [Item("a", 3, Raw(b"2"))]
    assert kv_map.position == Position(1, 5)
    for wrong in (put(5), put(7)):
        with pytest.raises(AssertionError):
            kv_map.apply(wrong)


def test_digest_sees_key_value_version_and_index() -> None:
    def digest(index: int, *items: Item) -> str:
        return KeyValueMap(Position(1, index), items).digest()

    a, b = Item("a", 1, Raw(b"1")), Item("b", 2, Raw(b"2"))
    same = digest(2, a, b)
    assert digest(2, b, a) == same
    others = [
        digest(3, a, b),
        digest(2, a),
        digest(2, Item("a", 2, Raw(b"1")), b),
        digest(2, Item("a", 1, Raw(b"3")), b),
        digest(2, Item("c", 1, Raw(b"1")), b),
    ]
    assert len({same, *others}) == 6


# Requests


def repeatable(index: int, key: str) -> Entry:
    return Entry(
        index=index,
        epoch=1,
        operation="delete",
        key="k",
        idempotency_key=key,
        fingerprint=f"f{index}",
    )


def test_requests_are_forgotten_by_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvstore.request_table.REMEMBERED_ENTRIES", 3)
    table = RequestTable()
    for entry in (repeatable(1, "a"), put(2), repeatable(3, "b")):
        table.apply(entry)
    assert table.get("a") == Request("a", 1, "f1")
    table.apply(put(4))
    assert table.get("a") is None
    table.apply(repeatable(5, "a"))
    assert [request.index for request in table.requests()] == [3, 5]
    assert RequestTable(table.requests()).get("a") == Request("a", 5, "f5")


def test_a_key_used_again_is_not_forgotten_with_its_first_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kvstore.request_table.REMEMBERED_ENTRIES", 3)
    table = RequestTable([Request("a", 1, "f"), Request("a", 3, "g")])
    table.apply(put(4))
    assert table.get("a") == Request("a", 3, "g")


# The quorum


@given(
    st.integers(0, 20),
    st.lists(st.integers(0, 20), min_size=1, max_size=6),
    st.data(),
)
def test_commit_index_is_what_the_leader_and_w_followers_hold(
    leader_index: int, matches: list[int], data: st.DataObject
) -> None:
    size = data.draw(st.integers(0, len(matches)))
    commit = WriteQuorum(size, len(matches)).advance(leader_index, matches)
    holds = [i for i in range(leader_index + 1) if sum(m >= i for m in matches) >= size]
    assert commit == max(holds)


def test_commit_index_never_falls() -> None:
    quorum = WriteQuorum(1, 3)
    assert quorum.advance(9, [7, 2, 2]) == 7
    assert quorum.advance(9, [0, 2, 2]) == 7
    quorum.resize(3)
    assert quorum.advance(9, [9, 9, 8]) == 8
    quorum.resize(0)
    assert quorum.advance(9, [0, 0, 0]) == 9


@pytest.mark.parametrize("size", [-1, 4])
def test_a_quorum_outside_the_followers_is_refused(size: int) -> None:
    quorum = WriteQuorum(2, 3)
    with pytest.raises(ValueError, match="0 to 3"):
        quorum.resize(size)
    assert quorum.size == 2


# Preconditions


@pytest.mark.parametrize(
    ("precondition", "version", "holds"),
    [
        (Precondition(), None, True),
        (Precondition(versions=frozenset({3})), 3, True),
        (Precondition(versions=frozenset({3})), 4, False),
        (Precondition(versions=frozenset({3})), None, False),
        (Precondition(not_versions=frozenset({3})), 3, False),
        (Precondition(not_versions=frozenset({3})), None, True),
        (Precondition(exists=True), 1, True),
        (Precondition(exists=True), None, False),
        (Precondition(exists=False), None, True),
        (Precondition(exists=False), 1, False),
    ],
)
def test_preconditions(precondition: Precondition, version: int | None, holds: bool) -> None:
    if holds:
        precondition.check(version)
    else:
        with pytest.raises(PreconditionFailed) as failed:
            precondition.check(version)
        assert failed.value.version == version
