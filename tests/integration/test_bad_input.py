"""Bad requests, each against a real leader and a real follower.

Each gets the JSON error that the documentation says, changes nothing on either node, and leaves a
node that serves.
"""

import json
import socket
from collections.abc import Iterator

import msgspec
import pytest

from analysis.nodes.node import Node
from analysis.nodes.node_client import key_path
from kvstore.api_types import Status
from kvstore.core.entries import ReignId
from kvstore.core.messages import Answer
from tests.conftest import StartCluster
from tests.support.answers import found
from tests.support.bad_requests import (
    BAD_TARGETS,
    BAD_WRITES,
    BODY,
    CUT_OFF,
    JUST_GOOD,
    NO_HTTP,
    Bad,
    chunked,
    put,
    request,
    with_headers,
)
from tests.support.cluster import Cluster
from tests.support.http_stream import HttpResponse, exchange, read_response
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def pair(start_shared_cluster: StartCluster) -> Iterator[Cluster]:
    """A leader and a follower that hold a key; at the end they still take writes."""
    pair = start_shared_cluster(1)
    pair.leader.put_confirmed("known", {"a": [1, None, "é"]})
    pair.wait_for_replication()
    yield pair
    pair.leader.put_confirmed("after", "all of it")
    pair.wait_for_replication()
    pair.assert_copies_equal()


@pytest.fixture(scope="module")
def durable(start_shared_cluster: StartCluster) -> Cluster:
    """A leader and a follower that keep what they have on disk."""
    return start_shared_cluster(1, durable=True)


def state(node: Node) -> tuple[Status, str]:
    """Everything about a node that a bad request must not change."""
    status = msgspec.structs.replace(node.status(), commit_index=0, applied_index=0, followers=[])
    return status, node.copy().digest


def assert_error(answer: HttpResponse, status: int, leader: str) -> None:
    """The answer is the documented one, and has no more members than that."""
    assert answer.status == status, answer.raw
    assert "\r\nContent-Type: application/json" in answer.head
    document = answer.json()
    assert isinstance(document["error"], str)
    assert document["error"].strip(), "an error says what is wrong"
    if document["error"] == "not leader":
        assert document == {"error": "not leader", "leader": leader}
    else:
        assert set(document) == {"error", "version"} if status == 412 else {"error"}
    assert ("\r\nAllow: " in answer.head) == (status == 405)


def send_everywhere(pair: Cluster, bad: Bad) -> None:
    before = [state(node) for node in pair.nodes]
    for node in pair.nodes:
        assert_error(exchange(node.endpoint, bad.raw), bad.status(node), pair.leader.url)
        assert found(node.get("known")).value == {"a": [1, None, "é"]}
    assert [state(node) for node in pair.nodes] == before


@pytest.mark.parametrize("name", NO_HTTP)
def test_no_http(pair: Cluster, name: str) -> None:
    send_everywhere(pair, NO_HTTP[name])


@pytest.mark.parametrize("name", BAD_TARGETS)
def test_bad_target(pair: Cluster, name: str) -> None:
    send_everywhere(pair, BAD_TARGETS[name])


@pytest.mark.parametrize("name", BAD_WRITES)
def test_bad_write(pair: Cluster, name: str) -> None:
    send_everywhere(pair, BAD_WRITES[name])


NO_MESSAGES = {
    "nothing": b"",
    "no JSON": b"replicate",
    "list": b"[]",
    "missing fields": b"{}",
    "lone surrogate": b'{"cluster": "\\ud800"}',
    "a million levels": b'{"x":' + b"[" * 500_000,
    "number beyond a double": b'{"epoch": 1e400}',
}


@pytest.mark.parametrize("route", ["", "/hello", "/claim", "/snapshot", "/fetch"])
@pytest.mark.parametrize("name", NO_MESSAGES)
def test_no_message(pair: Cluster, name: str, route: str) -> None:
    send_everywhere(pair, Bad(request("POST", f"/replicate{route}", NO_MESSAGES[name])))


