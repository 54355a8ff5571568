"""One real node on this machine: start, stop, kill, and wait until it is ready."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import requests

from analysis.nodes.errors import NodeError

REPO_ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
Role = Literal["leader", "follower"]

# Variables that change how a node starts. A node gets its own settings and nothing that happens to
# be set in the shell it was started from.
NODE_VARIABLES = frozenset(
    {
        "ROLE",
        "HOST",
        "PORT",
        "ADVERTISE_URL",
        "FOLLOWERS",
        "WRITE_QUORUM",
        "MIN_DELAY",
        "MAX_DELAY",
        "REPL_TIMEOUT",
        "DATA_DIR",
        "MAX_KEY_BYTES",
        "MAX_VALUE_BYTES",
        "LOG_RETAIN",
        "CLUSTER_TOKEN",
        "CLUSTER_TOKEN_FILE",
        "GUNICORN_CMD_ARGS",
        "WEB_CONCURRENCY",
    }
)

_POLL_INTERVAL_S = 0.05
_LOG_TAIL_LINES = 40


class LocalNode:
    """One node as its own process group, restartable under the same port.

    :param name: unique in its cluster; names the log file.
    :param role: ``leader`` or ``follower``.
    :param port: TCP port on the loopback address.
    :param settings: the node's other settings, as in the environment.
    :param log_path: where standard output and error go, appended at every start.
    """

    def __init__(
        self, name: str, role: Role, port: int, settings: Mapping[str, str], log_path: Path
    ) -> None:
        self.name = name
        self.role = role
        self.host = HOST
        self.port = port
        self.settings = dict(settings)
        self.log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """``host:port``, as it stands in the leader's FOLLOWERS."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Base URL without a trailing slash."""
        return f"http://{self.address}"

    @property
    def pid(self) -> int:
        """Process id of the arbiter, which is also the id of the node's process group.

        :raises NodeError: when the node was never started.
        """
        return self._started().pid

    @property
    def was_started(self) -> bool:
        """Whether there is an exit code or a running process to ask about."""
        return self._process is not None

    @property
    def is_running(self) -> bool:
        """Whether the node was started and its arbiter has not exited (a frozen node runs)."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process and return at once; :meth:`wait_until_ready` waits for it.

        :raises NodeError: when it is running already.
        """
        if self.is_running:
            raise NodeError(f"{self.name} is already running")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "wsgi:app"],
                cwd=REPO_ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self, timeout_s: float = 15.0) -> int:
        """Ask the node to finish (SIGTERM) and wait; kill it when it does not.

        :param timeout_s: seconds it may take.
        :return: the arbiter's exit code; ``-9`` when it had to be killed.
        :raises NodeError: when the node was never started.
        """
        self.terminate()
        return self.wait_for_exit(timeout_s)

    def terminate(self) -> None:
        """Send SIGTERM to the arbiter and return at once."""
        process = self._started()
        if process.poll() is None:
            process.terminate()

    def wait_for_exit(self, timeout_s: float) -> int:
        """Wait until the node has exited; kill it when it does not.

        :param timeout_s: seconds it may take.
        :return: the arbiter's exit code; ``-9`` when it had to be killed.
        :raises NodeError: when the node was never started.
        """
        with suppress(subprocess.TimeoutExpired):
            self._started().wait(timeout_s)
        # Also after a clean exit: no worker may outlive its arbiter.
        return self.kill()

    def kill(self) -> int:
        """End the whole process group at once with SIGKILL, also when it is frozen.

        :return: the arbiter's exit code.
        :raises NodeError: when the node was never started.
        """
        process = self._started()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return process.wait()

    def wait_until_ready(self, timeout_s: float = 20.0) -> None:
        """Poll ``/readyz`` until it answers 200.

        :param timeout_s: seconds it may take.
        :raises NodeError: at once when the process exits; else after the time, with the reason.
        """
        wait_until_ready([self], timeout_s)

    def why_not_ready(self) -> str | None:
        """Ask ``/readyz`` once.

        :return: ``None`` when the node is ready, else the reason.
        """
        with requests.Session() as session:
            session.trust_env = False  # a proxy set in the shell must not see loopback traffic
            try:
                answer = session.get(f"{self.url}/readyz", timeout=2.0)
            except requests.RequestException as error:
                return f"no answer ({type(error).__name__})"
        return None if answer.ok else f"HTTP {answer.status_code} {answer.text.strip()[:300]}"

    def log_tail(self) -> str:
        """The last 40 lines of the node's log, empty when there is none."""
        if not self.log_path.exists():
            return ""
        text = self.log_path.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-_LOG_TAIL_LINES:])

    def _environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if k not in NODE_VARIABLES}
        return inherited | {
            **self.settings,
            "ROLE": self.role,
            "HOST": self.host,
            "PORT": str(self.port),
        }

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise NodeError(f"{self.name} was never started")
        return self._process


def wait_until_ready(nodes: Iterable[LocalNode], timeout_s: float) -> None:
    """Wait until every given node answers ``/readyz`` with 200.

    :param nodes: nodes that were started.
    :param timeout_s: seconds all of them together may take.
    :raises NodeError: at once when a process exits; else after the time, with the last reason.
    """
    nodes = list(nodes)
    deadline = time.monotonic() + timeout_s
    waiting = {node.name: "not asked yet" for node in nodes}
    while waiting:
        for node in nodes:
            if not node.is_running:
                raise NodeError(_with_log(f"{node.name} exited while it was starting", node))
            if node.name in waiting:
                reason = node.why_not_ready()
                if reason is None:
                    del waiting[node.name]
                else:
                    waiting[node.name] = reason
        if waiting and time.monotonic() > deadline:
            late = next(node for node in nodes if node.name in waiting)
            reasons = "; ".join(f"{name}: {reason}" for name, reason in waiting.items())
            raise NodeError(_with_log(f"not ready after {timeout_s:g} s: {reasons}", late))
        if waiting:
            time.sleep(_POLL_INTERVAL_S)


def _with_log(message: str, node: LocalNode) -> str:
    return f"{message}\n--- end of {node.log_path} ---\n{node.log_tail() or '(empty)'}"
