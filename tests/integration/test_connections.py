"""Many connections at a time."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from analysis.nodes.http_stream import ask, open_connections, read_response, request
from tests.conftest import StartCluster
from tests.support.cluster import PATIENT
from tests.support.descriptors import descriptors

CONNECTIONS = 12_000
LIVEZ = request("GET", "/livez")
PUT = request("PUT", "/put/key", b'{"value":1}')


def test_12_000_connections_are_served_at_the_same_time(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, **PATIENT)
    with (
        descriptors(CONNECTIONS + 500),
        open_connections(cluster.leader.endpoint, CONNECTIONS) as connections,
    ):
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
    leader = start_cluster(0).leader
    with ThreadPoolExecutor(2) as pool, open_connections(leader.endpoint, 2) as (busy, quiet):
        assert ask(quiet, LIVEZ).status == 200
        assert ask(busy, PUT).status == 200
        clients = [
            pool.submit(until_shut_down, lambda: busy.sendall(PUT * 100)),
            pool.submit(until_shut_down, lambda: busy.recv(1 << 16)),
        ]
        try:
            for _ in range(20):
                assert ask(quiet, LIVEZ).status == 200
            assert not any(client.done() for client in clients)
        finally:
            busy.shutdown(socket.SHUT_RDWR)
            for client in clients:
                client.result()


def until_shut_down(work: Callable[[], bytes | None]) -> None:
    """Do something with a connection again and again, until the connection is shut down."""
    with suppress(ConnectionError):
        while work() != b"":
            pass
