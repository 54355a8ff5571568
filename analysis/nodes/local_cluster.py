"""One leader and its followers on this machine, on free ports."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from analysis.nodes.errors import NodeError
from analysis.nodes.free_ports import free_ports
from analysis.nodes.local_node import LocalNode, Role, wait_until_ready

__all__ = ["LocalCluster", "LocalNode", "NodeError"]


class LocalCluster:
    """One leader and its followers on free ports, as a context manager.

    Entering starts the nodes and waits until all are ready; leaving stops them all.

    :param followers: number of followers, 0 or more.
    :param working_dir: where the nodes' logs go.
    :param settings: settings of every node.
    :param leader_settings: settings of the leader only, over ``settings``.
    :param follower_settings: settings of every follower, over ``settings``.
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
        data_root: Path | None = None,
    ) -> None:
        leader_port, *follower_ports = free_ports(1 + followers)

        def node(name: str, role: Role, port: int, own: Mapping[str, str]) -> LocalNode:
            data = {} if data_root is None else {"DATA_DIR": str(data_root / name)}
            merged = {**(settings or {}), **data, **own}
            return LocalNode(name, role, port, merged, working_dir / f"{name}.log")

        self.followers = [
            node(f"follower{number}", "follower", port, follower_settings or {})
            for number, port in enumerate(follower_ports, start=1)
        ]
        addresses = ",".join(follower.address for follower in self.followers)
        self.leader = node(
            "leader", "leader", leader_port, {"FOLLOWERS": addresses, **(leader_settings or {})}
        )

    @property
    def nodes(self) -> list[LocalNode]:
        """The leader, then the followers."""
        return [self.leader, *self.followers]

    def start(self) -> None:
        """Start every node, followers first, without waiting."""
        for node in [*self.followers, self.leader]:
            node.start()

    def wait_until_ready(self, timeout_s: float = 20.0) -> None:
        """Wait until every node is ready.

        :param timeout_s: seconds all of them together may take.
        :raises NodeError: at once when a process exits; else after the time, with the last reason.
        """
        wait_until_ready(self.nodes, timeout_s)

    def stop(self, timeout_s: float = 15.0) -> dict[str, int]:
        """Stop every node that was started; the leader first, so that it can drain its senders.

        :param timeout_s: seconds the leader, and then all followers together, may take.
        :return: exit code by the node's name.
        """
        exit_codes: dict[str, int] = {}
        try:
            for group in ([self.leader], self.followers):
                started = [node for node in group if node.was_started]
                for node in started:
                    node.terminate()
                deadline = time.monotonic() + timeout_s
                for node in started:
                    left_s = max(0.0, deadline - time.monotonic())
                    exit_codes[node.name] = node.wait_for_exit(left_s)
        finally:
            # Reached with running nodes only when the wait was interrupted, as by Ctrl-C.
            for node in self.nodes:
                if node.is_running:
                    node.kill()
        return exit_codes

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_until_ready()
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
