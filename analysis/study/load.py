"""Run the write load: Locust, headless, as its own process."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from analysis.nodes.errors import LoadError
from analysis.nodes.node import REPO_ROOT

STALL_TIMEOUT_S = 120.0
_POLL_INTERVAL_S = 0.1
_STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class LoadSpec:
    """One load, and the folder for what it leaves behind.

    :param leader_url: base URL of the leader.
    :param write_quorum: the write quorum it sets first.
    :param writes: writes in all.
    :param keys: keys they are spread over.
    :param users: simultaneous clients, 1 or more.
    :param key_prefix: what every key begins with.
    :param seed: seed of the order of the keys.
    :param folder: where the files go; made when it is missing.
    """

    leader_url: str
    write_quorum: int
    writes: int
    keys: int
    users: int
    key_prefix: str
    seed: int
    folder: Path

    @property
    def request_log(self) -> Path:
        """CSV with the exact time of every request."""
        return self.folder / "requests.csv"

    @property
    def lag_report(self) -> Path:
        """JSON with the followers' lag at the last answer."""
        return self.folder / "lag.json"

    @property
    def stats_csv(self) -> Path:
        """Locust's own CSV of totals."""
        return self.folder / "locust_stats.csv"

    @property
    def log(self) -> Path:
        """What Locust printed."""
        return self.folder / "locust.log"

    def command(self) -> list[str]:
        """The command line of Locust."""
        options = {
            "--host": self.leader_url,
            "--users": self.users,
            "--spawn-rate": self.users,
            "--writes": self.writes,
            "--keys": self.keys,
            "--write-quorum": self.write_quorum,
            "--key-prefix": self.key_prefix,
            "--seed": self.seed,
            "--csv": self.folder / "locust",
            "--request-log": self.request_log,
            "--lag-report": self.lag_report,
        }
        locust = [sys.executable, "-m", "locust", "--headless", "--only-summary"]
        given = [f"{name}={value}" for name, value in options.items()]
        return [*locust, "--locustfile", str(REPO_ROOT / "locustfile.py"), *given]


def run_load(spec: LoadSpec, on_progress: Callable[[int], None]) -> None:
    """Run one load to its end.

    :param spec: what to run.
    :param on_progress: called about ten times a second with the number of writes answered so far.
    :raises LoadError: when Locust exits with another code than 0, or gets no answer for two
        minutes.
    """
    spec.folder.mkdir(parents=True, exist_ok=True)
    spec.request_log.unlink(missing_ok=True)
    spec.lag_report.unlink(missing_ok=True)
    with spec.log.open("wb") as log:
        process = subprocess.Popen(
            spec.command(),
            cwd=REPO_ROOT,
            env={k: v for k, v in os.environ.items() if not k.startswith("LOCUST_")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _watch(process, spec.request_log, on_progress)
    finally:
        _end(process)
    if process.returncode != 0:
        raise LoadError(f"Locust exited with code {process.returncode}; see {spec.log}")


def _watch(
    process: subprocess.Popen[bytes], request_log: Path, on_progress: Callable[[int], None]
) -> None:
    rows = offset = 0
    last_growth = time.monotonic()
    while process.poll() is None:
        time.sleep(_POLL_INTERVAL_S)
        new_rows, offset = _count_new_rows(request_log, offset)
        rows += new_rows
        answered = max(0, rows - 1)  # the first row is the header
        if new_rows > 0:
            last_growth = time.monotonic()
            on_progress(answered)
        if time.monotonic() - last_growth > STALL_TIMEOUT_S:
            raise LoadError(f"no answer for {STALL_TIMEOUT_S:g} s after {answered} writes")


def _count_new_rows(path: Path, offset: int) -> tuple[int, int]:
    if not path.exists():
        return 0, offset
    with path.open("rb") as file:
        file.seek(offset)
        grown = file.read()
    return grown.count(b"\n"), offset + len(grown)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
