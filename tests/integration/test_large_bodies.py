"""Large values hold nothing up: they are parsed, hashed and sent beside everything else."""

import json
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from analysis.nodes.http_stream import TIMEOUT_S, open_connections, read_response, request
from analysis.nodes.node import Node
from kvstore.api_types import Found
from kvstore.http.admin_routes import COPIES
from tests.conftest import StartCluster
from tests.support.answers import found
from tests.support.cluster import Cluster
from tests.support.waiting import wait_until

MEBIBYTE = 1 << 20
ZEROS = [0] * (MEBIBYTE // 2 - 2)
GET_STORE = request("GET", "/admin/store", b"", "Connection: close")


def parsers(node: Node, count: int) -> list[psutil.Process]:
    """The node's parser processes, of which there are so many in the end."""
    found: list[psutil.Process] = []

    def why_not() -> str | None:
        found[:] = [p for p in node.processes if "kvstore.http.parser_process" in p.cmdline()]
        return None if len(found) == count else f"{len(found)} parsers"

    wait_until(why_not)
    return found


@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "a"}], ids=["once", "repeatable"])
def test_a_parser_that_is_killed_loses_one_request(
    headers: dict[str, str], start_cluster: StartCluster
) -> None:
    """Nothing definite is said of one that may be a repetition."""
    leader = start_cluster(0).leader
    leader.put_confirmed("large", ZEROS)
    [process] = parsers(leader, 1)
    process.suspend()
    with ThreadPoolExecutor(2) as threads:
        sent = [threads.submit(leader.put, "large", ZEROS, **headers) for _ in range(2)]
        parsers(leader, 2)  # so one of them waits for the first, and the other does not
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


@pytest.mark.parametrize("route", ["get", "kv"])
def test_a_large_value_comes_back_whole(cluster: Cluster, route: str) -> None:
    leader = cluster.leader
    value = "é" * (MEBIBYTE // 2 - 1)
    version = leader.put_confirmed("long", value)
    answer, head = (leader.request(method, f"/{route}/long") for method in ("GET", "HEAD"))
    assert found(answer) == Found(found=True, value=value, version=version)
    names = ("Content-Length", "Content-Type", "ETag")
    assert [answer.headers[name] for name in names] == [head.headers[name] for name in names]
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    unchanged = leader.get("long", If_None_Match=f'"{version}"')
    assert (unchanged.status_code, unchanged.content) == (304, b"")


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_the_store_is_one_json_object_in_every_http(cluster: Cluster, version: str) -> None:
    cluster.leader.put_confirmed("slow/\u00e9", {"b": [1.0, None], "a": ZEROS[9:]})
    with open_connections(cluster.leader.endpoint, 1) as [connection]:
        connection.sendall(GET_STORE.replace(b"HTTP/1.1", version.encode()))
        received = b"".join(iter(lambda: connection.recv(MEBIBYTE), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    if version == "HTTP/1.0":
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
    with open_connections(leader.endpoint, COPIES + 1) as (late, *reading):
        for connection in reading:
            connection.sendall(GET_STORE)
            assert connection.recv(1) == b"H"
        late.settimeout(0.5)
        late.sendall(GET_STORE)
        with pytest.raises(TimeoutError):
            late.recv(1)
        leader.put_confirmed("small", 1)
        reading[-1].close()
        late.settimeout(TIMEOUT_S)
        assert read_response(late).status == 200
