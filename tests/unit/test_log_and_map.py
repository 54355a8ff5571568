"""The pure data structures: log, map, staging, table of requests, quorum, preconditions."""

import gc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from kvstore.core.entries import START, Entry, Item, RememberedRequest
from kvstore.core.errors import PreconditionFailed
from kvstore.core.export import MAX_BYTES, MAX_ENTRIES, bounded
from kvstore.core.idempotency_table import IdempotencyTable
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.lineage import Lineage, ReignStart
from kvstore.core.preconditions import Precondition
from kvstore.core.progress import SnapshotTransfer
from kvstore.core.quorum import WriteQuorum
from kvstore.core.replication_log import ReplicationLog
from tests.support.replication import (
    R1,
    R2,
    at,
    delete,
    entries,
    first_entry,
    naming_entry,
    put,
    reign,
)

# The log


LINEAGE = Lineage([ReignStart(R1, 1)])


def log_of(count: int, base: int = 0) -> ReplicationLog:
    if base == 0:
        return ReplicationLog(entries=entries(count))
    parts = [put(base + number) for number in range(1, count + 1)]
    return ReplicationLog(at(base), parts, LINEAGE, {"f": "n"})


def test_log_knows_its_positions_cut_or_not() -> None:
    log = log_of(3, base=10)
    assert [log.position_at(index) for index in (4, 10, 13, 14)] == [at(4), at(10), at(13), None]
    assert log.contains(at(13))
    assert log.contains(at(4))
    assert not log.contains(at(13, reign(1, 5))), "an entry is known by its reign and its index"
    assert not log.contains(at(14))
    reached = [log.reaches_back_to(index) for index in (9, 10, 13, 14)]
    assert reached == [False, True, True, False]


def test_the_log_has_no_gaps_and_epochs_never_fall() -> None:
    log = log_of(3)
    log.append(first_entry(4, R2))
    assert log.last == at(4, R2)
    for entry, text in ((put(6, of=R2), "no gaps"), (put(4, of=R2), "no gaps"), (put(5), "fall")):
        with pytest.raises(AssertionError, match=text):
            log.append(entry)


def test_what_noops_say_stays_when_they_are_cut() -> None:
    log = log_of(3)
    for entry in (naming_entry(4, {"f": "n"}), first_entry(5, R2, {"g": "m"}), put(6, of=R2)):
        log.append(entry)
        assert log.members == {4: {"f": "n"}}.get(entry.index, {"g": "m"})
    assert log[4].size > log[6].size, "names take room in a message, too"
    log.cut(6)
    assert log.lineage == LINEAGE.extended(R2, 5)
    assert log.members == {"g": "m"}


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
    assert (log.base, log.entries()[0].index) == (at(4), 5)
    assert [entry.index for entry in log.entries(behind=8)] == [9, 10]
    assert log.size == size - sum(entry.size for entry in entries(4))
    log.cut(10)
    assert (log.size, log.entries(), log.last) == (0, [], at(10))


class WalkedEntries(list[Entry]):
    """Entries that count how many of them were looked at."""

    walked = 0

    def __iter__(self) -> Iterator[Entry]:
        for entry in super().__iter__():
            self.walked += 1
            yield entry


BASE, ANY = 10, 1 << 30
HALF = log_of(20, BASE).size // 2


@pytest.mark.parametrize(
    ("floor", "max_entries", "max_bytes", "cut"),
    [
        (30, 18, ANY, 12),
        (30, 19, ANY, None),
        (30, 10, ANY, 20),
        (17, 10, ANY, 17),
        (BASE, 10, ANY, None),
        (30, 1000, HALF, 20),
        (20, 1000, HALF, 20),
        (17, 1000, HALF, 17),
        (BASE, 1000, HALF, None),
        (30, 1000, ANY, None),
    ],
)
def test_retention_by_entries_or_bytes_leaves_what_is_behind_the_floor(
    floor: int, max_entries: int, max_bytes: int, cut: int | None
) -> None:
    log = log_of(20, BASE)
    entries = log._entries = WalkedEntries(log._entries)
    assert log.retention_cut(floor, max_entries, max_bytes) == cut
    # However long a floor holds back a cut, it costs nothing to ask for one.
    assert entries.walked <= (0 if cut is None else cut - BASE + 1)


