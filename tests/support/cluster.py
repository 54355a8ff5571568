"""A cluster of real nodes, and what tests do to it beyond what its nodes can do themselves.

The words: ``crash`` (kill -9 of the whole node), ``restart``, ``freeze`` (SIGSTOP), ``thaw``,
``empty`` (without its directory), ``put_back`` (to an older copy) are methods of a node;
``link`` (the network between the leader and a follower) and ``heal``,
``wait_for_replication``, ``assert_copies_equal`` and ``assert_nothing_lost`` are the cluster's.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from analysis.nodes.local_cluster import LocalCluster
from analysis.nodes.node import Node
from kvstore.api_types import FollowerStatus, Forced, Store
from kvstore.client.copies import compare_copies
from kvstore.client.node_client import decode
from tests.support.waiting import wait_until, why_different
from tests.support.write_record import WriteRecord

REPLICATION_TIMEOUT_S = 30.0
_EXCERPT = 3000
PATIENT: dict[str, Any] = {"REPL_TIMEOUT": 20}
"""Settings for tests in which no time may be up, however busy the machine is: a write waits so many
seconds, and half as many pass before a message counts as lost."""


class Cluster(LocalCluster):
    """One leader and its followers as real nodes on free ports; a context manager.

    Entering waits until all are ready. Leaving kills them all, and fails the test when a node has
    logged an error that it should not have met.

    :param followers: number of followers.
    :param directory: where the nodes' logs and data go.
    :param proxied: whether a :class:`TcpProxy` stands between the leader and each follower.
    :param durable: whether every node has a data directory.
    :param settings: settings of every node; those of a leader mean nothing to a follower.
    """

    def __init__(
        self,
        followers: int,
        directory: Path,
        *,
        proxied: bool = False,
        durable: bool = False,
        **settings: object,
    ) -> None:
        texts = {name: str(value) for name, value in settings.items()}
        data_root = directory / "data" if durable else None
        super().__init__(followers, directory, texts, data_root, proxied=proxied)

    def restart(self, *nodes: Node) -> None:
        """Kill nodes at the same time, or all of the first ones, and start them again."""
        chosen = nodes or self.nodes
        for node in chosen:
            node.kill()
        for node in chosen:
            node.crash()
        for node in chosen:
            node.launch()
        for node in chosen:
            node.wait_until_serving()

    def thaw(self, *nodes: Node) -> None:
        """Let frozen nodes continue."""
        for node in nodes:
            node.thaw()

    @contextmanager
    def frozen(self, *nodes: Node) -> Iterator[None]:
        """Some nodes are frozen meanwhile."""
        try:
            for node in nodes:
                node.freeze()
            yield
        finally:
            self.thaw(*nodes)

    def force_start(self, leader: Node | None = None, without: Iterable[Node] = ()) -> str:
        """``POST /admin/force_start``, until the leader has asked those that are missing in vain.

        :param leader: the first leader when it is not given.
        :param without: the nodes that must be missing.
        :return: the risk that it names.
        """
        missing = {self.address(node) for node in without}
        given_up: set[str] = set()
        risks: list[str] = []

        def why_not() -> str | None:
            forced = decode((leader or self.leader).request("POST", "/admin/force_start"), Forced)
            given_up.update(forced.without)
            risks.append(forced.risk)
            return None if given_up == missing else f"it gave up {given_up}"

        wait_until(why_not)
        return risks[-1]

    # What the nodes say

    def follower_status(self, follower: Node) -> FollowerStatus:
        """What the leader's ``/status`` says of one follower."""
        address = self.address(follower)
        [found] = [f for f in self.leader.status().followers if f.address == address]
        return found

    def wait_for_follower(self, follower: Node, **expected: Any) -> None:
        """Like :func:`wait_for_status`, for what the leader says of one follower."""
        wait_until(lambda: why_different(self.follower_status(follower), expected))

    def wait_until_streaming(self, *followers: Node) -> None:
        """Wait until the leader replicates to the given followers, or to all."""
        for follower in followers or self.followers:
            self.wait_for_follower(follower, state="streaming")

    def wait_until_ready(self) -> None:
        """Wait until every node is ready."""
        for node in self.nodes:
            node.wait_until_ready()

    def wait_for_replication(
        self, leader: Node | None = None, timeout_s: float = REPLICATION_TIMEOUT_S
    ) -> None:
        """Wait until every follower has applied all that the leader has, and the leader knows it.

        :param leader: the first leader when it is not given.
        """

        def why_not() -> str | None:
            status = (leader or self.leader).status()
            known = {f"match index of {f.address}": f.match_index for f in status.followers}
            known["commit index"] = status.commit_index
            for node in self.followers:
                known[f"applied by {node.name}"] = node.status().applied_index
            if status.state == "leading" and set(known.values()) == {status.last_index}:
                return None
            return f"{status.state}, last index {status.last_index}, {known}"

        wait_until(why_not, timeout_s)

    def assert_copies_equal(self, leader: Node | None = None) -> Store:
        """Compare every follower with the leader: keys, values, versions, index and digest.

        :param leader: the first leader when it is not given.
        :return: the leader's copy.
        """
        copy = (leader or self.leader).copy()
        differences = {node.name: compare_copies(copy, node.copy()) for node in self.followers}
        described = {name: d.describe() for name, d in differences.items() if not d.is_empty}
        assert described == {}
        return copy

    def assert_nothing_lost(self, record: WriteRecord, leader: Node | None = None) -> Store:
        """How every fault test ends: copies become equal, and hold every confirmed write.

        :param leader: the first leader when it is not given.
        :return: the leader's copy.
        """
        self.wait_for_replication(leader)
        copy = self.assert_copies_equal(leader)
        assert record.confirmed, "a test that confirmed nothing has shown nothing"
        assert record.missing_from(copy) == []
        return copy

    # The end

    def stop(self) -> None:
        """Kill every node, frozen ones too, and close the proxies."""
        for node in self.every_node:
            node.crash()
        super().stop()

    def internal_errors(self) -> dict[str, str]:
        """By name, what nodes have logged from their first stack trace on."""
        logs = {node.name: node.log() for node in self.every_node}
        return {
            name: log[at : at + _EXCERPT]
            for name, log in logs.items()
            if (at := log.find("Traceback")) >= 0
        }

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        super().__exit__(kind, *rest)
        if kind is None:
            assert self.internal_errors() == {}
