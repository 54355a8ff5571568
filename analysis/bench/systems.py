"""What is measured: the service, the bare Flask application, and the plain design.

**Scheduling.** Linux may group processes by session and divide the processors between the groups
first (``kernel.sched_autogroup_enabled``). Every program here, each server as well as wrk, begins a
session of its own: with groups or without, it gets the same share beside the ceiling as beside the
service, as if each ran in a container of its own.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from analysis.bench.wrk import GETS
from analysis.nodes.local_cluster import LocalCluster
from analysis.nodes.node import Node
from analysis.nodes.waiting import wait_until

FOLLOWERS = 5
CEILING, PLAIN, DURABLE, MEMORY = "ceiling", "plain design", "durable", "in memory"
_CONNECTIONS = 16_000
_KEEP_ALIVE_S = 60
_SETTLE_S = 120.0


class BareServer(Node):
    """The ceiling: gunicorn with one gevent worker, and an application of two views.

    It has as many connections as a node, kept open as long, and none of a node's other settings
    but ``timeout=0``: its arbiter would replace a worker that was frozen, and what that holds.
    """

    @property
    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "gunicorn", "--config=/dev/null", "--no-control-socket"),
            *("--worker-class=gevent", f"--worker-connections={_CONNECTIONS}"),
            *(f"--backlog={_CONNECTIONS}", f"--keep-alive={_KEEP_ALIVE_S}", "--timeout=0"),
            *(f"--bind={self.address}", "analysis.bench.ceiling_app:app"),
        ]


class PlainNode(Node):
    """A node of the plain design, on Flask's own threaded server: gunicorn's is slower here."""

    @property
    def command(self) -> list[str]:
        app = "--app=analysis.bench.plain_design:app"
        return [sys.executable, "-m", "flask", app, "run", f"--port={self.port}"]


@dataclass(frozen=True)
class System:
    """One leader and its followers, or a bare server.

    While others are measured it is frozen, so that not even its heartbeats disturb them.
    """

    name: str
    cluster: LocalCluster

    @property
    def is_ours(self) -> bool:
        """Whether it is the service, whose ``/status`` tells how it fares."""
        return self.name in (DURABLE, MEMORY)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run meanwhile, from when it is ready."""
        _thaw(self.cluster)
        self.settle()
        yield
        self.freeze()

    def fill(self) -> None:
        """Write all keys that a load reads."""
        for number in range(GETS.keys):
            self.cluster.leader.put(f"key{number}", "x" * GETS.value_bytes)

    def settle(self) -> None:
        """Wait until it is ready, and has done what an earlier load has left it to do.

        :raises TimeoutError: not within two minutes.
        """
        wait_until(self._why_not_ready, _SETTLE_S)

    def freeze(self) -> None:
        """Stop all its processes in their tracks."""
        for node in self.cluster.nodes:
            node.freeze()

    def _why_not_ready(self) -> str | None:
        for node in self.cluster.nodes:
            if not node.is_ready():
                return f"{node.name} is not ready"
        if self.is_ours:
            for follower in self.cluster.leader.status().followers:
                if follower.state == "unreachable" or follower.lag_entries > 0:
                    return f"{follower.address} is {follower.state}"
        return None


@contextmanager
def open_systems(working_dir: Path, names: set[str]) -> Iterator[dict[str, System]]:
    """Start these systems, and freeze them.

    :param working_dir: for logs and data.
    :return: by name, each with all the keys that a load reads.
    :raises NodeError: one does not start.
    """
    with ExitStack() as stack:
        data = Path(stack.enter_context(TemporaryDirectory(dir=working_dir, prefix="data-")))
        delay = {"MIN_DELAY": "0.1", "MAX_DELAY": "1.0"}
        clusters = {
            CEILING: lambda logs: LocalCluster(0, logs, kind=BareServer),
            PLAIN: lambda logs: LocalCluster(FOLLOWERS, logs, delay, kind=PlainNode),
            DURABLE: lambda logs: LocalCluster(FOLLOWERS, logs, delay, data),
            MEMORY: lambda logs: LocalCluster(FOLLOWERS, logs, delay),
        }
        systems = {}
        for name in clusters.keys() & names:
            cluster = clusters[name](working_dir / name.replace(" ", "_"))
            # Stopping waits for the nodes to exit, for which they must not be frozen.
            stack.callback(_thaw, stack.enter_context(cluster))
            system = systems[name] = System(name, cluster)
            system.fill()
            system.freeze()
        yield systems


def _thaw(cluster: LocalCluster) -> None:
    for node in reversed(cluster.nodes):
        if node.is_running:
            node.thaw()


def describe_scheduling() -> str:
    """How the kernel divides the processors between programs."""
    switch = Path("/proc/sys/kernel/sched_autogroup_enabled")
    grouped = switch.exists() and switch.read_text(encoding="ascii").strip() == "1"
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    groups = "on: each has an equal share" if grouped else "off"
    return f"every program in a session of its own; autogroups {groups}; nice {nice}"
