"""One real node on this machine: its HTTP API, its processes, and how to crash and restart it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psutil

from analysis.nodes.errors import NodeError
from analysis.nodes.waiting import wait_until
from kvstore.client.node_client import NodeClient

REPO_ROOT = Path(__file__).resolve().parents[2]
Role = Literal["leader", "follower"]

_HOST = "127.0.0.1"
_PASSED_ON = frozenset(
    {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ"}
)
_PASSED_ON_PREFIX = "COVERAGE_"
_ANSWER_TIMEOUT_S = 30.0
_START_TIMEOUT_S = 30.0
_LOOK_TIMEOUT_S = 2.0
_LOG_TAIL_LINES = 40


class Node(NodeClient):
    """One node as its own process group, which can be started again under the same port.

    :param name: unique in its cluster; names the log file.
    :param port: TCP port on the loopback address.
    :param settings: the node's other settings, as in the environment.
    :param log_path: where standard output and error go, appended at every start.
    """

    def __init__(
        self, name: str, role: Role, port: int, settings: Mapping[str, str], log_path: Path
    ) -> None:
        super().__init__(f"http://{_HOST}:{port}", timeout_s=_ANSWER_TIMEOUT_S)
        self.name = name
        self.role = role
        self.port = port
        self.settings = dict(settings)
        self.log_path = log_path
        self._arbiter: subprocess.Popen[bytes] | None = None
        self._has_processes = False

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port, for a bare socket."""
        return _HOST, self.port

    @property
    def address(self) -> str:
        """``host:port``, as it stands in a leader's FOLLOWERS."""
        return f"{_HOST}:{self.port}"

    @property
    def directory(self) -> Path:
        """Where it keeps its data; only of a node with ``DATA_DIR``."""
        return Path(self.settings["DATA_DIR"])

    @property
    def command(self) -> list[str]:
        """The command line of its arbiter, run in the repository's root."""
        return [sys.executable, "-m", "gunicorn", "wsgi:app"]

    @property
    def environment(self) -> dict[str, str]:
        """What its processes find in their environment: its settings, and from this process only
        what programs need to run and be measured.
        """
        passed_on = {
            name: value
            for name, value in os.environ.items()
            if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIX)
        }
        own = {"ROLE": self.role, "HOST": _HOST, "PORT": str(self.port)}
        return {**passed_on, **self.settings, **own}

    # Its processes

    @property
    def pid(self) -> int:
        """Process id of the arbiter, which is also the id of the node's process group.

        :raises NodeError: when the node was never started.
        """
        return self._started().pid

    @property
    def is_running(self) -> bool:
        """Whether the node was started and its arbiter has not exited (a frozen node runs)."""
        return self._arbiter is not None and self._arbiter.poll() is None

    @property
    def is_frozen(self) -> bool:
        """Whether its arbiter runs and is stopped in its tracks (SIGSTOP)."""
        with suppress(psutil.NoSuchProcess):
            return self.is_running and (psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)
        return False

    @property
    def processes(self) -> list[psutil.Process]:
        """The node's running processes, oldest first: the arbiter, its worker, and then those that
        parse large bodies for it.
        """
        found = []
        for process in psutil.process_iter():
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                of_this_node = os.getpgid(process.pid) == self.pid
                if of_this_node and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return sorted(found, key=lambda process: process.create_time())

    def log(self) -> str:
        """All that it has logged, empty when it was never started."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def log_tail(self) -> str:
        """The last 40 lines of its log."""
        return "\n".join(self.log().splitlines()[-_LOG_TAIL_LINES:])

    # Start

    def launch(self) -> None:
        """Start the processes and return at once.

        :raises NodeError: when the node is running already.
        """
        if self.is_running:
            raise NodeError(f"{self.name} is already running")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._arbiter = subprocess.Popen(
                self.command,
                cwd=REPO_ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._has_processes = True

    def start(self) -> None:
        """Start the node, and wait until it serves; it need not be ready.

        :raises NodeError: when it is running already, exits, or does not serve in time.
        """
        self.launch()
        self.wait_until_serving()

    def wait_until_serving(self, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Wait until it answers at all; raises like :meth:`wait_until_ready`."""
        self._wait_for_ok("/livez", timeout_s)

    def wait_until_ready(self, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Wait until ``/readyz`` is answered with 200.

        :param timeout_s: seconds it may take.
        :raises NodeError: at once when the node exits; else after the time, with the last reason.
        """
        self._wait_for_ok("/readyz", timeout_s)

    # End

    def terminate(self) -> None:
        """Ask the node to finish (SIGTERM), and return at once.

        :raises NodeError: when it was never started.
        """
        self._started().terminate()

    def wait_for_exit(self, timeout_s: float) -> int:
        """Wait until the node has exited; kill it when it does not.

        :param timeout_s: seconds it may take.
        :return: the arbiter's exit code; ``-9`` when it had to be killed.
        :raises NodeError: when the node was never started.
        """
        arbiter = self._started()
        with suppress(subprocess.TimeoutExpired):
            arbiter.wait(timeout_s)
        self.crash()  # also after a clean exit: no worker may outlive its arbiter
        return arbiter.wait()

    def stop(self, timeout_s: float = 15.0) -> int:
        """:meth:`terminate` and :meth:`wait_for_exit`."""
        self.terminate()
        return self.wait_for_exit(timeout_s)

    # Faults

    def kill(self) -> None:
        """Send SIGKILL to every process of the node, if there are any, and return at once."""
        if self._has_processes:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def crash(self) -> None:
        """Kill every process of the node (SIGKILL), if there are any, and wait until all are gone:
        the last one holds port and directory.
        """
        if not self._has_processes:
            return
        self.kill()
        self._started().wait()
        wait_until(lambda: f"{self.name} still runs {p}" if (p := self.processes) else None)
        self._has_processes = False

    def restart(self) -> None:
        """Kill the node if it runs, start it again, and wait until it serves."""
        self.crash()
        self.start()

    def freeze(self) -> None:
        """Stop every process of the node in its tracks (SIGSTOP); its connections stay open."""
        os.killpg(self.pid, signal.SIGSTOP)

        def why_not() -> str | None:
            states = {process.status() for process in self.processes}
            return None if states == {psutil.STATUS_STOPPED} else f"processes are {states}"

        wait_until(why_not)

    def thaw(self) -> None:
        """Let a frozen node continue (SIGCONT)."""
        os.killpg(self.pid, signal.SIGCONT)

    def empty(self) -> None:
        """Kill the node, and delete its data."""
        self.crash()
        if "DATA_DIR" in self.settings:
            shutil.rmtree(self.directory)

    def put_back(self, copy: Path) -> None:
        """Kill the node, and replace its directory by an older copy."""
        self.empty()
        shutil.copytree(copy, self.directory)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._arbiter is None:
            raise NodeError(f"{self.name} was never started")
        return self._arbiter

    def _wait_for_ok(self, path: str, timeout_s: float) -> None:
        def why_not() -> str | None:
            if not self.is_running:
                raise NodeError(self._with_log(f"{self.name} exited while it was starting"))
            answer = self.request("GET", path, timeout_s=_LOOK_TIMEOUT_S)
            return None if answer.ok else f"HTTP {answer.status_code} {answer.text.strip()[:300]}"

        try:
            wait_until(why_not, timeout_s)
        except TimeoutError as error:
            raise NodeError(self._with_log(f"{self.name}: {error}")) from error

    def _with_log(self, message: str) -> str:
        return f"{message}\n--- end of {self.log_path} ---\n{self.log_tail() or '(empty)'}"
