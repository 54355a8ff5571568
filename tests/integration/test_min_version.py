"""``min_version``: a client reads what it wrote, and never something older, on any node."""

import time
from collections.abc import Callable
from functools import partial

import pytest
import requests

from kvstore.api_types import Found, NotApplied
from kvstore.client.node_client import decode
from tests.conftest import StartCluster
from tests.support.answers import confirmed, found, is_absent, open_version
from tests.support.cluster import Cluster
from tests.support.open_writes import until_confirmed, write_unnoticed
from tests.support.waiting import wait_until

REPL_TIMEOUT_S = 1.0


@pytest.fixture(scope="module")
def cluster(start_shared_cluster: StartCluster) -> Cluster:
    """A leader and two followers behind proxies; W=1."""
    return start_shared_cluster(2, proxied=True, REPL_TIMEOUT=REPL_TIMEOUT_S)


def assert_not_applied(read: Callable[[], requests.Response], applied_index: int) -> None:
    """The read waits as long as it may, and is answered 504."""
    start_s = time.monotonic()
    answer = read()
    assert time.monotonic() - start_s >= REPL_TIMEOUT_S
    assert answer.status_code == 504
    assert decode(answer, NotApplied).applied_index == applied_index


def assert_found_at_last(read: Callable[[], requests.Response], expected: Found) -> None:
    wait_until(lambda: read().text if read().status_code == 504 else None)
    assert found(read()) == expected


def test_a_late_follower_answers_with_what_it_has_or_waits(cluster: Cluster) -> None:
    late = cluster.followers[1]
    cluster.wait_for_replication()
    applied_index = late.status().applied_index
    cluster.link(late).stall()
    put = partial(cluster.leader.put, "awaited", "new", Idempotency_Key="awaited")
    version = confirmed(until_confirmed(put)).version
    assert is_absent(late.get("awaited"))
    read = partial(late.get, "awaited", version)
    assert_not_applied(read, applied_index)
    cluster.heal(late)
    assert_found_at_last(read, Found(found=True, value="new", version=version))


def test_leader_waits_for_confirmation(cluster: Cluster) -> None:
    leader, late = cluster.leader, cluster.followers[1]

    def restore() -> None:
        cluster.heal(late)
        cluster.wait_until_streaming(late)

    restore()
    leader.set_quorum(2)
    lose = cluster.link(late).stall
    [write] = write_unnoticed(lose, restore, partial(leader.put, "pending", 1))
    version = open_version(write)
    read = partial(leader.get, "pending", version)
    assert_not_applied(read, version - 1)
    restore()
    assert_found_at_last(read, Found(found=True, value=1, version=version))
