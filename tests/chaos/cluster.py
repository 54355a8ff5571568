"""The nodes of a campaign: a cluster, what the faults do to it, and the watch over both."""

import shutil
import threading
from pathlib import Path
from typing import Self

from analysis.nodes.errors import NodeUnavailableError
from analysis.nodes.node import Node
from kvstore.api_types import Status
from tests.chaos.fault import LEADER
from tests.chaos.history import Campaign
from tests.chaos.losses import Losses
from tests.chaos.recorder import Recorder
from tests.support.cluster import Cluster
from tests.support.tcp_proxy import TcpProxy

_LOOK_INTERVAL_S = 0.1
_ASK_TIMEOUT_S = 2.0
_CONFIRMATION_TIMEOUT_S = 1.0


class ChaosCluster:
    """One leader and its followers with data directories, and a proxy before each follower.

    A context manager: entering starts the nodes and watches them, leaving kills them all. A node
    that dies by itself is a problem for the record, and ends the campaign.

    :param campaign: says how many nodes, and with which settings.
    :param directory: for data and logs.
    :param recorder: gets what happens to the nodes.
    :param stopped: is set when a node has died by itself.
    """

    def __init__(
        self, campaign: Campaign, directory: Path, recorder: Recorder, stopped: threading.Event
    ) -> None:
        self.write_quorum = campaign.write_quorum
        self._recorder = recorder
        self._stopped = stopped
        self._copies = directory / "copies"
        self._cluster = Cluster(
            campaign.followers,
            directory,
            proxied=True,
            durable=True,
            WRITE_QUORUM=campaign.write_quorum,
            **campaign.node_settings,
        )
        self.nodes = {node.name: node for node in self._cluster.nodes}
        self.reserved = {name: threading.Lock() for name in self.nodes}
        """Held by whoever kills, freezes or starts a node."""
        self._losses = Losses(self.write_quorum, LEADER, campaign.followers)
        self._left = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)

    @property
    def leader(self) -> Node:
        """The one leader."""
        return self._cluster.leader

    @property
    def followers(self) -> list[Node]:
        """All the others."""
        return self._cluster.followers

    def link(self, follower: str) -> TcpProxy:
        """The proxy before a follower."""
        return self._cluster.link(self.nodes[follower])

    # What is done to nodes; the caller has reserved them

    def crash(self, names: list[str], *, on_confirmation: bool = False) -> None:
        """Kill nodes, all at the same moment, and wait until nothing of them is left.

        :param on_confirmation: wait for the moment at which a client's write is confirmed.
        """
        running = [node for name in names if (node := self.nodes[name]).is_running]
        if on_confirmation:
            self._recorder.wait_for_confirmation(_CONFIRMATION_TIMEOUT_S)
        for node in running:
            node.kill()
            self._recorder.killed(node.name)
        for node in running:
            node.crash()

    def start(self, name: str) -> None:
        """Start a dead node again without waiting for it."""
        self.nodes[name].launch()

    def wait_until_serving(self, name: str) -> None:
        """Wait until a node answers; it need not be ready.

        :raises NodeError: it ended, or did not answer in time.
        """
        self.nodes[name].wait_until_serving()

    def terminate(self, name: str) -> None:
        """End a node with SIGTERM; one that does not end is a problem."""
        code = self.nodes[name].stop()
        if code != 0:
            self._recorder.problem(f"{name} exited with {code} after SIGTERM")

    def kill_worker(self, name: str) -> None:
        """Kill the worker of a node, which gunicorn replaces."""
        _, worker, *_ = self.nodes[name].processes
        worker.kill()
        self._recorder.killed(name)

    def may_lose(self, names: list[str]) -> list[str]:
        """Say which of these nodes may lose their copies now without losing a confirmed write."""
        return self._losses.allow(names)

    def empty(self, name: str) -> None:
        """Delete the data directory of a dead node that may be emptied."""
        self.nodes[name].empty()
        self._recorder.emptied(name)

    def keep_copy(self, name: str) -> None:
        """Copy the directory of a dead node."""
        copy = self._copies / name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.nodes[name].directory, copy)

    def put_back(self, name: str) -> None:
        """Put a dead node, which may lose its copy, back to the copy of its directory."""
        self.nodes[name].put_back(self._copies / name)
        self._recorder.emptied(name)

    def returned(self, name: str) -> None:
        """A node that had lost its copy was started again."""
        self._losses.returned(name)

    # The end

    def heal(self) -> None:
        """End all faults: links, frozen nodes, dead nodes."""
        self._cluster.heal(*self.followers)
        for name, node in self.nodes.items():
            with self.reserved[name]:
                if node.is_running:
                    node.thaw()
                else:
                    self.start(name)
                self.wait_until_serving(name)

    def wait_for_convergence(self, timeout_s: float) -> None:
        """Wait until all nodes are ready and hold the same.

        :raises TimeoutError: after the time, with the last reason.
        """
        self._cluster.wait_for_replication(timeout_s=timeout_s)
        for node in self.nodes.values():
            node.wait_until_ready(timeout_s)

    def internal_errors(self) -> list[str]:
        """An excerpt for each node that has logged a stack trace."""
        errors = self._cluster.internal_errors()
        return [f"{name} has logged an error:\n{excerpt}" for name, excerpt in errors.items()]

    def keep_logs(self, directory: Path) -> None:
        """Copy the nodes' logs."""
        directory.mkdir(exist_ok=True)
        for node in self.nodes.values():
            shutil.copy(node.log_path, directory)

    def __enter__(self) -> Self:
        try:
            self._cluster.start()
            self._watching.start()
        except BaseException:
            self._cluster.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        try:
            self._watching.join()
        finally:
            self._cluster.stop()

    # Watching

    def _watch(self) -> None:
        while not self._left.wait(_LOOK_INTERVAL_S):
            self._look_for_the_dead()
            self._look_for_restored_copies()

    def _look_for_the_dead(self) -> None:
        for name, lock in self.reserved.items():
            if lock.acquire(blocking=False):
                try:
                    node = self.nodes[name]
                    if not node.is_running and not self._stopped.is_set():
                        self._recorder.problem(f"{name} died by itself:\n{node.log_tail()}")
                        self._stopped.set()
                finally:
                    lock.release()

    def _look_for_restored_copies(self) -> None:
        waiting = self._losses.waiting()
        if not waiting:
            return
        try:
            leader, followers = self._status(LEADER), {}
            for name in waiting.keys() - {LEADER}:
                address, status = self._cluster.address(self.nodes[name]), self._status(name)
                followers[name] = (address, status.node, status.applied_index)
            self._losses.look(waiting, leader, followers)
        except NodeUnavailableError:
            return  # a node that does not answer now is asked again

    def _status(self, name: str) -> Status:
        return self.nodes[name].status(_ASK_TIMEOUT_S)
