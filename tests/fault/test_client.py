"""The client library on real nodes: every outcome is told as what it is, whatever fails."""

import subprocess
import sys
import threading
import time

import pytest

from analysis.nodes.node import REPO_ROOT, Node
from kvstore.client import (
    BatchRefusedError,
    Client,
    DeleteOperation,
    IndefiniteError,
    Item,
    NodeUnavailableError,
    PreconditionFailedError,
    PutOperation,
    RefusedError,
)
from tests.conftest import StartCluster
from tests.support.cluster import Cluster
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def healthy(start_shared_cluster: StartCluster) -> Cluster:
    return start_shared_cluster(2, WRITE_QUORUM=2)


def urls(*nodes: Node) -> list[str]:
    return [node.url for node in nodes]


def entries_of(node: Node, key: str) -> list[int]:
    """The versions under which a key stands in the node's copy."""
    versions = node.copy().versions
    return [versions[key]] if key in versions else []


# While all is well


@pytest.mark.parametrize("key", ["colour", "a/b", "..", "?#%2F", "ключ", " "])
def test_whatever_is_written_through_any_node_is_read_back(healthy: Cluster, key: str) -> None:
    with Client(healthy.followers[0].url) as client:
        assert client.get(key) is None
        value = {"é": [1.5, None, "\x00"]}
        written = client.put(key, value)
        assert client.get(key) == Item(value, written.version)
        assert client.delete(key).version == written.version + 1
        assert client.get(key) is None


def test_compare_and_set_makes_a_change_once(healthy: Cluster) -> None:
    with Client(",".join(urls(*healthy.followers))) as client:
        version = client.compare_and_set("cas", 1, None).version
        with pytest.raises(PreconditionFailedError) as refused:
            client.compare_and_set("cas", 2, None)
        assert (refused.value.version, refused.value.status) == (version, 412)
        version = client.compare_and_set("cas", 2, version).version
        with pytest.raises(PreconditionFailedError):
            client.compare_and_set("cas", 3, version - 1)
        assert client.get("cas") == Item(2, version)


def test_a_batch_is_done_whole_or_not_at_all(healthy: Cluster) -> None:
    with Client(healthy.followers[0].url) as client:
        done = client.batch([PutOperation(key="one", value=None), DeleteOperation(key="two")])
        one, two = (each.version for each in done.results)
        assert two == one + 1
        with pytest.raises(BatchRefusedError) as refused:
            client.batch(
                [PutOperation(key="one", value=2), DeleteOperation(key="one", if_match=two)]
            )
        assert [each.holds for each in refused.value.results] == [True, False]
        assert client.get("one") == Item(None, one)


def test_mistakes_are_refused_where_they_are_made(healthy: Cluster) -> None:
    with Client(healthy.leader.url) as client:
        before = healthy.leader.status().last_index
        for key, value in (("", 1), ("k", float("nan"))):
            with pytest.raises(ValueError, match=r"empty|JSON"):
                client.put(key, value)
        with pytest.raises(RefusedError, match="longer than 1024 bytes") as refused:
            client.put("k" * 1025, 1)
        assert refused.value.status == 400
        client.put("k", 1, idempotency_key="same")
        with pytest.raises(RefusedError, match="another payload"):
            client.put("k", 2, idempotency_key="same")
        assert healthy.leader.status().last_index == before + 1
    for wrong in ("", "127.0.0.1:5000", "ftp://127.0.0.1"):
        with pytest.raises(ValueError, match="URL"):
            Client(wrong)


