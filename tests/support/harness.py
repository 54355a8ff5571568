"""A cluster of real nodes, and what can be done to it.

The words: ``crash`` (kill -9 of the whole node), ``restart``, ``freeze`` (SIGSTOP), ``thaw``,
``empty`` (without its directory), ``copy_directory``, ``put_back`` (to an older copy);
``partition`` and ``heal`` (the network between the leader and a follower);
``wait_for_replication``, ``assert_copies_equal``, ``assert_nothing_lost``.
"""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from analysis.nodes.copies import Copy, compare_copies
from analysis.nodes.free_ports import free_ports
from analysis.nodes.local_cluster import LocalCluster, LocalNode
from tests.support.node import Node
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until
from tests.support.write_record import WriteRecord

__all__ = ["PATIENT", "ClusterHarness", "Node"]

REPLICATION_TIMEOUT_S = 30.0
PATIENT = {"REPL_TIMEOUT": "20"}
"""Settings for tests in which no time may be up, however busy the machine is: a write waits so many
seconds, and half as many pass before a message counts as lost."""


class ClusterHarness:
    """One leader and its followers as real nodes on free ports; a context manager.

    Entering waits until all are ready. Leaving kills them all, and fails the test when a node has
    logged an error that it should not have met.

    :param followers: number of followers.
    :param working_dir: where the nodes' logs go.
    :param settings: settings of every node, as in the environment.
    :param leader_settings: settings of the leader only, over ``settings``.
    :param follower_settings: settings of every follower, over ``settings``.
    :param proxied: whether a :class:`TcpProxy` stands between the leader and each follower.
    :param data_root: when given, every node gets ``DATA_DIR=<data_root>/<name>``.
    """

    def __init__(
        self,
        followers: int,
        working_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        leader_settings: Mapping[str, str] | None = None,
        follower_settings: Mapping[str, str] | None = None,
        proxied: bool = False,
        data_root: Path | None = None,
    ) -> None:
        self._stack = ExitStack()
        self._working_dir = working_dir
        cluster = LocalCluster(
            followers,
            working_dir,
            settings=settings,
            leader_settings=leader_settings,
            follower_settings=follower_settings,
            data_root=data_root,
        )
        self.leader = Node(cluster.leader)
        self.followers = [Node(process) for process in cluster.followers]
        self._processes = cluster.nodes
        self._proxies: dict[str, TcpProxy] = {}
        if proxied:
            self._put_proxies()

    @property
    def nodes(self) -> list[Node]:
        """The leader, then the followers."""
        return [self.leader, *self.followers]

    def address(self, follower: Node) -> str:
        """What the leader calls a follower: the proxy's address where there is one."""
        proxy = self._proxies.get(follower.name)
        return follower.process.address if proxy is None else proxy.address

    # The network

    def link(self, follower: Node) -> TcpProxy:
        """The proxy between the leader and a follower; only in a proxied cluster."""
        return self._proxies[follower.name]

    def partition(self, follower: Node) -> None:
        """Lose everything between the leader and a follower, in both directions."""
        self.link(follower).cut()

    def heal(self, follower: Node) -> None:
        """End every fault between the leader and a follower."""
        self.link(follower).heal()

    def wait_until_streaming(self, followers: Iterable[Node]) -> None:
        """Wait until the leader replicates to the given followers."""
        for follower in followers:
            self.leader.wait_for_follower(self.address(follower), "streaming")

    # Further leaders

    def add_leader(self, name: str, settings: Mapping[str, str] | None = None) -> Node:
        """Make another leader of the same followers, past the proxies; it is not started.

        :param settings: over those of the first leader. A durable one has a directory of its own.
        """
        port = free_ports(1)[0]
        followers = ",".join(node.process.address for node in self.followers)
        merged = {**self.leader.process.settings, "FOLLOWERS": followers}
        if "DATA_DIR" in merged:
            merged["DATA_DIR"] = str(self.leader.directory.with_name(name))
        merged |= settings or {}
        log_path = self._working_dir / f"{name}.log"
        process = LocalNode(name, "leader", port, merged, log_path)
        self._processes.append(process)
        return Node(process)

    # Copies

    def wait_for_replication(
        self, leader: Node | None = None, timeout_s: float = REPLICATION_TIMEOUT_S
    ) -> None:
        """Wait until every follower has applied all that the leader has, and the leader knows it.

        :param leader: the first leader when it is not given.
        """

        def why_not() -> str | None:
            status = (leader or self.leader).status()
            last_index = status["last_index"]
            known = {
                f"match index of {f['address']}": f["match_index"] for f in status["followers"]
            }
            known["commit index"] = status["commit_index"]
            for node in self.followers:
                known[f"applied by {node.name}"] = node.status()["applied_index"]
            if status["state"] == "leading" and set(known.values()) == {last_index}:
                return None
            return f"{status['state']}, last index {last_index}, {known}"

        wait_until(why_not, timeout_s)

    def assert_copies_equal(self, leader: Node | None = None) -> Copy:
        """Compare every follower with the leader: keys, values, versions, index and digest.

        :param leader: the first leader when it is not given.
        :return: the leader's copy.
        """
        copy = (leader or self.leader).store()
        differences = {node.name: compare_copies(copy, node.store()) for node in self.followers}
        described = {name: d.describe() for name, d in differences.items() if not d.is_empty}
        assert described == {}
        return copy

    def assert_nothing_lost(self, record: WriteRecord, leader: Node | None = None) -> Copy:
        """How every fault test ends: copies become equal, and hold every confirmed write.

        :param leader: the first leader when it is not given.
        :return: the leader's copy.
        """
        self.wait_for_replication(leader)
        copy = self.assert_copies_equal(leader)
        assert record.confirmed, "a test that confirmed nothing has shown nothing"
        assert record.missing_from(copy) == []
        return copy

    # Life

    def wait_until_ready(self, nodes: Iterable[Node] | None = None) -> None:
        """Wait until the given nodes, or all of the cluster, are ready."""
        for node in self.nodes if nodes is None else nodes:
            node.wait_until_ready()

    def start(self) -> None:
        """Start every node, and wait until all are ready."""
        for node in [*self.followers, self.leader]:
            node.process.start()
        self.wait_until_ready()

    def stop(self) -> None:
        """Kill every node, frozen ones too, and close the proxies."""
        for process in self._processes:
            if process.was_started:
                process.kill()
        self._stack.close()

    def assert_no_internal_error(self) -> None:
        """No node has logged a stack trace."""
        for process in self._processes:
            if process.log_path.exists():
                log = process.log_path.read_text("utf-8", errors="replace")
                assert "Traceback" not in log, f"{process.name} logged an error:\n{log[-4000:]}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        if kind is None:
            self.assert_no_internal_error()

    def _put_proxies(self) -> None:
        for follower in self.followers:
            proxy = self._stack.enter_context(TcpProxy(follower.process.address))
            self._proxies[follower.name] = proxy
        addresses = ",".join(self.address(follower) for follower in self.followers)
        self.leader.process.settings["FOLLOWERS"] = addresses
