"""A node answers plain requests itself, and gunicorn all others: nobody can tell by the answers."""

import re
import socket
import time

import pytest

from analysis.nodes.http_stream import TIMEOUT_S, request
from tests.conftest import StartCluster
from tests.support.cluster import Cluster

PUT = request("PUT", "/put/a%2Fb", b'{"value": [1, "\xc3\xa9"]}')
GET = request("GET", "/get/a%2Fb")
LAST = request("GET", "/get/none", b"", "Connection: close")
LARGE = request("PUT", "/kv/large", b'{"value": "%b"}' % (b"x" * 3_000_000))

CONNECTIONS = {
    "one after another": [PUT, GET, request("DELETE", "/delete/a%2Fb"), GET, PUT, LAST],
    "all at once": [PUT + GET + PUT + GET + LAST],
    "cut anywhere": [PUT[:5], PUT[5:40], PUT[40:] + GET[:9], GET[9:] + LAST],
    "the body behind its head": [PUT[:-30], PUT[-30:-2], PUT[-2:] + GET, LAST],
    "a large value": [LARGE, request("GET", "/kv/large"), LAST],
    "in chunks": [request("GET", "/admin/store"), LAST],
    "gunicorn's, and plain again": [request("HEAD", "/get/a%2Fb"), GET, PUT, LAST],
    "what is not modified": [request("GET", "/get/a%2Fb", b"", "If-None-Match: *"), GET, LAST],
    "HTTP/1.0": [request("GET", "/livez", version="HTTP/1.0")],
    "a body in chunks": [
        request("PUT", "/put/c", b"", "Transfer-Encoding: chunked")
        + b'b\r\n{"value":1}\r\n0\r\n\r\n',
        LAST,
    ],
    "an announced body": [request("PUT", "/put/e", b'{"value":1}', "Expect: 100-continue"), LAST],
    "a body that is not read": [request("PUT", "/put/" + "k" * 1025, b'{"value":1}'), GET],
    "a body that is not sent": [request("PUT", "/put/k", b"", "Content-Length: 9999999"), GET],
    "a body that ends early": [PUT[:-3]],
    "no JSON": [request("PUT", "/put/k", b"{"), request("POST", "/put/k"), LAST],
    "no route": [request("GET", "/nowhere"), LAST],
    "a bad target": [request("GET", "/get/%zz"), request("PUT", "/put/k?x", b"{}"), GET],
    "two hosts": [request("GET", "/livez", b"", "Host: other"), LAST],
    "two lengths": [request("PUT", "/put/k", b'{"value":1}', "Content-Length: 4"), LAST],
    "no head": [b"\x16\x03\x01\x02\x00\x01\r\n\r\n"],
    "part of a head": [GET[:-2]],
}


@pytest.fixture(scope="module")
def leaders(start_shared_cluster: StartCluster) -> list[Cluster]:
    """Two nodes: one as it is, and one whose access log leaves all requests to gunicorn."""
    log = {"GUNICORN_CMD_ARGS": "--access-logfile /dev/null"}
    return [start_shared_cluster(0, **settings) for settings in ({}, log)]


@pytest.mark.parametrize("parts", CONNECTIONS.values(), ids=CONNECTIONS)
def test_answers_are_gunicorns(leaders: list[Cluster], parts: list[bytes]) -> None:
    plain, gunicorn = (answers(cluster.leader.endpoint, parts) for cluster in leaders)
    assert plain == gunicorn


def answers(address: tuple[str, int], parts: list[bytes]) -> bytes:
    """All that a node sends over one connection, but for the time of day."""
    with socket.create_connection(address, TIMEOUT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
            time.sleep(0.02)  # so that the node is likely to receive the parts one by one
        connection.shutdown(socket.SHUT_WR)
        received = bytearray()
        while data := connection.recv(1 << 16):
            received += data
    return re.sub(rb"\r\nDate: [^\r]*", b"", bytes(received))
