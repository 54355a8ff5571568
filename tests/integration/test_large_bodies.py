"""Large values hold nothing up: they are parsed, hashed and sent beside everything else."""

import json
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import psutil
import pytest
import requests

from analysis.nodes.node import Node
from kvstore.api_types import Found
from kvstore.http.admin_routes import COPIES
from kvstore.http.parser_pool import PARSERS
from tests.conftest import StartCluster
from tests.support.answers import confirmed, found
from tests.support.cluster import Cluster
from tests.support.http_stream import read_response
from tests.support.waiting import wait_until

MEBIBYTE = 1 << 20
ZEROS = [0] * (MEBIBYTE // 2 - 2)
GET_STORE = b"GET /admin/store HTTP/1.%d\r\nHost: node\r\nConnection: close\r\n\r\n"


def parsers(node: Node) -> list[psutil.Process]:
    return [p for p in node.processes if "kvstore.http.parser_process" in p.cmdline()]


def wait_for_parsers(node: Node, count: int) -> None:
    def why_not() -> str | None:
        found = len(parsers(node))
        return None if found == count else f"{found} parsers"

    wait_until(why_not)


def test_small_requests_are_served_while_large_bodies_are_parsed(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(1)
    leader = cluster.leader
    with ThreadPoolExecutor(PARSERS + 3) as threads:
        large: list[Future[requests.Response]] = []
        for count in range(1, PARSERS + 1):
            large.append(threads.submit(leader.put, f"large{count}", ZEROS))
            wait_for_parsers(leader, count)
            parsers(leader)[-1].suspend()
        large += [threads.submit(leader.put, f"more{number}", ZEROS) for number in range(3)]
        versions = [leader.put_confirmed("small", number) for number in range(20)]
        assert versions == list(range(versions[0], versions[0] + 20))
        assert found(leader.get("small")).value == 19
        assert len(parsers(leader)) == PARSERS
        assert not any(each.done() for each in large)
        for process in parsers(leader):
            process.resume()
        assert [each.result().status_code for each in large] == [200] * len(large)
    assert found(leader.get("more0")).value == ZEROS
    cluster.wait_for_replication()
    cluster.assert_copies_equal()


@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "a"}], ids=["once", "repeatable"])
def test_a_parser_that_is_killed_loses_one_request(
    headers: dict[str, str], start_cluster: StartCluster
) -> None:
    """Nothing definite is said of one that may be a repetition."""
    leader = start_cluster(0).leader
    leader.put_confirmed("large", ZEROS)
    (process,) = parsers(leader)
    process.suspend()
    with ThreadPoolExecutor(2) as threads:
        sent = [threads.submit(leader.put, "large", ZEROS, **headers) for _ in range(2)]
        wait_for_parsers(leader, 2)  # so one of them waits for the first, and the other does not
        assert leader.put("small", 1).status_code == 200, "a small one needs no parser"
        process.kill()
        answers = sorted((each.result() for each in sent), key=lambda answer: answer.status_code)
    assert [answer.status_code for answer in answers] == [200, 504 if headers else 503]
    assert answers[1].json()["status"] == "error"
    assert found(leader.get("large")).value == ZEROS
    leader.put_confirmed("large", [*ZEROS, 1])


def test_a_parser_ends_with_its_worker_even_while_it_is_stopped(
    start_cluster: StartCluster,
) -> None:
    leader = start_cluster(0).leader
    leader.put_confirmed("large", ZEROS)
    _, worker, parser = leader.processes
    parser.suspend()
    worker.kill()
    wait_until(lambda: str(parser) if parser.is_running() else None)


def test_a_large_write_can_be_repeated(cluster: Cluster) -> None:
    leader = cluster.leader
    first, again = (leader.put("repeated", ZEROS, Idempotency_Key="a") for _ in range(2))
    assert confirmed(again).version == confirmed(first).version
    assert leader.put("repeated", [*ZEROS[:-1], 1], Idempotency_Key="a").status_code == 422


@pytest.mark.parametrize("route", ["get", "kv"])
def test_a_large_value_comes_back_whole(cluster: Cluster, route: str) -> None:
    leader = cluster.leader
    value = "é" * (MEBIBYTE // 2 - 1)
    version = leader.put_confirmed("long", value)
    answer = leader.request("GET", f"/{route}/long")
    assert found(answer) == Found(found=True, value=value, version=version)
    head = leader.request("HEAD", f"/{route}/long")
    names = ("Content-Length", "Content-Type", "ETag")
    assert [answer.headers[name] for name in names] == [head.headers[name] for name in names]
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    unchanged = leader.get("long", If_None_Match=f'"{version}"')
    assert (unchanged.status_code, unchanged.content) == (304, b"")


@pytest.mark.parametrize("minor", [0, 1])
def test_the_store_is_one_json_object_in_every_http(cluster: Cluster, minor: int) -> None:
    cluster.leader.put_confirmed("slow/\u00e9", {"b": [1.0, None], "a": ZEROS[9:]})
    with socket.create_connection(cluster.leader.endpoint, 30) as connection:
        connection.sendall(GET_STORE % minor)
        received = b"".join(iter(lambda: connection.recv(MEBIBYTE), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    if minor == 0:
        assert b"chunked" not in head
        assert json.loads(body) == cluster.leader.request("GET", "/admin/store").json()
    else:
        assert b"Transfer-Encoding: chunked" in head
        assert body.endswith(b"\r\n0\r\n\r\n")


def test_readers_of_the_store_that_leave_make_room(start_cluster: StartCluster) -> None:
    """Each copy is far larger than what the sockets hold, so it stays in hand."""
    leader = start_cluster(0).leader
    for number in range(16):
        leader.put_confirmed(f"key{number}", "x" * (MEBIBYTE - 2))
    with ExitStack() as stack:
        reading = [
            stack.enter_context(socket.create_connection(leader.endpoint, timeout=30))
            for _ in range(COPIES)
        ]
        for connection in reading:
            connection.sendall(GET_STORE % 1)
            assert connection.recv(1) == b"H"
        late = stack.enter_context(socket.create_connection(leader.endpoint, timeout=0.5))
        late.sendall(GET_STORE % 1)
        with pytest.raises(TimeoutError):
            late.recv(1)
        leader.put_confirmed("small", 1)
        reading.pop().close()
        late.settimeout(30)
        assert read_response(late).status == 200
