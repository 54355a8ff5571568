"""What the leader knows of one follower."""

import pytest
from msgspec import Raw

from kvstore.core.entries import Item, RememberedRequest
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.messages import Answer
from kvstore.core.progress import FollowerProgress, SnapshotTransfer, Stage, find_twin
from tests.support.replication import R1, R2, at, header


def answer(node: str = "n") -> Answer:
    return Answer(
        node_id=node,
        cluster_id="c",
        epoch=1,
        reign_id="r1",
        takeover_id="r1",
        last_index=5,
        last_epoch=1,
    )


def streaming(address: str = "a", node: str = "n", match_index: int = 5) -> FollowerProgress:
    progress = FollowerProgress(address)
    progress.answered(answer(node), 1.0)
    progress.stage = Stage.STREAM
    progress.match_index = match_index
    return progress


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("reachable", [True, False])
def test_follower_counts_when_it_answers_and_follows(
    stage: Stage,
    reachable: bool,
) -> None:
    progress = streaming()
    progress.stage = stage
    progress.reachable = reachable
    assert progress.counts == (reachable and stage in (Stage.STREAM, Stage.SNAPSHOT))


def test_lost_contact_leaves_what_it_holds() -> None:
    progress = streaming()
    progress.lost("gone")
    assert (progress.stage, progress.match_index, progress.problem) == (Stage.HELLO, 5, "gone")
    assert not progress.counts
    progress.answered(answer(), 2.0)
    assert (progress.match_index, progress.problem, progress.last_contact_s) == (5, None, 2.0)


@pytest.mark.parametrize("node", ["n", "other"])
def test_another_node_holds_nothing(node: str) -> None:
    progress = streaming()
    progress.synced_node_id = "n"
    progress.answered(answer(node), 2.0)
    kept = node == "n"
    assert (progress.match_index, progress.stage, progress.synced_node_id) == (
        (5, Stage.STREAM, "n") if kept else (0, Stage.HELLO, None)
    )


def test_follower_that_moved_counts_from_the_entry_that_names_it() -> None:
    progress = streaming()
    progress.named_index = 6
    assert progress.confirmed_index == 0
    progress.match_index = 6
    assert progress.confirmed_index == 6


def test_claim_names_the_node_and_the_reign_it_was_found_in() -> None:
    progress = streaming()
    assert progress.followed == R1
    claim = progress.claim(header(R2), {"a": "n"}, progress.followed)
    assert (claim.node_id, claim.found_reign_id, claim.of_reign) == ("n", "r1", R2)
    assert claim.members == {"a": "n"}
    assert progress.claim(header(R2), {}, None).found_reign_id is None


def test_twin_is_found_among_those_that_answer() -> None:
    first, second = streaming("a", "x"), streaming("b", "x")
    assert find_twin(second, "x", [first, second], "leader") == "a"
    assert find_twin(second, "y", [first, second], "leader") is None
    assert find_twin(second, "leader", [first, second], "leader") == "the leader itself"


def test_node_that_moved_counts_under_its_new_address_only() -> None:
    old, new = streaming("a", "x"), streaming("b", "x")
    old.lost("gone")
    assert find_twin(new, "x", [old, new], "leader") is None
    assert (old.node_id, old.match_index, new.match_index) == (None, 0, 5)


def test_follower_in_conflict_holds_nothing_that_counts() -> None:
    progress = streaming()
    progress.conflict("another cluster")
    assert (progress.stage, progress.node_id, progress.match_index) == (Stage.CONFLICT, None, 0)
    assert progress.problem == "another cluster"


@pytest.mark.parametrize("max_entries", [1, 2, 3, 100])
def test_snapshot_travels_in_parts(max_entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvstore.core.messages.MAX_ENTRIES", max_entries)
    items = [Item(key, number, Raw(b"1")) for number, key in enumerate("abc", 1)]
    requests = [RememberedRequest("once", 2, "f"), RememberedRequest("twice", 3, "f")]
    transfer = SnapshotTransfer("s", KeyValueMap(at(3), items, requests))
    sent: list[Item | RememberedRequest] = []
    done = False
    while not done:
        assert transfer.offset == len(sent)
        some_items, some_requests, done = transfer.chunk()
        assert 0 < len(some_items) + len(some_requests) <= max_entries
        sent += [*some_items, *some_requests]
        transfer.offset += len(some_items) + len(some_requests)
    assert sent == [*items, *requests]


def test_empty_map_is_one_part() -> None:
    assert SnapshotTransfer("s", KeyValueMap()).chunk() == ([], [], True)
