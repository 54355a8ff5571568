"""``ETag``, ``If-Match`` and ``If-None-Match``: what they let through; a 412 does nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.conftest import StartCluster
from tests.support.cluster import PATIENT, Cluster
from tests.support.waiting import at_least, wait_for_status

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
    assert answer.json() == {"error": "precondition failed", "version": version}
    last_index = cluster.leader.status()["last_index"]
    assert cluster.leader.put_confirmed("next index", 1) == last_index + 1


def test_answers_about_a_key_carry_its_etag(cluster: Cluster, key: str) -> None:
    written = cluster.leader.put(key, 1)
    version = written.json()["version"]
    assert written.headers["ETag"] == f'"{version}"'
    for node in cluster.nodes:
        assert node.get(key, min_version=version).headers["ETag"] == f'"{version}"'
    deleted = cluster.leader.delete(key)
    assert deleted.headers["ETag"] == f'"{deleted.json()["version"]}"'


@pytest.mark.parametrize("etags", ['"{}"', 'W/"{}"', '"1000000", "{}"', "*"])
def test_known_version_is_not_sent_again(cluster: Cluster, etags: str) -> None:
    version = cluster.leader.put_confirmed("known", 1)
    for node in cluster.nodes:
        for route in ("get", "kv"):
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
    for read in (
        leader.get(key, If_None_Match=f'"{version - 1}"'),
        leader.get(key, If_Match=f'"{version}"'),
    ):
        assert read.status_code == 200
        assert read.json() == {"found": True, "value": "new", "version": version}
    missing = leader.get("missing", If_None_Match='"1"')
    assert (missing.status_code, missing.json()) == (404, {"found": False})
    assert_refused(cluster, leader.get(key, If_Match=f'"{version + 1}"'), version)


def test_write_of_a_certain_version(cluster: Cluster, key: str) -> None:
    leader = cluster.leader
    first = leader.put_confirmed(key, 1)
    second = leader.put(key, 2, If_Match=f'"{first}"')
    assert second.status_code == 200
    version = second.json()["version"]
    others = [first, version + 1, f"0{version}", f" {version}", "", "no version", "\xb2"]
    for tag in [f'"{other}"' for other in [*others, "9" * 5000]] + [f'W/"{version}"', "", ","]:
        assert_refused(cluster, leader.put(key, 3, If_Match=tag), version)
    assert leader.get(key).json()["value"] == 2
    assert leader.put(key, 3, If_Match=f'"{first}", "{version}"').status_code == 200


def test_write_of_whatever_exists_and_creation_only(cluster: Cluster, key: str) -> None:
    leader = cluster.leader
    assert_refused(cluster, leader.put(key, 1, If_Match="*"), None)
    created = leader.put(key, 1, If_None_Match="*")
    assert created.status_code == 200
    version = created.json()["version"]
    assert_refused(cluster, leader.put(key, 2, If_None_Match="*"), version)
    assert_refused(cluster, leader.put(key, 2, If_None_Match=f'"{version}"'), version)
    assert leader.put(key, 2, If_None_Match=f'"{version + 1}"').status_code == 200
    assert leader.put(key, 2, If_Match="*").status_code == 200
    leader.delete_confirmed(key)
    assert leader.put(key, 3, If_None_Match="*").status_code == 200


def test_conditional_delete(cluster: Cluster, key: str) -> None:
    leader = cluster.leader
    version = leader.put_confirmed(key, 1)
    assert_refused(cluster, leader.delete(key, If_Match=f'"{version - 1}"'), version)
    assert leader.delete(key, If_Match=f'"{version}"').status_code == 200
    assert_refused(cluster, leader.delete(key, If_Match=f'"{version}"'), None)


def test_conditions_count_what_is_appended_but_not_confirmed(cluster: Cluster, key: str) -> None:
    leader = cluster.leader
    confirmed = leader.put_confirmed(key, "confirmed")
    with ThreadPoolExecutor(1) as pool:
        with cluster.frozen(cluster.followers[0]):
            pending = pool.submit(leader.put, key, "pending")
            wait_for_status(leader, last_index=at_least(confirmed + 1))
            refused = leader.put(key, "other", If_Match=f'"{confirmed}"')
            assert refused.status_code == 412
            assert refused.json()["version"] == confirmed + 1
            assert leader.status()["last_index"] == confirmed + 1
            assert leader.get(key).json()["value"] == "confirmed"
        assert pending.result().status_code == 200
    read = leader.get(key).json()
    assert (read["value"], read["version"]) == ("pending", confirmed + 1)


def test_counter_of_many_clients_loses_no_increment(cluster: Cluster, key: str) -> None:
    leader = cluster.leader
    leader.put_confirmed(key, 0)

    def increment() -> None:
        done = 0
        while done < INCREMENTS_EACH:
            read = leader.get(key)
            answer = leader.put(key, read.json()["value"] + 1, If_Match=read.headers["ETag"])
            assert answer.status_code in (200, 412)
            done += answer.status_code == 200

    with ThreadPoolExecutor(CLIENTS) as pool:
        for client in [pool.submit(increment) for _ in range(CLIENTS)]:
            client.result()
    assert leader.get(key).json()["value"] == CLIENTS * INCREMENTS_EACH
