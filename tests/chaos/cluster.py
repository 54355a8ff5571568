"""The nodes of a campaign: the harness's cluster, and what a campaign needs beyond it."""

import os
import shutil
import signal
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import requests

from tests.chaos.fault import LEADER
from tests.chaos.history import Campaign
from tests.chaos.losses import Losses
from tests.chaos.recorder import Recorder
from tests.support.harness import ClusterHarness, Node
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

_LOOK_INTERVAL_S = 0.1
_ASK_TIMEOUT_S = 2.0
_CONFIRMATION_TIMEOUT_S = 1.0
_DEATH_TIMEOUT_S = 20.0
_SERVE_TIMEOUT_S = 30.0
_LOG_EXCERPT = 3000


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
        self._logs = directory / "logs"
        self.harness = ClusterHarness(
            campaign.followers,
            self._logs,
            settings=campaign.node_settings,
            leader_settings={"WRITE_QUORUM": str(campaign.write_quorum)},
            proxied=True,
            data_root=directory / "data",
        )
        self.nodes = {node.name: node for node in self.harness.nodes}
        self.reserved = {name: threading.Lock() for name in self.nodes}
        """Held by whoever kills, freezes or starts a node."""
        self._losses = Losses(self.write_quorum, LEADER, campaign.followers)
        self._left = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)

    @property
    def leader(self) -> Node:
        """The one leader."""
        return self.nodes[LEADER]

    def link(self, follower: str) -> TcpProxy:
        """The proxy before a follower."""
        return self.harness.link(self.nodes[follower])

    # What is done to nodes; the caller has reserved them

    def crash(self, names: list[str], *, on_confirmation: bool = False) -> None:
        """Kill nodes, all at the same moment, and wait until nothing of them is left.

        :param on_confirmation: wait for the moment at which a client's write is confirmed.
        """
        running = [node for name in names if (node := self.nodes[name]).process.is_running]
        processes = [process for node in running for process in node.processes]
        if on_confirmation:
            self._recorder.wait_for_confirmation(_CONFIRMATION_TIMEOUT_S)
        for node in running:
            os.killpg(node.process.pid, signal.SIGKILL)
            self._recorder.killed(node.name)
        for node in running:
            node.crash()

        def why_not() -> str | None:
            alive = [process.pid for process in processes if _is_alive(process)]
            return f"killed processes still run: {alive}" if alive else None

        # The arbiters are gone; a worker may take a moment longer, and holds port and directory.
        wait_until(why_not, _DEATH_TIMEOUT_S)

    def start(self, name: str) -> None:
        """Start a dead node again without waiting for it."""
        self.nodes[name].process.start()

    def wait_until_serving(self, name: str) -> None:
        """Wait until a node answers; it need not be ready.

        :raises AssertionError: it ended, or did not answer in time.
        """
        node = self.nodes[name]

        def why_not() -> str | None:
            assert node.process.is_running, f"{name} ended:\n{node.process.log_tail()}"
            return None if node.request("GET", "/livez", timeout_s=_ASK_TIMEOUT_S).ok else "dead"

        wait_until(why_not, _SERVE_TIMEOUT_S)

    def terminate(self, name: str) -> None:
        """End a node with SIGTERM; one that does not end is a problem."""
        code = self.nodes[name].process.stop()
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
        self.nodes[name].copy_directory(copy)

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
        for follower in self.harness.followers:
            self.harness.heal(follower)
        for name, node in self.nodes.items():
            with self.reserved[name]:
                if node.process.is_running:
                    node.thaw()
                else:
                    self.start(name)
                self.wait_until_serving(name)

    def wait_for_convergence(self, timeout_s: float) -> None:
        """Wait until all nodes are ready and hold the same.

        :raises AssertionError: after the time, with the last reason.
        """
        self.harness.wait_for_replication(timeout_s=timeout_s)
        for node in self.nodes.values():
            node.wait_until_ready(timeout_s)

    def internal_errors(self) -> list[str]:
        """An excerpt for each node that has logged a stack trace."""
        found = []
        for name, node in self.nodes.items():
            log = node.process.log_path.read_text("utf-8", errors="replace")
            at = log.find("Traceback")
            if at >= 0:
                found.append(f"{name} has logged an error:\n{log[at : at + _LOG_EXCERPT]}")
        return found

    def keep_logs(self, directory: Path) -> None:
        """Copy the nodes' logs."""
        shutil.copytree(self._logs, directory, dirs_exist_ok=True)

    def __enter__(self) -> Self:
        try:
            self.harness.start()
            self._watching.start()
        except BaseException:
            self.harness.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left.set()
        try:
            self._watching.join()
        finally:
            self.harness.stop()

    # Watching

    def _watch(self) -> None:
        while not self._left.wait(_LOOK_INTERVAL_S):
            self._look_for_the_dead()
            self._look_for_restored_copies()

    def _look_for_the_dead(self) -> None:
        for name, lock in self.reserved.items():
            if lock.acquire(blocking=False):
                try:
                    process = self.nodes[name].process
                    if not process.is_running and not self._stopped.is_set():
                        self._recorder.problem(f"{name} died by itself:\n{process.log_tail()}")
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
                address, status = self.harness.address(self.nodes[name]), self._status(name)
                followers[name] = (address, status["node"], status["applied_index"])
            self._losses.look(waiting, leader, followers)
        except (requests.RequestException, ValueError):
            return  # a node that does not answer now is asked again

    def _status(self, name: str) -> dict[str, Any]:
        answer = self.nodes[name].request("GET", "/status", timeout_s=_ASK_TIMEOUT_S)
        status: dict[str, Any] = answer.json()
        return status


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
