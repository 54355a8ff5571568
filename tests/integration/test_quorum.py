"""A write is confirmed exactly when the leader and W followers hold it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from kvstore.api_types import Found, OutcomeOpen
from tests.conftest import StartCluster
from tests.support.answers import confirmed, found, left_open
from tests.support.cluster import PATIENT, Cluster
from tests.support.open_writes import until_confirmed, write_and_freeze
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def cluster(start_shared_cluster: StartCluster) -> Cluster:
    """A leader and five followers; a write waits for a second."""
    return start_shared_cluster(5, REPL_TIMEOUT=1)


@pytest.fixture(autouse=True)
def _healthy(cluster: Cluster) -> Iterator[None]:
    yield
    cluster.leader.set_quorum(1)
    cluster.wait_for_replication()
    cluster.assert_copies_equal()


def assert_held_by_all(cluster: Cluster, key: str, value: str, version: int) -> None:
    """Those that the quorum did not need get the entry as well."""
    cluster.wait_for_replication()
    expected = Found(found=True, value=value, version=version)
    assert [found(node.get(key)) for node in cluster.nodes] == [expected] * len(cluster.nodes)


@pytest.mark.parametrize("quorum", range(6))
def test_w_followers_are_enough(cluster: Cluster, quorum: int) -> None:
    cluster.leader.set_quorum(quorum)
    with cluster.frozen(*cluster.followers[quorum:]):
        put = partial(cluster.leader.put, f"w{quorum}", "confirmed", Idempotency_Key=str(quorum))
        answer = confirmed(until_confirmed(put))
        assert answer.replicas_confirmed == quorum
    assert_held_by_all(cluster, f"w{quorum}", "confirmed", answer.version)


@pytest.mark.parametrize("quorum", range(1, 6))
def test_one_follower_less_than_w_is_not_enough(cluster: Cluster, quorum: int) -> None:
    leader, frozen = cluster.leader, cluster.followers[quorum - 1 :]
    old, new = (
        partial(leader.put, "late", value, Idempotency_Key=f"{value}{quorum}")
        for value in ("old", "new")
    )
    leader.set_quorum(quorum)
    before = confirmed(until_confirmed(old)).version
    version = before + 1
    write_and_freeze(cluster, frozen, new)
    too_few = OutcomeOpen(
        reason="quorum not reached", replicas_confirmed=quorum - 1, version=version
    )
    wait_until(lambda: None if left_open(answer := new()) == too_few else answer.text)
    # What is not confirmed is not shown by the leader.
    assert found(leader.get("late")) == Found(found=True, value="old", version=before)
    # It was never rolled back, and is confirmed as soon as the quorum holds it.
    cluster.thaw(*frozen)
    assert_held_by_all(cluster, "late", "new", version)


def test_a_leader_without_followers_confirms_alone(start_cluster: StartCluster) -> None:
    leader = start_cluster(0).leader
    assert leader.status().write_quorum == 0
    assert confirmed(leader.put("key", 1)).replicas_confirmed == 0


def test_pending_writes_are_confirmed_by_a_lower_quorum(start_cluster: StartCluster) -> None:
    """At once, and not only when a follower says something the next time."""
    cluster = start_cluster(4, WRITE_QUORUM=4, **PATIENT)
    leader, quick, late = cluster.leader, cluster.followers[:2], cluster.followers[2:]
    last_index = leader.status().last_index
    with ThreadPoolExecutor(5) as pool, cluster.frozen(*late):
        writes = [pool.submit(leader.put, f"pending{n}", n) for n in range(5)]
        for follower in quick:
            cluster.wait_for_follower(follower, match_index=last_index + 5)
        with cluster.frozen(*quick):
            leader.set_quorum(2)
            answers = [write.result() for write in writes]
    assert [confirmed(answer).replicas_confirmed for answer in answers] == [2] * 5
