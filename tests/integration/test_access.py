"""Who may use the routes between nodes and for operators: with a token, and without one."""

import hmac
import socket
from collections.abc import Iterator
from itertools import product

import pytest

from analysis.nodes.http_stream import TIMEOUT_S, HttpResponse, exchange, request
from analysis.nodes.node import Node
from kvstore.app import create_app, create_node
from kvstore.config import load_settings
from kvstore.http.http_transport import PATHS
from tests.conftest import StartCluster
from tests.support.cluster import PATIENT, Cluster
from tests.support.waiting import containing

TOKEN = "s3cret-of-the-test-cluster"
OTHER_TOKEN = "an0ther-secret"

PROTECTED = [
    *(("POST", path) for path in PATHS.values()),
    ("GET", "/admin/store"),
    ("POST", "/admin/set_quorum"),
    ("POST", "/admin/set_delay"),
    ("GET", "/admin/exchanges"),
    ("POST", "/admin/force_start"),
]
OPEN = dict.fromkeys(
    ("/livez", "/readyz", "/status", "/openapi.json", "/get/known", "/kv/known"), 200
)
WRONG = [(), (OTHER_TOKEN,), (TOKEN, TOKEN), (f"{TOKEN}\xe9",)]
RIGHT = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A leader that has the token from its environment, a follower that reads it from a file.

    They log as much as gunicorn can, and every request.
    """
    directory = tmp_path_factory.mktemp("secured")
    token_file = directory / "token"
    token_file.write_text(f"{TOKEN}\n", "utf-8")
    verbose = "--log-level debug --access-logfile -"
    secured = Cluster(1, directory, GUNICORN_CMD_ARGS=verbose, **PATIENT)
    secured.leader.settings["CLUSTER_TOKEN"] = TOKEN
    secured.followers[0].settings["CLUSTER_TOKEN_FILE"] = str(token_file)
    with secured:
        secured.leader.put_confirmed("known", 1)
        secured.wait_for_replication()
        yield secured


def asking(method: str, path: str, *tokens: str, rest: bytes = b"\r\n") -> bytes:
    """A request with an Authorization header for each token; ``rest`` is all that follows these."""
    head = request(method, path, b"", *(f"Authorization: Bearer {token}" for token in tokens))
    return head.removesuffix(b"\r\n") + rest


def assert_unauthorized(answer: HttpResponse) -> None:
    assert answer.status == 401, answer.raw
    assert "\r\nWWW-Authenticate: Bearer" in answer.head
    assert answer.json() == {"error": "this route needs the cluster's bearer token"}


# With a token


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_the_token_opens_and_nothing_else(secured: Cluster, method: str, path: str) -> None:
    def positions() -> list[tuple[int, int]]:
        statuses = [node.status() for node in secured.nodes]
        return [(status.epoch, status.last_index) for status in statuses]

    before = positions()
    for node in secured.nodes:
        for tokens in WRONG:
            assert_unauthorized(exchange(node.endpoint, asking(method, path, *tokens)))
        assert positions() == before
        answer = node.request(method, path, headers=RIGHT)
        # What is said about the rest of the request differs from route to route.
        assert answer.status_code in (200, 400, 403, 409)


def test_clients_need_no_token(secured: Cluster) -> None:
    for node in secured.nodes:
        assert {path: node.request("GET", path).status_code for path in OPEN} == OPEN


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
UNREAD_BODIES = {
    "huge": b"Content-Length: 1000000000000\r\n\r\n",
    "in chunks": b"Transfer-Encoding: chunked\r\n\r\n",
    "in one huge chunk": b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
    "that never comes": b"Content-Length: 5\r\n\r\n",
    "that is no chunk": b"Transfer-Encoding: chunked\r\n\r\nno chunk\r\n",
    "that is announced only": b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
}


@pytest.mark.parametrize("body", UNREAD_BODIES)
def test_the_token_is_asked_for_before_the_body_is_read(secured: Cluster, body: str) -> None:
    """A node that waited for the body would not answer before its time was up, and not with 401."""
    for node, (method, path) in product(secured.nodes, PROTECTED):
        with socket.create_connection(node.endpoint, TIMEOUT_S) as connection:
            connection.sendall(asking(method, path, OTHER_TOKEN, rest=UNREAD_BODIES[body]))
            received = b"".join(iter(lambda: connection.recv(65536), b""))  # until it is closed
        answer = HttpResponse(received.removeprefix(CONTINUE))
        assert_unauthorized(answer)
        assert "\r\nConnection: close" in answer.head


def test_the_comparison_takes_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What :func:`hmac.compare_digest` says is what counts, and it sees both tokens."""
    seen: list[set[bytes]] = []

    def never_equal(one: bytes, other: bytes) -> bool:
        seen.append({one, other})
        return False

    settings = load_settings({"CLUSTER_TOKEN": TOKEN})
    client = create_app(settings, create_node(settings)).test_client()
    assert client.post("/admin/set_quorum", headers=RIGHT).status_code == 403
    monkeypatch.setattr(hmac, "compare_digest", never_equal)
    assert client.post("/admin/set_quorum", headers=RIGHT).status_code == 401
    assert seen == [{TOKEN.encode()}]