def message(follower: Node, route: str, **changes: object) -> bytes:
    """A message that the follower would take, with changes."""
    asked = {"cluster": None, "epoch": 0, "reign": "", "leader": ""}
    answer = follower.request("POST", "/replicate/hello", json=asked)
    held = msgspec.json.decode(answer.content, type=Answer)
    following = held.last_index + 1
    assert held.reign_id is not None
    reign = ReignId(held.epoch, held.restart, held.reign_id, held.takeover_id)
    header = {
        "cluster": held.cluster_id,
        "epoch": held.epoch,
        "restart": held.restart,
        "takeover": held.takeover_id,
        "reign": held.reign_id,
        "leader": "http://127.0.0.1:1",
        "node": held.node_id,
    }
    before = {"prev_epoch": held.last_epoch, "prev_reign": held.last_reign_id}
    position = {"index": following, "index_epoch": held.epoch, "index_reign": held.reign_id}
    content = {"lineage": [[reign, 1]], "members": {}, "items": [], "requests": []}
    of_route: dict[str, dict[str, object]] = {
        "": {**before, "prev_index": held.last_index, "entries": [], "commit_index": 0},
        "/hello": {},
        "/claim": {"found_reign": held.reign_id, "members": {}},
        "/fetch": {"offset": 0},
        "/snapshot": {**position, **content, "snapshot": "s", "offset": 0, "done": True},
    }
    document = {**header, "last_index": following, **of_route[route], **changes}
    return request("POST", f"/replicate{route}", msgspec.json.encode(document))


def test_messages_are_good_without_what_makes_them_bad(start_cluster: StartCluster) -> None:
    """Otherwise the tests below would show nothing."""
    pair = start_cluster(1)
    pair.leader.put_confirmed("known", 1)
    pair.leader.freeze()
    follower = pair.followers[0]
    for route in ("/hello", "/claim", "/fetch", "", "/snapshot"):
        answer = exchange(follower.endpoint, message(follower, route))
        assert answer.status == 200, f"{route}: {answer.raw!r}"


BAD_FIELDS: list[tuple[str, dict[str, object]]] = [
    ("", {"prev_index": -1}),
    ("", {"entries": [{"index": 2**63}]}),
    ("/hello", {"leader": []}),
    ("/claim", {"members": {"a:1": 1}}),
    ("/snapshot", {"lineage": [["reign", 1]]}),
    ("/fetch", {"offset": "0"}),
]


@pytest.mark.parametrize(("route", "changes"), BAD_FIELDS)
def test_bad_message(pair: Cluster, route: str, changes: dict[str, object]) -> None:
    send_everywhere(pair, Bad(message(pair.followers[0], route, **changes)))


@pytest.mark.parametrize(
    ("route", "changes"),
    [
        ("", {"commit_index": 1_000_000}),
        ("/claim", {"reign": "other", "epoch": 0}),
        ("/snapshot", {"items": [["known", 1_000_000, 2]]}),
    ],
)
def test_message_that_contradicts_itself(
    pair: Cluster, route: str, changes: dict[str, object]
) -> None:
    """The follower's rules refuse it; a leader answers that it takes no messages."""
    raw = message(pair.followers[0], route, **changes)
    send_everywhere(pair, Bad(raw, leader=403, follower=400))


@pytest.mark.parametrize(
    ("route", "changes"),
    [
        ("", {"cluster": None}),
        ("", {"epoch": 0}),
        ("/hello", {"cluster": "other"}),
        ("/claim", {"reign": "other", "takeover": "other", "restart": 10}),
        ("/claim", {"node": "other", "reign": "other", "restart": 10}),
        ("/snapshot", {"offset": 5}),
        ("/fetch", {"reign": "other"}),
    ],
)
def test_refused_message(pair: Cluster, route: str, changes: dict[str, object]) -> None:
    """Well-formed, but not from the leader that the follower follows, or not for it."""
    follower = pair.followers[0]
    raw = message(follower, route, **changes)
    before = [state(node) for node in pair.nodes]
    refused = exchange(follower.endpoint, raw)
    assert refused.status == 409, refused.raw
    answer = msgspec.json.decode(refused.body, type=Answer)
    assert answer.node_id == before[1][0].node
    assert answer.error
    by_leader = exchange(pair.leader.endpoint, raw)
    assert (by_leader.status, by_leader.json()) == (403, {"error": "not a follower"})
    assert [state(node) for node in pair.nodes] == before


