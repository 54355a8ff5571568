"""Which messages a follower accepts, and what it answers."""

import msgspec
import pytest
from msgspec import Raw

from kvstore.entries import START, Entry, Item, Position
from kvstore.errors import InvalidRequest, NotReady
from kvstore.follower import MAX_EPOCH_JUMP, Follower
from kvstore.messages import Append, Claim, Fetch, Fetched, Header, Hello, SnapshotChunk
from kvstore.records import CutLog, NodeState, SavePromise
from tests.unit.core import append, chunk, claim, delete, follower, put, save

HEADER = Header(epoch=1, reign="r", cluster="c", leader="http://leader")


def holding(count: int, **options: int) -> Follower:
    made = follower(**options)  # type: ignore[arg-type]
    if count:
        made.append(append(*[put(index) for index in range(1, count + 1)]))
        save(made)
    return made


def state(made: Follower) -> tuple[object, ...]:
    return made.promise, made.log.last, made.map.digest(), made.commit_index, made.take_unsaved()


# Claims


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (claim(2, "new"), None),
        (claim(1, "r"), None),
        (claim(1, "twin"), "another reign is in force"),
        (claim(2, "new", cluster="other"), "this node belongs to another cluster"),
        (claim(1 + MAX_EPOCH_JUMP, "new"), None),
        (claim(2 + MAX_EPOCH_JUMP, "new"), "the epoch is absurdly high"),
        (msgspec.structs.replace(claim(2, "new"), after_epoch=1, after_reign="r"), None),
        (
            msgspec.structs.replace(claim(2, "new"), after_epoch=1, after_reign="twin"),
            "another reign began meanwhile",
        ),
        (
            msgspec.structs.replace(claim(2, "new"), after_epoch=0, after_reign=None),
            "another reign began meanwhile",
        ),
    ],
)
def test_claims(message: Claim, error: str | None) -> None:
    made = follower()
    before = made.promise
    answer = made.claim(message)
    assert answer.error == error
    accepted = error is None
    assert (made.promise.epoch, made.promise.reign) == (
        (message.epoch, message.reign) if accepted else (before.epoch, before.reign)
    )
    records = made.take_unsaved()
    assert records == ([SavePromise(made.promise)] if made.promise != before else [])


def test_a_claim_without_a_cluster_is_malformed() -> None:
    with pytest.raises(InvalidRequest):
        follower(claimed=False).claim(Claim(epoch=1, reign="r"))


def test_hello_changes_nothing_and_shows_the_position() -> None:
    made = holding(3)
    before = state(made)
    answer = made.hello(Hello(**HEADER))
    assert (answer.position, answer.epoch, answer.reign) == (Position(1, 3), 1, "r")
    assert made.hello(Hello(epoch=9, reign="x", cluster="other")).error is not None
    assert made.hello(Hello(epoch=0, reign="", cluster=None)).error is None
    assert state(made) == before


# Appends


def test_entries_are_served_when_they_are_durable() -> None:
    made = follower()
    made.append(append(put(1, "a"), delete(2, "b")))
    assert (made.log.last.index, made.applied_index) == (2, 0)
    save(made)
    assert (made.applied_index, made.map.get("a")) == (2, Item("a", 1, Raw(b"1")))


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (append(put(4), prev=Position(1, 3), reign="twin"), "another reign is in force"),
        (append(put(4), prev=Position(1, 3), epoch=2), "this reign has not claimed the follower"),
        (append(put(5), prev=Position(1, 4)), "the position before the entries is not held"),
        (append(put(3, epoch=2), prev=Position(2, 2), epoch=2, reign="r2"), "has not claimed"),
    ],
)
def test_a_refused_append_changes_nothing(message: Append, error: str) -> None:
    made = holding(3)
    before = state(made)
    answer = made.append(message)
    assert answer.error is not None
    assert error in answer.error
    assert answer.position == Position(1, 3)
    assert state(made) == before


def test_duplicates_and_overlaps_are_acknowledged_not_applied_again() -> None:
    made = holding(3)
    batch = append(put(2), put(3), put(4, "new"), prev=Position(1, 1))
    for _ in range(2):
        assert made.append(batch).error is None
        save(made)
    assert made.log.last == Position(1, 4)
    assert made.append(append(put(1))).error is None
    assert made.log.last == Position(1, 4)


def test_an_entry_of_another_order_is_refused() -> None:
    made = holding(3)
    made.claim(claim(2, "r2"))
    save(made)
    other = append(put(2, epoch=2), prev=Position(1, 1), epoch=2, reign="r2")
    assert made.append(other).error == "an entry differs from the one held"


@pytest.mark.parametrize(
    "message",
    [
        append(put(2)),
        append(put(1), put(3)),
        append(put(1, epoch=2)),
        append(put(1, epoch=2), put(2, epoch=1), epoch=2),
        append(Entry(index=1, epoch=1, operation="put", key="k")),
        append(Entry(index=1, epoch=1, operation="delete", key="k", value=Raw(b"1"))),
        append(put(1), last_index=0),
        append(put(1), commit_index=2),
        append(Entry(index=1, epoch=1, operation="delete", key="k", idempotency_key="i")),
    ],
)
def test_a_batch_that_contradicts_itself_is_malformed(message: Append) -> None:
    made = follower()
    with pytest.raises(InvalidRequest):
        made.append(message)
    assert made.log.last == START
    assert made.take_unsaved() == []