@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()\n"])
def test_it_works_under_gevent_and_without(healthy: Cluster, patch: str) -> None:
    program = (
        f"{patch}from concurrent.futures import ThreadPoolExecutor\n"
        "from kvstore.client import Client\n"
        f"client = Client({healthy.followers[0].url!r})\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    versions = list(pool.map(lambda n: client.put(f'g{n}', n).version, range(40)))\n"
        "assert len(set(versions)) == 40\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=REPO_ROOT, check=True)


# While something fails


def test_an_open_write_says_so_and_is_made_once_when_it_is_repeated(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(1, WRITE_QUORUM=1, REPL_TIMEOUT=1)
    with Client(urls(*cluster.nodes), timeout_s=6) as client, cluster.frozen(*cluster.followers):
        with pytest.raises(IndefiniteError) as left_open:
            client.put("k", "once")
        assert left_open.value.version is not None
        assert len(left_open.value.idempotency_key) == 32
    with Client(cluster.leader.url) as client:
        written = client.put("k", "once", idempotency_key=left_open.value.idempotency_key)
        assert written.version == left_open.value.version
        assert client.get("k") == Item("once", written.version)


def test_a_frozen_leader_leaves_the_outcome_open(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, WRITE_QUORUM=1)
    with Client(urls(*cluster.nodes), timeout_s=2) as client:
        with cluster.frozen(cluster.leader):
            with pytest.raises(IndefiniteError, match="does not answer") as left_open:
                client.put("k", 1)
            assert left_open.value.version is None
            with pytest.raises(NodeUnavailableError):
                client.get("k")
        again = client.put("k", 1, idempotency_key=left_open.value.idempotency_key)
        assert entries_of(cluster.leader, "k") == [again.version]


def test_a_leader_that_is_killed_and_restarted_is_waited_for(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, WRITE_QUORUM=1, durable=True)
    with Client(urls(*cluster.nodes), timeout_s=60) as client:
        client.put("k", 0)
        cluster.leader.crash()
        restart = threading.Timer(0.5, cluster.leader.launch)
        restart.start()
        written = client.put("k", 1)
        assert client.get("k") == Item(1, written.version)
        restart.join()


def test_a_new_leader_is_found_while_the_old_one_is_frozen(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2, WRITE_QUORUM=1, durable=True)
    other = cluster.add_leader("other")
    with Client(urls(*cluster.nodes), timeout_s=20) as client:
        client.put("k", "old")
        with cluster.frozen(cluster.leader):
            other.start()
            other.wait_until_ready()
            written = client.put("k", "new")
            assert client.leader().url == other.url
            assert client.get("k") == Item("new", written.version)
    wait_until(lambda: None if cluster.leader.status().state == "deposed" else "not deposed")
    for given in (urls(*cluster.nodes), urls(cluster.leader, other)):
        with Client(given, timeout_s=5) as client:
            assert client.get("k") == Item("new", written.version)


def test_a_write_that_no_node_could_be_sent_is_not_open(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    given = urls(*cluster.nodes)
    for node in cluster.nodes:
        node.crash()
    with Client(given, timeout_s=0.5) as client:
        for operation in (client.status, lambda: client.get("k"), lambda: client.put("k", 1)):
            start_s = time.monotonic()
            with pytest.raises(NodeUnavailableError, match=r"within 0\.5 s"):
                operation()
            assert time.monotonic() - start_s >= 0.5, "it tries until the deadline"


def test_too_few_followers_refuse_a_write_for_good(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, WRITE_QUORUM=1, durable=True)
    [follower] = cluster.followers
    follower.crash()
    cluster.wait_for_follower(follower, state="unreachable")
    before = cluster.leader.status().last_index
    with Client(cluster.leader.url, timeout_s=0.5) as client:
        with pytest.raises(RefusedError, match="not enough followers") as refused:
            client.put("k", 1)
        assert refused.value.status == 503
        assert cluster.leader.status().last_index == before
        follower.start()
    with Client(cluster.leader.url, timeout_s=30) as client:
        client.put("k", 1)  # 503 as long as the leader has not met it again


# Sessions


def test_a_session_never_goes_back_over_any_mix_of_nodes(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2, WRITE_QUORUM=1, REPL_TIMEOUT=1, proxied=True)
    fresh, late = cluster.followers
    with (
        Client(urls(fresh, late), prefer_followers=True) as readers,
        Client(cluster.leader.url) as leader,
    ):
        leader.put("gone", 1)
        cluster.wait_for_replication()
        cluster.link(late).stall()
        newest = leader.put("k", "new")
        deleted = leader.delete("gone")
        wait_until(lambda: None if fresh.status().applied_index >= deleted.version else "not yet")
        without = [readers.get("gone") for _ in range(20)]
        assert None in without, "the fresh follower was asked"
        assert any(without), "the late one as well"
        for _ in range(5):
            session = readers.session()
            session.version = newest.version
            assert session.get("k") == Item("new", newest.version)
            assert session.version >= deleted.version, "what the node had applied was seen"
            assert session.get("gone") is None
        cluster.heal(late)


def test_a_session_reads_its_own_writes_from_followers(healthy: Cluster) -> None:
    with Client(urls(*healthy.followers), prefer_followers=True) as client:
        session = client.session()
        for n in range(50):
            written = session.put("own", n)
            assert session.get("own") == Item(n, written.version)
        session.delete("own")
        assert session.get("own") is None
        session.batch([PutOperation(key="own", value="b")])
        assert session.get("own") == Item("b", session.version)
