"""A client's mistake gets a JSON error, is never a 5xx, and changes nothing."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import StartCluster
from tests.harness import ClusterHarness
from tests.http_stream import HttpResponse, exchange, read_response

DEEP = b'{"value": ' + b"[" * 200 + b"]" * 200 + b"}"
VERY_DEEP = b'{"value": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"

BAD_BODIES = {
    "empty": b"",
    "no JSON": b"value=1",
    "cut off": b'{"value": 1',
    "two documents": b'{"value": 1} {"value": 2}',
    "not UTF-8": b'{"value": "\xff\xfe"}',
    "no object": b"[1]",
    "missing value": b"{}",
    "other name": b'{"Value": 1}',
    "NaN": b'{"value": NaN}',
    "Infinity": b'{"value": [Infinity]}',
    "-Infinity": b'{"value": {"a": -Infinity}}',
    "number out of range": b'{"value": 1e999}',
    "lone surrogate": b'{"value": "\\ud800"}',
    "lone surrogate in a name": b'{"value": {"\\udfff": 1}}',
    "repeated name": b'{"value": 1, "value": 2}',
    "repeated name inside": b'{"value": [{"a": 1, "a": 2}]}',
    "comment": b'{"value": 1 /* one */}',
    "trailing comma": b'{"value": [1,]}',
    "single quotes": b"{'value': 1}",
    "control character": b'{"value": "a\nb"}',
    "too deep": DEEP,
    "much too deep": VERY_DEEP,
    "huge whole number": b'{"value": ' + b"9" * 5000 + b"}",
}


@pytest.fixture(autouse=True)
def _nothing_changes(cluster: ClusterHarness) -> Iterator[None]:
    before = [node.store().digest for node in cluster.nodes]
    last_index = cluster.leader.status()["last_index"]
    yield
    assert [node.store().digest for node in cluster.nodes] == before
    assert cluster.leader.status()["last_index"] == last_index


@pytest.mark.parametrize("name", BAD_BODIES)
@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/put/k"), ("POST", "/put/k"), ("PUT", "/kv/k")]
)
def test_bad_body(cluster: ClusterHarness, method: str, path: str, name: str) -> None:
    answer = cluster.leader.request(method, path, body=BAD_BODIES[name])
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/json"
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize("route", ["put", "get", "delete", "kv"])
@pytest.mark.parametrize("key", ["k" * 1025, "é" * 513], ids=["ASCII", "two bytes each"])
def test_key_over_its_limit(cluster: ClusterHarness, route: str, key: str) -> None:
    method = {"put": "PUT", "get": "GET", "delete": "DELETE", "kv": "PUT"}[route]
    answer = cluster.leader.request(method, f"/{route}/{key}", json={"value": 1})
    assert answer.status_code == 400
    assert "1024" in answer.json()["error"]


@pytest.mark.parametrize("route", ["put", "get", "delete", "kv"])
def test_key_that_is_not_utf_8(cluster: ClusterHarness, route: str) -> None:
    method = {"put": "PUT", "get": "GET", "delete": "DELETE", "kv": "GET"}[route]
    head = f"{method} /{route}/%FF%FE HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\n"
    answer = exchange(cluster.leader.endpoint, head.encode() + b'{"value":1}')
    assert answer.status == 400
    assert "UTF-8" in answer.json()["error"]


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 23], ids=["value", "body"])
def test_too_large(cluster: ClusterHarness, size: int) -> None:
    # Two bytes of the value's JSON are its quotes.
    answer = cluster.leader.request("PUT", "/put/k", json={"value": "x" * size})
    assert answer.status_code == 413
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nothing/here", 404),
        ("PUT", "/put/", 404),
        ("PUT", "/put", 404),
        ("GET", "/get/", 404),
        ("DELETE", "/kv/", 404),
        ("GET", "/put/k", 405),
        ("DELETE", "/put/k", 405),
        ("PUT", "/get/k", 405),
        ("POST", "/kv/k", 405),
        ("GET", "/delete/k", 405),
        ("POST", "/delete/k", 405),
        ("PATCH", "/kv/k", 405),
        ("GET", "/replicate", 405),
        ("POST", "/status", 405),
        ("POST", "/admin/store", 405),
        ("GET", "/admin/set_quorum", 405),
        ("GET", "/admin/force_start", 405),
        ("BREW", "/kv/k", 405),
    ],
)
def test_unknown_route_or_method(
    cluster: ClusterHarness, method: str, path: str, status: int
) -> None:
    for node in (cluster.leader, cluster.followers[0]):
        answer = node.request(method, path, json={"value": 1})
        assert answer.status_code == status
        assert isinstance(answer.json()["error"], str)
        assert ("Allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("route", ["set_quorum", "set_delay"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b"1", b'{"quorum": NaN}', b"\xff"])
def test_bad_admin_body(cluster: ClusterHarness, route: str, body: bytes) -> None:
    answer = cluster.leader.request("POST", f"/admin/{route}", body=body)
    assert answer.status_code == 400
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize(
    ("low", "high"),
    [(2, 1), (-1, 1), (0, 2000), (0, 1e9), ("1", "2"), (None, 1), (True, True), ([], 1), (1, None)],
)
def test_impossible_delay_is_refused(cluster: ClusterHarness, low: Any, high: Any) -> None:
    body = {"min_ms": low, "max_ms": high}
    answer = cluster.leader.request("POST", "/admin/set_delay", json=body)
    assert answer.status_code == 400
    assert isinstance(answer.json()["error"], str)


def test_force_start_where_nobody_is_waited_for(cluster: ClusterHarness) -> None:
    answer = cluster.leader.request("POST", "/admin/force_start")
    assert answer.status_code == 409
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize("path", ["", "/hello", "/claim", "/snapshot", "/fetch"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"epoch": "1"}', b"\xff\xfe"])
def test_bad_replication_message(cluster: ClusterHarness, path: str, body: bytes) -> None:
    for node in (cluster.leader, cluster.followers[0]):
        answer = node.request("POST", f"/replicate{path}", body=body)
        assert answer.status_code == 400
        assert isinstance(answer.json()["error"], str)


NO_PROPER_REQUESTS = {
    "garbage": b"\x00\x01\x02\r\n\r\n",
    "one word": b"HELLO\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "long request line": b"GET /get/" + b"k" * 9000 + b" HTTP/1.1\r\nHost: test\r\n\r\n",
    "long header": b"GET /livez HTTP/1.1\r\nHost: test\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
    "many headers": b"GET /livez HTTP/1.1\r\nHost: test\r\n" + b"X: x\r\n" * 200 + b"\r\n",
    "other version": b"GET /livez HTTP/9.9\r\nHost: test\r\n\r\n",
    "bad header": b"GET /livez HTTP/1.1\r\nHost: test\r\nno colon\r\n\r\n",
    "bad length": b"PUT /put/k HTTP/1.1\r\nHost: test\r\nContent-Length: ten\r\n\r\n{}",
    "negative length": b"PUT /put/k HTTP/1.1\r\nHost: test\r\nContent-Length: -1\r\n\r\n{}",
    "two lengths": (
        b"PUT /put/k HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"
    ),
    "bad chunk": (
        b"PUT /put/k HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n"
    ),
    "unknown coding": (
        b"PUT /put/k HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: knotted\r\n\r\n{}"
    ),
}


@pytest.mark.parametrize("name", NO_PROPER_REQUESTS)
def test_what_is_no_proper_request(cluster: ClusterHarness, name: str) -> None:
    for node in (cluster.leader, cluster.followers[0]):
        answer = exchange(node.endpoint, NO_PROPER_REQUESTS[name])
        assert 400 <= answer.status < 500 or answer.status == 501, answer.raw
        assert "application/json" in answer.head
        assert isinstance(answer.json()["error"], str)
        assert node.request("GET", "/livez").json() == {"live": True}


def test_body_that_ends_early(cluster: ClusterHarness) -> None:
    assert end_early(cluster.leader.endpoint).status == 400


def end_early(address: tuple[str, int]) -> HttpResponse:
    head = b"PUT /put/k HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(head + b'{"value": 1}')
        connection.shutdown(socket.SHUT_WR)
        return read_response(connection)


def test_chunked_body_is_read(start_cluster: StartCluster) -> None:
    leader = start_cluster(0).leader
    body = json.dumps({"value": "in pieces"}).encode()
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, body[n : n + 1]) for n in range(len(body)))
    head = b"PUT /put/k HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert exchange(leader.endpoint, head + chunks + b"0\r\n\r\n").status == 200
    assert leader.get("k").json()["value"] == "in pieces"
