"""Which messages a follower accepts, and what it answers."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from kvstore.core.entries import MAX_EPOCH, MAX_EPOCH_JUMP, Entry, Item, Position, ReignId
from kvstore.core.errors import InvalidRequest, NotReady
from kvstore.core.follower import Follower
from kvstore.core.lineage import ReignStart
from kvstore.core.messages import (
    Claim,
    Fetch,
    Fetched,
    Hello,
    Message,
    Refusal,
    SnapshotChunk,
)
from kvstore.core.records import CutLog, Promise, SavePromise
from tests.support.replication import (
    CLUSTER,
    R1,
    R2,
    URL,
    append,
    at,
    chunk,
    claim,
    delete,
    entries,
    first_entry,
    handle,
    header,
    hello,
    make_follower,
    naming_entry,
    put,
    reign,
    save,
)

TWIN = reign(1, takeover="t")
RESTART = reign(1, 5)


def follower_of(*held: Entry, of: ReignId | None = R1, retain: int = 1000) -> Follower:
    """A follower that a reign has claimed."""
    return make_follower("f", *held, promise=Promise(CLUSTER, of, URL), retain=retain)


def fetch(offset: int, of: ReignId = R1) -> Fetch:
    return Fetch(**header(of), offset=offset)


def state(follower: Follower) -> tuple[object, ...]:
    return (
        follower.promise,
        follower.log.last,
        follower.map.digest(),
        follower.commit_index,
        follower.take_unsaved(),
    )


def follows(follower: Follower, of: ReignId) -> Follower:
    """Let a follower accept another reign."""
    assert follower.claim(claim(of, found=follower.promise.reign)).error is None
    save(follower)
    return follower


# Claims


@pytest.mark.parametrize(
    ("held", "message", "refusal"),
    [
        (R1, claim(R2, found=R1), None),
        (R1, claim(R1, found=R2), None),
        (R1, claim(RESTART, found=R1), None),
        (R1, claim(TWIN, found=R1), Refusal.OTHER_REIGN),
        (R1, claim(reign(1, 5, "t"), found=R1), Refusal.OTHER_REIGN),
        (RESTART, claim(R1, found=RESTART), Refusal.OTHER_REIGN),
        (R2, claim(RESTART, found=R2), Refusal.OTHER_REIGN),
        (R1, claim(R2, found=RESTART), Refusal.REIGN_CHANGED),
        (R1, claim(R2, found=None), Refusal.REIGN_CHANGED),
        (R1, claim(R2, found=R1, node="other"), Refusal.OTHER_NODE),
        (R1, claim(reign(1 + MAX_EPOCH_JUMP), found=R1), None),
        (R1, claim(reign(2 + MAX_EPOCH_JUMP), found=R1), Refusal.EPOCH_TOO_HIGH),
        (None, claim(reign(2 + MAX_EPOCH_JUMP)), None),
        (None, claim(reign(MAX_EPOCH + 1)), Refusal.EPOCH_TOO_HIGH),
    ],
)
def test_claims(held: ReignId | None, message: Claim, refusal: Refusal | None) -> None:
    follower = make_follower("f") if held is None else follower_of(of=held)
    before = follower.promise
    answer = follower.claim(message)
    assert answer.error == refusal
    assert follower.promise.reign == (message.of_reign if refusal is None else held)
    assert answer.followed == follower.promise.reign
    records = follower.take_unsaved()
    assert records == ([SavePromise(follower.promise)] if follower.promise != before else [])


def test_the_cluster_binds_with_the_first_entry() -> None:
    other = claim(R2, found=R1, cluster="other")
    follower = follower_of(*entries(1))
    assert follower.claim(other).error == Refusal.OTHER_CLUSTER
    greeting = replace(hello(), cluster_id="other")
    assert follower.hello(greeting).error == Refusal.OTHER_CLUSTER
    follower = follower_of()
    assert follower.hello(greeting).error is None
    assert follower.claim(other).error is None
    assert follower.promise.cluster_id == "other"


def test_an_accepted_claim_ends_the_right_to_lead_in_the_same_record() -> None:
    led = Promise(CLUSTER, R1, URL, is_own=True, has_led=True, deposed_by="epoch 2")
    follower = make_follower("f", promise=led)
    assert follower.claim(claim(R2, found=R1)).error is None
    assert follower.take_unsaved() == [SavePromise(Promise(CLUSTER, R2, URL))]


NAMED, CLAIMED = {"f": "f", "g": "old"}, {"f": "f", "h": "new"}


@pytest.mark.parametrize(
    ("of", "first", "asked"),
    [
        pytest.param(R2, None, {**NAMED, **CLAIMED}, id="those of both reigns, until"),
        pytest.param(R2, first_entry(3, R2, CLAIMED), CLAIMED, id="its first entry is here"),
        pytest.param(RESTART, None, {**CLAIMED, **NAMED}, id="a restart may know newer ones"),
    ],
)
def test_it_says_whom_a_takeover_has_to_ask_too(
    of: ReignId, first: Entry | None, asked: dict[str, str]
) -> None:
    follower = follower_of(first_entry(1), naming_entry(2, NAMED))
    assert follower.hello(hello()).members == NAMED
    answer = follower.claim(claim(of, found=R1, members=CLAIMED))
    if first is None:
        assert answer.members == asked
    else:
        follower.append(append(first, prev=at(2), of=of))
    assert follower.hello(hello()).members == asked


def test_a_claim_is_answered_with_the_lineage() -> None:
    follower = follower_of(*entries(3), *entries(5, 4, R2), of=R2)
    answer = follower.claim(claim(reign(3), found=R2))
    assert answer.lineage == [ReignStart(R1, 1), ReignStart(R2, 4)]
    assert answer.position == at(5, R2)


def test_hello_changes_nothing_and_shows_the_position() -> None:
    follower = follower_of(*entries(3))
    before = state(follower)
    answer = follower.hello(hello())
    assert (answer.position, answer.followed) == (at(3), R1)
    assert follower.hello(Hello(epoch=0, reign_id="")).error is None
    assert state(follower) == before


# Appends


@pytest.mark.parametrize(
    ("message", "refusal"),
    [
        (append(put(4), prev=at(3), of=TWIN), Refusal.OTHER_REIGN),
        (append(first_entry(4, R2), prev=at(3), of=R2), Refusal.NOT_CLAIMED),
        (append(put(5), prev=at(4)), Refusal.POSITION_NOT_HELD),
        (chunk(TWIN), Refusal.OTHER_REIGN),
        (chunk(offset=1), Refusal.CHUNK_MISSING),
        (fetch(0, TWIN), Refusal.OTHER_REIGN),
        (fetch(1), Refusal.COPY_LOST),
    ],
)
def test_a_refused_message_changes_nothing(message: Message, refusal: Refusal) -> None:
    follower = follower_of(*entries(3))
    before = state(follower)
    answer = handle(follower, message)
    assert (answer.error, answer.position) == (refusal, at(3))
    assert state(follower) == before


def test_duplicates_and_overlaps_are_acknowledged_not_applied_again() -> None:
    follower = follower_of(*entries(3))
    batch = append(put(2), put(3), put(4, "new"), prev=at(1))
    for _ in range(2):
        assert follower.append(batch).error is None
        save(follower)
    assert follower.log.last == at(4)
    assert follower.append(append(first_entry(1))).error is None
    assert follower.log.last == at(4)


@pytest.mark.parametrize("of", [R2, RESTART], ids=["of another epoch", "of another restart"])
def test_an_entry_of_another_order_is_refused(of: ReignId) -> None:
    follower = follows(follower_of(*entries(3)), of)
    refused = follower.append(append(first_entry(3, of), prev=at(2), of=of))
    assert (refused.error, refused.position) == (Refusal.ENTRY_DIFFERS, at(3))
    refused = follower.append(append(put(4, of=of), prev=at(3, of), of=of))
    assert refused.error == Refusal.POSITION_NOT_HELD


NAMELESS = Entry(index=2, epoch=1, reign_id="r1", operation="put", key="k")


@pytest.mark.parametrize(
    "message",
    [
        append(put(1)),
        append(first_entry(2)),
        append(first_entry(1), put(3)),
        append(first_entry(1, R2)),
        append(first_entry(1, R2), first_entry(2, R1), of=R2),
        append(first_entry(1), put(2, of=RESTART)),
        append(first_entry(1), first_entry(2)),
        append(replace(first_entry(1), begins=RESTART)),
        append(first_entry(1), NAMELESS),
        append(first_entry(1), replace(delete(2), value=Raw(b"1"))),
        append(first_entry(1), replace(put(2), members={})),
        append(first_entry(1), replace(delete(2), idempotency_key="i")),
        append(first_entry(1), last_index=0),
        append(first_entry(1), commit_index=2),
        chunk(R1, at(9, R2), lineage=[ReignStart(R2, 1)]),
        chunk(R1, at(9, TWIN)),
        chunk(lineage=[]),
        chunk(last_index=8),
        chunk(items=[Item("a", 10, Raw(b"1"))]),
        chunk(items=[Item("a", 0, Raw(b"1"))]),
        replace(claim(R2, found=R1), cluster_id=None),
    ],
)
def test_a_message_that_contradicts_itself_is_malformed(message: Message) -> None:
    follower = follower_of()
    before = state(follower)
    with pytest.raises(InvalidRequest):
        handle(follower, message)
    assert state(follower) == before


def test_the_log_is_cut_to_its_retention_and_handed_out_with_the_map() -> None:
    follower = follower_of(retain=10)
    follower.append(append(*entries(30)))
    for record in follower.take_unsaved():
        follower.saved(record)
    assert follower.take_unsaved() == [CutLog(20)]
    assert (follower.log.base, follower.applied_index) == (at(20), 30)
    assert follower.append(append(put(5), prev=at(4))).error is None, "its reign tells what it was"
    save(follower)
    handed_out: list[int] = []
    while len(handed_out) < 11:
        answer = follower.fetch(fetch(len(handed_out)))
        assert isinstance(answer, Fetched)
        assert (answer.position, answer.base_index, answer.total) == (at(30), 20, 11)
        handed_out += [item.version for item in answer.items]
        handed_out += [entry.index for entry in answer.entries]
    assert handed_out == [30, *range(21, 31)]


# Snapshots


@pytest.mark.parametrize(
    ("of", "position", "last"),
    [
        pytest.param(R1, at(15), at(15), id="further in its own reign"),
        pytest.param(R1, at(9), at(12), id="a late duplicate: behind in its own reign"),
        pytest.param(R2, at(12), at(12), id="where it is"),
        pytest.param(R2, at(9), at(9), id="of a later reign, which holds less"),
        pytest.param(R2, at(12, TWIN), at(12, TWIN), id="of another order"),
    ],
)
def test_when_a_snapshot_is_installed(of: ReignId, position: Position, last: Position) -> None:
    follower = follower_of(*entries(12))
    follower.append(append(prev=at(12), commit_index=12))
    if of != R1:
        follows(follower, of)
    first = TWIN if position.reign_id == "t" else R1
    answer = follower.snapshot(chunk(of, position, lineage=[ReignStart(first, 1)]))
    save(follower)
    assert (answer.error, answer.position, follower.map.position) == (None, last, last)
    installed = last != at(12)
    assert follower.commit_index == (0 if installed else 12), "no lower bound in another order"


def test_a_snapshot_replaces_everything_in_one_step() -> None:
    follower = follower_of(*entries(3))
    first = chunk(items=[Item("a", 7, Raw(b"7"))], done=False)
    assert follower.snapshot(first).error is None
    save(follower)
    assert follower.applied_index == 3, "staged only"
    assert follower.snapshot(chunk(offset=1, items=[Item("b", 9, Raw(b"9"))])).error is None
    assert follower.applied_index == 3, "not durable yet"
    save(follower)
    assert {item.key for item in follower.map.items()} == {"a", "b"}
    assert (follower.log.base, follower.log.last) == (at(9), at(9))
    assert follower.append(append(put(10), prev=at(9))).error is None


@pytest.mark.parametrize(
    ("of", "next_chunk"),
    [
        pytest.param(R1, chunk(offset=2), id="the second is missing"),
        pytest.param(R1, chunk(snapshot_id="x", offset=1), id="of another snapshot"),
        pytest.param(R2, chunk(R2, offset=1), id="of another reign"),
    ],
)
def test_a_snapshot_begins_with_its_first_chunk(of: ReignId, next_chunk: SnapshotChunk) -> None:
    follower = follower_of(*entries(3))
    first = chunk(items=[Item("a", 1, Raw(b"1"))], done=False)
    assert follower.snapshot(first).error is None
    if of != R1:
        follows(follower, of)
    assert follower.snapshot(next_chunk).error == Refusal.CHUNK_MISSING
    save(follower)
    assert follower.log.last == at(3)


# Takeover


@pytest.mark.parametrize("offset", [0, 1])
def test_a_copy_that_has_begun_is_of_one_moment(offset: int) -> None:
    follower = follower_of(*entries(3))
    assert follower.fetch(fetch(0)).error is None
    follower.append(append(put(4), prev=at(3)))
    assert follower.fetch(fetch(offset)).error == Refusal.NOT_DURABLE_YET
    save(follower)
    assert (follower.fetch(fetch(offset)).error is None) == (offset == 0)


# Readiness


def test_an_emptied_follower_serves_when_it_has_reached_what_it_was_told() -> None:
    follower = follower_of()
    with pytest.raises(NotReady):
        follower.check_readable()
    follower.append(append(first_entry(1), last_index=3))
    save(follower)
    assert (follower.ready, follower.state) == (False, "catching up")
    with pytest.raises(NotReady):
        follower.check_readable()
    follower.append(append(put(2), put(3), prev=at(1), last_index=8))
    save(follower)
    assert (follower.ready, follower.state) == (True, "following")
    follower.check_readable()


def test_a_follower_of_an_empty_leader_is_ready_at_once() -> None:
    follower = follower_of()
    assert follower.append(append()).error is None
    assert follower.ready
