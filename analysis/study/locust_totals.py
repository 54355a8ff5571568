"""Locust's own totals, as a second opinion on the log of requests."""

import csv
from dataclasses import dataclass
from pathlib import Path

from analysis.nodes.errors import TotalsError
from analysis.study.request_log import RequestLog

# The log rounds every time to 0.001 ms, so the two averages may differ by half of that.
_ROUNDING_MS = 0.0006


@dataclass(frozen=True)
class LocustTotals:
    """The row of all requests together in Locust's ``_stats.csv``.

    :param requests: number of requests, failed ones included.
    :param failures: number of failed ones.
    :param average_ms: exact average over all requests, in milliseconds.
    """

    requests: int
    failures: int
    average_ms: float


def read_locust_totals(path: Path) -> LocustTotals:
    """Read the totals from Locust's ``_stats.csv``.

    :raises TotalsError: when the file is missing, damaged, or has no row of totals.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, strict=True):
                if row["Name"] == "Aggregated":
                    return LocustTotals(
                        int(row["Request Count"]),
                        int(row["Failure Count"]),
                        float(row["Average Response Time"]),
                    )
    except (OSError, csv.Error, KeyError, ValueError, TypeError) as error:
        raise TotalsError(f"cannot read {path}: {error!r}") from error
    raise TotalsError(f"{path}: no row of totals")


def why_disagreeing(totals: LocustTotals, log: RequestLog) -> str | None:
    """Compare the totals with the log of every request.

    :return: ``None`` when they agree, else what differs.
    """
    logged = len(log.latency_ms) + log.failed
    if (totals.requests, totals.failures) != (logged, log.failed):
        return (
            f"Locust counted {totals.requests} requests and {totals.failures} failures, "
            f"its log has {logged} and {log.failed}"
        )
    if log.failed == 0 and abs(totals.average_ms - log.latency_ms.mean()) > _ROUNDING_MS:
        return (
            f"Locust's average is {totals.average_ms:.3f} ms, "
            f"that of its log {log.latency_ms.mean():.3f} ms"
        )
    return None
