"""What is written to the leader can be read from every node."""

import socket
from typing import Any

import pytest

from tests.support.harness import ClusterHarness
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
    "double//slash",
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


def test_write_to_the_leader_is_read_everywhere(cluster: ClusterHarness) -> None:
    answer = cluster.leader.put("colour", "blue")
    assert answer.status_code == 200
    version = answer.json()["version"]
    assert answer.json() == {
        "status": "ok",
        "key": "colour",
        "version": version,
        "replicas_confirmed": answer.json()["replicas_confirmed"],
    }
    assert 1 <= answer.json()["replicas_confirmed"] <= 5
    for node in cluster.nodes:
        read = node.get("colour", min_version=version)
        assert read.status_code == 200
        assert read.json() == {"found": True, "value": "blue", "version": version}
        assert read.headers["ETag"] == f'"{version}"'


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
def test_every_json_value_comes_back_as_it_was(cluster: ClusterHarness, value: Any) -> None:
    version = cluster.leader.put_confirmed("value", value)
    for node in cluster.nodes:
        read = node.get("value", min_version=version)
        assert (read.status_code, read.json()["version"]) == (200, version)
        assert repr(read.json()["value"]) == repr(value)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key)[:30])
def test_every_key_is_one_key_of_its_own(cluster: ClusterHarness, key: str) -> None:
    version = cluster.leader.put_confirmed(key, f"value of {key}")
    for node in cluster.nodes:
        assert node.get(key, min_version=version).json()["value"] == f"value of {key}"
    assert cluster.leader.store().versions[key] == version


@pytest.mark.parametrize("key", ["a/b", "/a", "a/", "a//b", "//", ".", "..", "../.."])
def test_slashes_and_dots_of_a_key_need_no_encoding(cluster: ClusterHarness, key: str) -> None:
    body = b'{"value": 1}'
    put = f"PUT /put/{key} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    written = exchange(cluster.leader.endpoint, put + body).json()
    assert (written["status"], written["key"]) == ("ok", key)
    get = f"GET /get/{key} HTTP/1.1\r\nHost: test\r\n\r\n".encode()
    read = exchange(cluster.leader.endpoint, get).json()
    assert read == {"found": True, "value": 1, "version": written["version"]}
    assert cluster.leader.store().versions[key] == written["version"]


def test_key_that_was_never_written_is_not_found(cluster: ClusterHarness) -> None:
    for node in cluster.nodes:
        answer = node.get("never written")
        assert (answer.status_code, answer.json()) == (404, {"found": False})


def test_null_is_a_value_and_not_absence(cluster: ClusterHarness) -> None:
    version = cluster.leader.put_confirmed("null", None)
    for node in cluster.nodes:
        answer = node.get("null", min_version=version)
        expected = {"found": True, "value": None, "version": version}
        assert (answer.status_code, answer.json()) == (200, expected)


def test_delete_removes_the_key_everywhere(cluster: ClusterHarness) -> None:
    cluster.leader.put_confirmed("doomed", 1)
    version = cluster.leader.delete_confirmed("doomed")
    for node in cluster.nodes:
        answer = node.get("doomed", min_version=version)
        assert (answer.status_code, answer.json()) == (404, {"found": False})
    cluster.wait_for_replication()
    assert "doomed" not in cluster.assert_copies_equal().versions


def test_delete_of_a_missing_key_is_an_entry_like_any_other(cluster: ClusterHarness) -> None:
    last_index = cluster.leader.status()["last_index"]
    assert cluster.leader.delete_confirmed("was never there") == last_index + 1


def test_key_that_returns_after_a_delete_has_a_newer_version(cluster: ClusterHarness) -> None:
    first = cluster.leader.put_confirmed("returning", 1)
    deleted = cluster.leader.delete_confirmed("returning")
    second = cluster.leader.put_confirmed("returning", 2)
    assert first < deleted < second
    for node in cluster.nodes:
        read = node.get("returning", min_version=second).json()
        assert read == {"found": True, "value": 2, "version": second}


