"""Many connections at a time."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from tests.conftest import StartCluster
from tests.support.descriptors import descriptors
from tests.support.http_stream import HttpResponse, read_response

CONNECTIONS = 12_000
_TIMEOUT_S = 60.0

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n"
PUT = b'PUT /put/key HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\n{"value":1}'


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    with descriptors(CONNECTIONS + 500):
        yield


def ask(connection: socket.socket, request: bytes) -> HttpResponse:
    connection.sendall(request)
    return read_response(connection)


def test_12_000_connections_are_served_at_the_same_time(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(cluster.leader.endpoint, _TIMEOUT_S))
            for _ in range(CONNECTIONS)
        ]
        # The kernel completes connections that nobody has accepted: only an answer shows that.
        for connection in connections:
            connection.sendall(LIVEZ)
        statuses = [read_response(connection).status for connection in connections]
        assert statuses == [200] * CONNECTIONS
        for connection in (connections[0], connections[-1]):
            assert ask(connection, PUT).json()["status"] == "ok"
    cluster.wait_for_replication()
    assert cluster.assert_copies_equal().store == {"key": 1}


def test_busy_clients_do_not_keep_a_quiet_one_waiting_for_its_turn(
    start_cluster: StartCluster,
) -> None:
    """A connection that always has its next request ready is left after each one."""
    cluster = start_cluster(0)
    with ExitStack() as stack:
        busy, quiet = (
            stack.enter_context(socket.create_connection(cluster.leader.endpoint, _TIMEOUT_S))
            for _ in range(2)
        )
        assert ask(quiet, LIVEZ).status == 200
        pool = stack.enter_context(ThreadPoolExecutor(2))
        stack.callback(busy.shutdown, socket.SHUT_RDWR)
        busy.sendall(PUT)
        read_response(busy)
        clients = [pool.submit(send_without_end, busy), pool.submit(receive_to_the_end, busy)]
        for _ in range(20):
            assert ask(quiet, LIVEZ).status == 200
        assert not any(client.done() for client in clients)


def send_without_end(connection: socket.socket) -> None:
    with suppress(ConnectionError):
        while True:
            connection.sendall(PUT * 100)


def receive_to_the_end(connection: socket.socket) -> None:
    with suppress(ConnectionError):
        while connection.recv(1 << 16):
            pass
