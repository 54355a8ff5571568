"""What is written to the leader can be read from every node."""

import socket
from typing import Any

import pytest

from kvstore.api_types import Found
from tests.conftest import StartCluster
from tests.support.answers import confirmed, found, is_absent
from tests.support.cluster import Cluster
from tests.support.http_stream import HttpResponse, HttpSplitter, exchange, read_response

VALUES: list[Any] = [
    None,
    False,
    0,
    -1.5,
    1e300,
    12345678901234567890,
    "",
    'ünïcödé \U0001f600 \u0000 \\ "',
    [],
    {},
    {"b": [1, {"a": None}], "a": "order of names is kept"},
    "x" * 1_000_000,
]

KEYS = [
    "plain",
    "with space",
    "a/b/c",
    "/leading",
    "trailing/",
    "//",
    "%2F",
    "a%2Fb",
    "100%",
    "question?mark",
    "hash#tag",
    "semi;colon&and=plus+",
    "dots/../up",
    "ключ-é-鍵-\U0001f511",
    "line\nbreak\ttab",
    "\r\n",
    "trailing line break\n",
    "quote\"'\\",
    "k" * 1024,
]
CONTINUE = (
    b"PUT /put/k HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n"
)


@pytest.fixture(scope="module")
def cluster(start_shared_cluster: StartCluster) -> Cluster:
    """A leader and two followers; W=1."""
    return start_shared_cluster(2)


def assert_found(cluster: Cluster, key: str, value: Any, version: int) -> None:
    """Every node answers a read with this value, in either form of the route."""
    for node in cluster.nodes:
        read = node.get(key, min_version=version)
        assert found(read) == Found(found=True, value=value, version=version)
        assert repr(found(read).value) == repr(value), "JSON tells 1, 1.0 and true apart"


def assert_absent(cluster: Cluster, key: str, version: int = 0) -> None:
    for node in cluster.nodes:
        assert is_absent(node.get(key, min_version=version))


def test_a_confirmed_write_is_described(cluster: Cluster) -> None:
    last_index = cluster.leader.status().last_index
    answer = confirmed(cluster.leader.put("colour", "blue"))
    assert (answer.key, answer.version) == ("colour", last_index + 1)
    assert 1 <= answer.replicas_confirmed <= 2


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
def test_every_json_value_comes_back_as_it_was(cluster: Cluster, value: Any) -> None:
    assert_found(cluster, "value", value, cluster.leader.put_confirmed("value", value))


@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key)[:30])
def test_every_key_is_one_key_of_its_own(cluster: Cluster, key: str) -> None:
    version = cluster.leader.put_confirmed(key, f"value of {key}")
    assert_found(cluster, key, f"value of {key}", version)
    assert cluster.leader.copy().versions[key] == version


@pytest.mark.parametrize("key", ["a/b", "/a", "a/", "a//b", "//", ".", "..", "../.."])
def test_slashes_and_dots_of_a_key_need_no_encoding(cluster: Cluster, key: str) -> None:
    put = f"PUT /put/{key} HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\n".encode()
    written = exchange(cluster.leader.endpoint, put + b'{"value":1}').json()
    assert (written["status"], written["key"]) == ("ok", key)
    get = f"GET /get/{key} HTTP/1.1\r\nHost: test\r\n\r\n".encode()
    read = exchange(cluster.leader.endpoint, get).json()
    assert read == {"found": True, "value": 1, "version": written["version"]}
    assert cluster.leader.copy().versions[key] == written["version"]


def test_deletes(cluster: Cluster) -> None:
    assert_absent(cluster, "key")
    leader, before = cluster.leader, cluster.leader.status().last_index
    assert leader.delete_confirmed("key") == before + 1, "an entry like any other"
    leader.put_confirmed("key", 1)
    deleted = leader.delete_confirmed("key")
    assert_absent(cluster, "key", deleted)
    version = leader.put_confirmed("key", 2)
    assert version == deleted + 1, "a key that returns has a newer version"
    assert_found(cluster, "key", 2, version)


@pytest.mark.parametrize(("method", "route"), [("PUT", "put"), ("POST", "put"), ("PUT", "kv")])
def test_routes_that_put(cluster: Cluster, method: str, route: str) -> None:
    answer = cluster.leader.request(method, f"/{route}/routed", json={"value": [method, route]})
    version = confirmed(answer).version
    for node in cluster.nodes:
        for reading in ("get", "kv"):
            read = node.request("GET", f"/{reading}/routed?min_version={version}")
            assert found(read) == Found(found=True, value=[method, route], version=version)


@pytest.mark.parametrize("route", ["delete", "kv"])
def test_routes_that_delete(cluster: Cluster, route: str) -> None:
    cluster.leader.put_confirmed("routed", 1)
    confirmed(cluster.leader.request("DELETE", f"/{route}/routed"))
    assert cluster.leader.get("routed").status_code == 404


def test_head_is_a_read_without_its_body(cluster: Cluster) -> None:
    version = cluster.leader.put_confirmed("headed", 1)
    for node in cluster.nodes:
        for route in ("get", "kv"):
            found = node.request("HEAD", f"/{route}/headed?min_version={version}")
            assert (found.status_code, found.content) == (200, b"")
            assert found.headers["ETag"] == f'"{version}"'
            missing = node.request("HEAD", f"/{route}/never written")
            assert (missing.status_code, missing.content) == (404, b"")


def test_client_that_waits_before_it_sends_the_body(cluster: Cluster) -> None:
    """As curl does with a large one."""
    with socket.create_connection(cluster.leader.endpoint, timeout=10) as connection:
        connection.sendall(CONTINUE)
        assert read_response(connection).status == 100
        connection.sendall(b'{"value":1}')
        assert read_response(connection).json()["status"] == "ok"


def test_body_in_pieces(cluster: Cluster) -> None:
    body = b'{"value":"in pieces"}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = b"PUT /put/k HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert exchange(cluster.leader.endpoint, head + chunks).status == 200
    assert found(cluster.leader.get("k")).value == "in pieces"


def test_several_requests_sent_at_once_are_answered_in_order(cluster: Cluster) -> None:
    put = b'PUT /put/piped HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\n{"value":%d}'
    get = b"GET /get/piped HTTP/1.1\r\nHost: test\r\n\r\n"
    with socket.create_connection(cluster.leader.endpoint, timeout=10) as connection:
        connection.sendall(b"".join(put % number + get for number in range(1, 6)))
        splitter = HttpSplitter()
        answers: list[HttpResponse] = []
        while len(answers) < 10:
            answers += [HttpResponse(raw) for raw in splitter.feed(connection.recv(65536))]
    assert [answer.json()["value"] for answer in answers[1::2]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/put/k"), ("POST", "/put/k"), ("PUT", "/kv/k"), ("DELETE", "/delete/k")],
)
def test_follower_refuses_writes_and_names_the_leader(
    cluster: Cluster, method: str, path: str
) -> None:
    last_index = cluster.leader.status().last_index
    for follower in cluster.followers:
        answer = follower.request(method, path, json={"value": 1})
        assert answer.status_code == 403
        assert answer.json() == {"error": "not leader", "leader": cluster.leader.url}
    assert cluster.leader.status().last_index == last_index


def test_copies_are_equal_after_all_that(cluster: Cluster) -> None:
    cluster.leader.put_confirmed("last", 1)
    cluster.wait_for_replication()
    assert cluster.assert_copies_equal().store["last"] == 1