# The map


def test_map_executes_entries_in_order_once() -> None:
    kv_map = KeyValueMap()
    for entry in (first_entry(1), put(2, "a"), put(3, "b"), put(4, "a", "2")):
        kv_map.apply(entry)
    for entry in (delete(5, "b"), delete(6, "c")):
        kv_map.apply(entry)
    assert kv_map.items() == [Item("a", 4, Raw(b"2"))]
    assert kv_map.position == at(6)
    for wrong in (put(6), put(8)):
        with pytest.raises(AssertionError):
            kv_map.apply(wrong)


def test_the_garbage_collector_does_not_look_through_a_long_copy() -> None:
    items = [Item(f"key{number}", number + 1, Raw(b"0")) for number in range(10_000)]
    kv_map = KeyValueMap(START, items)
    try:
        copy = kv_map.items()
        assert copy == items
        assert not any(each is copy for each in gc.get_objects())
    finally:
        gc.unfreeze()


def test_digest_sees_key_value_version_and_index() -> None:
    def digest(index: int, *items: Item) -> str:
        return KeyValueMap(at(index), items).digest()

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


def test_requests_are_forgotten_by_index() -> None:
    table = IdempotencyTable(remembered_entries=3)
    for entry in (put(1, request="a"), put(2), put(3, request="b")):
        table.apply(entry)
    assert table.get("a") == RememberedRequest("a", 1, "f")
    table.apply(put(4))
    assert table.get("a") is None
    table.apply(put(5, request="a"))
    assert [request.index for request in table.requests()] == [3, 5]
    assert IdempotencyTable(table.requests()).get("a") == RememberedRequest("a", 5, "f")
    table.apply(put(6, request="a"))
    table.apply(put(7))
    table.apply(put(8))
    assert table.get("a") == RememberedRequest("a", 6, "f"), "it was used again since"


# A copy on its way


@pytest.mark.parametrize("max_entries", [1, 2, 3, 100])
@pytest.mark.parametrize("count", [0, 3])
def test_a_snapshot_travels_in_parts(count: int, max_entries: int) -> None:
    items = [Item(f"k{number}", number, Raw(b"1")) for number in range(1, count + 1)]
    requests = [RememberedRequest(f"r{number}", number, "f") for number in range(1, count)]
    transfer = SnapshotTransfer("s", KeyValueMap(at(3), items, requests), max_entries)
    sent: list[Item | RememberedRequest] = []
    done = False
    while not done:
        some_items, some_requests, done = transfer.chunk()
        assert min(count, 1) <= len(some_items) + len(some_requests) <= max_entries
        sent += [*some_items, *some_requests]
        transfer.offset += len(some_items) + len(some_requests)
        assert transfer.offset == len(sent)
    assert sent == [*items, *requests]


# The quorum


@settings(deadline=None)
@given(st.integers(0, 20), st.lists(st.integers(0, 20), min_size=1, max_size=6), st.data())
def test_commit_index_is_what_the_leader_and_w_followers_hold(
    leader_index: int, matches: list[int], data: st.DataObject
) -> None:
    size = data.draw(st.integers(0, len(matches)))
    quorum = WriteQuorum(size, len(matches))
    quorum.begin(0)
    commit = quorum.advance(leader_index, matches)
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


def test_a_quorum_raised_from_0_begins_anew() -> None:
    quorum = WriteQuorum(0, 2)
    quorum.begin(5)
    assert (quorum.advance(6, [0, 0]), quorum.has_begun) == (6, True)
    quorum.resize(1)
    assert (quorum.advance(6, [4, 0]), quorum.has_begun) == (6, False)
    assert (quorum.advance(6, [5, 0]), quorum.has_begun) == (6, True)
    quorum.resize(2)
    assert quorum.has_begun, "one follower holds the first entry"


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
