"""Run a load with wrk: closed, so that each connection sends when its last answer has come."""

import json
import math
import resource
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from analysis.nodes.errors import LoadError

_SCRIPT = Path(__file__).with_name("load.lua")
_TOTALS = "totals "
_ANSWER_TIMEOUT_S = 30
_EXTRA_TIME_S = 60


@dataclass(frozen=True)
class Load:
    """What one load measured.

    :param answers: requests that were answered with success.
    :param errors: those refused (a status of 400 or more), and failed or late connections.
    :param duration_s: seconds it took.
    :param p50_ms: median of the time from a request to its answer, NaN without any; so the others.
    :param cpu_s: seconds of processor time that wrk itself used.
    """

    answers: int
    errors: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_s: float = field(default=0.0, compare=False)

    @property
    def per_s(self) -> float:
        """Successful answers a second."""
        return self.answers / self.duration_s


@dataclass(frozen=True)
class Requests:
    """What a load sends, to one key after the other.

    :param first: number of the first key.
    :param value_bytes: length of each value, a string; of no meaning to a GET.
    """

    method: Literal["PUT", "GET"] = "PUT"
    first: int = 0
    keys: int = 100
    value_bytes: int = 10

    def arguments(self) -> list[str]:
        """The script's arguments."""
        prefix = f"/{self.method.lower()}/key"
        return [self.method, prefix, str(self.first), str(self.keys), str(self.value_bytes)]


PUTS = Requests()
GETS = Requests("GET")


def require_wrk() -> None:
    """Make sure that wrk is there.

    :raises LoadError: it is not; the message says how to install it.
    """
    if shutil.which("wrk") is None:
        raise LoadError("wrk was not found; on Debian: apt-get install wrk")


def run_wrk(url: str, requests: Requests, connections: int, seconds: int) -> Load:
    """Send requests for a time.

    :param url: of the node.
    :param connections: simultaneous ones, each with one request at a time.
    :param seconds: from 1.
    :raises LoadError: wrk failed, or did not end.
    """
    options = [f"-c{connections}", f"-d{seconds}s", "-t1", f"--timeout={_ANSWER_TIMEOUT_S}s"]
    command = ["wrk", *options, f"-s{_SCRIPT}", url, "--", *requests.arguments()]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            timeout=seconds + _EXTRA_TIME_S,
            start_new_session=True,  # as every server has: see settings.SCHEDULING
        )
    except subprocess.CalledProcessError as error:
        raise LoadError(f"wrk exited with code {error.returncode}: {error.stderr}") from error
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"wrk did not end within {error.timeout:g} s") from error
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return parse_output(done.stdout, cpu_s)


def parse_output(text: str, cpu_s: float = 0.0) -> Load:
    """Read what wrk printed with our script.

    :param cpu_s: seconds of processor time that it used.
    :raises LoadError: the totals are missing.
    """
    lines = [line for line in text.splitlines() if line.startswith(_TOTALS)]
    if not lines:
        raise LoadError(f"wrk printed no totals:\n{text}")
    totals = json.loads(lines[-1].removeprefix(_TOTALS))
    per_ms = 1e3 if totals["answers"] else math.nan
    return Load(
        answers=totals["answers"] - totals["refused"],
        errors=totals["refused"] + totals["broken"],
        duration_s=totals["duration_us"] / 1e6,
        p50_ms=totals["p50_us"] / per_ms,
        p99_ms=totals["p99_us"] / per_ms,
        max_ms=totals["max_us"] / per_ms,
        cpu_s=cpu_s,
    )
