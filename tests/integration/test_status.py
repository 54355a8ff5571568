"""What a node says about itself: ``/status``, ``/livez``, ``/readyz`` and ``/admin/store``."""

import hashlib
import json
from itertools import product

import msgspec
import pytest
from msgspec import Struct

from analysis.nodes.node import Node
from kvstore.api_types import Document, Live, NotFound, Readiness, Status, Store
from tests.conftest import StartCluster
from tests.support.cluster import PATIENT, Cluster


@pytest.fixture(scope="module")
def cluster(start_shared_cluster: StartCluster) -> Cluster:
    """A leader and three followers behind proxies; W=2."""
    return start_shared_cluster(3, proxied=True, WRITE_QUORUM=2, **PATIENT)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/livez", Live),
        ("/readyz", Readiness),
        ("/status", Status),
        ("/admin/store", Store),
        ("/openapi.json", Document),
        ("/get/missing", NotFound),
    ],
)
def test_an_answer_is_what_its_type_says(cluster: Cluster, path: str, kind: type[Struct]) -> None:
    """Every field is there, in its order, and nothing else."""
    cluster.leader.put_confirmed("key", [1.0, None, {"é": "\n"}])
    cluster.wait_for_replication()
    for node in cluster.nodes:
        body = node.request("GET", path).content
        assert msgspec.json.encode(msgspec.json.decode(body, type=kind)) == body


def test_what_leader_and_followers_say(cluster: Cluster) -> None:
    version = [cluster.leader.put_confirmed("key", number) for number in range(10)][-1]
    cluster.wait_for_replication()
    leader = cluster.leader.status()
    assert (leader.role, leader.state, leader.write_quorum) == ("leader", "leading", 2)
    assert leader.last_index == leader.commit_index == leader.applied_index == version
    assert leader.waiting_for == []
    for follower, seen in zip(cluster.followers, leader.followers, strict=True):
        own = follower.status()
        assert (own.role, own.state, own.epoch) == ("follower", "following", leader.epoch)
        assert own.last_index == own.applied_index == version
        assert (seen.address, seen.node) == (cluster.address(follower), own.node)
        assert seen.match_index == seen.entries_sent == version
        assert (seen.lag_entries, seen.lag_s, seen.snapshots_sent) == (0, 0, 0)
        assert seen.delay.count > 0
        assert 0.1 <= seen.delay.mean_drawn_ms <= 1.0
    assert len({node.status().node for node in cluster.nodes}) == len(cluster.nodes)


def test_a_first_start_needs_no_snapshot(start_cluster: StartCluster) -> None:
    """Not even by a follower that is met after the first entry is confirmed."""
    cluster = start_cluster(2, proxied=True, **PATIENT)
    cluster.link(cluster.followers[1]).delay(0.1)
    cluster.restart()
    cluster.wait_for_replication()
    followers = cluster.leader.status().followers
    assert [(f.entries_sent, f.snapshots_sent) for f in followers] == [(1, 0)] * 2


def test_lag_of_a_follower(cluster: Cluster) -> None:
    late = cluster.followers[2]
    cluster.link(late).refuse()
    cluster.wait_for_follower(late, state="unreachable")
    for number in range(7):
        cluster.leader.put_confirmed("key", number)
    first = cluster.follower_status(late)
    second = cluster.follower_status(late)
    assert first.lag_entries == second.lag_entries == 7
    assert 0 < first.lag_s < second.lag_s
    assert 0 < (first.last_contact_s or 0) < (second.last_contact_s or 0)
    assert first.match_index == cluster.leader.status().last_index - 7
    cluster.heal(late)
    cluster.wait_for_replication()
    assert cluster.follower_status(late).lag_entries == 0


def assert_health(nodes: list[Node], statuses: dict[str, int]) -> None:
    for node, (path, status) in product(nodes, statuses.items()):
        assert node.request("GET", path).status_code == status
        head = node.request("HEAD", path)
        assert (head.status_code, head.content) == (status, b"")


def test_health(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2)
    up, missing = cluster.nodes[:2], cluster.followers[1]
    assert_health(up, {"/livez": 200, "/readyz": 200})
    missing.crash()
    cluster.restart(*up)
    assert_health(up, {"/livez": 200, "/readyz": 503})
    assert missing.address in cluster.leader.status().waiting_for


def test_store_is_everything_the_node_serves_under_one_digest(cluster: Cluster) -> None:
    """The digest is over the index and the items, sorted by key."""
    leader = cluster.leader
    written = {key: {"a": [1, None, key]} for key in ("é", "b", "a", "B")}
    versions = {key: leader.put_confirmed(key, value) for key, value in written.items()}
    deleted = leader.delete_confirmed("key")
    cluster.wait_for_replication()
    for node in cluster.nodes:
        copy = node.copy()
        assert written.items() <= copy.store.items()
        assert versions.items() <= copy.versions.items()
        assert copy.versions.keys() == copy.store.keys() - {"key"}
        assert (copy.index, copy.epoch) == (deleted, leader.status().epoch)
        text = str(copy.index)
        for key in sorted(copy.store):
            item = [key, copy.versions[key], copy.store[key]]
            text += json.dumps(item, ensure_ascii=False, separators=(",", ":"))
        assert copy.digest == hashlib.sha256(text.encode()).hexdigest()
