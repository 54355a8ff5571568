"""What a client can hold of a node is bounded: time, connections, pending writes, memory."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from analysis.nodes.http_stream import (
    TIMEOUT_S,
    HttpResponse,
    ask,
    exchange,
    open_connections,
    read_response,
    request,
)
from analysis.nodes.node import Node
from kvstore.core.leader_log import LogLimits
from kvstore.http.parser_pool import SMALL_BYTES
from kvstore.http.request_parts import BODY_TIMEOUT_S, LARGE_BODIES
from kvstore.http.worker import HEAD_TIMEOUT_S
from tests.conftest import StartCluster
from tests.support.cluster import PATIENT
from tests.support.descriptors import descriptors
from tests.support.waiting import wait_until, why_different

MAX_PENDING = 12_000
assert LogLimits(retain=1).max_pending == MAX_PENDING
MEBIBYTE = 1 << 20

LARGE_VALUE = "x" * (MEBIBYTE - 2)
GET_LARGE = request("GET", "/get/large")
LIVEZ = request("GET", "/livez")


def worker(node: Node) -> psutil.Process:
    """The process that holds the node's state."""
    return node.processes[1]


def serves(node: Node, connection: socket.socket) -> bool:
    """Whether the node still has its end of a connection."""
    port = connection.getsockname()[1]
    ends = worker(node).net_connections("tcp")
    return any(getattr(end.raddr, "port", None) == port for end in ends)


def wait_for_connection(node: Node, connection: socket.socket, *, there: bool) -> None:
    """Wait until the node has its end of a connection, or has it no more."""
    wait_until(
        lambda: None if serves(node, connection) == there else f"there: {not there}", TIMEOUT_S
    )


def unread_bytes(node: Node, connections: list[socket.socket]) -> list[int]:
    """How much of what was sent to a node over each connection it has not read yet."""
    server = f":{node.port:04X}"
    unread: dict[str, int] = {}
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        _, local, remote, _, queues = line.split()[:5]
        not_acknowledged, not_read = (int(size, 16) for size in queues.split(":"))
        client, left = (local, not_acknowledged) if remote.endswith(server) else (remote, not_read)
        if server in (local[-5:], remote[-5:]):
            unread[client[-5:]] = unread.get(client[-5:], 0) + left
    return [unread[f":{connection.getsockname()[1]:04X}"] for connection in connections]


# Slow clients

BODY = request("POST", "/replicate", b"", "Content-Length: 1000000")
CHUNKS = request("POST", "/replicate", b"", "Transfer-Encoding: chunked")
SLOW_SENDERS = {
    "body that never comes": (BODY_TIMEOUT_S, BODY, b""),
    "body that drips": (BODY_TIMEOUT_S, BODY, b" "),
    "chunks without end": (BODY_TIMEOUT_S, CHUNKS, b"1\r\n \r\n"),
    "trailers without end": (BODY_TIMEOUT_S, CHUNKS + b"0\r\n", b"X: y\r\n"),
    "head that stops": (HEAD_TIMEOUT_S, b"GET /livez HTTP/1.1\r\nHost: no", b""),
    "head that drips": (HEAD_TIMEOUT_S, b"GET /livez HTTP/1.1\r\nX: ", b"x"),
    "headers without end": (HEAD_TIMEOUT_S, b"GET /livez HTTP/1.1\r\n", b"X: y\r\n"),
    "one byte": (HEAD_TIMEOUT_S, b"G", b""),
}


def send_slowly(node: Node, begin: bytes, drip: bytes) -> HttpResponse:
    """Send, and go on sending a little at a time, until there is an answer."""
    with socket.create_connection(node.endpoint, timeout=0.2) as connection:
        connection.sendall(begin)
        deadline_s = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline_s:
            with suppress(TimeoutError):
                connection.recv(1, socket.MSG_PEEK)
                break
            connection.sendall(drip)
        connection.settimeout(TIMEOUT_S)
        return read_response(connection)


def test_slow_clients_are_left(start_cluster: StartCluster) -> None:
    """All at a time, on both roles; the nodes serve others meanwhile."""
    cluster = start_cluster(1, **PATIENT)
    cluster.leader.put_confirmed("large", LARGE_VALUE)
    cluster.wait_for_replication()
    with ExitStack() as stack:
        not_reading = []
        for node in cluster.nodes:
            [connection] = stack.enter_context(open_connections(node.endpoint, 1))
            connection.sendall(GET_LARGE * 50)
            wait_for_connection(node, connection, there=True)
            not_reading.append((node, connection))
        pool = stack.enter_context(ThreadPoolExecutor(2 * len(SLOW_SENDERS)))
        answers = {
            (name, node.name): pool.submit(send_slowly, node, begin, drip)
            for name, (_, begin, drip) in SLOW_SENDERS.items()
            for node in cluster.nodes
        }
        cluster.leader.put_confirmed("meanwhile", 1)
        for (name, node_name), future in answers.items():
            answer, bound_s = future.result(), SLOW_SENDERS[name][0]
            assert answer.status == 408, f"{name}, {node_name}: {answer.raw!r}"
            assert "\r\nConnection: close" in answer.head
            assert f" {bound_s:g} s" in answer.json()["error"]
        for node, connection in not_reading:
            wait_for_connection(node, connection, there=False)
    cluster.wait_for_replication()
    assert set(cluster.assert_copies_equal().store) == {"large", "meanwhile"}


def test_an_idle_connection_is_closed(start_cluster: StartCluster) -> None:
    leader = start_cluster(0, GUNICORN_CMD_ARGS="--keep-alive 1").leader
    with open_connections(leader.endpoint, 2) as (used, unused):
        assert ask(used, LIVEZ).status == 200
        assert used.recv(1) == unused.recv(1) == b""


