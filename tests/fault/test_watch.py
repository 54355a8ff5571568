"""``GET /watch`` and ``Client.watch``: nothing missing, nothing twice, nothing unconfirmed."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any, Self

import msgspec
import pytest

from analysis.nodes.metrics import scrape
from analysis.nodes.node import Node
from kvstore.api_types import Change, EntriesCut
from kvstore.client import Client, EntriesCutError, NodeUnavailableError
from kvstore.client.node_client import decode
from kvstore.http.watch_routes import MAX_STREAMS
from tests.conftest import StartCluster
from tests.support.cluster import Cluster
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def healthy(start_shared_cluster: StartCluster) -> Cluster:
    return start_shared_cluster(2, WRITE_QUORUM=2)


class Stream:
    """An open ``/watch`` of one node.

    :param query: with the question mark.
    """

    def __init__(self, node: Node, query: str = "", **headers: str) -> None:
        self.answer = node.request("GET", f"/watch{query}", stream=True, headers=headers)
        assert self.answer.status_code == 200, self.answer.text
        self.lines = self.answer.iter_lines()
        self.begins_at = int(self._field(b"id"))
        assert next(self.lines) == b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()

    def _field(self, name: bytes) -> bytes:
        found, _, text = next(self.lines).partition(b": ")
        assert found == name
        return text

    def changes(self, count: int) -> list[Change]:
        """The next ones; each is an event whose id is the change's index."""
        found: list[Change] = []
        while len(found) < count:
            index = int(self._field(b"id"))
            line = next(self.lines)
            if line:
                assert line.startswith(b"data: ")
                found.append(msgspec.json.decode(line[6:], type=Change))
                assert found[-1].index == index
                assert next(self.lines) == b""
        return found


def put(index: int, key: str, value: Any) -> Change:
    return Change(index=index, operation="put", key=key, value=value)


def test_every_node_shows_every_confirmed_change_in_order(healthy: Cluster) -> None:
    large = "x" * 200_000
    with ExitStack() as stack:
        streams = [stack.enter_context(Stream(node)) for node in healthy.nodes]
        first = healthy.leader.put_confirmed("a", {"é": [None, "\n"]})
        second = healthy.leader.delete_confirmed("a")
        third = healthy.leader.put_confirmed("large", large)
        expected = [
            put(first, "a", {"é": [None, "\n"]}),
            Change(index=second, operation="delete", key="a", value=None),
            put(third, "large", large),
        ]
        for stream in streams:
            assert stream.begins_at < first
            assert stream.changes(3) == expected
    for node in healthy.nodes:
        with Stream(node, f"?from={first}") as resumed:
            assert resumed.changes(2) == expected[1:]
        with Stream(node, "?from=0", **{"Last-Event-ID": str(second)}) as resumed:
            assert resumed.changes(1) == expected[2:]


@pytest.mark.parametrize("query", ["?from=x", "?from=-1", "?min_version=1", "?from=1&from=2"])
def test_a_malformed_place_is_refused(healthy: Cluster, query: str) -> None:
    assert healthy.leader.request("GET", f"/watch{query}").status_code == 400


@pytest.mark.parametrize("place", ["x", "-1", "9" * 19, "1.0"])
def test_a_malformed_last_event_id_is_refused(healthy: Cluster, place: str) -> None:
    answer = healthy.leader.request("GET", "/watch", headers={"Last-Event-ID": place})
    assert answer.status_code == 400


def test_what_is_not_confirmed_is_not_shown(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2, WRITE_QUORUM=2, REPL_TIMEOUT=1, proxied=True)
    holds, late = cluster.followers
    cluster.wait_for_replication()
    with Stream(cluster.leader) as at_leader, Stream(holds) as at_follower:
        cluster.link(late).stall()
        left_open = cluster.leader.put("k", "pending")
        assert left_open.status_code == 504
        version = left_open.json()["version"]
        wait_until(lambda: None if holds.status().applied_index == version else "not there")
        for stream in (at_leader, at_follower):
            # A heartbeat comes, and no entry before it.
            assert next(stream.lines) == b"id: %d" % (version - 1)
            assert next(stream.lines) == b""
        cluster.heal(late)
        for stream in (at_leader, at_follower):
            assert stream.changes(1) == [put(version, "k", "pending")]


