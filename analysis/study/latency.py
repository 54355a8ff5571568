"""Exact statistics of the time a write takes, from the log of every request."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REQUIRED_COLUMNS = frozenset({"timestamp", "response_time_ms", "exception"})

# Student's t for a two-sided 95 % interval with BATCHES - 1 degrees of freedom.
BATCHES = 20
_STUDENT_T_95 = 2.093


class RequestLogError(Exception):
    """A log of requests is missing, damaged or empty."""


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
    failures: dict[str, int] = {}
    line = 0
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file, strict=True)
            missing = REQUIRED_COLUMNS - set(rows.fieldnames or ())
            if missing:
                raise RequestLogError(f"{path}: no column {', '.join(sorted(missing))}")
            for row in rows:
                line = rows.line_num
                exception, started_s, response_ms = _parse(row)
                if exception:
                    failures[exception] = failures.get(exception, 0) + 1
                else:
                    started.append(started_s)
                    response.append(response_ms)
    except OSError as error:
        raise RequestLogError(f"cannot read {path}: {error}") from error
    except (csv.Error, ValueError) as error:
        raise RequestLogError(f"{path}: damaged at line {line}: {error}") from error
    if not started and not failures:
        raise RequestLogError(f"{path}: no requests")
    return RequestLog(np.array(started), np.array(response), failures)


def _parse(row: dict[str, str | None]) -> tuple[str, float, float]:
    exception = row["exception"]
    if exception is None:
        raise ValueError("the row is cut off")
    return exception, _number(row["timestamp"]), _number(row["response_time_ms"])


def _number(text: str | None) -> float:
    value = float(text or "")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{text!r} is not a time")
    return value


def percentile(ascending: Sequence[float] | NDArray[np.float64], percent: float) -> float:
    """The nearest-rank percentile: the smallest value that at least so many per cent do not exceed.

    It is one of the measured values; nothing is interpolated.

    :param ascending: at least one value, in ascending order.
    :param percent: above 0, up to 100.
    :return: the percentile in the values' unit.
    :raises ValueError: without values, or for another percentage.
    """
    if len(ascending) == 0:
        raise ValueError("no values")
    if not 0 < percent <= 100:
        raise ValueError(f"no percentile {percent}")
    return float(ascending[math.ceil(percent / 100 * len(ascending)) - 1])


def summarise(log: RequestLog) -> LatencySummary | None:
    """Compute the figures of one load.

    :param log: the log of its requests.
    :return: the figures over the confirmed writes, ``None`` when there was none.
    """
    if len(log.response_ms) == 0:
        return None
    ascending = np.sort(log.response_ms)
    ended_s = log.started_s + log.response_ms / 1000
    return LatencySummary(
        writes=len(ascending),
        mean_ms=float(ascending.mean()),
        mean_ci95_ms=mean_ci95(log.response_ms),
        p50_ms=percentile(ascending, 50),
        p95_ms=percentile(ascending, 95),
        p99_ms=percentile(ascending, 99),
        max_ms=float(ascending[-1]),
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
