"""Many clients at a time: there is one order, and every copy follows it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from analysis.nodes.node import Node
from tests.support.answers import found
from tests.support.cluster import Cluster
from tests.support.write_record import WriteRecord

CLIENTS = 20
WRITES_EACH = 25


def run_clients(write: Callable[[int, int], object]) -> None:
    """Let every client make its writes; its number and the write's are passed on."""

    def work(client: int) -> None:
        for number in range(WRITES_EACH):
            write(client, number)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, range(CLIENTS)))


def watch_versions(node: Node, key: str, stopped: threading.Event) -> list[int]:
    """The versions of a key as one client sees them on one node, in the order of its reads."""
    versions = []
    while not stopped.is_set():
        answer = node.get(key)
        if answer.status_code == 200:
            versions.append(found(answer).version)
    return versions


@pytest.mark.parametrize("quorum", [1, 3, 5])
def test_one_key(cluster: Cluster, quorum: int) -> None:
    leader, key, record = cluster.leader, f"hot{quorum}", WriteRecord()
    leader.set_quorum(quorum)
    # Delays that differ so much that requests to different followers overtake each other.
    leader.set_delay(0, 30)

    def write(client: int, number: int) -> None:
        assert record.put(leader, key, [client, number]) == 200

    stopped = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        watched = [leader, cluster.followers[4]]
        readers = [pool.submit(watch_versions, node, key, stopped) for node in watched]
        try:
            run_clients(write)
        finally:
            stopped.set()
        for reader in readers:
            versions = reader.result()
            assert versions == sorted(versions), "a key went back to an older version"

    copy = cluster.assert_nothing_lost(record)
    versions = [write.version for write in record.confirmed]
    assert len(set(versions)) == CLIENTS * WRITES_EACH
    assert copy.versions[key] == max(versions)


def test_several_entries_travel_in_one_request(cluster: Cluster) -> None:
    cluster.leader.set_quorum(1)
    # So long that every client has its next write in the log before the next request leaves.
    cluster.leader.set_delay(100, 100)
    before = [cluster.follower_status(follower) for follower in cluster.followers]
    run_clients(lambda client, number: cluster.leader.put(f"grouped{client}", number))
    cluster.wait_for_replication()
    for follower, old in zip(cluster.followers, before, strict=True):
        new = cluster.follower_status(follower)
        entries = new.entries_sent - old.entries_sent
        assert entries == CLIENTS * WRITES_EACH
        assert new.delay.count - old.delay.count < entries / 2