@pytest.mark.parametrize("name", JUST_GOOD)
def test_what_is_just_good(durable: Cluster, name: str) -> None:
    """The limits are no narrower than they are said to be."""
    key, body = JUST_GOOD[name]
    written = exchange(durable.leader.endpoint, request("PUT", key_path("put", key), body))
    assert written.status == 200, written.raw
    assert written.json()["key"] == key
    durable.wait_for_replication()
    for node in durable.nodes:
        assert found(node.get(key)).value == json.loads(body)["value"]
    assert durable.assert_copies_equal().versions[key] == written.json()["version"]


def test_what_is_just_good_is_read_back_from_disk(durable: Cluster) -> None:
    before = [node.copy() for node in durable.nodes]
    durable.restart()
    durable.wait_until_ready()
    assert [node.copy().versions for node in durable.nodes] == [b.versions for b in before]
    assert [node.copy().store for node in durable.nodes] == [b.store for b in before]


@pytest.mark.parametrize("name", CUT_OFF)
def test_request_that_is_cut_off(pair: Cluster, name: str) -> None:
    """What ended early is not executed, whatever it had said so far."""
    before = [state(node) for node in pair.nodes]
    for node in pair.nodes:
        with socket.create_connection(node.endpoint, timeout=10) as connection:
            connection.sendall(CUT_OFF[name])
            connection.shutdown(socket.SHUT_WR)
            status = 400 if node is pair.leader else 403
            assert_error(read_response(connection), status, pair.leader.url)
    assert [state(node) for node in pair.nodes] == before


@pytest.mark.parametrize("sent", [b"G", b"GET /livez HTTP/1.1\r\nHost: no", b"\r\n", b""])
def test_head_that_is_cut_off(pair: Cluster, sent: bytes) -> None:
    for node in pair.nodes:
        with socket.create_connection(node.endpoint, timeout=10) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(65536) == b"", "there is nothing to answer"
        assert node.request("GET", "/livez").json() == {"live": True}


def test_rest_of_a_refused_body_is_no_request(pair: Cluster) -> None:
    """What follows a refusal on its connection is the rest of the body, whatever it looks like."""
    inner = request("PUT", "/put/smuggled", BODY)
    before = [state(node) for node in pair.nodes]
    refused = (
        request("PUT", "/put/known?x", inner),
        request("GET", "/livez", inner),
        chunked(b"zz\r\n" + inner),
    )
    for raw in refused:
        with socket.create_connection(pair.leader.endpoint, timeout=10) as connection:
            connection.sendall(raw)
            answer = read_response(connection)
            assert "\r\nConnection: close" in answer.head
            assert connection.recv(65536) == b"", "a second answer"
    assert [state(node) for node in pair.nodes] == before


def test_answer_arrives_although_the_body_goes_on(pair: Cluster) -> None:
    """A refusal reaches a client that sends its whole body before it reads."""
    size = 1 << 24
    head = with_headers("Host: node", f"Content-Length: {size}", body=b"")
    for node in pair.nodes:
        with socket.create_connection(node.endpoint, timeout=10) as connection:
            connection.sendall(head)
            for _ in range(size >> 16):
                connection.sendall(b" " * (1 << 16))
            status = 413 if node is pair.leader else 403
            assert_error(read_response(connection), status, pair.leader.url)


def test_a_connection_goes_on_after_an_error(pair: Cluster) -> None:
    """A refusal of a request that was read as a whole costs the client no connection."""
    with socket.create_connection(pair.leader.endpoint, timeout=10) as connection:
        for raw, status in ((put(b"{}"), 400), (request("GET", "/no"), 404), (put(BODY), 200)):
            connection.sendall(raw)
            assert read_response(connection).status == status

    def why_not() -> str | None:
        versions = {found(node.get("known")).version for node in pair.nodes}
        return None if len(versions) == 1 else f"versions {versions}"

    wait_until(why_not)
    pair.leader.put_confirmed("known", {"a": [1, None, "é"]})