def test_the_log_is_cut_to_its_retention_and_the_map_stays() -> None:
    made = holding(30, retain=10)
    assert (made.log.base.index, made.applied_index) == (20, 30)
    late = append(put(5), prev=Position(1, 4))
    assert made.append(late).error == "the position before the entries is not held"


def test_a_cut_is_recorded() -> None:
    made = Follower(NodeState("f"), log_retain=10, log_retain_bytes=1 << 20)
    made.claim(claim())
    made.append(append(*(put(index) for index in range(1, 31))))
    for record in made.take_unsaved():
        made.saved(record)
    assert made.take_unsaved() == [CutLog(20)]


# Snapshots


def test_a_tail_of_another_order_gives_way_to_the_snapshot_of_its_reign() -> None:
    made = holding(12)
    made.claim(claim(2, "r2"))
    late = append(put(6), prev=Position(1, 5), epoch=2, reign="r2", last_index=9)
    assert made.append(late).error is None
    made.snapshot(chunk(epoch=2, reign="r2"))
    save(made)
    assert made.log.last == Position(1, 9)


def test_a_snapshot_replaces_everything_in_one_step() -> None:
    made = holding(3)
    first = chunk(items=[Item("a", 7, Raw(b"7"))], done=False)
    assert made.snapshot(first).error is None
    save(made)
    assert made.applied_index == 3, "staged only"
    assert made.snapshot(chunk(offset=1, items=[Item("b", 9, Raw(b"9"))])).error is None
    assert made.applied_index == 3, "not durable yet"
    save(made)
    assert {item.key for item in made.map.items()} == {"a", "b"}
    assert (made.log.base, made.log.last) == (Position(1, 9), Position(1, 9))
    assert made.append(append(put(10), prev=Position(1, 9))).error is None


def test_a_late_duplicate_is_acknowledged_only() -> None:
    made = holding(12)
    made.snapshot(chunk(items=[Item("old", 1, Raw(b"1"))]))
    save(made)
    assert (made.log.last, made.map.get("old")) == (Position(1, 12), None)


def test_a_later_reign_may_take_a_follower_back() -> None:
    made = holding(12)
    made.append(append(prev=Position(1, 12), last_index=12, commit_index=12))
    made.claim(claim(2, "r2"))
    made.snapshot(chunk(epoch=2, reign="r2"))
    save(made)
    assert made.log.last == Position(1, 9)
    assert made.commit_index == 0, "what was confirmed in another order is no lower bound here"


@pytest.mark.parametrize(
    ("chunks", "error"),
    [
        ([chunk(offset=1)], "first chunks are missing"),
        (
            [chunk(items=[Item("a", 1, Raw(b"1"))], done=False), chunk(snapshot="x", offset=1)],
            "first chunks are missing",
        ),
        ([chunk(done=False), chunk(offset=2)], "a chunk of the snapshot is missing"),
        ([chunk(reign="twin")], "another reign is in force"),
    ],
)
def test_chunks_out_of_place_are_refused(chunks: list[SnapshotChunk], error: str) -> None:
    made = holding(3)
    answers = [made.snapshot(each) for each in chunks]
    assert error in (answers[-1].error or "")
    save(made)
    assert made.log.last == Position(1, 3)


@pytest.mark.parametrize(
    "message",
    [
        chunk(index_epoch=2),
        chunk(last_index=8),
        chunk(items=[Item("a", 10, Raw(b"1"))]),
        chunk(items=[Item("a", 0, Raw(b"1"))]),
    ],
)
def test_a_chunk_that_contradicts_itself_is_malformed(message: SnapshotChunk) -> None:
    with pytest.raises(InvalidRequest):
        follower().snapshot(message)


# Takeover


def test_a_claimed_follower_hands_out_map_and_log() -> None:
    made = holding(30, retain=10)
    answer = made.fetch(Fetch(**HEADER, offset=0))
    assert isinstance(answer, Fetched)
    assert (answer.position, answer.base) == (Position(1, 30), Position(1, 20))
    assert [item.version for item in answer.items] == [30]
    assert [entry.index for entry in answer.entries] == list(range(21, 31))
    assert answer.total == 11
    rest = made.fetch(Fetch(**HEADER, offset=11))
    assert isinstance(rest, Fetched)
    assert (rest.items, rest.entries) == ([], [])
    assert made.fetch(Fetch(epoch=1, reign="twin", cluster="c", offset=0)).error is not None


# Readiness


def test_an_emptied_follower_serves_when_it_has_reached_what_it_was_told() -> None:
    made = follower()
    with pytest.raises(NotReady):
        made.check_readable()
    made.append(append(put(1), last_index=3))
    save(made)
    assert (made.ready, made.state) == (False, "catching up")
    with pytest.raises(NotReady):
        made.check_readable()
    made.append(append(put(2), put(3), prev=Position(1, 1), last_index=8))
    save(made)
    assert (made.ready, made.state) == (True, "following")
    made.check_readable()


def test_a_follower_of_an_empty_leader_is_ready_at_once() -> None:
    made = follower()
    made.append(append())
    assert made.ready
