"""Many clients at a time: there is one order, and every copy follows it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.harness import ClusterHarness, Node
from tests.support.write_record import WriteRecord

CLIENTS = 20
WRITES_EACH = 25


@pytest.fixture(autouse=True)
def _delayed(cluster: ClusterHarness) -> Iterator[None]:
    """Delays that differ so much that requests to different followers overtake each other."""
    cluster.leader.set_delay(0, 30)
    yield
    cluster.leader.set_delay(0.1, 1)


def watch_versions(node: Node, key: str, stopped: threading.Event) -> list[int]:
    """The versions of a key as one client sees them on one node, in the order of its reads."""
    versions = []
    while not stopped.is_set():
        answer = node.get(key)
        if answer.status_code == 200:
            versions.append(answer.json()["version"])
    return versions


@pytest.mark.parametrize("quorum", [1, 3, 5])
def test_one_key(cluster: ClusterHarness, quorum: int) -> None:
    cluster.leader.set_quorum(quorum)
    record = WriteRecord()
    key = f"hot{quorum}"

    def write(client: int) -> None:
        for number in range(WRITES_EACH):
            assert record.put(cluster.leader, key, [client, number]) == 200

    stopped = threading.Event()
    with ThreadPoolExecutor(CLIENTS + 2) as pool:
        watched = [cluster.leader, cluster.followers[4]]
        readers = [pool.submit(watch_versions, node, key, stopped) for node in watched]
        try:
            for client in [pool.submit(write, client) for client in range(CLIENTS)]:
                client.result()
        finally:
            stopped.set()
        for reader in readers:
            versions = reader.result()
            assert versions == sorted(versions), "a key went back to an older version"

    cluster.wait_for_replication()
    copy = cluster.assert_copies_equal()
    assert record.missing_from(copy) == []
    versions = [write.version for write in record.confirmed]
    assert len(set(versions)) == CLIENTS * WRITES_EACH
    assert copy.versions[key] == max(versions)


def test_many_keys(cluster: ClusterHarness) -> None:
    cluster.leader.set_quorum(2)
    record = WriteRecord()
    before = cluster.leader.status()["last_index"]

    def write(client: int) -> None:
        for number in range(WRITES_EACH):
            key = f"key{(client * 7 + number) % 40}"
            if number % 5 == 4:
                assert record.delete(cluster.leader, key) == 200
            else:
                assert record.put(cluster.leader, key, [client, number]) == 200

    with ThreadPoolExecutor(CLIENTS) as pool:
        for client in [pool.submit(write, client) for client in range(CLIENTS)]:
            client.result()

    cluster.wait_for_replication()
    copy = cluster.assert_copies_equal()
    assert record.missing_from(copy) == []
    versions = sorted(write.version for write in record.confirmed)
    assert versions == list(range(before + 1, before + CLIENTS * WRITES_EACH + 1))


def test_several_entries_travel_in_one_request(cluster: ClusterHarness) -> None:
    cluster.leader.set_quorum(1)
    # So long that every client has its next write in the log before the next request leaves.
    cluster.leader.set_delay(100, 100)
    followers = cluster.leader.status()["followers"]

    def write(client: int) -> None:
        for number in range(WRITES_EACH):
            cluster.leader.put_confirmed(f"grouped{client}", number)

    with ThreadPoolExecutor(CLIENTS) as pool:
        for client in [pool.submit(write, client) for client in range(CLIENTS)]:
            client.result()

    cluster.wait_for_replication()
    for before in followers:
        after = cluster.leader.follower_status(before["address"])
        entries = after["entries_sent"] - before["entries_sent"]
        requests = after["delay"]["count"] - before["delay"]["count"]
        assert entries == CLIENTS * WRITES_EACH
        assert requests < entries / 2
