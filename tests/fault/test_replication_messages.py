"""Messages that a follower must refuse, sent by hand: none of them changes anything."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import StartCluster
from tests.fault import replication_messages
from tests.fault.replication_messages import Message, position, reign_id, send
from tests.support.harness import ClusterHarness, Node
from tests.support.write_record import WriteRecord

MAX_EPOCH_JUMP = 1_000_000_000
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
    lowest = 1 if path in ("/claim", "/snapshot") else 0  # a malformed message else
    for epoch in range(lowest, current):
        stale = {**message, "epoch": epoch, "restart": 0, "reign": "old", "takeover": "old"}
        if path == "":
            stale["entries"] = []
        if path == "/snapshot":
            stale |= {"index_epoch": epoch, "index_reign": "old"}
            stale["lineage"] = [[reign_id(stale), 1]]
        assert_refused(follower, path, stale)


@pytest.mark.parametrize("path", BUILDERS)
def test_equal_epoch_of_another_reign(follower: Node, path: str) -> None:
    message = BUILDERS[path](follower)
    twin = {**message, "epoch": position(follower)["epoch"], "reign": "twin"}
    assert_refused(follower, path, twin)
    assert_refused(follower, path, {**twin, "takeover": "twin", "restart": 2**62})


@pytest.mark.parametrize("path", ["", "/snapshot", "/fetch"])
def test_later_restart_that_has_not_claimed_the_follower(follower: Node, path: str) -> None:
    message = {**BUILDERS[path](follower), "reign": "new"}
    assert_refused(follower, path, changed(message, "restart", message["restart"] + 1))


def test_claim_that_is_for_another_node_or_found_another_reign(follower: Node) -> None:
    message = replication_messages.claim(follower)
    assert_refused(follower, "/claim", changed(message, "node", "another"))
    for found in (None, "another"):
        assert_refused(follower, "/claim", changed(message, "found_reign", found))


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
    assert_refused(follower, "", {**message, "prev_reign": "another", "entries": []})
    assert_refused(follower, "", {**message, "prev_index": index + 1, "entries": []})
    assert_refused(follower, "", {**message, "prev_index": 2**62, "entries": []})


def first_of_two_reigns(follower: Node) -> tuple[Message, list[Any], list[Any]]:
    """An empty batch behind index 1, and the two reigns that the follower's log is of."""
    message = replication_messages.append(follower)
    _, answer = send(follower, "/claim", in_force(follower))
    (first, index), (second, _) = answer["lineage"]
    assert index == 1
    prev = {"prev_index": 1, "prev_epoch": first[0], "prev_reign": first[2]}
    return {**message, **prev}, first, second


def in_force(follower: Node) -> Message:
    """The claim of the reign in force."""
    header = replication_messages.header(follower)
    return {**replication_messages.claim(follower), **header}


def test_entry_that_differs_from_the_one_held(follower: Node) -> None:
    message, _, second = first_of_two_reigns(follower)
    # A beginning of the second reign where an entry of the first one is.
    entry = {"index": 2, "epoch": second[0], "reign": second[2], "operation": "noop"}
    assert_refused(follower, "", {**message, "entries": [{**entry, "begins": second}]})


def test_entries_that_are_held_are_acknowledged_and_not_applied_again(follower: Node) -> None:
    message, first, _ = first_of_two_reigns(follower)
    entry = {"index": 2, "epoch": first[0], "reign": first[2], "operation": "put"}
    again = {**message, "entries": [{**entry, "key": "key1", "value": "ignored"}]}
    status, answer = send(follower, "", again)
    assert (status, answer["last_index"]) == (200, message["last_index"])


@pytest.fixture
def claimed(start_cluster: StartCluster) -> Node:
    """A follower of a leader that has claimed it, and has sent nothing yet."""
    cluster = start_cluster(1)
    cluster.leader.put_confirmed("key", 1)
    cluster.leader.crash()
    node = cluster.followers[0]
    assert send(node, "/claim", replication_messages.claim(node))[0] == 200
    return node


def test_later_chunk_of_an_unknown_snapshot(claimed: Node) -> None:
    message = replication_messages.snapshot(claimed)
    assert_refused(claimed, "/snapshot", changed(message, "offset", 5))


def test_chunks_of_two_snapshots_do_not_mix(claimed: Node) -> None:
    first = {**replication_messages.snapshot(claimed), "done": False}
    assert send(claimed, "/snapshot", first)[0] == 200
    assert_refused(claimed, "/snapshot", {**first, "snapshot": "other", "offset": 1, "done": True})
    assert_refused(claimed, "/snapshot", {**first, "offset": 2, "done": True})
    assert claimed.store().store == {"key": 1}


def test_snapshot_of_a_new_leader_replaces_everything(claimed: Node) -> None:
    """Also where it ends before what was held, which is counted as discarded."""
    message, held = replication_messages.snapshot(claimed), position(claimed)
    behind = {**message, "index": 1, "items": [["forged", 1, 1]]}
    status, answer = send(claimed, "/snapshot", behind)
    assert (status, answer["last_index"]) == (200, 1)
    assert claimed.store().store == {"forged": 1}
    assert claimed.status()["discarded"] == held["last_index"]
    # It is in step with the reign now: a late duplicate changes nothing, but it can fall behind.
    for chunk, index in ((behind, 1), (message, message["index"]), (behind, message["index"])):
        status, answer = send(claimed, "/snapshot", chunk)
        assert (status, answer["last_index"]) == (200, index)
    assert claimed.status()["discarded"] == held["last_index"]


def test_snapshot_behind_the_follower_is_only_acknowledged(follower: Node) -> None:
    message = replication_messages.snapshot(follower)
    held = position(follower)
    behind = {**message, "index": 1, "items": [["forged", 1, 1]]}
    status, answer = send(follower, "/snapshot", behind)
    assert (status, answer["last_index"]) == (200, held["last_index"])


def test_claim_that_is_in_force_already(follower: Node) -> None:
    held = position(follower)
    status, answer = send(follower, "/claim", in_force(follower))
    assert (status, {**held, "lineage": answer["lineage"]}) == (200, answer)


@pytest.mark.parametrize("path", BUILDERS)
def test_leader_takes_no_orders(cluster: ClusterHarness, follower: Node, path: str) -> None:
    message = {**BUILDERS[path](follower), "epoch": 100, "reign": "usurper"}
    status, answer = send(cluster.leader, path, message)
    assert (status, answer) == (403, {"error": "not a follower"})
    assert cluster.leader.is_ready()
