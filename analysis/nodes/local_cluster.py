"""One leader and its followers on this machine, on free ports."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from analysis.nodes.free_ports import free_ports
from analysis.nodes.node import Node, Role
from analysis.nodes.tcp_proxy import TcpProxy

_STOP_TIMEOUT_S = 15.0
"""For the leader, and then for all followers together."""


class LocalCluster:
    """One leader and its followers on free ports, as a context manager.

    Entering starts the nodes and waits until all are ready; leaving stops them all.

    :param followers: number of followers, 0 or more.
    :param working_dir: where the nodes' logs go.
    :param settings: settings of every node, as in the environment.
    :param data_root: when given, every node gets ``DATA_DIR=<data_root>/<name>``.
    :param kind: what the nodes are: a class of the same constructor may run another program.
    :param proxied: whether the leader reaches each follower through a link that can fail.
    """

    def __init__(
        self,
        followers: int,
        working_dir: Path,
        settings: Mapping[str, str] | None = None,
        data_root: Path | None = None,
        kind: type[Node] = Node,
        *,
        proxied: bool = False,
    ) -> None:
        def make_node(name: str, role: Role, port: int) -> Node:
            data = {} if data_root is None else {"DATA_DIR": str(data_root / name)}
            return kind(name, role, port, {**(settings or {}), **data}, working_dir / f"{name}.log")

        self._working_dir = working_dir
        leader_port, *follower_ports = free_ports(1 + followers)
        self.leader = make_node("leader", "leader", leader_port)
        self.followers = [
            make_node(f"follower{number}", "follower", port)
            for number, port in enumerate(follower_ports, start=1)
        ]
        self.every_node = self.nodes
        """Every node that was ever made, whatever becomes of ``leader`` and ``followers``."""
        self._links: dict[tuple[Node, Node], TcpProxy] = {}
        """By leader and follower."""
        if proxied:
            self._link(self.leader)
        self.set_followers(self.leader, self.followers)

    @property
    def nodes(self) -> list[Node]:
        """The leader, then the followers."""
        return [self.leader, *self.followers]

    def address(self, follower: Node, leader: Node | None = None) -> str:
        """What a leader, the first one if not told, calls a follower: the link's address where
        there is one.
        """
        link = self._links.get((leader or self.leader, follower))
        return follower.address if link is None else link.address

    def set_followers(self, leader: Node, followers: Sequence[Node]) -> None:
        """Set what a leader gets as FOLLOWERS when it is started the next time."""
        leader.settings["FOLLOWERS"] = ",".join(self.address(node, leader) for node in followers)

    def add_leader(self, name: str, *, linked: bool = False, **settings: object) -> Node:
        """Make another leader of the same followers; it is not started.

        :param linked: whether it has links of its own; else it reaches the followers directly.
        :param settings: over those of the first leader. A durable one has a directory of its own.
        """
        merged = dict(self.leader.settings)
        if "DATA_DIR" in merged:
            merged["DATA_DIR"] = str(self.leader.directory.with_name(name))
        log_path = self._working_dir / f"{name}.log"
        node = type(self.leader)(name, "leader", free_ports(1)[0], merged, log_path)
        if linked:
            self._link(node)
        self.set_followers(node, self.followers)
        node.settings |= {name: str(value) for name, value in settings.items()}
        self.every_node.append(node)
        return node

    def _link(self, leader: Node) -> None:
        for follower in self.followers:
            self._links[leader, follower] = TcpProxy(follower.address)

    def link(self, follower: Node, leader: Node | None = None) -> TcpProxy:
        """The link between a leader, the first one if not told, and a follower."""
        return self._links[leader or self.leader, follower]

    def heal(self, *followers: Node) -> None:
        """End every fault between the leader and some followers."""
        for follower in followers:
            self.link(follower).heal()

    def start(self) -> None:
        """Start every node, and wait until all are ready.

        :raises NodeError: at once when a node exits; else after a time, with the last reason.
        """
        for node in [*self.followers, self.leader]:
            node.launch()
        for node in self.nodes:
            node.wait_until_serving()
        for node in self.nodes:
            node.wait_until_ready()

    def stop(self) -> None:
        """Stop every node that runs, or kill it when it takes too long; the leader first, so that
        it can drain its senders.
        """
        try:
            leaders = [node for node in self.every_node if node not in self.followers]
            for group in (leaders, self.followers):
                running = [node for node in group if node.is_running]
                for node in running:
                    node.terminate()
                deadline_s = time.monotonic() + _STOP_TIMEOUT_S
                for node in running:
                    node.wait_for_exit(max(0.0, deadline_s - time.monotonic()))
        finally:
            # Reached with running nodes only when the wait was interrupted, as by Ctrl-C.
            for node in self.every_node:
                node.crash()
            for link in self._links.values():
                link.stop()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop()
