"""What is written to the leader can be read from every node."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from analysis.nodes.http_stream import (
    HttpResponse,
    HttpSplitter,
    ask,
    exchange,
    open_connections,
    request,
)
from kvstore.api_types import Found
from tests.conftest import StartCluster
from tests.support.answers import confirmed, found, is_absent
from tests.support.cluster import PATIENT, Cluster

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


@pytest.fixture(scope="module")
def cluster(start_shared_cluster: StartCluster) -> Iterator[Cluster]:
    """A leader and two followers; W=1. Copies are equal after all that was done."""
    cluster = start_shared_cluster(2, **PATIENT)
    yield cluster
    cluster.wait_for_replication()
    cluster.assert_copies_equal()


def assert_found(cluster: Cluster, key: str, value: Any, version: int) -> None:
    """Every node answers a read with this value."""
    for node in cluster.nodes:
        read = node.get(key, min_version=version)
        assert found(read) == Found(found=True, value=value, version=version)
        assert repr(found(read).value) == repr(value), "JSON tells 1, 1.0 and true apart"


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
    address = cluster.leader.endpoint
    written = exchange(address, request("PUT", f"/put/{key}", b'{"value":1}')).json()
    assert (written["status"], written["key"]) == ("ok", key)
    read = exchange(address, request("GET", f"/get/{key}")).json()
    assert read == {"found": True, "value": 1, "version": written["version"]}
    assert cluster.leader.copy().versions[key] == written["version"]


def test_deletes(cluster: Cluster) -> None:
    leader, before = cluster.leader, cluster.leader.status().last_index
    assert leader.delete_confirmed("key") == before + 1, "an entry like any other"
    leader.put_confirmed("key", 1)
    deleted = leader.delete_confirmed("key")
    for node in cluster.nodes:
        assert is_absent(node.get("key", min_version=deleted))
    version = leader.put_confirmed("key", 2)
    assert version == deleted + 1, "a key that returns has a newer version"
    assert_found(cluster, "key", 2, version)


WRITES = [
    ("PUT", "/put/routed"),
    ("POST", "/put/routed"),
    ("PUT", "/kv/routed"),
    ("DELETE", "/delete/routed"),
    ("DELETE", "/kv/routed"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_every_route_of_a_key(cluster: Cluster, method: str, path: str) -> None:
    """HEAD is a read without its body; a follower refuses writes and names the leader."""
    value = None if method == "DELETE" else {"value": [method, path]}
    for follower in cluster.followers:
        answer = follower.request(method, path, json=value)
        assert answer.status_code == 403
        assert answer.json() == {"error": "not leader", "leader": cluster.leader.url}
    version = confirmed(cluster.leader.request(method, path, json=value)).version
    for node, route in product(cluster.nodes, ("get", "kv")):
        read, head = (
            node.request(reading, f"/{route}/routed?min_version={version}")
            for reading in ("GET", "HEAD")
        )
        assert (head.status_code, head.content) == (read.status_code, b"")
        if value is None:
            assert is_absent(read)
        else:
            assert found(read) == Found(found=True, value=[method, path], version=version)
            assert read.headers["ETag"] == head.headers["ETag"] == f'"{version}"'


def test_client_that_waits_before_it_sends_the_body(cluster: Cluster) -> None:
    """As curl does with a large one."""
    body = b'{"value":1}'
    head = request("PUT", "/put/k", body, "Expect: 100-continue").removesuffix(body)
    with open_connections(cluster.leader.endpoint, 1) as [connection]:
        assert ask(connection, head).status == 100
        assert ask(connection, body).json()["status"] == "ok"


def test_body_in_pieces(cluster: Cluster) -> None:
    body = b'{"value":"in pieces"}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = request("PUT", "/put/k", b"", "Transfer-Encoding: chunked")
    assert exchange(cluster.leader.endpoint, head + chunks).status == 200
    assert found(cluster.leader.get("k")).value == "in pieces"


def test_several_requests_sent_at_once_are_answered_in_order(cluster: Cluster) -> None:
    get = request("GET", "/get/piped")
    puts = [request("PUT", "/put/piped", b'{"value":%d}' % number) for number in range(1, 6)]
    with open_connections(cluster.leader.endpoint, 1) as [connection]:
        connection.sendall(b"".join(put + get for put in puts))
        splitter = HttpSplitter()
        answers: list[HttpResponse] = []
        while len(answers) < 10:
            answers += [HttpResponse(raw) for raw in splitter.feed(connection.recv(65536))]
    assert [answer.json()["value"] for answer in answers[1::2]] == [1, 2, 3, 4, 5]
