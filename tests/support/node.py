"""One real node: its HTTP API, its process, and its death and return."""

import os
import shutil
import signal
from pathlib import Path

import psutil

from analysis.nodes.local_cluster import LocalNode
from tests.support.node_http import NodeHttp
from tests.support.waiting import wait_until

START_TIMEOUT_S = 30.0


class Node(NodeHttp):
    """One real node: its HTTP API, its process, and its death and return.

    :param process: what runs it.
    """

    def __init__(self, process: LocalNode) -> None:
        super().__init__(process.url)
        self.process = process

    @property
    def name(self) -> str:
        return self.process.name

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port, for a bare socket."""
        return self.process.host, self.process.port

    def start(self) -> None:
        """Start it, and wait until its process serves; it need not be ready."""
        self.process.start()
        wait_until(self._why_not_serving, START_TIMEOUT_S)

    @property
    def directory(self) -> Path:
        """Where it keeps its data; only of a node with ``DATA_DIR``."""
        return Path(self.process.settings["DATA_DIR"])

    def crash(self) -> None:
        """Kill the whole node at once (SIGKILL)."""
        self.process.kill()

    def empty(self) -> None:
        """Kill the node, and delete what it kept."""
        self.crash()
        if "DATA_DIR" in self.process.settings:
            shutil.rmtree(self.directory)

    def copy_directory(self, copy: Path) -> Path:
        """Copy what a dead node has kept.

        :return: the copy.
        """
        return Path(shutil.copytree(self.directory, copy))

    def put_back(self, copy: Path) -> None:
        """Kill the node, and give it an older copy of its directory."""
        self.empty()
        shutil.copytree(copy, self.directory)

    def restart(self) -> None:
        """Start it again after a crash; returns when it serves, which may be before it is ready."""
        self.start()

    def freeze(self) -> None:
        """Stop every process of the node in its tracks (SIGSTOP); its connections stay open."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        wait_until(self._why_not_frozen)

    def thaw(self) -> None:
        """Let a frozen node go on (SIGCONT)."""
        os.killpg(self.process.pid, signal.SIGCONT)

    def wait_until_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until ``/readyz`` answers 200."""
        wait_until(self._why_not_ready, timeout_s)

    def wait_for_state(self, state: str, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until ``/status`` shows a state."""

        def why_not() -> str | None:
            status = self.status()
            return None if status["state"] == state else f"{self.name}: {status}"

        wait_until(why_not, timeout_s)

    def wait_for_problem(self, words: str) -> None:
        """Wait until ``/status`` shows a problem with these words in it."""

        def why_not() -> str | None:
            problem = self.status()["problem"]
            return None if problem and words in problem else f"the problem is {problem}"

        wait_until(why_not)

    def wait_until_waiting_for(self, addresses: list[str]) -> None:
        """Wait until a leader waits for exactly these nodes."""

        def why_not() -> str | None:
            waiting_for = self.status()["waiting_for"]
            return None if waiting_for == addresses else f"it waits for {waiting_for}"

        wait_until(why_not)

    def wait_for_follower(self, address: str, state: str, timeout_s: float = 20.0) -> None:
        """Wait until a leader's ``/status`` shows a state for one follower."""

        def why_not() -> str | None:
            follower = self.follower_status(address)
            return None if follower["state"] == state else f"{self.name} shows {follower}"

        wait_until(why_not, timeout_s)

    def wait_for_last_index(self, index: int) -> None:
        """Wait until its log has reached an index."""

        def why_not() -> str | None:
            last_index = self.status()["last_index"]
            return None if last_index >= index else f"the last index is {last_index}"

        wait_until(why_not)

    @property
    def processes(self) -> list[psutil.Process]:
        """The arbiter, its worker, and then those that parse large bodies for it."""
        arbiter = psutil.Process(self.process.pid)
        return [arbiter, *arbiter.children(recursive=True)]

    def _why_not_frozen(self) -> str | None:
        states = [process.status() for process in self.processes]
        return None if set(states) == {psutil.STATUS_STOPPED} else f"processes are {states}"

    def _why_not_ready(self) -> str | None:
        self._assert_running()
        return self.process.why_not_ready()

    def _why_not_serving(self) -> str | None:
        self._assert_running()
        return None if self.request("GET", "/livez", timeout_s=2.0).ok else "not alive"

    def _assert_running(self) -> None:
        assert self.process.is_running, f"{self.name} exited:\n{self.process.log_tail()}"
