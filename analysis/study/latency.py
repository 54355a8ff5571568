"""Exact statistics of the time a write takes, from the log of every request."""

import csv
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.nodes.errors import RequestLogError

# Student's t for a two-sided 95 % interval with BATCHES - 1 degrees of freedom.
BATCHES = 20
_STUDENT_T_95 = 2.093

_TIMES = ("timestamp", "response_time_ms")


@dataclass(frozen=True)
class RequestLog:
    """Every request of one load.

    :param started_s: Unix time at which each confirmed write was sent, in seconds.
    :param response_ms: time until its answer was read, in milliseconds, in the same order.
    :param failures: number of failed writes by reason; empty when there was none.
    """

    started_s: NDArray[np.float64]
    response_ms: NDArray[np.float64]
    failures: dict[str, int]

    @property
    def failed(self) -> int:
        """Number of failed writes."""
        return sum(self.failures.values())


@dataclass(frozen=True)
class LatencySummary:
    """What one load measured, over its confirmed writes.

    :param writes: number of confirmed writes.
    :param mean_ms: average time of a write in milliseconds.
    :param mean_ci95_ms: half the width of the average's 95 % confidence interval, milliseconds;
        ``None`` when there are too few writes to tell.
    :param p50_ms: median in milliseconds; ``p95_ms`` and ``p99_ms`` likewise.
    :param max_ms: the slowest write in milliseconds.
    :param duration_s: seconds from the first request sent to the last answer read.
    """

    writes: int
    mean_ms: float
    mean_ci95_ms: float | None
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    duration_s: float

    @property
    def throughput_per_s(self) -> float:
        """Confirmed writes per second."""
        return self.writes / self.duration_s


def read_request_log(path: Path) -> RequestLog:
    """Read what Locust's ``CsvRequestLogger`` wrote.

    :param path: a CSV file with a header and at least the columns ``timestamp`` (Unix seconds),
        ``response_time_ms`` and ``exception`` (empty for a success).
    :return: successes in the order of their answers, and the failures counted by reason.
    :raises RequestLogError: when the file is missing, has no rows, or a row is damaged.
    """
    started: list[float] = []
    response: list[float] = []
    failures: Counter[str] = Counter()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for line, row in enumerate(csv.DictReader(file, strict=True), start=2):
                try:
                    started_s, response_ms = (_time(row, name) for name in _TIMES)
                    if failure := _cell(row, "exception"):
                        failures[failure] += 1
                        continue
                except ValueError as error:
                    raise RequestLogError(f"{path}: damaged at line {line}: {error}") from error
                started.append(started_s)
                response.append(response_ms)
    except (OSError, csv.Error, ValueError) as error:
        raise RequestLogError(f"cannot read {path}: {error}") from error
    if not started and not failures:
        raise RequestLogError(f"{path}: no requests")
    return RequestLog(np.array(started), np.array(response), dict(failures))


def _cell(row: dict[str, str | None], name: str) -> str:
    text = row.get(name)
    if text is None:
        raise ValueError(f"no {name}")
    return text


def _time(row: dict[str, str | None], name: str) -> float:
    value = float(_cell(row, name))
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{value} is not a time")
    return value


def summarise(log: RequestLog) -> LatencySummary | None:
    """Compute the figures of one load.

    :param log: the log of its requests.
    :return: the figures over the confirmed writes, ``None`` when there was none.
    """
    if len(log.response_ms) == 0:
        return None
    # The nearest-rank percentiles: measured values, nothing is interpolated.
    p50_ms, p95_ms, p99_ms = np.percentile(log.response_ms, (50, 95, 99), method="inverted_cdf")
    ended_s = log.started_s + log.response_ms / 1000
    return LatencySummary(
        writes=len(log.response_ms),
        mean_ms=float(log.response_ms.mean()),
        mean_ci95_ms=mean_ci95(log.response_ms),
        p50_ms=float(p50_ms),
        p95_ms=float(p95_ms),
        p99_ms=float(p99_ms),
        max_ms=float(log.response_ms.max()),
        duration_s=float(ended_s.max() - log.started_s.min()),
    )


def mean_ci95(in_time_order: NDArray[np.float64]) -> float | None:
    """Half the width of the 95 % confidence interval of the average, by batch means.

    Neighbouring writes wait for the same things, so they are not independent and the usual standard
    error would be far too small; the averages of long batches nearly are. (Law, *Simulation
    Modeling and Analysis*, section 9.5.3.)

    :param in_time_order: measurements in the order in which they were made.
    :return: the half width in their unit, ``None`` below ten values for each of the 20 batches.
    """
    if len(in_time_order) < 10 * BATCHES:
        return None
    means = [batch.mean() for batch in np.array_split(in_time_order, BATCHES)]
    return float(_STUDENT_T_95 * np.std(means, ddof=1) / math.sqrt(BATCHES))
