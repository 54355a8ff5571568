"""What the leader knows of one follower."""

import pytest
from msgspec import Raw

from kvstore.core.entries import Item, RememberedRequest
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.progress import FollowerProgress, SnapshotTransfer, Stage
from tests.support.replication import at, hello, make_empty_follower


@pytest.mark.parametrize(
    ("node_id", "expected"), [("n", (5, "n", Stage.STREAM)), ("other", (0, None, Stage.HELLO))]
)
def test_another_node_holds_nothing(node_id: str, expected: tuple[object, ...]) -> None:
    progress = FollowerProgress("a")
    progress.node_id = progress.synced_node_id = "n"
    progress.stage, progress.match_index = Stage.STREAM, 5
    progress.answered(make_empty_follower(node_id).hello(hello()), 2.0)
    assert (progress.match_index, progress.synced_node_id, progress.stage) == expected


@pytest.mark.parametrize("max_entries", [1, 2, 3, 100])
def test_snapshot_travels_in_parts(max_entries: int) -> None:
    items = [Item(key, number, Raw(b"1")) for number, key in enumerate("abc", 1)]
    requests = [RememberedRequest("once", 2, "f"), RememberedRequest("twice", 3, "f")]
    transfer = SnapshotTransfer("s", KeyValueMap(at(3), items, requests), max_entries)
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