# Where the token must not be

BEARER = f"Authorization: Bearer {TOKEN}"
LEAKS = {
    "in a good request": request("GET", "/admin/store", b"", BEARER),
    "in a request that is refused": request("POST", "/admin/set_quorum", b"", BEARER),
    "beside a bad header": request("GET", "/status", b"", BEARER, "X y: z"),
    "in a header without a colon": request("GET", "/admin/store", b"", BEARER.replace(":", "")),
    "in a header's name": request("GET", "/status", b"", f"Bearer({TOKEN}): 1"),
    "in the method": request(TOKEN, "/status"),
    "in the version": request("GET", "/status", version=f"HTTP/{TOKEN}"),
    "in the request line": request("GET", f"/admin/store {BEARER}"),
    "in a message's field": request(
        "POST", "/replicate/hello", b'{"cluster": 1, "x": "%b"}' % TOKEN.encode(), BEARER
    ),
    "as JSON": request("PUT", "/put/k", TOKEN.encode()),
    "in the expectation": request("GET", "/status", b"", f"Expect: {TOKEN}"),
    "as the length": request("GET", "/status", b"", f"Content-Length: {TOKEN}"),
    "as idempotency key": request("PUT", "/put/k", b"{}", f"Idempotency-Key: a {TOKEN}"),
}
CUT_OFF = asking("GET", "/admin/store", TOKEN, rest=b"X: cut o")


def test_the_token_shows_up_nowhere(secured: Cluster) -> None:
    answers = []
    for node in secured.nodes:
        answers += [exchange(node.endpoint, raw).raw for raw in LEAKS.values()]
        with socket.create_connection(node.endpoint, TIMEOUT_S) as connection:
            connection.sendall(CUT_OFF)
            connection.shutdown(socket.SHUT_WR)
            answers.append(connection.recv(65536))
        paths = ("/status", "/readyz", "/livez", "/openapi.json", "/nothing")
        answers += [node.request("GET", path).content for path in paths]
    assert [answer for answer in answers if TOKEN.encode() in answer] == []
    for node in secured.nodes:
        log = node.log()
        assert "Closing connection" in log, "the log is gunicorn's most verbose one"
        assert "GET /admin/store HTTP/1.1" in log, "requests are logged"
        assert TOKEN not in log


def test_a_wrong_token_between_nodes_is_said(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2, CLUSTER_TOKEN=TOKEN, **PATIENT)
    odd = cluster.followers[0]
    odd.settings["CLUSTER_TOKEN"] = OTHER_TOKEN
    odd.restart()
    cluster.wait_for_follower(odd, state="unreachable", problem=containing("bearer token"))
    assert "401" in str(cluster.follower_status(odd).problem)
    cluster.leader.put_confirmed("on the other follower", 1)
    assert odd.status().last_index == 0
    said = [node.log() + node.request("GET", "/status").text for node in cluster.nodes]
    assert not any(TOKEN in text or OTHER_TOKEN in text for text in said)


# Without a token


@pytest.fixture(scope="module")
def open_node(start_shared_cluster: StartCluster) -> Node:
    """A leader without a token that takes its callers' addresses from the PROXY protocol."""
    return start_shared_cluster(0, GUNICORN_CMD_ARGS="--proxy-protocol v1").leader


def from_address(node: Node, address: str, raw: bytes) -> HttpResponse:
    """Send a request that the node sees coming from an address."""
    family, local = ("TCP6", "::1") if ":" in address else ("TCP4", "127.0.0.1")
    line = f"PROXY {family} {address} {local} 40000 {node.port}\r\n"
    return exchange(node.endpoint, line.encode() + raw)


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:10.0.0.1"])
def test_loopback_and_private_addresses_are_served(open_node: Node, address: str) -> None:
    for method, path in PROTECTED:
        answer = from_address(open_node, address, request(method, path))
        assert answer.status in (200, 400, 409), f"{path}: {answer.raw!r}"


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:db8::1"])
def test_all_others_are_refused(open_node: Node, address: str) -> None:
    forged = (
        b"X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n\r\n"
    )
    for method, path in PROTECTED:
        for rest in (b"\r\n", forged, UNREAD_BODIES["huge"]):
            answer = from_address(open_node, address, asking(method, path, rest=rest))
            assert answer.status == 403, f"{path}: {answer.raw!r}"
            assert answer.json() == {
                "error": "without CLUSTER_TOKEN this route serves private addresses only"
            }
    assert from_address(open_node, address, request("GET", "/status")).status == 200


def test_open_routes_are_warned_about_at_start(open_node: Node, secured: Cluster) -> None:
    warnings = [line for line in open_node.log().splitlines() if "[WARNING]" in line]
    assert len([line for line in warnings if "CLUSTER_TOKEN_FILE" in line]) == 1
    assert not any("no cluster token" in node.log() for node in secured.nodes)