def test_a_follower_that_cannot_tell_what_is_confirmed_says_so(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(1, durable=True)
    [follower] = cluster.followers
    cluster.leader.put_confirmed("k", 1)
    cluster.wait_for_replication()
    with cluster.frozen(cluster.leader):
        cluster.restart(follower)
        assert follower.get("k").status_code == 200
        refused = follower.request("GET", "/watch")
        assert refused.status_code == 503
        assert "does not know yet" in refused.json()["error"]


def test_where_the_log_was_cut_a_copy_is_asked_for(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, LOG_RETAIN=10)
    for number in range(30):
        cluster.leader.put_confirmed("k", number)
    cluster.wait_for_replication()
    for node in cluster.nodes:
        gone = node.request("GET", "/watch?from=1")
        assert gone.status_code == 410
        assert decode(gone, EntriesCut).index <= node.copy().index
    with Client([node.url for node in cluster.nodes]) as client:
        with pytest.raises(EntriesCutError) as cut:
            next(client.watch(1))
        with closing(client.watch(cluster.leader.copy().index)) as changes:
            last = client.put("k", "last").version
            assert next(changes) == put(last, "k", "last")
        assert cut.value.index < last


def test_a_node_that_reaches_back_less_far_than_others_is_passed_over(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(1, durable=True)
    [follower] = cluster.followers
    follower.settings["LOG_RETAIN"] = "5"
    cluster.restart(follower)
    versions = [cluster.leader.put_confirmed("k", number) for number in range(20)]
    cluster.wait_for_replication()
    wait_until(lambda: _why_not(follower, 410))
    for _ in range(5):
        with (
            Client([follower.url, cluster.leader.url]) as client,
            closing(client.watch(0)) as changes,
        ):
            assert [next(changes).index for _ in versions] == versions


def test_a_node_that_stops_ends_its_streams_in_good_order(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    with Stream(cluster.leader) as stream:
        version = cluster.leader.put_confirmed("k", 1)
        assert stream.changes(1) == [put(version, "k", 1)]
        cluster.leader.terminate()
        rest = list(stream.lines)  # raises where the answer is cut short
        assert all(line == b"" or line.startswith(b"id: ") for line in rest)
    assert cluster.leader.wait_for_exit(30) == 0


def test_a_client_that_does_not_read_is_cut_off_and_resumes(start_cluster: StartCluster) -> None:
    cluster = start_cluster(0)
    leader = cluster.leader
    values = [str(number) * 500_000 for number in range(8)]
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(leader.endpoint)
        slow.sendall(b"GET /watch?from=0 HTTP/1.1\r\nHost: node\r\n\r\n")
        wait_until(lambda: None if _open_streams(leader) == 1 else "not open")
        versions = [leader.put_confirmed("k", value) for value in values]
        wait_until(lambda: None if _open_streams(leader) == 0 else "not cut off", timeout_s=60)
    with Stream(leader, f"?from={versions[2]}") as resumed:
        expected = [put(*each) for each in zip(versions[3:], "k" * 5, values[3:], strict=True)]
        assert resumed.changes(5) == expected


def _open_streams(node: Node) -> int:
    return int(scrape(node)[("kvstore_watch_streams",)])


def test_the_number_of_streams_is_bounded(start_cluster: StartCluster) -> None:
    cluster = start_cluster(0)
    with ExitStack() as stack:
        for _ in range(MAX_STREAMS):
            connection = stack.enter_context(socket.create_connection(cluster.leader.endpoint))
            connection.sendall(b"GET /watch HTTP/1.1\r\nHost: node\r\n\r\n")
        wait_until(lambda: _why_not(cluster.leader, 503))
        assert cluster.leader.put_confirmed("k", 1) > 0
    wait_until(lambda: _why_not(cluster.leader, 200))


def _why_not(node: Node, status: int) -> str | None:
    with node.request("GET", "/watch?from=0", stream=True) as answer:
        return None if answer.status_code == status else f"status {answer.status_code}"


def collect(changes: Iterator[Change], into: list[Change], until_key: str) -> None:
    for change in changes:
        into.append(change)
        if change.key == until_key:
            return


def test_a_watcher_misses_nothing_while_nodes_are_killed_and_frozen(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(2, WRITE_QUORUM=1, durable=True)
    urls = [node.url for node in cluster.nodes]
    seen: list[Change] = []
    written: dict[int, Any] = {}
    with Client(urls, timeout_s=60) as client:
        watched = client.watch(0)
        watcher = threading.Thread(target=collect, args=(watched, seen, "end"), daemon=True)
        watcher.start()

        def write(count: int) -> None:
            for number in range(count):
                written[client.put(f"k{number % 7}", len(written)).version] = len(written)

        write(40)
        cluster.restart(cluster.leader)
        write(40)
        cluster.restart(cluster.followers[0])
        write(40)
        with cluster.frozen(cluster.followers[1]):
            write(40)
        cluster.leader.crash()
        cluster.leader.start()
        write(40)
        client.put("end", None)
        watcher.join(60)
        assert not watcher.is_alive()
    indexes = [change.index for change in seen]
    assert indexes == sorted(set(indexes)), "in order, none twice"
    cluster.wait_for_replication()
    store = cluster.assert_copies_equal()
    assert written.keys() <= set(indexes), "every confirmed write was shown"
    replayed: dict[str, tuple[Any, int]] = {}
    for change in seen:
        replayed[change.key] = change.value, change.index
    assert replayed == {key: (store.store[key], store.versions[key]) for key in store.store}


def test_a_watcher_gives_up_when_nobody_answers(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    urls = [node.url for node in cluster.nodes]
    with Client(urls, timeout_s=0.5) as client, closing(client.watch()) as changes:
        reader = threading.Timer(0.3, client.put, ("k", 1))
        reader.start()
        assert next(changes).key == "k"
        for node in cluster.nodes:
            node.crash()
        with pytest.raises(NodeUnavailableError, match="cannot be reached"):
            next(changes)
