"""``min_version``: a client reads what it wrote, and never something older, on any node."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from analysis.nodes.node import Node
from analysis.nodes.node_client import decode
from kvstore.api_types import Found, NotApplied
from tests.conftest import StartCluster
from tests.support.answers import found, is_absent, open_version
from tests.support.cluster import Cluster
from tests.support.open_writes import write_unnoticed


@pytest.fixture(scope="module")
def cluster(start_shared_cluster: StartCluster) -> Cluster:
    """A leader and two followers behind proxies; W=1."""
    return start_shared_cluster(2, proxied=True, REPL_TIMEOUT=1)


@pytest.fixture
def late(cluster: Cluster) -> Iterator[Node]:
    """A follower that gets nothing until its link is healed."""
    follower = cluster.followers[1]
    cluster.link(follower).stall()
    yield follower
    cluster.heal(follower)
    cluster.wait_for_replication()
    cluster.assert_copies_equal()


def test_a_late_follower_answers_with_what_it_has_or_waits(cluster: Cluster, late: Node) -> None:
    version = cluster.leader.put_confirmed("awaited", "new")
    answer = late.get("awaited")
    assert is_absent(answer)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(late.get, "awaited", version)
        cluster.heal(late)
        answer = read.result()
    assert found(answer) == Found(found=True, value="new", version=version)


def test_read_of_an_index_that_does_not_come_is_answered_504(cluster: Cluster, late: Node) -> None:
    applied_index = late.status().applied_index
    version = cluster.leader.put_confirmed("too late", 1)
    answer = late.get("too late", min_version=version)
    assert answer.status_code == 504
    assert decode(answer, NotApplied).applied_index == applied_index


def test_leader_waits_for_confirmation(cluster: Cluster, late: Node) -> None:
    def restore() -> None:
        cluster.heal(late)
        cluster.wait_until_streaming(late)

    leader = cluster.leader
    restore()
    leader.set_quorum(2)
    try:
        lose = cluster.link(late).stall
        [write] = write_unnoticed(lose, restore, partial(leader.put, "pending", 1))
        version = open_version(write)
        assert leader.get("pending", min_version=version).status_code == 504
        restore()
        answer = leader.get("pending", min_version=version)
        assert found(answer).version == version
    finally:
        leader.set_quorum(1)


@pytest.mark.parametrize("min_version", [0, 1])
def test_index_that_was_reached_long_ago(cluster: Cluster, min_version: int) -> None:
    for node in cluster.nodes:
        assert node.get("missing", min_version=min_version).status_code == 404
