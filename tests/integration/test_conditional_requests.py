"""``ETag``, ``If-Match`` and ``If-None-Match``: what they let through; a 412 does nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
import requests

from kvstore.api_types import Found, PreconditionFailed
from kvstore.client.node_client import decode
from tests.conftest import StartCluster
from tests.support.answers import confirmed, found, is_absent
from tests.support.cluster import PATIENT, Cluster

CLIENTS = 10
INCREMENTS_EACH = 10


@pytest.fixture(scope="module")
def cluster(start_shared_cluster: StartCluster) -> Cluster:
    """A leader and two followers; W=2, and a write has a lot of time."""
    return start_shared_cluster(2, WRITE_QUORUM=2, **PATIENT)


@pytest.fixture
def key(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[str]:
    """A key that no other test uses; copies are equal at the end."""
    yield request.node.name
    cluster.wait_for_replication()
    cluster.assert_copies_equal()


def assert_refused(cluster: Cluster, answer: requests.Response, version: int | None) -> None:
    """412 names the newest version, and no index was used."""
    assert answer.status_code == 412
    assert decode(answer, PreconditionFailed).version == version
    last_index = cluster.leader.status().last_index
    assert cluster.leader.put_confirmed("next index", 1) == last_index + 1


@pytest.mark.parametrize("etags", ['"{}"', 'W/"{}"', '"1000000", "{}"', "*"])
def test_known_version_is_not_sent_again(cluster: Cluster, etags: str) -> None:
    version = cluster.leader.put_confirmed("known", 1)
    for node, route in product(cluster.nodes, ("get", "kv")):
        read = node.request(
            "GET",
            f"/{route}/known?min_version={version}",
            headers={"If-None-Match": etags.format(version)},
        )
        assert (read.status_code, read.content) == (304, b"")
        assert read.headers["ETag"] == f'"{version}"'


def test_reads_under_a_condition(cluster: Cluster, key: str) -> None:
    leader = cluster.leader
    version = leader.put_confirmed(key, "new")
    other = leader.get(key, If_None_Match=f'"{version - 1}"')
    same = leader.get(key, If_Match=f'"{version}"')
    assert found(other) == found(same) == Found(found=True, value="new", version=version)
    assert is_absent(leader.get("missing", If_None_Match='"1"'))
    assert_refused(cluster, leader.get(key, If_Match=f'"{version + 1}"'), version)


def test_write_of_a_certain_version(cluster: Cluster, key: str) -> None:
    leader = cluster.leader
    first = leader.put_confirmed(key, 1)
    second = leader.put(key, 2, If_Match=f'"{first}"')
    version = confirmed(second).version
    assert second.headers["ETag"] == f'"{version}"'
    others = [first, version + 1, f"0{version}", f" {version}", "", "no version", "\xb2"]
    for tag in [f'"{other}"' for other in [*others, "9" * 5000]] + [f'W/"{version}"', "", ","]:
        assert_refused(cluster, leader.put(key, 3, If_Match=tag), version)
    assert_refused(cluster, leader.delete(key, If_Match=f'"{first}"'), version)
    assert found(leader.get(key)).value == 2
    third = confirmed(leader.put(key, 3, If_Match=f'"{first}", "{version}"')).version
    deleted = leader.delete(key, If_Match=f'"{third}"')
    assert deleted.headers["ETag"] == f'"{confirmed(deleted).version}"'
    assert_refused(cluster, leader.delete(key, If_Match=f'"{third}"'), None)


def test_write_of_whatever_exists_and_creation_only(cluster: Cluster, key: str) -> None:
    leader = cluster.leader
    assert_refused(cluster, leader.put(key, 1, If_Match="*"), None)
    version = confirmed(leader.put(key, 1, If_None_Match="*")).version
    assert_refused(cluster, leader.put(key, 2, If_None_Match="*"), version)
    assert_refused(cluster, leader.put(key, 2, If_None_Match=f'"{version}"'), version)
    assert leader.put(key, 2, If_None_Match=f'"{version + 1}"').status_code == 200
    assert leader.put(key, 2, If_Match="*").status_code == 200
    leader.delete_confirmed(key)
    assert leader.put(key, 3, If_None_Match="*").status_code == 200


def test_counter_of_many_clients_loses_no_increment(cluster: Cluster, key: str) -> None:
    leader = cluster.leader
    leader.put_confirmed(key, 0)

    def increment() -> None:
        done = 0
        while done < INCREMENTS_EACH:
            read = leader.get(key)
            answer = leader.put(key, found(read).value + 1, If_Match=read.headers["ETag"])
            assert answer.status_code in (200, 412)
            done += answer.status_code == 200

    with ThreadPoolExecutor(CLIENTS) as pool:
        for client in [pool.submit(increment) for _ in range(CLIENTS)]:
            client.result()
    assert found(leader.get(key)).value == CLIENTS * INCREMENTS_EACH
