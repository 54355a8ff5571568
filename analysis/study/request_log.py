"""The log of every request of a load, as CSV: exact times, keys and versions."""

import csv
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from analysis.nodes.errors import RequestLogError

COLUMNS = ("started_s", "latency_ms", "key", "version", "failure")
"""Unix time of sending; milliseconds until the answer was read; the version of a confirmed write;
why another one failed."""
REQUEST_LOG = "requests.csv"
"""Its name in the folder of a load."""
Request = tuple[float, float, str, int | None, str | None]
"""One request, with the values of :data:`COLUMNS`."""
_ROWS_PER_FLUSH = 20


@dataclass(frozen=True)
class RequestLog:
    """Every request of one load.

    :param started_s: Unix time at which each confirmed write was sent, in seconds, in the order of
        the answers; the following are in the same order.
    :param latency_ms: time until its answer was read, in milliseconds.
    :param keys: what it wrote.
    :param versions: the versions that it got.
    :param failures: number of failed writes by reason; empty when there was none.
    """

    started_s: NDArray[np.float64]
    latency_ms: NDArray[np.float64]
    keys: tuple[str, ...]
    versions: NDArray[np.int64]
    failures: dict[str, int]

    @property
    def failed(self) -> int:
        """Number of failed writes."""
        return sum(self.failures.values())


class RequestLogWriter:
    """Writes the log while the load runs, as a context manager or until :meth:`close`.

    :param path: replaced if it exists.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file)
        self._rows.writerow(COLUMNS)
        self._count = 0

    def add(
        self,
        started_s: float,
        latency_ms: float,
        key: str,
        version: int | None,
        failure: str | None,
    ) -> None:
        """Record one request; the arguments are those of :data:`COLUMNS`."""
        self._rows.writerow(
            (f"{started_s:.6f}", f"{latency_ms:.3f}", key, version or "", failure or "")
        )
        self._count += 1
        # Whoever watches the load sees the file grow.
        if self._count % _ROWS_PER_FLUSH == 0:
            self._file.flush()

    def close(self) -> None:
        """Write what is left."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_request_log(path: Path) -> RequestLog:
    """Read what :class:`RequestLogWriter` wrote.

    :return: successes in the order of their answers, and the failures counted by reason.
    :raises RequestLogError: when the file is missing or damaged, or holds no requests.
    """
    confirmed: list[tuple[float, float, str, int]] = []
    failures: Counter[str] = Counter()
    _read_into(path, confirmed, failures)
    if not confirmed and not failures:
        raise RequestLogError(f"{path}: no requests")
    confirmed.sort(key=lambda row: row[0] + row[1] / 1000)
    started_s, latency_ms, keys, versions = zip(*confirmed, strict=True) if confirmed else ((),) * 4
    return RequestLog(
        np.array(started_s, dtype=float),
        np.array(latency_ms, dtype=float),
        tuple(keys),
        np.array(versions, dtype=np.int64),
        dict(failures),
    )


def _read_into(
    path: Path, confirmed: list[tuple[float, float, str, int]], failures: Counter[str]
) -> None:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for line, row in enumerate(csv.DictReader(file, strict=True), start=2):
                try:
                    started_s, latency_ms = _time(row, "started_s"), _time(row, "latency_ms")
                    if failure := _cell(row, "failure"):
                        failures[failure] += 1
                        continue
                    version = int(_cell(row, "version"))
                    confirmed.append((started_s, latency_ms, _cell(row, "key"), version))
                except ValueError as error:
                    raise RequestLogError(f"{path}: damaged at line {line}: {error}") from error
    except (OSError, csv.Error, ValueError) as error:
        raise RequestLogError(f"cannot read {path}: {error}") from error


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