def test_connections_over_the_bound_wait_for_a_place(start_cluster: StartCluster) -> None:
    bound = 8
    leader = start_cluster(0, GUNICORN_CMD_ARGS=f"--worker-connections {bound}").leader
    # The one that asked whether the node is ready is kept.
    with open_connections(leader.endpoint, bound - 1) as served:
        for connection in served:
            assert ask(connection, LIVEZ).status == 200
        with open_connections(leader.endpoint, 1) as [late]:
            late.sendall(LIVEZ)
            assert ask(served[0], LIVEZ).status == 200
            assert not serves(leader, late)
            served[-1].close()
            assert read_response(late).status == 200


def test_large_bodies_wait_for_a_place(start_cluster: StartCluster) -> None:
    """So many at a time are read; the rest stay in the network, and small ones pass by."""
    node = start_cluster(0).leader
    large = request("PUT", "/put/large", b'{"value":"' + b"x" * 2 * SMALL_BYTES + b'"}')
    with open_connections(node.endpoint, LARGE_BODIES + 1) as (late, *reading):
        for connection in reading:
            connection.sendall(large[:-1])
        wait_until_read(node, reading, 0)
        late.sendall(large)
        # Once its head has been read, only the missing place keeps the node from reading on.
        wait_until_read(node, [late], len(large) - 1)
        assert node.put("small", 1).status_code == 200
        assert unread_bytes(node, [late])[0] > SMALL_BYTES // 2
        reading.pop().sendall(large[-1:])
        assert read_response(late).status == 200
        for connection in reading:
            assert ask(connection, large[-1:]).status == 200


def wait_until_read(node: Node, connections: list[socket.socket], left: int) -> None:
    """Wait until a node has read what was sent over some connections, but for so many bytes."""

    def why_not() -> str | None:
        unread = unread_bytes(node, connections)
        return None if max(unread) <= left else f"{unread} bytes were not read"

    wait_until(why_not, TIMEOUT_S)


# Pending writes


def wait_for_last_index(leader: Node, last_index: int) -> None:
    wait_until(lambda: why_different(leader.status(), {"last_index": last_index}), 2 * TIMEOUT_S)


def test_no_more_than_12_000_writes_are_pending(start_cluster: StartCluster) -> None:
    """The next one is refused and no entry; a retry of a pending one is no new write."""
    # Frozen, the follower counts as reachable for half of this time.
    cluster = start_cluster(1, REPL_TIMEOUT=600)
    leader, follower = cluster.leader, cluster.followers[0]
    other = request("PUT", "/put/k", b'{"value":1}')
    first = request("PUT", "/put/k", b'{"value":1}', "Idempotency-Key: first")
    before = leader.status().last_index
    last_index = before + MAX_PENDING
    with (
        descriptors(MAX_PENDING + 500),
        cluster.frozen(follower),
        open_connections(leader.endpoint, MAX_PENDING) as waiting,
        open_connections(leader.endpoint, 1) as [retry],
    ):
        waiting[0].sendall(first)
        wait_for_last_index(leader, before + 1)
        for connection in waiting[1:]:
            connection.sendall(other)
        wait_for_last_index(leader, last_index)
        for raw in (other, request("DELETE", "/kv/k")):
            refused = exchange(leader.endpoint, raw)
            assert refused.status == 503
            assert refused.json() == {
                "status": "error",
                "reason": "too many writes are waiting for the quorum",
                "replicas_confirmed": 0,
            }
            assert "\r\nRetry-After: 1\r\n" in refused.head
        retry.sendall(first)
        follower.thaw()
        answers = [read_response(connection) for connection in waiting]
        assert {answer.status for answer in answers} == {200}
        versions = [answer.json()["version"] for answer in answers]
        assert sorted(versions) == list(range(before + 1, last_index + 1))
        assert read_response(retry).json() == answers[0].json()
    assert leader.put_confirmed("there is room again", 1) == last_index + 1
    cluster.wait_for_replication()
    cluster.assert_copies_equal()


# Memory

VALUE = "x" * (1 << 16)
MAX_GROWTH_BYTES = 24 << 20
WRITES = 4 * MAX_GROWTH_BYTES // len(VALUE)


@pytest.mark.parametrize(("write_quorum", "statuses"), [(0, {200}), (2, {503})])
def test_memory_stays_flat_while_all_followers_are_frozen(
    start_cluster: StartCluster, write_quorum: int, statuses: set[int]
) -> None:
    """With W=0 every write is taken, with W=2 none is."""
    cluster = start_cluster(2, durable=True, LOG_RETAIN=100, WRITE_QUORUM=write_quorum)
    leader = cluster.leader

    def write(count: int) -> set[int]:
        """Write from a few clients over ten keys; returns the statuses of the answers."""
        with ThreadPoolExecutor(4) as pool:
            answers = pool.map(lambda n: leader.put(f"key{n % 10}", VALUE), range(count))
            return {answer.status_code for answer in answers}

    with cluster.frozen(*cluster.followers):
        for follower in cluster.followers:
            cluster.wait_for_follower(follower, state="unreachable")
        write(WRITES // 4)
        before = worker(leader).memory_info().rss
        assert write(WRITES) == statuses
        assert worker(leader).memory_info().rss - before < MAX_GROWTH_BYTES
    cluster.wait_for_replication()
    cluster.assert_copies_equal()
    assert sum(path.stat().st_size for path in leader.directory.iterdir()) < MAX_GROWTH_BYTES