@pytest.mark.parametrize(("method", "route"), [("PUT", "put"), ("POST", "put"), ("PUT", "kv")])
def test_routes_that_put(cluster: ClusterHarness, method: str, route: str) -> None:
    answer = cluster.leader.request(method, f"/{route}/routed", json={"value": [method, route]})
    assert answer.status_code == 200
    version = answer.json()["version"]
    for node in cluster.nodes:
        for reading in ("get", "kv"):
            read = node.request("GET", f"/{reading}/routed?min_version={version}")
            assert read.json() == {"found": True, "value": [method, route], "version": version}


@pytest.mark.parametrize("route", ["delete", "kv"])
def test_routes_that_delete(cluster: ClusterHarness, route: str) -> None:
    cluster.leader.put_confirmed("routed", 1)
    answer = cluster.leader.request("DELETE", f"/{route}/routed")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert cluster.leader.get("routed").status_code == 404


def test_head_is_a_read_without_its_body(cluster: ClusterHarness) -> None:
    version = cluster.leader.put_confirmed("headed", 1)
    for node in cluster.nodes:
        node.get("headed", min_version=version)
        for route in ("get", "kv"):
            found = node.request("HEAD", f"/{route}/headed")
            assert (found.status_code, found.content) == (200, b"")
            assert found.headers["ETag"] == f'"{version}"'
            missing = node.request("HEAD", f"/{route}/never written")
            assert (missing.status_code, missing.content) == (404, b"")


def test_client_that_waits_before_it_sends_the_body(cluster: ClusterHarness) -> None:
    """As curl does with a large one."""
    head = (
        b"PUT /put/k HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(cluster.leader.endpoint, timeout=10) as connection:
        connection.sendall(head)
        assert read_response(connection).status == 100
        connection.sendall(b'{"value":1}')
        assert read_response(connection).json()["status"] == "ok"


def test_body_in_pieces(cluster: ClusterHarness) -> None:
    body = b'{"value":"in pieces"}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = b"PUT /put/k HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert exchange(cluster.leader.endpoint, head + chunks).status == 200
    assert cluster.leader.get("k").json()["value"] == "in pieces"


def test_several_requests_sent_at_once_are_answered_in_order(cluster: ClusterHarness) -> None:
    body = b'{"value":%d}'
    put = b"PUT /put/piped HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\n" + body
    get = b"GET /get/piped HTTP/1.1\r\nHost: test\r\n\r\n"
    with socket.create_connection(cluster.leader.endpoint, timeout=10) as connection:
        connection.sendall(b"".join(put % number + get for number in range(1, 6)))
        splitter = HttpSplitter()
        answers: list[HttpResponse] = []
        while len(answers) < 10:
            answers += [HttpResponse(raw) for raw in splitter.feed(connection.recv(65536))]
    values = [answer.json()["value"] for answer in answers[1::2]]
    assert values == [1, 2, 3, 4, 5]


def test_versions_are_the_indexes_of_the_log(cluster: ClusterHarness) -> None:
    last_index = cluster.leader.status()["last_index"]
    versions = [cluster.leader.put_confirmed(f"key{n}", n) for n in range(5)]
    assert versions == list(range(last_index + 1, last_index + 6))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/put/k"),
        ("POST", "/put/k"),
        ("PUT", "/kv/k"),
        ("DELETE", "/delete/k"),
        ("DELETE", "/kv/k"),
    ],
)
def test_follower_refuses_writes_and_names_the_leader(
    cluster: ClusterHarness, method: str, path: str
) -> None:
    last_index = cluster.leader.status()["last_index"]
    for follower in cluster.followers:
        answer = follower.request(method, path, json={"value": 1})
        assert answer.status_code == 403
        assert answer.json() == {"error": "not leader", "leader": cluster.leader.url}
    assert cluster.leader.status()["last_index"] == last_index


def test_copies_are_equal_after_all_that(cluster: ClusterHarness) -> None:
    cluster.leader.put_confirmed("last", 1)
    cluster.wait_for_replication()
    copy = cluster.assert_copies_equal()
    assert copy.store["last"] == 1
