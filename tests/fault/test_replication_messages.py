"""Messages that a follower must refuse, sent by hand: none of them changes anything."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fault import replication_messages
from tests.fault.replication_messages import Message, position, send
from tests.harness import ClusterHarness, Node
from tests.write_record import WriteRecord

MAX_EPOCH_JUMP = 1_000_000
BUILDERS: dict[str, Callable[[Node], Message]] = {
    "": lambda follower: replication_messages.append(follower, "forged"),
    "/snapshot": replication_messages.snapshot,
    "/claim": replication_messages.claim,
    "/fetch": replication_messages.fetch,
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterHarness]:
    """A leader in its second reign and one follower, with a few writes of each reign."""
    with ClusterHarness(1, tmp_path_factory.mktemp("cluster")) as harness:
        for number in range(5):
            harness.leader.put_confirmed(f"key{number}", number)
        harness.leader.crash()
        harness.leader.restart()
        harness.leader.wait_until_ready()
        for number in range(5):
            harness.leader.put_confirmed(f"key{number}", number)
        harness.wait_for_replication()
        yield harness


@pytest.fixture
def follower(cluster: ClusterHarness) -> Iterator[Node]:
    """The follower; nothing has changed at the end, and its leader goes on."""
    record = WriteRecord()
    assert record.put(cluster.leader, "before", 1) == 200
    cluster.wait_for_replication()
    node = cluster.followers[0]
    before = (position(node)["reign"], node.status()["epoch"], node.store())
    yield node
    assert (position(node)["reign"], node.status()["epoch"], node.store()) == before
    assert record.put(cluster.leader, "after", 1) == 200
    cluster.assert_nothing_lost(record)


def assert_refused(follower: Node, path: str, message: Message) -> None:
    held = position(follower)
    status, answer = send(follower, path, message)
    assert status == 409, answer
    assert isinstance(answer["error"], str)
    for name in ("node", "cluster", "epoch", "reign", "last_index", "last_epoch"):
        assert answer[name] == held[name], "a refusal says what the follower holds"


def changed(message: Message, name: str, value: Any) -> Message:
    return {**message, name: value}


@pytest.mark.parametrize("path", BUILDERS)
def test_stale_epoch(follower: Node, path: str) -> None:
    message = BUILDERS[path](follower)
    current = position(follower)["epoch"]
    for epoch in range(current):
        stale = {**message, "epoch": epoch, "reign": "old"}
        if path == "":
            stale["entries"] = []
        if path == "/snapshot":
            stale["index_epoch"] = epoch
        assert_refused(follower, path, stale)


@pytest.mark.parametrize("path", BUILDERS)
def test_equal_epoch_of_another_reign(follower: Node, path: str) -> None:
    message = BUILDERS[path](follower)
    twin = {**message, "epoch": position(follower)["epoch"], "reign": "twin"}
    assert_refused(follower, path, twin)


@pytest.mark.parametrize("path", ["", "/snapshot", "/fetch"])
def test_higher_epoch_that_has_not_claimed_the_follower(follower: Node, path: str) -> None:
    message = BUILDERS[path](follower)
    assert_refused(follower, path, {**message, "epoch": message["epoch"] + 1, "reign": "new"})


def test_absurd_jump_of_the_epoch(follower: Node) -> None:
    message = replication_messages.claim(follower)
    current = position(follower)["epoch"]
    for epoch in (current + MAX_EPOCH_JUMP + 1, 2**62, 2**63 - 1):
        assert_refused(follower, "/claim", changed(message, "epoch", epoch))


@pytest.mark.parametrize("path", BUILDERS)
@pytest.mark.parametrize("cluster_id", ["0123456789abcdef", ""])
def test_other_cluster(follower: Node, path: str, cluster_id: str) -> None:
    assert_refused(follower, path, changed(BUILDERS[path](follower), "cluster", cluster_id))


def test_hello_of_another_cluster(follower: Node) -> None:
    hello = changed(replication_messages.header(follower), "cluster", "0123456789abcdef")
    assert_refused(follower, "/hello", hello)


def test_position_that_is_not_held(follower: Node) -> None:
    message = {**replication_messages.append(follower, "forged"), "last_index": 2**62}
    index = message["prev_index"]
    ahead = [{**entry, "index": index + 2} for entry in message["entries"]]
    assert_refused(follower, "", {**message, "prev_index": index + 1, "entries": ahead})
    assert_refused(follower, "", {**message, "prev_epoch": message["prev_epoch"] - 1})
    assert_refused(follower, "", {**message, "prev_index": index + 1, "entries": []})
    assert_refused(follower, "", {**message, "prev_index": 2**62, "entries": []})


def test_entry_that_differs_from_the_one_held(follower: Node) -> None:
    message = replication_messages.append(follower)
    # The second entry of the first reign, told as one of the second.
    entry = {"index": 2, "epoch": 2, "operation": "put", "key": "key1", "value": "forged"}
    forged = {**message, "prev_index": 1, "prev_epoch": 1, "entries": [entry]}
    assert_refused(follower, "", forged)


def test_entries_that_are_held_are_acknowledged_and_not_applied_again(follower: Node) -> None:
    message = replication_messages.append(follower)
    entry = {"index": 2, "epoch": 1, "operation": "put", "key": "key1", "value": "ignored"}
    again = {**message, "prev_index": 1, "prev_epoch": 1, "entries": [entry]}
    status, answer = send(follower, "", again)
    assert (status, answer["last_index"]) == (200, message["prev_index"])


def test_later_chunk_of_an_unknown_snapshot(follower: Node) -> None:
    message = replication_messages.snapshot(follower)
    assert_refused(follower, "/snapshot", changed(message, "offset", 5))


def test_chunks_of_two_snapshots_do_not_mix(follower: Node) -> None:
    first = {**replication_messages.snapshot(follower), "done": False}
    assert send(follower, "/snapshot", first)[0] == 200
    assert_refused(follower, "/snapshot", {**first, "snapshot": "other", "offset": 1, "done": True})
    assert_refused(follower, "/snapshot", {**first, "offset": 2, "done": True})


def test_snapshot_behind_the_follower_is_only_acknowledged(follower: Node) -> None:
    message = replication_messages.snapshot(follower)
    held = position(follower)
    behind = {**message, "index": 1, "index_epoch": 1, "items": [["forged", 1, 1]]}
    status, answer = send(follower, "/snapshot", behind)
    assert (status, answer["last_index"]) == (200, held["last_index"])


def test_claim_that_is_in_force_already(follower: Node) -> None:
    held = position(follower)
    assert send(follower, "/claim", replication_messages.header(follower)) == (200, held)


@pytest.mark.parametrize("path", BUILDERS)
def test_leader_takes_no_orders(cluster: ClusterHarness, follower: Node, path: str) -> None:
    message = {**BUILDERS[path](follower), "epoch": 100, "reign": "usurper"}
    status, answer = send(cluster.leader, path, message)
    assert (status, answer) == (403, {"error": "not a follower"})
    assert cluster.leader.is_ready()
