"""``ETag``, ``If-Match`` and ``If-None-Match``: what they let through; a 412 does nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.conftest import StartCluster
from tests.support.harness import PATIENT, ClusterHarness, Node

CLIENTS = 10
INCREMENTS_EACH = 10


@pytest.fixture
def key(request: pytest.FixtureRequest, cluster: ClusterHarness) -> Iterator[str]:
    """A key that no other test uses; copies are equal at the end."""
    yield request.node.name
    cluster.wait_for_replication()
    cluster.assert_copies_equal()


def put(node: Node, key: str, value: object, **headers: str) -> requests.Response:
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return node.request("PUT", f"/kv/{key}", json={"value": value}, headers=names)


def assert_refused(cluster: ClusterHarness, answer: requests.Response, version: int | None) -> None:
    """412 names the newest version, and no index was used."""
    assert answer.status_code == 412
    assert answer.json() == {"error": "precondition failed", "version": version}
    last_index = cluster.leader.status()["last_index"]
    assert cluster.leader.put_confirmed("next index", 1) == last_index + 1


def test_answers_about_a_key_carry_its_etag(cluster: ClusterHarness, key: str) -> None:
    written = put(cluster.leader, key, 1)
    version = written.json()["version"]
    assert written.headers["ETag"] == f'"{version}"'
    for node in cluster.nodes:
        read = node.request("GET", f"/kv/{key}?min_version={version}")
        assert read.headers["ETag"] == f'"{version}"'
    deleted = cluster.leader.request("DELETE", f"/kv/{key}")
    assert deleted.headers["ETag"] == f'"{deleted.json()["version"]}"'


@pytest.mark.parametrize("route", ["kv", "get"])
@pytest.mark.parametrize("etags", ['"{}"', 'W/"{}"', '"1000000", "{}"', "*"])
def test_known_version_is_not_sent_again(cluster: ClusterHarness, route: str, etags: str) -> None:
    version = cluster.leader.put_confirmed("known", 1)
    for node in cluster.nodes:
        read = node.request(
            "GET",
            f"/{route}/known?min_version={version}",
            headers={"If-None-Match": etags.format(version)},
        )
        assert (read.status_code, read.content) == (304, b"")
        assert read.headers["ETag"] == f'"{version}"'


def test_unknown_version_is_sent(cluster: ClusterHarness, key: str) -> None:
    version = put(cluster.leader, key, "new").json()["version"]
    read = cluster.leader.request(
        "GET", f"/kv/{key}", headers={"If-None-Match": f'"{version - 1}"'}
    )
    assert read.status_code == 200
    assert read.json() == {"found": True, "value": "new", "version": version}
    missing = cluster.leader.request("GET", "/kv/missing", headers={"If-None-Match": '"1"'})
    assert (missing.status_code, missing.json()) == (404, {"found": False})


def test_read_of_a_certain_version(cluster: ClusterHarness, key: str) -> None:
    version = put(cluster.leader, key, 1).json()["version"]
    read = cluster.leader.request("GET", f"/kv/{key}", headers={"If-Match": f'"{version}"'})
    assert read.status_code == 200
    refused = cluster.leader.request("GET", f"/kv/{key}", headers={"If-Match": f'"{version + 1}"'})
    assert_refused(cluster, refused, version)


def test_write_of_a_certain_version(cluster: ClusterHarness, key: str) -> None:
    first = put(cluster.leader, key, 1).json()["version"]
    second = put(cluster.leader, key, 2, If_Match=f'"{first}"')
    assert second.status_code == 200
    version = second.json()["version"]
    others = [
        first,
        version + 1,
        f"0{version}",
        f" {version}",
        "",
        "no version",
        "\xb2",
        "9" * 5000,
    ]
    for tag in [f'"{other}"' for other in others] + [f'W/"{version}"', "", ","]:
        assert_refused(cluster, put(cluster.leader, key, 3, If_Match=tag), version)
    assert cluster.leader.get(key).json()["value"] == 2
    assert put(cluster.leader, key, 3, If_Match=f'"{first}", "{version}"').status_code == 200


def test_write_of_whatever_exists(cluster: ClusterHarness, key: str) -> None:
    assert_refused(cluster, put(cluster.leader, key, 1, If_Match="*"), None)
    put(cluster.leader, key, 1)
    assert put(cluster.leader, key, 2, If_Match="*").status_code == 200


def test_creation_only(cluster: ClusterHarness, key: str) -> None:
    created = put(cluster.leader, key, 1, If_None_Match="*")
    assert created.status_code == 200
    version = created.json()["version"]
    assert_refused(cluster, put(cluster.leader, key, 2, If_None_Match="*"), version)
    cluster.leader.delete_confirmed(key)
    assert put(cluster.leader, key, 3, If_None_Match="*").status_code == 200


def test_write_unless_a_certain_version(cluster: ClusterHarness, key: str) -> None:
    version = put(cluster.leader, key, 1).json()["version"]
    assert_refused(cluster, put(cluster.leader, key, 2, If_None_Match=f'"{version}"'), version)
    assert put(cluster.leader, key, 2, If_None_Match=f'"{version + 1}"').status_code == 200


def test_conditional_delete(cluster: ClusterHarness, key: str) -> None:
    version = put(cluster.leader, key, 1).json()["version"]
    stale = cluster.leader.delete(key, If_Match=f'"{version - 1}"')
    assert_refused(cluster, stale, version)
    assert cluster.leader.delete(key, If_Match=f'"{version}"').status_code == 200
    assert_refused(cluster, cluster.leader.delete(key, If_Match=f'"{version}"'), None)


def test_conditions_count_what_is_appended_but_not_confirmed(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(2, settings=PATIENT, leader_settings={"WRITE_QUORUM": "2"})
    confirmed = cluster.leader.put_confirmed("key", "confirmed")
    with ThreadPoolExecutor(1) as pool:
        cluster.followers[0].freeze()
        pending = pool.submit(put, cluster.leader, "key", "pending")
        cluster.leader.wait_for_last_index(confirmed + 1)
        refused = put(cluster.leader, "key", "other", If_Match=f'"{confirmed}"')
        assert refused.status_code == 412
        assert refused.json()["version"] == confirmed + 1
        assert cluster.leader.status()["last_index"] == confirmed + 1
        assert cluster.leader.get("key").json()["value"] == "confirmed"
        cluster.followers[0].thaw()
        assert pending.result().status_code == 200
    read = cluster.leader.get("key").json()
    assert (read["value"], read["version"]) == ("pending", confirmed + 1)
    cluster.wait_for_replication()
    cluster.assert_copies_equal()


def test_counter_of_many_clients_loses_no_increment(cluster: ClusterHarness, key: str) -> None:
    put(cluster.leader, key, 0)

    def increment() -> None:
        done = 0
        while done < INCREMENTS_EACH:
            read = cluster.leader.get(key)
            value = read.json()["value"] + 1
            answer = put(cluster.leader, key, value, If_Match=read.headers["ETag"])
            assert answer.status_code in (200, 412)
            done += answer.status_code == 200

    with ThreadPoolExecutor(CLIENTS) as pool:
        for client in [pool.submit(increment) for _ in range(CLIENTS)]:
            client.result()
    assert cluster.leader.get(key).json()["value"] == CLIENTS * INCREMENTS_EACH
