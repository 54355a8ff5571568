"""Run the write load: Locust, headless, as its own process."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

from analysis.nodes.errors import LoadError
from analysis.nodes.free_ports import free_ports
from analysis.nodes.node import REPO_ROOT
from analysis.study.request_log import REQUEST_LOG

STALL_TIMEOUT_S = 120.0
_POLL_INTERVAL_S = 0.1
_STOP_TIMEOUT_S = 5.0
_WORKERS_START_S = 60


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
    :param workers: processes that make it, under a master; 0 = one process without a master.
    :param join_port: where workers that are started elsewhere join; None = start them here.
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
    workers: int = 0
    join_port: int | None = None

    @property
    def request_log(self) -> Path:
        """CSV with the exact time of every request."""
        return self.folder / REQUEST_LOG

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

    def commands(self) -> list[list[str]]:
        """The command lines of the load's processes; the first one tells how it ended."""
        options: dict[str, object] = {
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
        locust = [sys.executable, "-m", "locust", f"--locustfile={REPO_ROOT / 'locustfile.py'}"]
        first = [*locust, "--headless", "--only-summary", *_given(options)]
        if self.workers == 0:
            return [first]
        elsewhere = self.join_port is not None
        host = "0.0.0.0" if elsewhere else "127.0.0.1"  # noqa: S104
        port = self.join_port or free_ports(1)[0]
        bind = {"--master-bind-host": host, "--master-bind-port": port}
        wait = {"--expect-workers": self.workers, "--expect-workers-max-wait": _WORKERS_START_S}
        master = [*first, "--master", *_given(bind | wait)]
        worker = [*locust, "--worker", f"--master-host={host}", f"--master-port={port}"]
        return [master, *[worker] * (0 if elsewhere else self.workers)]


def _given(options: Mapping[str, object]) -> list[str]:
    return [f"{name}={value}" for name, value in options.items()]


def run_load(spec: LoadSpec, on_progress: Callable[[int], None]) -> float | None:
    """Run one load to its end.

    :param spec: what to run.
    :param on_progress: called about ten times a second with the number of writes answered so far.
    :return: the share of a core that its busiest process used while it wrote; None = it was too
        short to tell, or made elsewhere.
    :raises LoadError: when Locust exits with another code than 0, or gets no answer for two
        minutes.
    """
    spec.folder.mkdir(parents=True, exist_ok=True)
    for left in (spec.request_log, spec.lag_report):
        left.unlink(missing_ok=True)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with spec.log.open("wb") as log:
            for command in spec.commands():
                processes.append(_start(command, log))  # noqa: PERF401 - one may not start
        share = _watch(processes, spec, on_progress)
    finally:
        _end(processes)
    if processes[0].returncode != 0:
        raise LoadError(
            f"Locust exited with code {processes[0].returncode}: {_first_error(spec.log)}"
        )
    return share if spec.join_port is None else None


def _start(command: Sequence[str], log: BinaryIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=REPO_ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("LOCUST_")},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _watch(
    processes: Sequence[subprocess.Popen[bytes]], spec: LoadSpec, on_progress: Callable[[int], None]
) -> float | None:
    busy = [_BusyShare(process.pid) for process in processes]
    log = _GrowingLog(spec.request_log)
    last_growth = time.monotonic()
    while processes[0].poll() is None:
        time.sleep(_POLL_INTERVAL_S)
        if log.has_grown():
            last_growth = time.monotonic()
            for each in busy:
                each.look()
            on_progress(log.rows)
        if time.monotonic() - last_growth > STALL_TIMEOUT_S:
            raise LoadError(f"no answer for {STALL_TIMEOUT_S:g} s after {log.rows} writes")
    return max((each.share for each in busy if each.share is not None), default=None)


class _GrowingLog:
    """A log of requests that is being written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._lines = 0

    def has_grown(self) -> bool:
        """Count what is new."""
        if not self._path.exists():
            return False
        with self._path.open("rb") as file:
            file.seek(self._offset)
            grown = file.read()
        self._lines += grown.count(b"\n")
        self._offset += len(grown)
        return bool(grown)

    @property
    def rows(self) -> int:
        """Lines so far, but for the header."""
        return max(self._lines - 1, 0)


class _BusyShare:
    """The share of a core that a process used between the first look and the last."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._looks: list[tuple[float, float]] = []

    def look(self) -> None:
        """Note how much it has used so far."""
        with suppress(psutil.NoSuchProcess):
            times = psutil.Process(self._pid).cpu_times()
            self._looks.append((time.monotonic(), times.user + times.system))

    @property
    def share(self) -> float | None:
        """None below two looks."""
        if len(self._looks) < 2:
            return None
        (first_s, first_cpu_s), (last_s, last_cpu_s) = self._looks[0], self._looks[-1]
        return (last_cpu_s - first_cpu_s) / (last_s - first_s)


def _first_error(log: Path) -> str:
    """What Locust said first about an error, which led to the others, and where the rest is."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.partition("/ERROR/")[2] for line in lines if "/ERROR/" in line]
    return f"{errors[0]}; see {log}" if errors else f"see {log}"


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
