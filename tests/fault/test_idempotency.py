"""A write that is sent again under its idempotency key gets the outcome of its first entry."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import requests

from analysis.nodes.node import Node
from kvstore.api_types import Error
from kvstore.client.node_client import decode
from tests.conftest import StartCluster
from tests.support import answers
from tests.support.cluster import PATIENT, Cluster
from tests.support.open_writes import until_confirmed, write_and_freeze
from tests.support.waiting import at_least, wait_for_status

# A write waits this long for its quorum; a frozen follower is noticed after half of it.
QUORUM_2: dict[str, Any] = {"WRITE_QUORUM": 2, "REPL_TIMEOUT": 1}


def put(
    node: Node, value: Any, idempotency_key: str, key: str = "k", **headers: str
) -> requests.Response:
    return node.put(key, value, Idempotency_Key=idempotency_key, **headers)


def delete(node: Node, idempotency_key: str, key: str = "k") -> requests.Response:
    return node.delete(key, Idempotency_Key=idempotency_key)


def confirmed(write: Callable[..., requests.Response], *what: Any, **more: str) -> int:
    """The version of a write that is confirmed, at the latest when it is repeated."""
    answer = until_confirmed(partial(write, *what, **more))
    version = answers.confirmed(answer).version
    assert answer.headers["ETag"] == f'"{version}"'
    return version


def left_open(answer: requests.Response) -> int:
    """The version of a write whose quorum must not have been reached."""
    assert answers.left_open(answer).reason == "quorum not reached"
    return answers.open_version(answer)


def last_index(node: Node) -> int:
    return node.status().last_index


# While all is well


@pytest.fixture(scope="module")
def healthy(start_shared_cluster: StartCluster) -> Cluster:
    """A cluster to which nothing happens, each of whose writes is confirmed in the end."""
    return start_shared_cluster(2, WRITE_QUORUM=2, **PATIENT)


def test_the_same_request_makes_one_entry(healthy: Cluster) -> None:
    leader = healthy.leader
    version = confirmed(put, leader, {"a": [1, "é"]}, "one")
    first = put(leader, {"a": [1, "é"]}, "one")
    assert put(leader, {"a": [1, "é"]}, "one").json() == first.json()
    deleted = confirmed(delete, leader, "two")
    assert deleted == version + 1
    assert confirmed(delete, leader, "two") == deleted
    assert confirmed(put, leader, {"a": [1, "é"]}, "one") == version, "nor does it come back"
    assert leader.get("k").status_code == 404
    assert last_index(leader) == deleted
    assert confirmed(put, leader, {"a": [1, "é"]}, "three") == deleted + 1, "another key is new"


def test_the_payload_counts_and_not_how_it_was_written(healthy: Cluster) -> None:
    """The same is repeated; another value, key or operation is refused."""
    leader = healthy.leader
    version = confirmed(put, leader, "é", "payload")
    for method, path, body in (
        ("PUT", "/put/k", b'{"value":"\xc3\xa9"}'),
        ("POST", "/put/k", b'{"value":"\xc3\xa9"}'),
        ("PUT", "/kv/k", b' { "value" : "\\u00e9" } '),
        ("PUT", "/kv/%6B", b'{"ignored": 1, "value":"\xc3\xa9"}'),
    ):
        again = leader.request(method, path, body=body, headers={"Idempotency-Key": "payload"})
        assert answers.confirmed(again).version == version
    for answer in (
        put(leader, "e", "payload"),
        put(leader, "é", "payload", key="other"),
        put(leader, None, "payload"),
        delete(leader, "payload"),
    ):
        assert answer.status_code == 422
        assert "another payload" in decode(answer, Error).error
    assert last_index(leader) == version


def test_many_at_a_time_make_one_entry(healthy: Cluster) -> None:
    with ThreadPoolExecutor(20) as pool:
        versions = set(pool.map(lambda _: confirmed(put, healthy.leader, 1, "many"), range(100)))
    [version] = versions
    assert last_index(healthy.leader) == version
    healthy.wait_for_replication()
    healthy.assert_copies_equal()


# While the outcome is open


def test_a_refused_write_does_not_use_its_key_up(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2, **QUORUM_2)
    leader = cluster.leader
    version = confirmed(put, leader, 1, "first")
    assert put(leader, 2, "next", If_Match='"99"').status_code == 412
    with cluster.frozen(*cluster.followers):
        for follower in cluster.followers:
            cluster.wait_for_follower(follower, state="unreachable")
        assert put(leader, 3, "next").status_code == 503
    assert confirmed(put, leader, 4, "next", If_Match=f'"{version}"') > version
    assert answers.found(leader.get("k")).value == 4


def test_a_retry_waits_for_the_quorum_of_the_first_entry(start_cluster: StartCluster) -> None:
    cluster = start_cluster(3, **QUORUM_2)
    leader, frozen = cluster.leader, cluster.followers[:2]
    [version] = map(left_open, write_and_freeze(cluster, frozen, partial(put, leader, 1, "one")))
    cluster.wait_for_follower(cluster.followers[2], match_index=version)
    again = put(leader, 1, "one")
    assert left_open(again) == version
    assert answers.left_open(again).replicas_confirmed == 1
    assert last_index(leader) == version, "no second entry"
    cluster.thaw(*frozen)
    wait_for_status(leader, commit_index=at_least(version))
    assert confirmed(put, leader, 1, "one") == version
    cluster.wait_for_replication()
    cluster.assert_copies_equal()


# Over the end of a reign


@pytest.mark.parametrize(
    ("killed", "durable"), [("the leader", False), ("the leader", True), ("all", True)]
)
def test_a_key_survives_the_leader(
    start_cluster: StartCluster, killed: str, *, durable: bool
) -> None:
    """From the leader's own disk, or taken over from a follower that held the entry."""
    cluster = start_cluster(3, durable=durable, **QUORUM_2)
    leader, *frozen, third = cluster.nodes
    done = confirmed(put, leader, 1, "done", key="a")
    gone = confirmed(delete, leader, "gone", key="b")
    [version] = map(left_open, write_and_freeze(cluster, frozen, partial(put, leader, 1, "open")))
    wait_for_status(third, last_index=version)
    if killed == "all":
        cluster.restart()
    else:
        cluster.thaw(*frozen)
        leader.restart()
    leader.wait_until_ready()
    index = last_index(leader)
    assert index == version + 1, "the new reign's first entry follows"
    assert confirmed(put, leader, 1, "done", key="a") == done
    assert confirmed(delete, leader, "gone", key="b") == gone
    assert confirmed(put, leader, 1, "open") == version
    assert put(leader, 2, "open").status_code == 422
    assert last_index(leader) == index, "no second entry"
    assert confirmed(put, leader, 1, "new") == index + 1
    cluster.wait_for_replication()
    cluster.assert_copies_equal()


def test_a_second_leader_knows_the_keys_of_the_first(start_cluster: StartCluster) -> None:
    cluster = start_cluster(3, **QUORUM_2)
    first, second = cluster.leader, cluster.add_leader("second")
    done = confirmed(put, first, 1, "done")
    cluster.wait_for_replication()
    with cluster.frozen(first):
        second.start()
        second.wait_until_ready()
        assert confirmed(put, second, 1, "done") == done
        assert put(second, 2, "done").status_code == 422
        assert last_index(second) == done + 1, "its own first entry"
        new = confirmed(put, second, 3, "new")
    wait_for_status(first, state="deposed")
    assert left_open(put(first, 1, "done")) == done
    unknown = answers.left_open(put(first, 3, "new"))
    assert unknown.version is None, "it cannot know"
    assert first.put("k", 3).status_code == 503, "without a key it was not sent before"
    assert confirmed(put, second, 3, "new") == new
    cluster.wait_for_replication(second)
    cluster.assert_copies_equal(second)
