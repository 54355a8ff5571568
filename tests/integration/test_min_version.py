"""``min_version``: a client reads what it wrote, and never something older, on any node."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.conftest import StartCluster
from tests.support.harness import PATIENT, ClusterHarness, Node
from tests.support.open_writes import write_unnoticed


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterHarness]:
    """A leader and two followers behind proxies; W=1."""
    with ClusterHarness(2, tmp_path_factory.mktemp("cluster"), proxied=True) as harness:
        yield harness


@pytest.fixture
def late(cluster: ClusterHarness) -> Iterator[Node]:
    """A follower that gets nothing until its link is healed."""
    follower = cluster.followers[1]
    cluster.link(follower).stall()
    yield follower
    cluster.heal(follower)
    cluster.wait_for_replication()
    cluster.assert_copies_equal()


def test_without_it_a_late_follower_answers_with_what_it_has(
    cluster: ClusterHarness, late: Node
) -> None:
    cluster.leader.put_confirmed("unseen", 1)
    answer = late.get("unseen")
    assert (answer.status_code, answer.json()) == (404, {"found": False})


def test_read_waits_for_the_version(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2, settings=PATIENT, proxied=True)
    late = cluster.followers[1]
    cluster.link(late).stall()
    version = cluster.leader.put_confirmed("awaited", "new")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(late.get, "awaited", version)
        cluster.heal(late)
        answer = read.result()
    assert answer.status_code == 200
    assert answer.json() == {"found": True, "value": "new", "version": version}


def test_read_of_an_index_that_does_not_come_is_answered_504(
    cluster: ClusterHarness, late: Node
) -> None:
    applied_index = late.status()["applied_index"]
    version = cluster.leader.put_confirmed("too late", 1)
    answer = late.get("too late", min_version=version)
    assert answer.status_code == 504
    assert answer.json() == {"error": "min_version not reached", "applied_index": applied_index}


def test_leader_waits_for_confirmation(cluster: ClusterHarness, late: Node) -> None:
    def restore() -> None:
        cluster.heal(late)
        cluster.wait_until_streaming([late])

    cluster.leader.set_quorum(2)
    try:
        put = partial(cluster.leader.put, "pending", 1)
        [write] = write_unnoticed(cluster.link(late).stall, restore, put)
        version = write.json()["version"]
        assert cluster.leader.get("pending", min_version=version).status_code == 504
        restore()
        answer = cluster.leader.get("pending", min_version=version)
        assert (answer.status_code, answer.json()["version"]) == (200, version)
    finally:
        cluster.leader.set_quorum(1)


@pytest.mark.parametrize("min_version", [0, 1])
def test_index_that_was_reached_long_ago(cluster: ClusterHarness, min_version: int) -> None:
    cluster.leader.put_confirmed("old", 1)
    for node in cluster.nodes:
        assert node.get("missing", min_version=min_version).status_code == 404


@pytest.mark.parametrize(
    "text",
    ["", "-1", "1.0", "one", "1e3", "+1", " 1", "0x1", "\u0661", "9" * 40, "1&min_version=x"],
)
def test_what_is_no_index(cluster: ClusterHarness, text: str) -> None:
    for node in cluster.nodes:
        answer = node.request("GET", f"/get/key?min_version={text}")
        if "&" in text:
            assert answer.status_code in (400, 404)
        else:
            assert answer.status_code == 400
            assert "min_version" in answer.json()["error"]
