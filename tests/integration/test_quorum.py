"""A write is confirmed exactly when the leader and W followers hold it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import requests

from tests.conftest import StartCluster
from tests.support.harness import PATIENT, ClusterHarness, Node
from tests.support.open_writes import write_unnoticed
from tests.support.waiting import wait_until


@contextmanager
def frozen(nodes: list[Node]) -> Iterator[None]:
    freeze(nodes)
    try:
        yield
    finally:
        thaw(nodes)


def freeze(nodes: list[Node]) -> None:
    for node in nodes:
        node.freeze()


def thaw(nodes: list[Node]) -> None:
    for node in nodes:
        node.thaw()


@contextmanager
def put_while_frozen(
    cluster: ClusterHarness, nodes: list[Node], key: str, value: str
) -> Iterator[requests.Response]:
    """Freeze followers, and put before the leader has noticed; they are frozen until the end."""

    def restore() -> None:
        thaw(nodes)
        cluster.wait_until_streaming(nodes)

    try:
        [answer] = write_unnoticed(
            partial(freeze, nodes), restore, partial(cluster.leader.put, key, value)
        )
        yield answer
    finally:
        thaw(nodes)


@pytest.fixture(autouse=True)
def _healthy(cluster: ClusterHarness) -> Iterator[None]:
    yield
    cluster.leader.set_quorum(1)
    cluster.wait_for_replication()
    cluster.assert_copies_equal()


def wait_for_match_index(cluster: ClusterHarness, follower: Node, index: int) -> None:
    def why_not() -> str | None:
        match_index = cluster.leader.follower_status(cluster.address(follower))["match_index"]
        return None if match_index >= index else f"{follower.name} has {match_index}"

    wait_until(why_not)


@pytest.mark.parametrize("quorum", range(6))
def test_w_followers_are_enough(cluster: ClusterHarness, quorum: int) -> None:
    cluster.leader.set_quorum(quorum)
    with frozen(cluster.followers[quorum:]):
        answer = cluster.leader.put(f"w{quorum}", "confirmed")
        assert answer.status_code == 200
        assert answer.json()["replicas_confirmed"] == quorum
    # Those that were not needed get the entry as well.
    cluster.wait_for_replication()
    version = answer.json()["version"]
    for follower in cluster.followers:
        read = follower.get(f"w{quorum}", min_version=version).json()
        assert read == {"found": True, "value": "confirmed", "version": version}


@pytest.mark.parametrize("quorum", range(1, 6))
def test_one_follower_less_than_w_is_not_enough(cluster: ClusterHarness, quorum: int) -> None:
    cluster.leader.set_quorum(quorum)
    before = cluster.leader.put_confirmed("late", "old")
    with put_while_frozen(cluster, cluster.followers[quorum - 1 :], "late", "new") as answer:
        assert answer.status_code == 504
        version = answer.json()["version"]
        assert version == before + 1
        assert answer.json() == {
            "status": "error",
            "reason": "quorum not reached",
            "replicas_confirmed": quorum - 1,
            "version": version,
        }
        # What is not confirmed is not shown by the leader.
        read = cluster.leader.get("late").json()
        assert read == {"found": True, "value": "old", "version": before}
    # It was never rolled back, and is confirmed as soon as the quorum holds it.
    cluster.wait_for_replication()
    for node in cluster.nodes:
        read = node.get("late", min_version=version).json()
        assert read == {"found": True, "value": "new", "version": version}


def test_write_quorum_is_a_setting(start_cluster: StartCluster) -> None:
    cluster = start_cluster(3, leader_settings={"WRITE_QUORUM": "3"})
    assert cluster.leader.status()["write_quorum"] == 3
    assert cluster.leader.put("key", 1).json()["replicas_confirmed"] == 3
    with put_while_frozen(cluster, cluster.followers[:1], "key", "new") as answer:
        assert (answer.status_code, answer.json()["replicas_confirmed"]) == (504, 2)


def test_default_quorum_is_one(cluster: ClusterHarness) -> None:
    assert cluster.leader.status()["write_quorum"] == 1


def test_leader_without_followers_confirms_alone(start_cluster: StartCluster) -> None:
    cluster = start_cluster(0)
    assert cluster.leader.status()["write_quorum"] == 0
    answer = cluster.leader.put("key", 1)
    assert (answer.status_code, answer.json()["replicas_confirmed"]) == (200, 0)


def test_pending_writes_are_confirmed_by_a_lower_quorum(start_cluster: StartCluster) -> None:
    """At once, and not only when a follower says something the next time."""
    cluster = start_cluster(4, settings=PATIENT, leader_settings={"WRITE_QUORUM": "4"})
    last_index = cluster.leader.status()["last_index"]
    quick, late = cluster.followers[:2], cluster.followers[2:]
    with ThreadPoolExecutor(5) as pool, frozen(late):
        writes = [pool.submit(cluster.leader.put, f"pending{n}", n) for n in range(5)]
        for follower in quick:
            wait_for_match_index(cluster, follower, last_index + 5)
        with frozen(quick):
            cluster.leader.set_quorum(2)
            answers = [write.result() for write in writes]
        assert [answer.status_code for answer in answers] == [200] * 5
        assert [answer.json()["replicas_confirmed"] for answer in answers] == [2] * 5


def test_pending_writes_wait_for_a_higher_quorum(start_cluster: StartCluster) -> None:
    cluster = start_cluster(3, settings=PATIENT)
    last_index = cluster.leader.status()["last_index"]
    with ThreadPoolExecutor(1) as pool:
        with frozen(cluster.followers[2:]):
            with frozen(cluster.followers[:2]):
                write = pool.submit(cluster.leader.put, "pending", 1)
                cluster.leader.wait_for_last_index(last_index + 1)
                cluster.leader.set_quorum(3)
            for follower in cluster.followers[:2]:
                wait_for_match_index(cluster, follower, last_index + 1)
            assert cluster.leader.status()["commit_index"] == last_index
            assert not write.done()
        answer = write.result()
    assert (answer.status_code, answer.json()["replicas_confirmed"]) == (200, 3)


@pytest.mark.parametrize("quorum", [-1, 6, 1.0, 1.5, "2", True, None, [], 10**30])
def test_impossible_quorum_is_refused(cluster: ClusterHarness, quorum: Any) -> None:
    answer = cluster.leader.request("POST", "/admin/set_quorum", json={"quorum": quorum})
    assert answer.status_code == 400
    assert "quorum" in answer.json()["error"]
    assert cluster.leader.status()["write_quorum"] == 1


def test_follower_has_no_quorum_to_set(cluster: ClusterHarness) -> None:
    answer = cluster.followers[0].request("POST", "/admin/set_quorum", json={"quorum": 1})
    assert (answer.status_code, answer.json()["error"]) == (403, "not leader")
