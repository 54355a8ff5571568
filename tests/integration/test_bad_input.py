"""Bad requests, each against a real leader and a real follower.

Each gets the JSON error that the documentation says, changes nothing on either node, and leaves a
node that serves.
"""

import json
import socket
from collections.abc import Iterator

import msgspec
import pytest

from analysis.nodes.http_stream import (
    TIMEOUT_S,
    HttpResponse,
    exchange,
    read_response,
    request,
)
from analysis.nodes.node import Node
from kvstore.api_types import Status
from kvstore.client.node_client import key_path
from kvstore.http.http_transport import PATHS
from tests.conftest import StartCluster
from tests.support.answers import found
from tests.support.bad_requests import (
    BAD_REQUESTS,
    BODY,
    CUT_OFF,
    JUST_GOOD,
    Bad,
    chunked,
    framed,
    put,
)
from tests.support.cluster import PATIENT, Cluster


@pytest.fixture(scope="module")
def pair(start_shared_cluster: StartCluster) -> Iterator[Cluster]:
    """A leader and a follower that hold a key; at the end they still take writes."""
    pair = start_shared_cluster(1, proxied=True, **PATIENT)
    pair.leader.put_confirmed("known", {"a": [1, None, "é"]})
    pair.wait_for_replication()
    yield pair
    pair.leader.put_confirmed("after", "all of it")
    pair.wait_for_replication()
    pair.assert_copies_equal()


@pytest.fixture(scope="module")
def durable(start_shared_cluster: StartCluster) -> Cluster:
    """A leader and a follower that keep what they have on disk."""
    return start_shared_cluster(1, durable=True, **PATIENT)


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


def send_everywhere(pair: Cluster, bad: Bad, *, cut_off: bool = False) -> None:
    before = [state(node) for node in pair.nodes]
    for node in pair.nodes:
        answer = exchange(node.endpoint, bad.raw, cut_off=cut_off)
        assert_error(answer, bad.status(node), pair.leader.url)
        assert found(node.get("known")).value == {"a": [1, None, "é"]}
    assert [state(node) for node in pair.nodes] == before


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_bad_request(pair: Cluster, name: str) -> None:
    send_everywhere(pair, BAD_REQUESTS[name])


@pytest.mark.parametrize("name", CUT_OFF)
def test_request_that_is_cut_off(pair: Cluster, name: str) -> None:
    """What ended early is not executed, whatever it had said so far."""
    send_everywhere(pair, Bad(CUT_OFF[name], follower=403), cut_off=True)


NO_MESSAGES = {
    "nothing": b"",
    "no JSON": b"replicate",
    "list": b"[]",
    "missing fields": b"{}",
    "lone surrogate": b'{"cluster": "\\ud800"}',
    "a million levels": b'{"x":' + b"[" * 500_000,
    "number beyond a double": b'{"epoch": 1e400}',
}


@pytest.mark.parametrize("path", PATHS.values())
@pytest.mark.parametrize("name", NO_MESSAGES)
def test_no_message(pair: Cluster, name: str, path: str) -> None:
    send_everywhere(pair, Bad(request("POST", path, NO_MESSAGES[name])))


def message(pair: Cluster, path: str, **changes: object) -> bytes:
    """The last message of a kind that the follower has got from its leader, with changes."""
    [*_, last] = pair.link(pair.followers[0]).requests(path)
    return request("POST", path, json.dumps(last.json() | changes).encode())


@pytest.mark.parametrize(
    ("path", "changes", "by_leader"),
    [
        ("/replicate", {"prev_index": -1}, 400),
        ("/replicate", {"entries": [{"index": 2**63}]}, 400),
        ("/replicate/hello", {"leader": []}, 400),
        ("/replicate/claim", {"members": {"a:1": 1}}, 400),
        # The follower's rules refuse these; a leader answers that it takes no messages.
        ("/replicate", {"commit_index": 1_000_000}, 403),
        ("/replicate/claim", {"reign": "other", "epoch": 0}, 403),
    ],
)
def test_malformed_message(
    pair: Cluster, path: str, changes: dict[str, object], by_leader: int
) -> None:
    send_everywhere(pair, Bad(message(pair, path, **changes), by_leader, follower=400))


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("/replicate", {"cluster": None}),
        ("/replicate", {"epoch": 0}),
        ("/replicate/hello", {"cluster": "other"}),
        ("/replicate/claim", {"reign": "other", "takeover": "other", "restart": 10}),
        ("/replicate/claim", {"node": "other", "reign": "other", "restart": 10}),
    ],
)
def test_refused_message(pair: Cluster, path: str, changes: dict[str, object]) -> None:
    """Well-formed, but not from the leader that the follower follows, or not for it."""
    leader, follower = pair.nodes
    assert exchange(follower.endpoint, message(pair, path)).status == 200, "so the change is why"
    raw = message(pair, path, **changes)
    before = [state(node) for node in pair.nodes]
    refused = exchange(follower.endpoint, raw)
    assert refused.status == 409, refused.raw
    assert refused.json()["node"] == before[1][0].node
    assert refused.json()["error"]
    by_leader = exchange(leader.endpoint, raw)
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


@pytest.mark.parametrize("sent", [b"G", b"GET /livez HTTP/1.1\r\nHost: no", b"\r\n", b""])
def test_head_that_is_cut_off(pair: Cluster, sent: bytes) -> None:
    for node in pair.nodes:
        with socket.create_connection(node.endpoint, TIMEOUT_S) as connection:
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
        with socket.create_connection(pair.leader.endpoint, TIMEOUT_S) as connection:
            connection.sendall(raw)
            answer = read_response(connection)
            assert "\r\nConnection: close" in answer.head
            assert connection.recv(65536) == b"", "a second answer"
    assert [state(node) for node in pair.nodes] == before


def test_answer_arrives_although_the_body_goes_on(pair: Cluster) -> None:
    """A refusal reaches a client that sends its whole body before it reads."""
    size = 1 << 24
    head = framed(f"Content-Length: {size}", body=b"")
    for node in pair.nodes:
        with socket.create_connection(node.endpoint, TIMEOUT_S) as connection:
            connection.sendall(head)
            for _ in range(size >> 16):
                connection.sendall(b" " * (1 << 16))
            status = 413 if node is pair.leader else 403
            assert_error(read_response(connection), status, pair.leader.url)


def test_a_connection_goes_on_after_an_error(pair: Cluster) -> None:
    """A refusal of a request that was read as a whole costs the client no connection."""
    good = request("PUT", "/put/good", BODY)
    with socket.create_connection(pair.leader.endpoint, TIMEOUT_S) as connection:
        for raw, status in ((put(b"{}"), 400), (request("GET", "/no"), 404), (good, 200)):
            connection.sendall(raw)
            assert read_response(connection).status == status
    pair.wait_for_replication()
